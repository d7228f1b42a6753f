#' Draw how implicates compare with what was observed
#'
#' Makes figures of what [validate()] found: error, value added and uncertainty ratio, of all variables together and of
#' each.
#'
#' The signature is that of `fusionModel::plot_valid()`.
#'
#' In figures of all variables a curve shows the conditional median of a metric over the subsets' size; figures of one
#' variable have a point for each subset (and level) too. They are ggplot2's, so `valid$plots$est + theme_bw()` works.
#'
#' @param valid What [validate()] returned, or some of the rows of its table.
#' @param y Names of the variables to draw. `NULL`: all.
#' @param path A folder for the figures' files, made if it is absent. `NULL`: no files are written.
#' @param cores Number of threads that smooth. The result does not depend on it.
#' @param ... How files are written, as [ggplot2::ggsave()] takes it: `width` and `height` (7 inches unless given),
#'   `units`, `dpi` (300 unless given), `scale`, `device` (`"png"` unless given; files are called accordingly), `bg`.
#'
#' @return A list of
#' \describe{
#'   \item{`plots`}{`est`, `vad` and `moe`, of all variables; then a list of these three for each variable, by its
#'     name: `plots$electricity$est`.}
#'   \item{`perf`}{A tibble of the averages of the curves, one row for each `y`. As in fusionModel, they are `NA`, and a
#'     message says so, where in some subset nobody was observed to have a level.}
#'   \item{`smooth`}{A data.table of the curves: `metric`, share of records `SHR`, value `y`, percentile `q` (always
#'     .5), whether the variable is categorical `CAT`, variable `VAR`.}
#'   \item{`data`}{The table that was drawn.}
#' }
#' With `path` files `allvars_est.png`, `allvars_vad.png`, `allvars_moe.png` and `<y>_est.png` and so on are written.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(donor, file, M = 5, seed = 1)
#' valid <- validate(donor, fused, subset_vars = c("region", "tenure"), plot = FALSE)
#' drawn <- plot_valid(valid, path = tempfile("figures"), width = 5, height = 4, dpi = 100)
#' drawn$perf
#' drawn$plots$electricity$est
plot_valid <- function(valid, y = NULL, path = NULL, cores = 1, ...) {
  take("plot_valid", environment())
  table <- comparison_of(valid, y)
  if (is.null(path) && ...length()) {
    say("No `path` is given, so no files are written, and `...` has no effect.")
  }
  look_at(table, cores, path, list(...))
}

# The table of what validate() returned, of some variables, as it is drawn.
comparison_of <- function(valid, y) {
  table <- if (inherits(valid, "data.frame") || !is.list(valid)) valid else valid[["data"]]
  hint <- "Pass what `validate()` returned."
  if (!is_comparison(table) || !nrow(table)) {
    raise("argument", "`plot_valid()` cannot start.", "`valid` must be what `validate()` returned.", hint)
  }
  unknown <- setdiff(y, table[["y"]])
  if (length(unknown)) {
    known <- paste0("`", unique(table[["y"]]), "`", collapse = ", ")
    raise("argument", "`plot_valid()` cannot start.", paste0("`y` names `", unknown, "`, which was not validated."),
          paste0("There are ", known, "."))
  }
  columns <- columns_of(table, unname(REFERENCE))
  if (!is.null(y)) {
    rows <- which(columns[["y"]] %in% y)
    columns <- columns[rows]
  }
  setattr(columns, "class", c("validate", "data.table", "data.frame"))
  columns[]
}

