# monotonic(): beside the original's answers, and beside Python's, which does in Python what R does here.

# What the original warns of, and how we say it. "other" is of missing weights, and of points that are drawn.
WARNED <- c(
  "zero y at x > 0 raised to the smallest positive y" = "is 0 at some `x` above 0",
  "non-zero y at x = 0 set to zero" = "is not 0 at some `x` of 0",
  "the smoother deleted non-finite observations" = "No `x` is 0"
)
DRAWN <- "n8_nmax4" # points are chosen at random
SPLINES <- "n8_zigzag_slow" # package scam was absent, so fast = FALSE gave the fast answer

small_cases <- function() {
  jsonlite::read_json(shared_file("reference", "original", "monotonic_small.json"), simplifyVector = TRUE,
                      simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
}

# Arguments as the original had them: JSON does not tell integers from other numbers.
arguments_of <- function(case) {
  arguments <- case$args
  for (name in intersect(c("x", "y", "w"), names(arguments))) {
    convert <- if (isTRUE(case[[paste0("integer_", name)]])) as.integer else as.double
    arguments[[name]] <- convert(unlist(arguments[[name]]))
  }
  arguments
}

# An object is sent to Python.
monotonic_there <- function(x, y, ...) as.vector(unclass(monotonic(I(x), I(y), ...)))

test_that("every small case is the original's", {
  skip_without_python()
  skip_without_shared()
  cases <- small_cases()
  expect_length(cases, 47)
  for (name in names(cases)) {
    case <- cases[[name]]
    arguments <- arguments_of(case)
    for (call in list(monotonic, if (name != "n0") monotonic_there)) {
      if (is.null(call)) next
      found <- record(do.call(call, arguments))
      if (!is.null(case$error)) {
        expect_s3_class(found$error, "fusionpy_argument_error")
        next
      }
      expect_null(found$error, info = name)
      wanted <- unname(WARNED[intersect(unlist(case$warnings), names(WARNED))])
      if (name == "w_NA") wanted <- c("`w` has 1 missing value", "No `x` is 0")
      if (name == "n8_nmax4") wanted <- "No `x` is 0"
      expect_identical(lengths(lapply(wanted, grep, found$warnings, fixed = TRUE)), rep(1L, length(wanted)), info = name)
      expect_length(found$warnings, length(wanted))
      expect_identical(class(found$value), case$class, info = name)
      expect_null(names(found$value))
      if (name == DRAWN) {
        expect_false(is.unsorted(found$value))
        expect_equal(mean(found$value), mean(case$value))
      } else if (!(name %in% SPLINES)) {
        expect_equal(as.double(found$value), as.double(case$value), tolerance = 1e-12, info = name)
      }
    }
  }
})

test_that("names are dropped, and there is no Python in a plain call", {
  expect_null(names(monotonic(c(0, 1, 2), c(a = 0, b = 3, c = 5))))
  code <- "fusionpy::monotonic(c(0, 1, 2), c(0, 3, 5)); cat(reticulate::py_available())"
  library <- paste0(".libPaths(c(", paste(deparse(.libPaths()), collapse = ""), ", .libPaths()));")
  said <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "-e", shQuote(paste(library, code))), stdout = TRUE)
  expect_match(tail(said, 1), "FALSE$")
})

test_that("curves of all households are the original's", {
  skip_without_shared()
  golden <- read_reference("monotonic.csv.gz")
  fitted <- function(...) suppressWarnings(monotonic(golden$x, golden$y, golden$w, ...))
  expect_equal(fitted(), golden$expend, tolerance = 1e-12)
  expect_equal(fitted(preserve = FALSE), golden$nopreserve, tolerance = 1e-12)
  found <- monotonic(golden$x2, as.integer(golden$y2), golden$w, preserve = FALSE, expend = FALSE, nmax = Inf)
  expect_identical(found, as.integer(golden$m2))
})

