both_ways <- function(data) expect_identical(as.data.frame(echo(data)), as.data.frame(data))

test_that("NA of every type comes back, and NaN apart from it", {
  skip_without_python()
  both_ways(data.frame(
    i = c(1L, NA, -.Machine$integer.max), d = c(1.5, NA, NaN), l = c(TRUE, NA, FALSE), c = c("a", NA, "NA"),
    inf = c(Inf, -Inf, -0), stringsAsFactors = FALSE
  ))
  back <- echo(data.frame(d = c(NA, NaN)))$d
  expect_identical(is.nan(back), c(FALSE, TRUE))
})

test_that("factors keep levels that no row has, their order, and NA", {
  skip_without_python()
  both_ways(data.frame(
    f = factor(c("b", NA, "a"), levels = c("z", "b", "a")), o = factor(c("lo", "hi", NA), c("lo", "mid", "hi"), ordered = TRUE),
    none = factor(c(NA, NA, NA)), odd = factor(c("", " ", "\u00e9\"\\\n"))
  ))
})

test_that("dates, times, differences and integer64 come back with their storage", {
  skip_without_python()
  now <- as.POSIXct("2024-03-01 12:34:56.25", tz = "America/New_York")
  local <- structure(1e9, class = c("POSIXct", "POSIXt"))
  data <- list(
    date = as.Date(c("2020-02-29", NA, "1899-12-31")), idate = data.table::as.IDate(c("2020-02-29", NA, "1969-12-31")),
    time = now + c(0, NA, 1e-3), utc = as.POSIXct(c(0, NA, 1.5), origin = "1970-01-01", tz = "UTC"), local = local + c(0, NA, 1),
    mins = as.difftime(c(1.5, NA, 2), units = "mins"), days = as.difftime(c(1, NA, 2), units = "days"),
    itime = structure(c(3600L, NA, 1L), class = "ITime"), long = structure(c(0, 1, 5e-324), class = "integer64")
  )
  both_ways(data.table::setDT(data))
})

test_that("integer64 keeps NA and all digits", {
  skip_without_python()
  skip_if_not_installed("bit64")
  x <- bit64::as.integer64(c("9007199254740993", NA, "-9223372036854775807"))
  expect_identical(as.character(echo(data.table::data.table(x = x))$x), as.character(x))
})

test_that("texts of any encoding come back as UTF-8", {
  skip_without_python()
  latin <- iconv("\u00e9t\u00e9", "UTF-8", "latin1")
  data <- data.frame(c = c(latin, "", NA, "\u65e5\u672c", strrep("x", 1e5)), stringsAsFactors = FALSE)
  both_ways(data)
  names(data) <- latin
  expect_identical(names(echo(data)), "\u00e9t\u00e9")
})

test_that("empty frames come back", {
  skip_without_python()
  expect_identical(nrow(echo(data.frame())), 0L)
  empty <- data.frame(i = integer(), d = double(), c = character(), f = factor(levels = c("b", "a")),
                      o = factor(levels = c("b", "a"), ordered = TRUE), l = logical(), t = Sys.Date()[0], stringsAsFactors = FALSE)
  both_ways(empty)
})

test_that("names may be odd", {
  skip_without_python()
  data <- data.frame(1:2, 3:4, 5:6)
  names(data) <- c("a b", "if", "quote \" \\ \n")
  both_ways(data)
})

test_that("data.frame, data.table and tibble go, and their classes' extras do not matter", {
  skip_without_python()
  data <- data.frame(a = I(c(1, 2)), b = c(x = 1L, y = 2L), row.names = c("r", "s"))
  expect_identical(echo(data), data.table::data.table(a = c(1, 2), b = 1:2))
  expect_identical(echo(data.table::data.table(a = 1:2, key = "a"))$a, 1:2)
  skip_if_not_installed("tibble")
  expect_identical(echo(tibble::tibble(a = 1:2))$a, 1:2)
})

test_that("sequences that R does not keep as such go too", {
  skip_without_python()
  expect_identical(echo(data.frame(a = 1:1000, b = rev(1:1000)))$a, 1:1000)
})

test_that("long columns go in pieces", {
  skip_without_python()
  for (x in list(1:25, factor(letters[1:25]), letters[1:25], c(TRUE, NA, FALSE), Sys.Date() + 0:9)) {
    parcel <- new_parcel()
    told <- pack_column(x, "x", parcel, most = 4)
    expect_length(told$pieces, ceiling(length(x) / 4))
    told <- list(rows = jsonlite::unbox(length(x)), columns = list(c(name = list(jsonlite::unbox("x")), told)))
    echo(data.frame())
    expect_identical(ask("echo", list(), list(data = function(p) { p$buffers$extend(parcel$buffers); told }))$frame$x, x)
  }
})

test_that("what cannot be sent is named", {
  skip_without_python()
  unfit <- list(list = I(list(1, 2)), matrix = I(matrix(1:4, 2)), complex = c(1i, 2i), raw = as.raw(1:2),
                other = structure(1:2, class = "labelled"), lt = I(as.POSIXlt(Sys.time() + 0:1)))
  for (name in names(unfit)) {
    data <- data.table::data.table(a = 1:2)
    data <- as.data.frame(data)
    data[[name]] <- unfit[[name]]
    error <- expect_error(echo(data), class = "fusionpy_schema_error")
    expect_match(error$problems, paste0("`", name, "`"), fixed = TRUE)
    expect_identical(echo(data, needed = "a")$a, 1:2)
  }
  broken <- "\xff\xfe"
  Encoding(broken) <- "UTF-8"
  expect_error(echo(data.frame(c = broken)), "encoding", class = "fusionpy_schema_error")
  expect_error(echo(data.frame(f = structure(3L, levels = "a", class = "factor"))), class = "fusionpy_schema_error")
})

test_that("columns that are not needed are not sent", {
  skip_without_python()
  parcel <- new_parcel()
  pack_frame(data.frame(a = 1, b = 2), "b", parcel)
  expect_identical(parcel$n, 1L)
  expect_identical(echo(data.frame(a = 1, b = 2), "b")$a, NA)
})

test_that("random frames come back", {
  skip_without_python()
  set.seed(1)
  for (trial in 1:5) {
    n <- sample(0:50, 1)
    maybe <- function(x) { x[runif(n) < 0.3] <- NA; x }
    data <- data.table::data.table(
      d = maybe(rnorm(n) * 10^sample(-300:300, n, TRUE)), i = maybe(sample(-1e9:1e9, n)), l = maybe(runif(n) < 0.5),
      f = maybe(factor(sample(letters, n, TRUE), sample(letters))), c = maybe(vapply(seq_len(n), function(k) intToUtf8(sample(c(32:126, 0x100:0x2ff), 5)), "")),
      t = maybe(Sys.Date() + sample(n)), o = maybe(factor(sample(letters, n, TRUE), letters, ordered = TRUE))
    )
    expect_identical(echo(data), data)
  }
})
