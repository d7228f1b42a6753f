#' Make one variable a monotone function of another
#'
#' Replaces a variable by a smooth, monotone function of another: expenditure by one of consumption, for instance.
#'
#' The signature is that of `fusionModel::monotonic()`; what comes after `plot` is new.
#'
#' @param x A numeric vector: what `y` is to be a function of.
#' @param y A numeric vector.
#' @param w A numeric vector of survey weights; negative ones count as 0, with a warning. `NULL`: all are 1.
#' @param preserve Whether to keep the weighted mean of `y`.
#' @param expend Whether `y` is what is spent on `x`: neither is negative, nothing is spent where `x` is 0, and something
#'   where it is not.
#' @param fast Whether the smooth is just sorted; otherwise, where that moves it much, a monotone spline is fitted.
#' @param nmax Most points that the smooth is made of; may be `Inf`.
#' @param plot Whether to show points and function.
#' @param seed Of the choice of points. `NULL`: drawn from R's random numbers, so that [set.seed()] makes it repeatable.
#'
#' @return A vector like `y`, without its names; integer if `y` is.
#'
#' @section Warnings:
#' As the original, it warns of what `expend` changes: a `y` that is not 0 where `x` is, a `y` of 0 where `x` is not; and
#' where no `x` is 0, that the point (0, 0) is not among those that the smooth is made of. Records whose `w` is `NA` have
#' no say, which is told too.
#'
#' @section Speed:
#' It is R's own [stats::supsmu()] that smooths, so that calls by group, of data.table for instance, cost little. Python
#' is asked where `x` and `y` are no plain vectors, where there are more than `nmax` points (or 100,000), for `plot`,
#' and for the spline of `fast = FALSE`.
#' @export
#' @examples
#' monotonic(x = c(0, 10, 20, 30, 40), y = c(0, 18, 42, 57, 83))
monotonic <- function(x, y, w = NULL, preserve = TRUE, expend = TRUE, fast = TRUE, nmax = 5000, plot = FALSE,
                      seed = NULL) {
  if (!missing(x) && !missing(y) && are_plain(x, y, w) && are_flags(preserve, expend, fast, plot) && !plot) {
    found <- monotonic_here(as.double(x), as.double(y), w, preserve, expend, fast, nmax)
    if (!is.null(found)) {
      for (text in found$warnings) caution(text)
      if (!is.integer(y)) return(found$fitted)
      if (all(abs(found$fitted) <= .Machine$integer.max)) return(as.integer(round(found$fitted)))
    }
  }
  arguments <- take("monotonic", environment())
  if (plot) arguments$figure <- jsonlite::unbox(tempfile(fileext = ".png"))
  reply <- ask("monotonic", arguments, list(x = send_vector(x), y = send_vector(y), w = send_vector(w)))
  if (expend && !any(x == 0)) caution(NOTHING_AT_ZERO)
  if (plot) show_figures(reply$figure)
  fitted <- unname(y)
  fitted[] <- reply$frame[[1]]
  fitted
}

# What Python's `monotonic()` (fusionpy/preparation/monotone.py) does, in R, for plain vectors, which are sent to Python neither as
# JSON nor in a thread. Tests hold the two together. NULL: Python is to do it, or to tell what is wrong.

FEW_POINTS <- 40 # below, a fixed span
FIXED_SPAN <- 0.3
SHORTEST_WINDOW <- 5
MOST_HERE <- 1e5 # records; with more Python is quicker
LARGEST <- 1e100 # of any value: squares stay finite
DISTORTED <- 0.05 # share of a value by which sorting may move it, and share of the values that it may
NOTHING_AT_ZERO <- "No `x` is 0: the point (0, 0) is not among those that are smoothed."
SET_TO_ZERO <- "`y` is not 0 at some `x` of 0: it counts as 0 there (`expend`)."
RAISED <- "`y` is 0 at some `x` above 0: it counts as the least positive `y` there (`expend`)."
ALL_ZERO <- "All fitted values are 0: they cannot have the mean of `y`."
FALLS <- "`y` falls as `x` rises, yet nothing is spent where `x` is 0: the function falls from the least `x` above 0 on."

are_flags <- function(...) all(vapply(list(...), function(flag) isTRUE(flag) || isFALSE(flag), NA))

