#' Read implicates from a file
#'
#' Reads what [fuse()], or R's own fusionModel, wrote: some columns, some implicates, some rows.
#'
#' The signature is that of `fusionModel::read_fsd()`.
#'
#' @param path Path of a file: `.fsd`, `.fst` (or an fst file of any name) or `.parquet`.
#' @param columns Names of the columns to read, in the order wanted; one that is named twice comes once. `NULL`: all.
#' @param M Number of implicates to read, from the first; `Inf`, or more than there are, for all. `1:3` is 3. A file
#'   without column `M` is read whole.
#' @param df A data frame: only rows whose values in its columns are in one of its rows are read.
#' @param cores Number of threads.
#'
#' @return A data.table. Its key is that of the file, as far as its columns were read and rows are in its order: after
#'   `fuse(data, fsn, fsd, retain = key(data))` that is `M` and `data`'s own key, and `x[.(1L, ids)]` works.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fsd <- fuse(donor, file, fsd = tempfile(fileext = ".fsd"), M = 3, seed = 1)
#' read_fsd(fsd, M = 2)
read_fsd <- function(path, columns = NULL, M = 1, df = NULL,
                     cores = max(1, parallel::detectCores(logical = FALSE) - 1)) {
  M <- first_so_many(M)
  columns <- unique(columns)
  arguments <- take("read_fsd", environment())
  reply <- ask("read_fsd", arguments, list(where = send(df)))
  key <- if (length(reply$keys)) reply$keys else "M"
  set_key(reply$frame, intersect(key, names(reply$frame)))
}

# 1:3 means the first three, as in the original.
first_so_many <- function(M) {
  if (is.numeric(M) && length(M) > 1 && !anyNA(M) && all(M == seq_along(M))) length(M) else M
}
