# The figures of a validation, as the Python side draws them too (fusionpy/figures/__init__.py).

METRICS <- c("est", "vad", "moe")
# Okabe and Ito's colours without yellow, each told from its neighbours under every common colour blindness.
COLOURS <- c("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
STROKES <- c("solid", "52", "12", "5212")
BREAKS <- c(0.001, 0.005, 0.01, 0.02, 0.05, seq(0.1, 1, 0.1))
CLOSEST <- 0.08 # of the width of the axis: labels nearer to each other than this would touch
SHOWN <- 0.98 # of the points: a few far ones would press the others together
X_TITLE <- "Size of subset (percent of population)"
SUBTITLES <- c(est = "Comparison of point estimates", vad = "Value-added relative to naive estimates",
               moe = "Comparison of relative uncertainty (MOE / estimate)")
Y_TITLES <- c(est = "Median absolute percent error", vad = "Median value added",
              moe = "Median uncertainty ratio (simulated / observed)")
CAPTIONS <- c(est = "Lower is better.", vad = "1 is best; 0 no better than the whole sample's mean.",
              moe = "Above 1: simulated estimates are the less certain.")

utils::globalVariables(c("SHR", "VAR", "y"))

# est, vad and moe of all variables, then a list of them for each. `points`: share, y and metrics of every estimate;
# `smooth`: the curves.
draw_all <- function(points, smooth) {
  names <- unique(points$y)
  hidden <- intersect(names, METRICS)
  if (length(hidden)) {
    caution(paste0("Variables are called as figures of all variables are: ", paste0("`", hidden, "`", collapse = ", "),
                   ". In `plots` theirs come second under that name."))
  }
  curves <- data.frame(SHR = smooth$share, y = smooth$value, VAR = smooth$y)
  each <- lapply(stats::setNames(nm = METRICS), function(metric) curves[smooth$metric == metric & !is.na(curves$y), ])
  together <- lapply(stats::setNames(nm = METRICS), function(metric) draw_curves(metric, each[[metric]]))
  alone <- lapply(stats::setNames(nm = names), function(name) {
    lapply(stats::setNames(nm = METRICS), function(metric) {
      dots <- data.frame(SHR = points$share, y = points[[metric]])[points$y == name & !is.na(points[[metric]]), ]
      draw_one(metric, name, dots, each[[metric]][each[[metric]]$VAR == name, ])
    })
  })
  c(together, alone)
}

# The smoothed metric of every variable. The legend is in the order in which the curves end at the right.
draw_curves <- function(metric, curves) {
  names <- sort(unique(curves$VAR), method = "radix")
  ends <- vapply(names, function(name) utils::tail(curves$y[curves$VAR == name], 1), 0)
  shown <- names[order(-ends)]
  place <- match(shown, names) - 1 # a variable looks the same in every figure
  curves$VAR <- factor(curves$VAR, shown)
  labels <- shortened(shown, 26)
  ggplot2::ggplot(curves, ggplot2::aes(SHR, y, colour = VAR, linetype = VAR)) +
    reference_line(metric) +
    draw_lines(curves, linewidth = 0.8) +
    ggplot2::scale_colour_manual(values = COLOURS[place %% length(COLOURS) + 1], labels = labels) +
    ggplot2::scale_linetype_manual(values = STROKES[place %/% length(COLOURS) %% length(STROKES) + 1], labels = labels) +
    draw_axes(metric, curves$SHR, ends_of(metric, numeric(), curves$y)) +
    ggplot2::labs(x = X_TITLE, y = Y_TITLES[[metric]], subtitle = SUBTITLES[[metric]], colour = NULL, linetype = NULL,
                  caption = paste("Smoothed medians over subsets.", CAPTIONS[[metric]])) +
    look()
}

# One variable's metric: a point for each subset, and the smoothed medians. The farthest two percent of the points are
# beyond its edge; its caption says how many.
draw_one <- function(metric, name, dots, curve) {
  ends <- ends_of(metric, dots$y, curve$y)
  n_beyond <- sum(dots$y < ends[1] | dots$y > ends[2])
  caption <- paste0("Points: subsets (and levels); line: smoothed medians.\n", CAPTIONS[[metric]])
  if (n_beyond) caption <- paste0(caption, "\n", n_beyond, " far point", if (n_beyond > 1) "s", " not shown.")
  ggplot2::ggplot(dots, ggplot2::aes(SHR, y)) +
    reference_line(metric) +
    ggplot2::geom_point(colour = COLOURS[1], alpha = 0.5, size = 1.8, stroke = 0) +
    draw_lines(curve, colour = COLOURS[2], linewidth = 1) +
    draw_axes(metric, dots$SHR, ends) +
    ggplot2::labs(x = X_TITLE, y = Y_TITLES[[metric]], title = shortened(name, 40), subtitle = SUBTITLES[[metric]],
                  caption = caption) +
    look()
}

shortened <- function(names, most) {
  ifelse(nchar(names) <= most, names, paste0(substr(names, 1, most - 3), "..."))
}

# Curves; where all subsets are of one size, there is only a point.
draw_lines <- function(curves, linewidth, ...) {
  n <- table(curves$VAR)
  is_long <- curves$VAR %in% names(n)[n > 1]
  long <- curves[is_long, ]
  single <- curves[!is_long, ]
  list(if (nrow(long)) ggplot2::geom_line(data = long, linewidth = linewidth, ...),
       if (nrow(single)) ggplot2::geom_point(ggplot2::aes(linetype = NULL), data = single, size = 2.5, ...))
}

# Where observed and simulated estimates are equally certain.
reference_line <- function(metric) {
  if (metric == "moe") ggplot2::geom_hline(yintercept = 1, colour = "#888888", linewidth = 0.4)
}

# What of the vertical axis is shown: all of the curves, and nearly all of the points.
ends_of <- function(metric, points, curve) {
  if (metric == "vad") return(c(0, 1))
  ends <- c(curve, if (metric == "moe") 1 else 0)
  if (length(points)) ends <- c(ends, stats::quantile(points, c(1 - SHOWN, SHOWN), names = FALSE))
  bottom <- if (metric == "moe") min(ends) else 0
  c(bottom, max(ends, bottom + 1e-3))
}

draw_axes <- function(metric, shares, ends) {
  range <- if (length(shares)) range(shares) else c(0.01, 1)
  room <- 0.03 * diff(ends)
  percent <- function(values) format(100 * values, digits = 4, trim = TRUE, drop0trailing = TRUE)
  list(
    ggplot2::scale_x_sqrt(breaks = x_breaks(range[1], range[2]), minor_breaks = NULL, labels = percent,
                          limits = if (!length(shares)) range),
    ggplot2::scale_y_continuous(labels = if (metric == "est") function(values) {
      ifelse(is.na(values), NA, paste0(percent(values), "%"))
    } else ggplot2::waiver()),
    ggplot2::coord_cartesian(ylim = ends + c(-room, room))
  )
}

# Shares to label on a square-root axis: round ones, not too near to each other.
x_breaks <- function(low, high) {
  span <- sqrt(high) - sqrt(low)
  chosen <- numeric()
  for (each in BREAKS[BREAKS >= low / (1 + 1e-9) & BREAKS <= high * (1 + 1e-9)]) {
    if (!length(chosen) || sqrt(each) - sqrt(chosen[length(chosen)]) >= CLOSEST * span) chosen <- c(chosen, each)
  }
  if (length(chosen) > 1) chosen else unique(c(low, high))
}

look <- function() {
  ggplot2::theme_minimal(base_size = 12) +
    ggplot2::theme(
      panel.grid.minor = ggplot2::element_blank(),
      plot.title = ggplot2::element_text(face = "bold"),
      plot.caption = ggplot2::element_text(hjust = 0, colour = "#555555"),
      axis.text = ggplot2::element_text(colour = "#333333"),
      legend.position = "bottom",
      legend.key.width = grid::unit(28, "pt"),
      plot.background = ggplot2::element_rect(fill = "white", colour = "white")
    )
}
