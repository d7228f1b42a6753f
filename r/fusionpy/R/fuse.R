#' Simulate a model's fusion variables for a recipient survey
#'
#' Simulates the fusion variables of a model that [train()] wrote, for every record of a recipient survey, `M` times
#' over.
#'
#' The signature is that of `fusionModel::fuse()`; what comes after `cores` is new. Draws are a function of the seed,
#' the implicate, the step and the row number alone: they do not depend on `cores`, on `margin` or on `M`.
#'
#' @param data A data frame: the recipient survey, with every predictor of the model, and its areas. Columns must have the donors'
#'   classes; factors the same levels in the same order.
#' @param fsn Path of a model that [train()], or R's own fusionModel, wrote.
#' @param fsd Path of a file, ending with `.fsd` (or `.parquet`): the result is streamed to it instead of returned,
#'   and memory does not depend on `M`. Folders that do not exist are made; a file that exists is replaced.
#' @param M Number of implicates.
#' @param retain Names of columns of `data` to carry along just as they are, of whatever class.
#' @param kblock Nearest donors (5 to 30) that make a block's pool; a fraction is cut off.
#' @param margin Safety factor on the memory of a chunk of rows; a negative whole number forces that many chunks.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed Same seed, same draws. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#' @param redraw What all records of an implicate share of its chance. `"implicate"`: the weights by which donors are drawn from
#'   pools, redrawn as the model has it, and the refit. `"record"`: the refit alone; donors repeat less, an implicate looks
#'   more like a survey, and margins of error hold the truth as often. `"single"`: nothing, for one data set (`M = 1`)
#'   that is to look like a survey, and can have no margins.
#'
#' @return A data.table of `M * nrow(data)` rows: column `M`, the retained columns, and the fusion variables with the
#'   classes that they have in the donor survey. Its key is `M` and then, if `data` is a data.table, those columns of its
#'   key that are retained, in the order of `retain`. Rows of an implicate are in the order of `data`, unless a part of
#'   its key, or its key in another order, is retained: then they are sorted by the new key, and a message says so.
#'   With `fsd`: the file's absolute path. The file has the key, which [read_fsd()] gives back.
#'
#' @section Rows that were sorted:
#' [analyze()] takes the rows of `static` to be those of every implicate. Where [fuse()] has sorted them, sort `static`
#' likewise, or retain the whole key in its own order: then nothing is moved.
#' @inherit train references
#' @seealso [read_fsd()] to read what was written, [analyze()], [validate()].
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' recipient <- load_recipient()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fuse(recipient, file, M = 2, retain = "hid", seed = 1)
fuse <- function(data, fsn, fsd = NULL, M = 1, retain = NULL, kblock = 10, margin = 2, cores = 1, seed = NULL,
                 redraw = "implicate") {
  kblock <- whole_kblock(kblock)
  arguments <- take("fuse", environment())
  model <- open_model(arguments)
  key <- kept_key(data, retain)
  rows <- order_by(data, key)
  if (!is.null(rows)) {
    say(paste0("fuse: rows of an implicate are sorted by ", paste(key, collapse = ", "), ", not as in `data`; see ?fuse"))
  }
  if (is.null(fsd)) {
    fused <- ask("fuse", arguments, list(data = send(data, model$needed)), model)$frame
    return(carry_along(fused, data, retain, M, key, rows))
  }
  arguments$key <- key
  frames <- list(data = send(data, c(model$needed, retain)))
  if (!is.null(rows)) frames$order <- send(data.table(row = rows - 1L))
  ask("fuse", arguments, frames, model)$path
}

# The original takes fractions of neighbours, which there are not.
whole_kblock <- function(kblock) {
  if (!is.numeric(kblock) || length(kblock) != 1 || is.na(kblock)) return(kblock)
  if (kblock == floor(kblock) || kblock < 5 || kblock > 30) return(kblock)
  say(paste0("fuse: `kblock` = ", kblock, " is taken as ", floor(kblock)))
  floor(kblock)
}
