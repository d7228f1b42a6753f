# Frames of every type, saved, and what R says of them: Rscript --vanilla frames.R folder
folder <- commandArgs(trailingOnly = TRUE)[1]
suppressPackageStartupMessages(library(bit64))

# Some values at random, with missing ones among them if there are any.
some <- function(values, n, missing = NA) {
  drawn <- rep(values, length.out = max(n, 1))[sample.int(max(n, 1), n)]
  if (n > 1) drawn[sample.int(n, 1)] <- missing
  drawn
}

frame_of <- function(n) {
  words <- c("a", "", "NA", "two words", "\u00e9\u4e2d\U1F600", "line\nbreak", "tab\t\"quoted\"")
  latin <- "fa\xE7ade"
  Encoding(latin) <- "latin1"
  moments <- c(0, 1e9 + 0.25, -1e9, 1582934399.999999, 1710054000)
  found <- data.frame(row.names = seq_len(n))
  found$flag <- some(c(TRUE, FALSE), n)
  found$all_there <- rep(TRUE, n)
  found$whole <- some(c(0L, 1L, -7L, .Machine$integer.max, -.Machine$integer.max), n)
  found$count <- seq_len(n)
  found$none_there <- rep(NA_integer_, n)
  found$amount <- some(c(0, -0, 1 / 3, 1e300, 5e-324, Inf, -Inf, NaN), n)
  found$amount_plain <- some(c(1.5, 2.5, -1e-5), n)
  found$text <- some(c(words, latin), n)
  found$no_text <- rep(NA_character_, n)
  found$kind <- factor(some(words, n), levels = c("unused", words, "unused too"))
  found$size <- factor(some(c("small", "large"), n), levels = c("small", "middle", "large"), ordered = TRUE)
  found$day <- as.Date(some(c(0, 19000, -40000, 2932896), n), origin = "1970-01-01")
  found$idate <- structure(some(c(0L, 19000L, -5L), n), class = c("IDate", "Date"))
  found$moment <- as.POSIXct(some(moments, n), origin = "1970-01-01", tz = "America/New_York")
  found$moment_utc <- as.POSIXct(some(moments, n), origin = "1970-01-01", tz = "UTC")
  found$moment_here <- structure(some(moments, n), class = c("POSIXct", "POSIXt"))
  found$second <- structure(some(c(0L, 1000000000L), n), class = c("POSIXct", "POSIXt"), tzone = "UTC")
  for (unit in c("secs", "mins", "hours", "days")) {
    found[[paste0("lasts_", unit)]] <- as.difftime(some(c(0, 1.5, -3, 0.25), n), units = unit)
  }
  found$large <- some(as.integer64(c("9223372036854775807", "-9223372036854775807", "0", "5")), n, NA_integer64_)
  found$byte <- some(as.raw(c(0, 1, 255)), n, as.raw(7))
  found[["a name, \"odd\" \u00e9"]] <- some(c(1, 2), n)
  found
}

# Every value as text, numbers to the last bit.
told <- function(x) {
  values <- if (inherits(x, "integer64")) {
    as.character(x)
  } else if (is.factor(x) || is.character(x)) {
    enc2utf8(as.character(x))
  } else if (inherits(x, "Date")) {
    format(as.Date(x))
  } else if (inherits(x, "POSIXct")) {
    paste(format(x, "%Y-%m-%d %H:%M:%S"), sprintf("%.0f", as.double(x) * 1e6))
  } else if (inherits(x, "difftime")) {
    sprintf("%a", as.double(x, units = "secs"))
  } else if (is.double(x)) {
    sprintf("%a", x)
  } else {
    as.character(x)
  }
  # A NaN is missing to is.na(), too.
  missing <- if (is.double(x) && is.null(attr(x, "class"))) is.na(x) & !is.nan(x) else is.na(x)
  list(class = class(x), levels = levels(x), values = I(values), missing = I(missing))
}

set.seed(1)
for (n in c(0, 1, 2, 40)) {
  frame <- frame_of(n)
  saveRDS(frame, file.path(folder, sprintf("frame_%d.rds", n)), compress = if (n == 2) "xz" else TRUE)
  facts <- list(n = n, names = I(enc2utf8(names(frame))), columns = lapply(unname(as.list(frame)), told))
  jsonlite::write_json(facts, file.path(folder, sprintf("frame_%d.json", n)), auto_unbox = TRUE, na = "null", null = "null")
}
frame <- frame_of(3)
save(frame, file = file.path(folder, "one.rda"))
other <- data.table::data.table(a = 1:2, key = "a")
third <- tibble::tibble(b = c("x", NA))
model <- lm(dist ~ speed, cars)
save(third, model, frame, other, file = file.path(folder, "several.rda"))
save(model, file = file.path(folder, "none.rda"))
saveRDS(model, file.path(folder, "model.rds"))
saveRDS(datasets::mtcars, file.path(folder, "cars.rds"))
