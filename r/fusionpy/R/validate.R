#' Compare implicates with what was observed
#'
#' Compares estimates from implicates that were fused back onto the donors with the donors' own, in many subsets.
#'
#' The signature is that of `fusionModel::validate()`; what comes after `cores` is new.
#'
#' In each subset and for each fusion variable (for each level of a factor) the observed mean or proportion `obs`, and
#' the simulated one `sim`, are compared: the error `est` is |sim - obs| / |obs|; `vad`, the value added over the
#' full-sample mean `mean`, is max(0, 1 - |sim - obs| / |mean - obs|); `moe`, the uncertainty ratio, is the simulated
#' relative margin of error over the observed one.
#'
#' @param observed A data frame: the donor survey.
#' @param implicates What `fuse(observed, ...)` returned, or the path of what it wrote: at least two implicates of the
#'   same records in the same order.
#' @param subset_vars Names of columns of `observed` that make the subsets: every level of each, and of every pair.
#'   Numeric and ordered ones are first cut into at most five classes.
#' @param weight Name of the column of survey weights in `observed`. `NULL`: all are 1.
#' @param min_size Records that a subset has at least.
#' @param plot Whether to go on to what [plot_valid()] makes: figures, averages and smoothed curves.
#' @param cores Number of threads. The result does not depend on it.
#' @param y Names of the variables to compare. `NULL`: all that both have.
#'
#' @return With `plot = FALSE` a data.table of class `validate`: `id` of the subset, its `share` of records, `y`, `level`
#'   (`NA` for numbers), the estimates `est.obs` and `est.sim` with their 90 % margins `moe.obs` and `moe.sim`, and
#'   `est.mean`, the observed mean of the full sample. Its rows come by subset, in each first the numbers, then the
#'   factors and logicals.
#'
#'   With `plot = TRUE` a list of class `validate`: that data.table as `data`, and `plots`, `perf` and `smooth` as
#'   [plot_valid()] makes them.
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
  began <- Sys.time()
  compared <- if (is.null(y)) comparable(observed) else y
  if (is.data.frame(implicates)) {
    refuse_one_implicate(implicates)
    if (is.null(y)) {
      compared <- intersect(comparable(implicates), compared)
      implicates <- columns_of(implicates, c("M", compared))
    }
  }
  if (is.null(weight)) say("No `weight` is given: all records count alike.")
  frames <- list(observed = send(observed, c(subset_vars, weight, compared)),
                 implicates = send(implicates, c("M", compared)))
  reply <- ask("validate", arguments, frames)
  valid <- as_validate(reply$table)
  tell_compared(reply, valid)
  if (plot) valid <- structure(look_at(valid, cores), class = c("validate", "list"))
  say(paste("Time taken:", format(round(Sys.time() - began, 1))))
  if (plot) valid else valid[]
}

refuse_one_implicate <- function(implicates) {
  if (!("M" %in% names(implicates)) || length(unique(implicates[["M"]])) != 1) return(invisible())
  raise("schema", "`observed` and `implicates` cannot be compared.",
        "`implicates` has one implicate: margins need at least two.", "Fuse with `M` above 1.")
}

# The reference's table.
as_validate <- function(table) {
  data.table::setnames(table, names(REFERENCE), unname(REFERENCE))
  setattr(table, "class", c("validate", "data.table", "data.frame"))
  table
}

tell_compared <- function(reply, valid) {
  for (note in as.character(reply$notes)) say(note)
  if (length(reply$categorical)) say("Factors and logicals are compared level by level, as indicators.")
  if (length(reply$agreement)) {
    say("Correlations of observed and fused values, over variables and levels:")
    print(summary(as.numeric(reply$agreement)))
  }
  say(paste("Variables that are compared:", length(unique(valid[["y"]]))))
  say(sprintf("%d comparisons in %d subsets", nrow(valid), length(unique(valid[["id"]]))))
}

#' @rdname validate
#' @param x What `validate()` returned.
#' @param ... Passed on to the printing of the table.
#' @export
print.validate <- function(x, ...) {
  table <- if (is.data.frame(x)) x else x[["data"]]
  if (is_comparison(table)) {
    cli::cat_line(sprintf("Validation of %d variables in %d subsets%s", length(unique(table[["y"]])),
                          length(unique(table[["id"]])), if (is.data.frame(x)) "; medians over them:" else ""))
  }
  if (is.data.frame(x)) {
    if (is_comparison(x) && nrow(x)) print(medians_of(x), row.names = FALSE, digits = 3)
    return(invisible(NextMethod()))
  }
  if (is.data.frame(x[["perf"]])) print(as.data.frame(x[["perf"]]), row.names = FALSE, digits = 3)
  cli::cat_line("Figures in $plots: ", paste(names(x[["plots"]]), collapse = ", "))
  cli::cat_line("More in ", paste0("$", setdiff(names(x), "plots"), collapse = ", "))
  invisible(x)
}

# Whether it has the columns that a comparison has, all rows or a part of them.
is_comparison <- function(table) is.data.frame(table) && all(REFERENCE %in% names(table))

# Medians over subsets, not smoothed.
medians_of <- function(table) {
  obs <- table[["est.obs"]]
  sim <- table[["est.sim"]]
  off <- abs(sim - obs)
  metrics <- list(
    error = off / abs(obs), "value added" = pmax(0, 1 - off / abs(table[["est.mean"]] - obs)),
    "uncertainty ratio" = (table[["moe.sim"]] / abs(sim)) / (table[["moe.obs"]] / abs(obs))
  )
  y <- factor(table[["y"]], unique(table[["y"]]))
  medians <- lapply(metrics, function(values) {
    as.vector(tapply(replace(values, !is.finite(values), NA), y, stats::median, na.rm = TRUE))
  })
  data.frame(y = levels(y), medians, check.names = FALSE)
}
