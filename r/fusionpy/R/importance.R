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
#' @param seed Of the permutations.
#' @param cores Number of threads. The result does not depend on it.
#'
#' @return A list of two data.tables: `summary`, with columns `y`, `x`, `gain`, `cover` and `frequency`, which sum to 1
#'   for each `y`; and `detailed`, the same for each `model` of a fusion variable (`m`: mean or class probabilities,
#'   `q1`, `q2`, ...: percentiles, `z`: whether it is zero). With `data` both have also `permutation` and its standard
#'   error, `permutation_se`.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' importance(file)$summary
importance <- function(fsn, data = NULL, weight = NULL, seed = 0, cores = 1) {
  arguments <- take("importance", environment())
  model <- open_model(arguments)
  needed <- c(model$predictors, model$outcomes, weight)
  reply <- ask("importance", arguments, list(data = send(data, needed)), model)
  reply[c("summary", "detailed")]
}
