#' Compare implicates with what was observed
#'
#' Compares estimates from implicates that were fused back onto the donors with the donors' own, in many subsets.
#'
#' The signature is that of `fusionModel::validate()`; what comes after `cores` is new.
#'
#' In each subset and for each fusion variable (for each level of a factor) the observed mean or proportion `obs`, and
#' the simulated one `sim`, are compared: the error is |sim - obs| / |obs|; the value added over the full-sample mean
#' `mean` is max(0, 1 - |sim - obs| / |mean - obs|); the uncertainty ratio is the simulated relative margin of error
#' over the observed one. Printing shows their smoothed averages.
#'
#' @param observed A data frame: the donor survey.
#' @param implicates What `fuse(observed, ...)` returned, or the path of what it wrote: at least two implicates of the
#'   same records in the same order.
#' @param subset_vars Names of columns of `observed` that make the subsets: every level of each, and of every pair.
#'   Numeric and ordered ones are first cut into at most five classes.
#' @param weight Name of the column of survey weights in `observed`. `NULL`: all are 1.
#' @param min_size Records that a subset has at least.
#' @param plot Whether to make the figures of [plot_valid()] too; their files are in the attribute `figures`.
#' @param cores Number of threads. The result does not depend on it.
#' @param y Names of the variables to compare. `NULL`: all that both have.
#'
#' @return An object of class `validate`, a data.table: `id` of the subset, its `share` of records, `y`, `level`, the
#'   estimates `est.obs` and `est.sim` with their 90 % margins `moe.obs` and `moe.sim`, and `est.mean`, the observed
#'   mean of the full sample.
#' @inherit train references
#' @seealso [plot_valid()].
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(donor, file, M = 5, seed = 1)
#' validate(donor, fused, subset_vars = c("region", "tenure"), plot = FALSE)
validate <- function(observed, implicates, subset_vars, weight = NULL, min_size = 30, plot = TRUE, cores = 1,
                     y = NULL) {
  arguments <- take("validate", environment())
  compared <- if (is.null(y)) comparable(observed) else y
  if (is.null(y) && is.data.frame(implicates)) {
    compared <- intersect(comparable(implicates), compared)
    implicates <- columns_of(implicates, c("M", compared))
  }
  frames <- list(observed = send(observed, c(subset_vars, weight, compared)),
                 implicates = send(implicates, c("M", compared)))
  valid <- as_validate(ask("validate", arguments, frames))
  if (plot) setattr(valid, "figures", plot_valid(valid))
  valid[]
}

#' @rdname validate
#' @param x What `validate()` returned.
#' @param ... Passed on to the printing of the table, if only a part of it is left.
#' @export
print.validate <- function(x, ...) {
  if (!is_whole(x)) return(invisible(NextMethod()))
  cli::cat_line(attr(x, "text"))
  invisible(x)
}
