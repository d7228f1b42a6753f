#' Read implicates from a file
#'
#' Reads what [fuse()], or R's own fusionModel, wrote: some columns, some implicates, some rows.
#'
#' The signature is that of `fusionModel::read_fsd()`.
#'
#' @param path Path of a file: `.fsd`, `.fst` or `.parquet`.
#' @param columns Names of the columns to read. `NULL`: all.
#' @param M Number of implicates to read, from the first; `Inf` for all.
#' @param df A data frame: only rows whose values in its columns are in one of its rows are read.
#' @param cores Number of threads.
#'
#' @return A data.table; with column `M`, that is its key.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fsd <- fuse(donor, file, fsd = tempfile(fileext = ".fsd"), M = 3, seed = 1)
#' read_fsd(fsd, M = 2)
read_fsd <- function(path, columns = NULL, M = 1, df = NULL,
                     cores = max(1, parallel::detectCores(logical = FALSE) - 1)) {
  if (missing(cores)) cores <- max(1, cores, na.rm = TRUE)
  arguments <- take("read_fsd", environment())
  keyed_on_m(ask("read_fsd", arguments, list(where = send(df)))$frame)
}
