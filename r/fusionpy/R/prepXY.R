#' Put fusion variables in order and choose their predictors
#'
#' Chooses the order in which fusion variables are best simulated, and a subset of predictors for each step.
#'
#' The signature is that of `fusionModel::prepXY()`; what comes after `cores` is new.
#'
#' @param data A data frame: the donor survey.
#' @param y Fusion variables: a character vector, or a list whose elements are single names or blocks of names.
#' @param x Predictors: a character vector.
#' @param weight Name of the column of survey weights. `NULL`: all are 1.
#' @param cor_thresh Predictors whose absolute Spearman correlation with a fusion variable is not above this are not
#'   considered for it; the best 20 always are.
#' @param lasso_thresh Share of the most deviance that a LASSO explains which chosen predictors must explain. Lower
#'   values choose fewer predictors.
#' @param xmax Most predictors that a LASSO may use.
#' @param xforce Predictors that every step is to use.
#' @param fraction Share of the rows to work with.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed Of the sample of rows. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#' @param method `"default"`, or `"fusionModel"` for what version 2.4.0 of that package answers, down to the order of
#'   the predictors. The option `fusionpy.method` sets it for a whole script; see [train()].
#'
#' @return A list of `y` (a list of steps, in order) and `x` (a list of the predictors of each step, which may be
#'   earlier fusion variables), to be passed to [train()], with attributes `xpredictors` (the predictors that are
#'   used), `xforce` (only if it was given) and `xoriginal`. `data` is left alone.
#' @inherit train references
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' prep <- prepXY(donor, y = c("insulation", "electricity", "gas_bill"),
#'                x = c("region", "rooms", "income", "dwelling"), weight = "weight")
#' prep$y
prepXY <- function(data, y, x, weight = NULL, cor_thresh = 0.05, lasso_thresh = 0.95, xmax = 100, xforce = NULL,
                   fraction = 1, cores = 1, seed = NULL,
                   method = getOption("fusionpy.method", "default")) {
  arguments <- take("prepXY", environment())
  needed <- c(unlist(y), unlist(x), weight)
  reply <- ask("prepXY", arguments, list(data = send(data, needed)))
  steps <- list(y = lapply(reply$y, as.character), x = lapply(reply$x, as.character))
  attributes(steps) <- c(attributes(steps), reply["xpredictors"], if (length(reply$xforce)) reply["xforce"],
                         reply["xoriginal"])
  steps
}
