#' Learn from a donor survey
#'
#' Learns the distribution of a donor survey's own variables given those that it shares with a recipient survey,
#' and writes the model to a file that [fuse()] takes.
#'
#' The signature is that of `fusionModel::train()`; what comes after `cores` is new.
#'
#' `data`, which can be a data.frame, data.table or tibble, is not changed. Characters are taken as unordered
#' factors, with a warning. With `weight` negative weights count as 0, with a warning, and donors of weight 0
#' play no part.
#'
#' What has no effect here is told in a message, never passed over: an entry of `hyper` that LightGBM does not know,
#' for instance, which the original ignores.
#'
#' @section How the methods differ:
#' `nfolds`, `nquantiles`, `nclusters` and `krange` are what is shown above, the defaults of the original, with
#' `method = "default"` and with `method = "fusionModel"`. With `method = "2024"` those that are not given are the
#' paper's: three percentiles, no clusters (`nclusters = 0`), pools of 1 to 500 donors.
#'
#' `method = "fusionModel"` is the original's method. The default method differs from it in this:
#'
#' * no gradient-based sampling (GOSS) unless `hyper` asks for it, with `boosting = "goss"` or `data_sample_strategy`;
#' * boosting stops after 10 rounds without gain, not 2;
#' * what donors are expected to have, by which pools are made, is predicted by models that did not see them;
#' * ten refits on bootstraps of the donors (`refits`), one per implicate in turn, and donors' weights in the pools
#'   redrawn for every implicate, so that margins of error count that donors are a sample;
#' * percentiles of variables with many equal values are learned from values that are spread apart;
#' * class probabilities are calibrated;
#' * what boosting misses of the differences between levels of predictors is put right in every implicate (effects).
#'
#' It takes several times as long. For a whole script: `options(fusionpy.method = "fusionModel")` makes the original's
#' method the default here and in [prepXY()], and its pooling (`pooling = "rubin"`) that of [analyze()].
#'
#' @param data A data frame: the donor survey, one row per respondent.
#' @param y Fusion variables, in the order in which they are to be simulated: a character vector, or a list whose
#'   elements are single names or blocks of names. A block's variables are taken from the same donor. No missing
#'   values.
#' @param x Predictors. A character vector: each step uses all of it, and the fusion variables of the steps before.
#'   A list: element i is exactly the predictor set of step i, and may name earlier fusion variables. Missing values
#'   are allowed.
#' @param fsn Path of the model's file; its name ends with `.fsn`. Folders that are not there are made, and a file
#'   that is there is replaced, when the model is complete.
#' @param weight Name of the column of survey weights. `NULL`: all are 1.
#' @param nfolds Folds of the cross-validation, no more of them than donors; or, between 0 and 1, the share of donors
#'   that trains against the rest.
#' @param nquantiles Number of conditional percentiles, equally spaced: 2 gives .25 and .75, 3 gives 1/6, 1/2, 5/6, 1 the
#'   median.
#' @param nclusters Number of clusters of conditional expectations; 0 or `Inf` for none.
#' @param krange Least and most donors in a pool, in any order.
#' @param hyper A list of LightGBM's hyperparameters, such as `list(boosting = "goss", num_leaves = c(16, 32))`. Entries
#'   of several values make a grid of all combinations, the first entry varying fastest, from which cross-validation
#'   chooses for each model by itself; of equals it takes the first. `min_data_in_leaf`, `max_bin`, `min_data_in_bin` and
#'   `max_cat_threshold` take one value only; of several the first is used, and a message says so.
#' @param fork Accepted, with a note: fusionpy always uses threads.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed Same seed, same model. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#' @param method `"default"`, `"2024"` (as in the paper) or `"fusionModel"` (as version 2.4.0 of that package); see
#'   "How the methods differ".
#' @param refits Number of refits on bootstraps of the donors, one per implicate in turn, so that margins of error
#'   include the model's own uncertainty; 0 for none. `NULL`: the method's default, which is 10 for `"default"` and
#'   0 for the others.
#' @param replicate_weights Names of the columns of replicate weights; refits then follow the survey's design.
#' @param bounds What every fused record is to satisfy, as every donor must, such as `"debt <= assets"` or
#'   `"gas = 0 unless has_gas"`.
#' @param identities Sums that every fused record is to satisfy, such as `"income = wages + other"`.
#' @param monotone A list such as `list(rent = c(rooms = 1))`: the expectation of rent does not fall as rooms rise.
#' @param keep_donors Whether donors' microdata are kept in the model, which `analyze(rectify = )` needs.
#' @param areas Names of columns, predictors or not, whose levels get effects of their own (state, county, PUMA): factors,
#'   characters or whole numbers. [fuse()] needs them, too. Levels that no donor has get effects drawn at random, as
#'   different as those of others, so that margins of small areas hold the truth.
#'
#' @return The absolute path of the model's file, invisibly. Messages tell of the predictors, of each step, of its donor
#'   pools, and of the time that it took; sizes of pools are printed.
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
                  seed = NULL, method = getOption("fusionpy.method", "default"), refits = NULL,
                  replicate_weights = NULL, bounds = NULL, identities = NULL, monotone = NULL, keep_donors = TRUE,
                  areas = NULL) {
  if (identical(method, "2024")) { # the paper has other defaults than those that are shown
    if (missing(nfolds)) nfolds <- NULL
    if (missing(nquantiles)) nquantiles <- NULL
    if (missing(nclusters)) nclusters <- NULL
    if (missing(krange)) krange <- NULL
  }
  if (isTRUE(fork)) say("`fork` has no effect: fusionpy uses `cores` threads of one process.")
  arguments <- take("train", environment())
  needed <- c(unlist(y), unlist(x), weight, replicate_weights, areas)
  say_task(data, y, x)
  reply <- ask("train", arguments, list(data = send(data, needed)))
  say_steps(reply$steps)
  say(paste("The model is in", reply$path))
  say(paste("Training took", format(round(as.difftime(reply$seconds, units = "secs"), 1))))
  invisible(reply$path)
}

# What is to be learned from what.
say_task <- function(data, y, x) {
  say(if (is.list(x)) "Each step has the predictors specified for it." else "Each step has all available predictors.")
  count <- function(n, what) paste0(format(n, big.mark = ","), " ", what, if (n != 1) "s")
  n_x <- length(setdiff(unlist(x), unlist(y)))
  say(paste0(count(length(unlist(y)), "fusion variable"), ", ", count(n_x, "initial predictor"), ", ",
             count(nrow(data), "donor"), "."))
}

# Each step, and the pools of those of a single continuous variable: their sizes are printed, as by summary().
say_steps <- function(steps) {
  for (number in seq_along(steps)) {
    step <- steps[[number]]
    say(paste0("Step ", number, " of ", length(steps), ": ", paste(step$variables, collapse = ", ")))
    if (is.null(step$sizes)) next
    if (!is.null(step$r2)) say(paste("R-squared of cluster means:", format(round(step$r2, 4))))
    say("Donors per cluster:")
    print(structure(stats::setNames(as.numeric(step$sizes), c("Min.", "1st Qu.", "Median", "Mean", "3rd Qu.", "Max.")),
                    class = c("summaryDefault", "table")))
  }
}
