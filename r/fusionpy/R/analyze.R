#' Estimate means, proportions, totals and medians from implicates
#'
#' Estimates, with 90 % margins of error, from what [fuse()] returned or wrote.
#'
#' The signature is that of `fusionModel::analyze()`; what comes after `cores` is new. The table is its own, too: columns,
#' their types and the order of rows.
#'
#' Margins are made by Barnard and Rubin's (1999) rules, with replicate weights in every implicate. Of a file that [fuse()]
#' wrote, with less than ten times as many recipients as donors, the noise of single records' draws is in part left out of
#' them (`pooling = "auto"`); of a data frame nothing is known of how it was made.
#' `pooling = "rubin"` gives what fusionModel 2.4.0 gives, `"fusionacs"` what fusionACS 0.0.12 does.
#'
#' @section Calls as fusionACS has them:
#' Analyses may be formulas, `list(avg ~ mean(kwh), ~ median(kwh), ~ mean(kwh / hh_size), p ~ prop(fuel), n ~ count(fuel))`.
#' On the left is a name, if one is wanted; the function is one of `mean`, `sum` or `total`, `median`, `prop`, `count`,
#' `quantile(kwh, 0.9)` or `p90`, `ratio(kwh, rooms)`, `share` and `gini`; inside it may stand an expression of columns, which
#' is evaluated once, on all records. `by` may name columns without quotes, and have several groupings,
#' `list(np, c(np, county), tract)`: each is what a call of its own would give. Or, all together, for one frame of long data,
#' with a weight per row and implicate:
#'
#' ```
#' analyze(data = my.data, avg ~ mean(kwh), ~ median(kwh), by = list(np, c(np, county)), pooling = "fusionacs")
#' ```
#'
#' `data` without a column `M` is one implicate; its column `weight` has the weights, unless `weight` names another. The
#' result then has the columns that fusionACS's public documentation shows (`layout = "fusionacs"`): `lhs`, the name; `rhs`,
#' the call; `type`, of which one is `prop`; the columns of `by`; `level`; `N_eff`, the effective sample size; `est`; `moe`;
#' and `cv`, `100 * moe / 1.645 / est`. Rows are in the order of the analyses. It is a data.table, not a tibble, and columns
#' of `by` keep their classes.
#'
#' @section Regressions:
#' `~ lm(log(kwh) ~ rooms * region)` regresses by weighted least squares, `~ glm(solar ~ rooms, family = binomial)` (or
#' `poisson`) otherwise; in a list of names these are `list(lm = "log(kwh) ~ rooms * region")`. The result has a row for
#' each coefficient, which `level` names. Formulas are R's, of columns, `+ : * ^ -`, `log()`, `sqrt()`, `exp()`, `abs()`, `I()` and
#' `factor()`; other functions are refused, `fun` makes what they would. Contrasts are treatment contrasts. Margins are
#' those of `survey::svyglm()`, pooled as all others. For other regressions there are [to_imputationList()] and
#' [to_mids()].
#'
#' @section What `fun` is given:
#' It is called once, as fusionModel does, with a data.table of all implicates, one below the other: `M`; the implicates'
#' columns; `W`, the weight (1 without weights); the other columns of `static`, but for `weight` and `rep_weights`; and `WR`,
#' the replicate weight that `pooling = "rubin"` takes for the row's implicate (without any it is `W`). Unlike there, `M` is
#' there once only. It may change its table by reference. It returns a data frame of a row per record, in order, or of one row
#' that holds for all; other numbers of rows, which fusionModel repeats, are refused. Columns with known names replace these.
#' For `fun`, and for expressions in formulas, a file is read whole.
#'
#' @param x What to estimate: a list such as `list(mean = c("kwh", "fuel"), median = "kwh")`. Factors and logicals have
#'   proportions under `mean` and counts under `sum`, one row for each level. Besides there are `total` (`sum`), `proportion`
#'   or `prop`, `count`, percentiles such as `p90`, `ratio` (of `"a/b"`), `share` and `gini`, and regressions, see below. Entries of one name are put
#'   together. Or formulas, see below.
#' @param implicates What [fuse()] returned, or the path of what it wrote; of a file only the columns that are needed
#'   are read, one implicate at a time.
#' @param static A data frame of columns that are not simulated: one row per recipient, in the implicates' order.
#' @param weight Name of the column of survey weights, in `static`, or in the implicates, each of which is then weighted by
#'   its own. `NULL`: all are 1. Without `static`, a weight that is not in the implicates is ignored, as a message says.
#' @param rep_weights Names of the columns of the recipient survey's replicate weights.
#' @param by Names of columns: estimates are made for every combination of their values. A list of them is several
#'   groupings. Columns that are called as those of the result (`N`, `y`, `level`, `type`, `est`, `moe`, `n`, `se`, ...) are
#'   refused.
#' @param fun A function of a data.table of all implicates, with the columns of `static`, that returns a data frame of
#'   further columns, which `x` and `by` may name. See below.
#' @param var_scale What replicate weights are worth: the variance is `var_scale` times the mean squared difference of
#'   replicate estimates from the full-sample one. Or the name of a design: `"sdr"`, `"brr"`, `"fay"`, `"jk1"`,
#'   `"bootstrap"`.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed For variances that are drawn, as of medians with `pooling = "rubin"`. `NULL`: drawn by R, so that `set.seed()` repeats them.
#' @param pooling `"auto"`, `"barnard-rubin"`, `"records"`, `"rubin"` or `"fusionacs"`: how margins are made. The default is
#'   the first, or `"rubin"` if the option `fusionpy.method` is `"fusionModel"`; see [train()].
#' @param level Of the margins.
#' @param rectify Path of a model whose donors are to mend the estimates: their mean residual in the same group is
#'   added to means, proportions and sums. `c("shrunk", path)`: only what of the residuals is more than chance, as the
#'   groups of one grouping tell together.
#' @param detailed Whether to add `n_eff` (effective sample size), `se`, `df`, `lower`, `upper` and `fmi` (fraction of
#'   missing information), and `n_donors` if estimates are rectified.
#' @param layout `"fusionModel"` or `"fusionacs"`: whose table is wanted. `NULL`: the latter with `data`.
#' @param data Long data, instead of `implicates` and `static`; analyses are then formulas. It may come first, unnamed.
#' @param ... With `data`: formulas.
#'
#' @return A data.table of one row for each group, variable, level and statistic: the columns of `by`; `N`, the group's rows in
#'   all implicates, divided by their number and cut; `y`; `level` of a factor or logical, logical `NA` if no `y` has levels;
#'   `type`; `est`; `moe`, the margin of error, which is missing with one implicate. Rows are sorted by the columns of `by`, a
#'   missing value first, then by `y` and `type` in the C locale, then by level. Records without a value are left out of `est`,
#'   with a warning, but are among `N`. With names in formulas, `name` comes before `y`; with several groupings, `grouping`
#'   comes first and names the columns, and those of other groupings are `NA`.
#' @inherit train references
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' recipient <- load_recipient()
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(recipient, file, M = 5, seed = 1)
#' analyze(list(mean = "electricity"), fused, static = recipient, weight = "weight", by = "tenure")
#' analyze(list(avg ~ mean(electricity), ~ p90(electricity / rooms)), fused, static = recipient, weight = "weight",
#'         by = list(region, c(region, tenure)))
#' analyze(list(mean = "dear"), fused, static = recipient, weight = "weight",
#'         fun = function(d) data.frame(dear = d$electricity > weighted.mean(d$electricity, d$W)))
analyze <- function(x, implicates, static = NULL, weight = NULL, rep_weights = NULL, by = NULL, fun = NULL,
                    var_scale = 4, cores = 1, seed = NULL, pooling = usual_pooling(), level = 0.9, rectify = NULL,
                    detailed = FALSE, layout = NULL, data = NULL, ...) {
  began <- Sys.time()
  by <- settle_by(tryCatch(list(given = by), error = identity), substitute(by))
  if (is.null(data) && !missing(x) && is.data.frame(x)) data <- x
  check_dots(list(...), !is.null(data))
  if (!is.null(data)) gather_formulas(environment(), list(...))
  if (is.null(layout)) layout <- "fusionModel"
  arguments <- take("analyze", environment())
  asked <- columns_asked(analyses_of(x))
  is_ignored <- !is.null(weight) && is.null(static) && is.data.frame(implicates) && !(weight %in% names(implicates))
  tell_implicates(implicates, weight, is_ignored, rep_weights, pooling)
  if (is_ignored) arguments["weight"] <- list(weight <- NULL)
  if (!is.null(fun) || length(asked$made)) {
    derived <- derive(implicates, static, fun, asked, by, weight, rep_weights)
    implicates <- derived$implicates
    static <- derived$static
  }
  needed <- c(asked$names, weight, rep_weights, unlist(by))
  frames <- list(implicates = send(implicates, c("M", needed)), static = send(static, needed))
  found <- ask("analyze", arguments, frames)$frame
  say(paste0("Estimated in ", format(round(as.numeric(Sys.time() - began, units = "secs"), 1), nsmall = 1), " s."))
  if (!any(found$type %in% WITH_LEVELS) && all(is.na(found$level))) {
    data.table::set(found, j = "level", value = rep(NA, nrow(found))) # logical, as the original has it
  }
  found[]
}

WITH_LEVELS <- c("proportion", "prop", "count")

# What the original says before it begins. Of a file Python tells how many implicates there are. Without `static` the
# original takes no weights; ours may be in `implicates`.
tell_implicates <- function(implicates, weight, is_ignored, rep_weights, pooling) {
  M <- if (is.data.frame(implicates)) length(unique(implicates[["M"]])) else NA
  if (!is.na(M) && M > 0) say(if (M == 1) "One implicate: there are no margins of error." else paste("Using", M, "implicates."))
  nowhere <- paste0(": `weight` is ignored, as there is no `static`, and no column `", weight, "` in `implicates`.")
  if (is.null(weight) || is_ignored) say(paste0("Weights are taken as equal", if (is_ignored) nowhere else "."))
  R <- length(rep_weights)
  if (!R) return(invisible())
  used <- if (pooling == "rubin" && !is.na(M)) min(M, R) else R
  say(paste("Using", used, "of", R, "replicate weights."))
}
