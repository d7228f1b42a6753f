#' Draw how implicates compare with what was observed
#'
#' Writes the figures of what [validate()] found: error, value added and uncertainty ratio, of all variables together
#' and of each.
#'
#' The signature is that of `fusionModel::plot_valid()`.
#'
#' @param valid What [validate()] returned, whole.
#' @param y Names of the variables to draw. `NULL`: all.
#' @param path A folder for PNG files; or the name of a file ending with `.png`, `.svg` or `.pdf`, to which the
#'   figures' names are appended. `NULL`: a folder for this session, whose figures are shown if R is used
#'   interactively.
#' @param cores As in the reference; drawing takes one.
#' @param ... Not used; the reference passes it on to its graphics device.
#'
#' @return The figures' files, invisibly: a character vector with names `est`, `vad`, `moe` and, for each variable,
#'   `est:<y>`, `vad:<y>` and `moe:<y>`.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(donor, file, M = 5, seed = 1)
#' valid <- validate(donor, fused, subset_vars = c("region", "tenure"), plot = FALSE)
#' basename(plot_valid(valid, path = tempfile("figures")))
plot_valid <- function(valid, y = NULL, path = NULL, cores = 1, ...) {
  show <- is.null(path) && interactive()
  if (is.null(path)) path <- tempfile("validate")
  arguments <- take("plot_valid", environment())
  reply <- ask("plot_valid", arguments, send_validate(valid))
  figures <- stats::setNames(as.character(reply$paths), reply$names)
  if (show) show_figures(figures[c("est", "vad", "moe")])
  invisible(figures)
}