# Smooth, tell, draw, write.
look_at <- function(table, cores, path = NULL, how = list()) {
  say("Metrics are smoothed over the subsets' size.")
  sent <- as.data.table(table)
  data.table::setnames(sent, unname(REFERENCE), names(REFERENCE))
  arguments <- structure(list(cores = as_number(cores)), context = the$verb)
  reply <- ask("plot_valid", arguments, list(table = send(sent)))
  perf <- tibble::as_tibble(as.data.frame(reply$perf)[order(reply$perf$y, method = "radix"), ])
  if (length(reply$undefined)) {
    say(paste0("No averages of ", paste0("`", reply$undefined, "`", collapse = ", "),
               ": in some subsets nobody was observed to have one of the levels."))
  }
  say("Averages of error (est), value added (vad) and uncertainty ratio (moe):")
  print(as.data.frame(perf))
  plots <- draw_all(reply$points, reply$smooth)
  if (is.null(path)) {
    say("Figures are made.")
  } else {
    say("Figures are made and written.")
    save_figures(plots, path, how)
    say(paste0("Figures are in '", normalizePath(path, "/"), "'."))
  }
  list(plots = plots, perf = perf, smooth = as_smooth(reply), data = table)
}

# The curves in the reference's columns, by variable and metric.
as_smooth <- function(reply) {
  smooth <- reply$smooth
  names <- unique(reply$points$y)
  rows <- order(match(smooth$y, names), smooth$metric, smooth$share, method = "radix")
  has_levels <- unique(reply$points$y[!is.na(reply$points$level)])
  data.table(metric = smooth$metric[rows], SHR = smooth$share[rows], y = smooth$value[rows], q = 0.5,
             CAT = smooth$y[rows] %in% has_levels, VAR = smooth$y[rows])
}

ENDINGS <- c(png = "png", pdf = "pdf", svg = "svg", eps = "eps", ps = "ps", tex = "tex", jpeg = "jpeg", jpg = "jpg",
             tiff = "tiff", bmp = "bmp", wmf = "wmf")

save_figures <- function(plots, path, how) {
  how <- utils::modifyList(list(device = "png", dpi = 300, units = "in"), how)
  ending <- ending_of(how$device)
  for (side in c("width", "height")) if (is.null(how[[side]])) how[[side]] <- seven_inches(how$units, how$dpi)
  made <- dir.exists(path) || dir.create(path, recursive = TRUE, showWarnings = FALSE)
  if (!made) raise("output", paste0("`path` cannot be made: '", path, "'."), character(), "Name a folder that can be.")
  several <- setdiff(seq_along(plots), 1:3)
  figures <- c(plots[1:3], unlist(unname(plots[several]), recursive = FALSE))
  stems <- c(rep("allvars", 3), rep(file_stems(names(plots)[several]), each = 3))
  files <- paste0(stems, "_", names(figures), ".", ending)
  for (i in seq_along(files)) {
    do.call(ggplot2::ggsave, c(list(file.path(path, files[i]), figures[[i]]), how))
  }
}

# PDF goes to files that are called so.
ending_of <- function(device) {
  if (is.character(device) && length(device) == 1 && tolower(device) %in% names(ENDINGS)) return(tolower(device))
  known <- list(png = grDevices::png, pdf = grDevices::pdf, pdf = grDevices::cairo_pdf, svg = grDevices::svg,
                jpeg = grDevices::jpeg, tiff = grDevices::tiff, bmp = grDevices::bmp, ps = grDevices::postscript)
  found <- names(known)[vapply(known, identical, NA, device)]
  if (length(found)) return(found[1])
  raise("argument", "`plot_valid()` cannot write figures.", paste0("`device` must name one, not ", shown(device), "."),
        paste0("There are ", paste0("\"", names(ENDINGS), "\"", collapse = ", "), "."))
}

seven_inches <- function(units, dpi) {
  if (is.character(dpi)) dpi <- c(screen = 72, print = 300, retina = 320)[[dpi]]
  7 * switch(units, "in" = 1, cm = 2.54, mm = 25.4, px = dpi, 1)
}

# What files are called by: no two alike, where capitals count or not.
file_stems <- function(names) {
  stems <- gsub("[^[:alnum:]._-]+", "_", names)
  taken <- "allvars"
  for (i in seq_along(stems)) {
    while (tolower(stems[i]) %in% taken) stems[i] <- paste0(stems[i], "_")
    taken <- c(taken, tolower(stems[i]))
  }
  stems
}
