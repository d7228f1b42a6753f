#' Make one variable a monotone function of another
#'
#' Replaces a variable by a smooth, monotone function of another: expenditure by one of consumption, for instance.
#'
#' The signature is that of `fusionModel::monotonic()`; what comes after `plot` is new.
#'
#' @param x A numeric vector: what `y` is to be a function of.
#' @param y A numeric vector.
#' @param w A numeric vector of survey weights, not negative. `NULL`: all are 1.
#' @param preserve Whether to keep the weighted mean of `y`.
#' @param expend Whether `y` is what is spent on `x`: neither is negative, nothing is spent where `x` is 0, and something
#'   where it is not.
#' @param fast Whether the smooth is just sorted; otherwise, where that moves it much, a monotone spline is fitted.
#' @param nmax Most points that the smooth is made of; may be `Inf`.
#' @param plot Whether to show points and function.
#' @param seed Of the choice of points. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#'
#' @return A vector like `y`; integer if `y` is.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' monotonic(x = c(0, 10, 20, 30, 40), y = c(5, 18, 42, 57, 83))
monotonic <- function(x, y, w = NULL, preserve = TRUE, expend = TRUE, fast = TRUE, nmax = 5000, plot = FALSE,
                      seed = NULL) {
  arguments <- take("monotonic", environment())
  if (plot) arguments$figure <- jsonlite::unbox(tempfile(fileext = ".png"))
  reply <- ask("monotonic", arguments, list(x = send_vector(x), y = send_vector(y), w = send_vector(w)))
  if (plot) show_figures(reply$figure)
  fitted <- y
  fitted[] <- reply$frame[[1]]
  fitted
}