# Numbers of one length that have no class, none missing or infinite; weights may be missing.
are_plain <- function(x, y, w) {
  is_plain <- function(v) is.numeric(v) && !is.object(v) && is.null(dim(v)) && length(v) == length(y)
  if (!length(y) || !is_plain(x) || !is_plain(y) || !(is.null(w) || is_plain(w))) return(FALSE)
  if (anyNA(x) || anyNA(y) || max(abs(range(x)), abs(range(y))) > LARGEST) return(FALSE)
  if (is.null(w)) return(TRUE)
  limits <- range(w, 0, na.rm = TRUE)
  limits[1] == 0 && limits[2] > 0 && limits[2] <= LARGEST
}

monotonic_here <- function(x, y, w, preserve, expend, fast, nmax) {
  said <- if (anyNA(w)) weights_missing(sum(is.na(w)))
  weight <- if (is.null(w)) rep(1, length(y)) else as.double(w)
  left_out <- is.na(weight)
  weight[left_out] <- 0
  used <- if (any(left_out)) which(!left_out)
  spent <- y
  least <- 0
  if (expend) {
    if (min(x) < 0 || min(y) < 0) return(NULL)
    nothing <- x == 0
    if (any(nothing & y > 0)) said <- c(said, SET_TO_ZERO)
    if (any(!nothing & y == 0)) said <- c(said, RAISED)
    if (!any(nothing)) said <- c(said, NOTHING_AT_ZERO)
    if (any(y > 0)) spent <- pmax(y, min(y[y > 0]))
    spent[nothing] <- 0
    if (any(spent > 0)) least <- min(spent[spent > 0])
    if (is.null(used)) used <- seq_along(x)
    used <- c(used[nothing[used] & weight[used] > 0][1], used[!nothing[used]])
    used <- used[!is.na(used)]
  }
  n <- if (is.null(used)) length(x) else length(used)
  if (!is.numeric(nmax) || length(nmax) != 1 || !isTRUE(n <= min(nmax, MOST_HERE) && nmax >= 2)) return(NULL)
  curve <- if (is.null(used)) rising_smooth(x, spent, weight) else rising_smooth(x[used], spent[used], weight[used])
  if (!fast && mean(abs(curve$level - curve$y) > DISTORTED * abs(curve$y)) > DISTORTED) return(NULL)
  if (expend && !curve$rises && curve$x[1] == 0) said <- c(said, FALLS)
  fitted <- curve$level[match(x, curve$x)]
  if (anyNA(fitted)) fitted <- if (length(curve$x) == 1) rep(curve$level, length(x)) else
    stats::approx(curve$x, curve$level, x, rule = 2)$y
  as_spending <- function(fitted) {
    fitted <- pmax(fitted, least)
    fitted[nothing] <- 0
    fitted
  }
  if (expend) fitted <- as_spending(fitted)
  if (preserve) {
    total <- sum(weight)
    wanted <- sum(weight * y) / total
    found <- sum(weight * fitted) / total
    if (min(y) >= 0 && found > 0) fitted <- fitted * (wanted / found)
    else if (!expend) fitted <- fitted + (wanted - found)
    else if (wanted > 0) said <- c(said, ALL_ZERO)
    if (expend && least > 0) fitted <- as_spending(fitted)
  }
  list(fitted = fitted, warnings = said)
}

weights_missing <- function(n) {
  paste0("`w` has ", format(n, big.mark = ","), " missing value", if (n > 1) "s", "; such records have no say.")
}

# Distinct x, the smooth y there, and the same sorted in the direction that it has.
rising_smooth <- function(x, y, weight) {
  if (min(weight) == 0) {
    rows <- weighed(x, y, weight)
    x <- x[rows]
    y <- y[rows]
    weight <- weight[rows]
  }
  span <- if (length(x) < FEW_POINTS) FIXED_SPAN else "cv"
  curve <- stats::supsmu(x, y, weight / mean(weight), span = span)
  curve$rises <- sum((curve$x - mean(curve$x)) * (curve$y - mean(curve$y))) >= 0
  curve$level <- sort(curve$y, decreasing = !curve$rises)
  curve
}

# Records of weight 0 are points of a window like the others, as in the original, unless a window or an x has no others.
weighed <- function(x, y, weight) {
  runs <- rle(weight[order(x, y)] == 0)
  alone <- stats::ave(weight, x, FUN = max) == 0 & duplicated(x)
  if (any(alone) || any(runs$lengths[runs$values] >= SHORTEST_WINDOW)) weight > 0 else TRUE
}
