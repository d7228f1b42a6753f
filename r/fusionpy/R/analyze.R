#' Estimate means, proportions, totals and medians from implicates
#'
#' Estimates, with 90 % margins of error, from what [fuse()] returned or wrote.
#'
#' The signature is that of `fusionModel::analyze()`; what comes after `cores` is new.
#'
#' Margins are made by Barnard and Rubin's (1999) rules, with replicate weights in every implicate.
#' `pooling = "rubin"` gives what fusionModel 2.4.0 gives, `"fusionacs"` what fusionACS 0.0.12 does.
#'
#' @param x A list of what to estimate: `list(mean = c("kwh", "fuel"), median = "kwh")`. Factors and logicals have
#'   proportions under `mean` and counts under `sum`, one row for each level. Besides there are `proportion`, `count`,
#'   percentiles such as `p90`, `ratio` (of `"a/b"`), `share` and `gini`.
#' @param implicates What [fuse()] returned, or the path of what it wrote; of a file only the columns that are needed
#'   are read, one implicate at a time.
#' @param static A data frame of columns that are not simulated: one row per recipient, in the implicates' order.
#' @param weight Name of the column of survey weights, in `static` or in the implicates. `NULL`: all are 1.
#' @param rep_weights Names of the columns of the recipient survey's replicate weights.
#' @param by Names of columns: estimates are made for every combination of their values. Columns that are called as
#'   those of the result (`N`, `y`, `level`, `type`, `est`, `moe`, `n`, `se`, ...) are refused.
#' @param fun A function of a data frame of one implicate, with the columns of `static`, that returns a data frame of
#'   further columns, which `x` and `by` may name.
#' @param var_scale What replicate weights are worth: the variance is `var_scale` times the mean squared difference of
#'   replicate estimates from the full-sample one. Or the name of a design: `"sdr"`, `"brr"`, `"fay"`, `"jk1"`,
#'   `"bootstrap"`.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed For variances that are drawn, as of medians with `pooling = "rubin"`.
#' @param pooling `"barnard-rubin"`, `"rubin"` or `"fusionacs"`: how margins are made.
#' @param level Of the margins.
#' @param rectify Path of a model whose donors are to mend the estimates: their mean residual in the same group is
#'   added to means, proportions and sums.
#' @param detailed Whether to add `n_eff` (effective sample size), `se`, `df`, `lower`, `upper` and `fmi` (fraction of
#'   missing information), and `n_donors` if estimates are rectified.
#'
#' @return A data.table of one row for each group, variable, level and statistic, sorted by them: the columns of `by`;
#'   `N`, records per implicate; `y`; `level` of a factor or logical; `type`; `est`; `moe`, the margin of error, which
#'   is missing with one implicate.
#' @inherit train references
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' recipient <- load_recipient()
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(recipient, file, M = 5, seed = 1)
#' analyze(list(mean = "electricity"), fused, static = recipient, weight = "weight", by = "tenure")
analyze <- function(x, implicates, static = NULL, weight = NULL, rep_weights = NULL, by = NULL, fun = NULL,
                    var_scale = 4, cores = 1, seed = 0, pooling = "barnard-rubin", level = 0.9, rectify = NULL,
                    detailed = FALSE) {
  arguments <- take("analyze", environment())
  if (!is.null(fun)) implicates <- derive(implicates, static, fun)
  needed <- c(unlist(strsplit(unlist(x), "/", fixed = TRUE)), weight, rep_weights, by)
  frames <- list(implicates = send(implicates, c("M", needed)), static = send(static, needed))
  ask("analyze", arguments, frames)$frame
}
