#' Learn from a donor survey
#'
#' Learns the distribution of a donor survey's own variables given those that it shares with a recipient survey,
#' and writes the model to a file that [fuse()] takes.
#'
#' The signature is that of `fusionModel::train()`; what comes after `cores` is new.
#'
#' The defaults of `nfolds`, `nquantiles`, `nclusters` and `krange` are those of the reference, and hold with
#' `method = "fusionModel"`. Unless they are given, any other `method` has its own: three percentiles, for
#' instance, where the reference has two.
#'
#' `data`, which can be a data.frame, data.table or tibble, is not changed. Characters are taken as unordered
#' factors, with a warning. With `weight` negative weights count as 0, with a warning, and donors of weight 0
#' play no part.
#'
#' @param data A data frame: the donor survey, one row per respondent.
#' @param y Fusion variables, in the order in which they are to be simulated: a character vector, or a list whose
#'   elements are single names or blocks of names. A block's variables are taken from the same donor. No missing
#'   values.
#' @param x Predictors. A character vector: each step uses all of it, and the fusion variables of the steps before.
#'   A list: element i is exactly the predictor set of step i, and may name earlier fusion variables. Missing values
#'   are allowed.
#' @param fsn Path of the model's file; its name ends with `.fsn`.
#' @param weight Name of the column of survey weights. `NULL`: all are 1.
#' @param nfolds Folds of the cross-validation; or, between 0 and 1, the share of donors that trains against the rest.
#' @param nquantiles Number of conditional percentiles, equally spaced: 2 gives .25 and .75, 3 gives 1/6, 1/2, 5/6.
#' @param nclusters Number of clusters of conditional expectations; 0 or `Inf` for none.
#' @param krange Least and most donors in a pool.
#' @param hyper A list of LightGBM's hyperparameters. An entry of several values makes a grid with the others, from
#'   which cross-validation chooses.
#' @param fork Accepted, with a note: fusionpy always uses threads.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed Same seed, same model. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#' @param method `"default"`, `"2024"` (as in the paper) or `"fusionModel"` (as version 2.4.0 of that package).
#' @param refits Number of refits on bootstraps of the donors, one per implicate in turn, so that margins of error
#'   include the model's own uncertainty; 0 for none. `NULL`: the method's default, which is 10 for `"default"` and
#'   0 for the others.
#' @param replicate_weights Names of the columns of replicate weights; refits then follow the survey's design.
#' @param bounds What every fused record is to satisfy, as every donor must, such as `"debt <= assets"` or
#'   `"gas = 0 unless has_gas"`.
#' @param identities Sums that every fused record is to satisfy, such as `"income = wages + other"`.
#' @param monotone A list such as `list(rent = c(rooms = 1))`: the expectation of rent does not fall as rooms rise.
#' @param keep_donors Whether donors' microdata are kept in the model, which `analyze(rectify = )` needs.
#'
#' @return The path of the model's file, invisibly.
#' @references Ummel, K. et al. (2024). Multidimensional well-being of US households at a fine spatial scale using
#'   fused household surveys. *Scientific Data* 11:142, \doi{10.1038/s41597-023-02788-7}.
#' @seealso [prepXY()] to choose `y` and `x`, [fuse()], [importance()].
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- tempfile(fileext = ".fsn")
#' train(donor, y = c("insulation", "electricity"), x = c("region", "rooms", "income"),
#'       fsn = file, weight = "weight", refits = 0, seed = 1)
train <- function(data, y, x, fsn = "fusion_model.fsn", weight = NULL, nfolds = 5, nquantiles = 2,
                  nclusters = 2000, krange = c(10, 500), hyper = NULL, fork = FALSE, cores = 1,
                  seed = NULL, method = "default", refits = NULL, replicate_weights = NULL, bounds = NULL,
                  identities = NULL, monotone = NULL, keep_donors = TRUE) {
  if (!identical(method, "fusionModel")) {
    if (missing(nfolds)) nfolds <- NULL
    if (missing(nquantiles)) nquantiles <- NULL
    if (missing(nclusters)) nclusters <- NULL
    if (missing(krange)) krange <- NULL
  }
  if (isTRUE(fork)) say("`fork` has no effect: fusionpy uses `cores` threads of one process.")
  arguments <- take("train", environment())
  needed <- c(unlist(y), unlist(x), weight, replicate_weights)
  reply <- ask("train", arguments, list(data = send(data, needed)))
  invisible(reply$path)
}
