# What comes back, in the form that the reference gives it.

# `data`'s retained columns, just as they are, behind column M; rows of an implicate in the order of `rows`.
carry_along <- function(fused, data, retain, M, key, rows) {
  retain <- unique(retain)
  places <- rep(if (is.null(rows)) seq_len(nrow(data)) else rows, M)
  if (!is.null(rows)) {
    moved <- places + rep((seq_len(M) - 1) * nrow(data), each = nrow(data))
    fused <- fused[moved]
  }
  if (length(retain)) fused <- data.table(fused[, "M"], columns_of(data, retain)[places], fused[, -"M"])
  setattr(fused, "sorted", c("M", key))
  fused[]
}

# Some columns of any kind of frame, not copied, as a data.table. Those that are not there are left out.
columns_of <- function(data, names) {
  names <- intersect(names, names(data))
  columns <- lapply(stats::setNames(nm = names), function(name) data[[name]])
  setDT(columns)
  columns[]
}

keyed_on_m <- function(table) {
  if ("M" %in% names(table) && !is.unsorted(table[["M"]])) setattr(table, "sorted", "M")
  table[]
}

# Observed values stay; the others are those that Python drew. A data.table stays one, with its key if no column of that
# had holes; of any other kind of frame a plain data.frame is left, as in the original.
fill_holes <- function(data, drawn, M) {
  n <- nrow(data)
  data <- if (inherits(data, "data.table")) data.table::copy(data) else plain_frame(data)
  if (M > 1) data <- data.table(M = rep(seq_len(M), each = n), as.data.table(data)[rep(seq_len(n), M)])
  for (name in names(drawn)) {
    holes <- which(is.na(data[[name]]))
    column <- data[[name]]
    column[holes] <- drawn[[name]][holes]
    if (inherits(data, "data.table")) data.table::set(data, j = name, value = column) else data[[name]] <- column
  }
  if (M > 1) keyed_on_m(data) else if (inherits(data, "data.table")) data[] else data
}

# The same columns as a data.frame, without row names and what else a frame may carry.
plain_frame <- function(data) {
  n <- nrow(data)
  columns <- as.list(data)
  attributes(columns) <- list(names = names(data), class = "data.frame", row.names = .set_row_names(n))
  columns
}

names_of <- function(data) {
  if (is.data.frame(data)) names(data) else NULL
}

# Columns of validate()'s table, as Python and the reference call them.
REFERENCE <- c(id = "id", share = "share", y = "y", level = "level", est_obs = "est.obs", moe_obs = "moe.obs",
               est_sim = "est.sim", moe_sim = "moe.sim", est_mean = "est.mean")

# Show figures' files: drawn where R draws, if package png is there.
show_figures <- function(files) {
  for (file in files) {
    if (!requireNamespace("png", quietly = TRUE)) {
      utils::browseURL(file)
    } else {
      grid::grid.newpage()
      grid::grid.raster(png::readPNG(file))
    }
  }
}