# Vectors of every sort: ties, zeros of x, y and w, missing weights, falling y, integers.
random_case <- function(seed) {
  set.seed(seed)
  n <- sample(c(1:12, 38:42, 100, 400), 1)
  expend <- runif(1) < 0.6
  x <- round(rgamma(n, 2) * 5, sample(0:2, 1)) * (runif(n) > 0.15 * (runif(1) < 0.7))
  y <- round(pmax(x * sample(c(3, -1, 0), 1, prob = c(6, 2, 2)) + rnorm(n, 5, 4), if (expend) 0 else -Inf), sample(0:3, 1))
  if (!expend) x <- x - 3
  if (runif(1) < 0.3) y <- as.integer(round(y))
  w <- if (runif(1) < 0.8) round(rexp(n), 1) + 0.1
  if (!is.null(w)) {
    w[runif(n) < sample(c(0, 0.1, 0.5), 1)] <- 0
    w[runif(n) < sample(c(0, 0, 0.2), 1)] <- NA
    if (!any(w > 0, na.rm = TRUE)) w[1] <- 1
  }
  list(x = x, y = y, w = w, expend = expend, preserve = runif(1) < 0.7, fast = runif(1) < 0.8)
}

test_that("what R does is what Python does", {
  skip_without_python()
  for (seed in seq_len(150)) {
    case <- random_case(seed)
    here <- record(do.call(monotonic, case))
    there <- record(do.call(monotonic_there, case))
    expect_identical(class(here$error), class(there$error), info = seed)
    expect_equal(here$value, there$value, tolerance = 1e-9, info = seed)
    expect_setequal(here$warnings, there$warnings)
  }
})

test_that("what is wrong is told by Python, all at once", {
  skip_without_python()
  x <- c(0, 10, 20, 30, 40)
  refused <- function(..., said) expect_error(monotonic(...), said, class = "fusionpy_argument_error")
  refused(x, c(1, NA, 2, 3, 4), said = "missing")
  refused(x, letters[1:5], said = "numbers")
  refused(x, said = "`y` is missing")
  refused(x, x[-1], said = "same length")
  refused(x - 1, x - 2, said = "`x` has 1 negative value .* pass `expend = FALSE`")
  refused(x - 1, x - 2, said = "`y` has 1 negative")
  refused(x, x, w = -x, said = "no positive")
  refused(x, x, w = 0 * x, said = "no positive")
  refused(x, x, nmax = 1, said = "`nmax`")
  refused(x, x, fast = NA, said = "`fast` must be TRUE or FALSE")
  refused(x, x, nmax = "all", said = "`nmax` must be a single number")
})

test_that("points are thinned, splines fitted and figures shown by Python", {
  skip_without_python()
  set.seed(3)
  x <- runif(600, 1, 40)
  y <- 3 * x + 30 * sin(x / 3) + 40
  thin <- quietly(suppressWarnings(monotonic(x, y, nmax = 100, seed = 1)))
  expect_identical(thin, quietly(suppressWarnings(monotonic(x, y, nmax = 100, seed = 1))))
  expect_false(is.unsorted(thin[order(x)]))
  slow <- suppressWarnings(monotonic(x, y, fast = FALSE))
  expect_false(isTRUE(all.equal(slow, suppressWarnings(monotonic(x, y)))))
  expect_lt(sum((slow - y)^2), sum((suppressWarnings(monotonic(x, y)) - y)^2))
  expect_identical(monotonic(c(0, 1), c(0, 3), preserve = FALSE, fast = FALSE), c(0, 3))
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_length(monotonic(c(0, 10, 20), c(0, 1, 3), plot = TRUE), 3)
})

test_that("calls by group of data.table are made in R, and keep each group's mean", {
  set.seed(2)
  data <- data.table::data.table(puma = rep(1:30, each = 40), therms = round(rgamma(1200, 2) * 20), weight = runif(1200))
  data[["therms"]][seq(1, 1200, 40)] <- 0
  data$bill <- ifelse(data$therms > 0, 20 + data$therms * 1.2 + rexp(1200) * 5, 0)
  data$smooth <- stats::ave(seq_len(1200), data$puma, FUN = function(i) {
    monotonic(data$therms[i], data$bill[i], data$weight[i])
  })
  means <- function(name) vapply(split(data, data$puma), function(d) stats::weighted.mean(d[[name]], d$weight), 0)
  expect_equal(means("smooth"), means("bill"), tolerance = 1e-3)
})
