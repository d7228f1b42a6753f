#' Simulate a model's fusion variables for a recipient survey
#'
#' Simulates the fusion variables of a model that [train()] wrote, for every record of a recipient survey, `M` times
#' over.
#'
#' The signature is that of `fusionModel::fuse()`; what comes after `cores` is new. Draws are a function of the seed,
#' the implicate, the step and the row number alone: they do not depend on `cores`, on `margin` or on `M`.
#'
#' @param data A data frame: the recipient survey, with every predictor of the model. Columns must have the donors'
#'   classes; factors the same levels in the same order.
#' @param fsn Path of a model that [train()], or R's own fusionModel, wrote.
#' @param fsd Path of a file, ending with `.fsd` (or `.parquet`): the result is streamed to it instead of returned,
#'   and memory does not depend on `M`.
#' @param M Number of implicates.
#' @param retain Names of columns of `data` to carry along just as they are, of whatever class.
#' @param kblock Nearest donors (5 to 30) that make a block's pool.
#' @param margin Safety factor on the memory of a chunk of rows; a negative whole number forces that many chunks.
#' @param cores Number of threads. The result does not depend on it.
#' @param seed Same seed, same draws. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#'
#' @return A data.table of `M * nrow(data)` rows with key `M`: column `M`, the retained columns, and the fusion
#'   variables with the classes that they have in the donor survey. Rows of an implicate are in the order of `data`.
#'   With `fsd`: the file's path, invisibly.
#' @inherit train references
#' @seealso [read_fsd()] to read what was written, [analyze()], [validate()].
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' recipient <- load_recipient()
#' file <- train(donor, y = "electricity", x = c("region", "rooms"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fuse(recipient, file, M = 2, retain = "hid", seed = 1)
fuse <- function(data, fsn, fsd = NULL, M = 1, retain = NULL, kblock = 10, margin = 2, cores = 1, seed = NULL) {
  arguments <- take("fuse", environment())
  model <- open_model(arguments)
  needed <- c(model$predictors, if (!is.null(fsd)) retain)
  reply <- ask("fuse", arguments, list(data = send(data, needed)), model)
  if (!is.null(fsd)) return(invisible(reply$path))
  carry_along(reply$frame, data, retain, M)
}
