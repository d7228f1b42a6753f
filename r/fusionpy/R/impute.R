#' Fill what is missing
#'
#' Fills every missing value of a survey by a draw from what its record suggests, the variable with fewest missing
#' values first.
#'
#' The signature is that of `fusionModel::impute()`; what comes after `cores` is new.
#'
#' @param data A data.frame, data.table or tibble: one row per respondent.
#' @param weight Name of the column of survey weights, none of which is missing. `NULL`: all are 1.
#' @param ignore Names of columns to leave as they are and not to predict from, such as identifiers; they may be of any
#'   class.
#' @param cores Number of threads; at least one is used. The result does not depend on it.
#' @param seed Same seed, same result. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#' @param M Number of completed data sets. More than one let [analyze()] tell what the missing values cost in precision.
#'
#' @return `data`, completed: the same rows and columns, in their order and with their classes. A data.table for a
#'   data.table, keyed as it was if no column of its key had holes; a plain data.frame for anything else, tibbles too,
#'   without row names. Observed values are never changed, and imputed ones are always among those observed in their
#'   column. With `M > 1`, a data.table of `M * nrow(data)` rows with key `M`, its first column.
#' @inherit train references
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' survey <- load_donor()[, c("region", "rooms", "income", "insulation")]
#' survey$insulation[seq(1, nrow(survey), 7)] <- NA
#' completed <- impute(survey, seed = 1)
#' colSums(is.na(completed))
impute <- function(data, weight = NULL, ignore = NULL, cores = parallel::detectCores(logical = FALSE) - 1L,
                   seed = NULL, M = 1) {
  arguments <- take("impute", environment())
  needed <- setdiff(names_of(data), ignore)
  reply <- ask("impute", arguments, list(data = send(data, needed)))
  fill_holes(data, reply$frame, M)
}
