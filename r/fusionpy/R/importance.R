#' What predictors are worth to a model
#'
#' Tells how much each predictor contributes to the models of each fusion variable.
#'
#' The signature is that of `fusionModel::importance()`; what comes after `fsn` is new.
#'
#' @param fsn Path of a model that [train()], or R's own fusionModel, wrote.
#' @param data A data frame of donors that the model was not trained on, for how much worse these are predicted when a
#'   predictor is permuted.
#' @param weight Name of the column of survey weights in `data`. `NULL`: all are 1.
#' @param seed Of the permutations. `NULL`: drawn by R, so that `set.seed()` repeats them.
#' @param cores Number of threads. The result does not depend on it.
#'
#' @return A list of `summary`, a tibble, and `detailed`, a data.frame.
#'
#'   `summary` has columns `y`, `x`, `gain`, `cover` and `frequency`, which sum to 1 for each `y`; its rows are sorted by
#'   `y` as text, then by falling gain. `y` and `x` are factors in an order to plot them in: levels of `y` as the model
#'   has them, those of `x` the same in reverse, then the other predictors by rising mean gain.
#'
#'   `detailed` has the same for each `model` of a fusion variable (`m`: mean or class probabilities, `q1`, `q2`, ...:
#'   percentiles, `z`: whether it is zero), with `y` and `x` as characters, in the model's order.
#'
#'   With `data` both have also `permutation` and its standard error, `permutation_se`.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' found <- importance(file)$summary
#' found
#' if (requireNamespace("ggplot2", quietly = TRUE)) {
#'   library(ggplot2)
#'   ggplot(found, aes(x, gain)) + geom_col() + coord_flip() + facet_grid(~ y)
#' }
importance <- function(fsn, data = NULL, weight = NULL, seed = NULL, cores = 1) {
  arguments <- take("importance", environment())
  if (!file.exists(fsn) || !endsWith(fsn, ".fsn")) {
    raise("archive", paste0("`fsn` cannot be read: '", fsn, "'."), "It must exist, and its name end with `.fsn`.",
          "Pass what `train()` returned.")
  }
  model <- open_model(arguments)
  needed <- c(model$predictors, model$outcomes, weight)
  reply <- ask("importance", arguments, list(data = send(data, needed)), model)
  as_importance(reply)
}

# The reference's tables: factors in the order in which they are plotted.
as_importance <- function(reply) {
  summary <- tibble::as_tibble(as.data.frame(reply$summary))
  detailed <- as.data.frame(reply$detailed)
  outcomes <- unique(detailed$y)
  gains <- vapply(split(summary$gain, summary$x), mean, 0)
  predictors <- setdiff(names(sort(gains)), outcomes)
  summary$y <- factor(summary$y, outcomes)
  summary$x <- factor(summary$x, c(rev(outcomes), predictors))
  list(summary = summary, detailed = detailed)
}
