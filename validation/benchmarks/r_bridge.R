# One run in R: see r_bridge.py, which calls this with a model's path and the number of rows.
arguments <- commandArgs(TRUE)
suppressPackageStartupMessages({
  library(data.table)
  library(fusionpy)
})
options(cli.default_handler = function(message) NULL)

status <- function(name) as.numeric(gsub("\\D", "", grep(name, readLines("/proc/self/status"), value = TRUE))) / 1024
peak <- function(code) {
  gc()
  writeLines("5", "/proc/self/clear_refs") # the peak is counted from here
  before <- status("VmRSS")
  seconds <- system.time(code)
  c(seconds = seconds[["elapsed"]], cpu = sum(seconds[1:2]), peak_mb = status("VmHWM") - before)
}
shown <- function(what, measured, frame) {
  cat(sprintf("%s,R,%.3f,%.3f,%.1f,%.1f\n", what, measured["seconds"], measured["cpu"], measured["peak_mb"],
              as.numeric(object.size(frame)) / 2^20))
}

n <- as.integer(arguments[2])
set.seed(1)
sample_survey <- load_recipient()
data <- sample_survey[sample(nrow(sample_survey), n, TRUE)]
for (k in 1:5) set(data, j = paste0("noise_", k), value = rnorm(n))
invisible(fuse(data[1:1000], arguments[1], seed = 1)) # everything is loaded and compiled
invisible(fuse(data[1:1000], arguments[1], seed = 1, cores = 1))
shown("fuse", peak(fused <- fuse(data, arguments[1], seed = 1, retain = "hid")), data)
stopifnot(nrow(fused) == n)
rm(fused)

# Small calls by group, as of fusionData's scripts: 40 groups of 50 records, two calls each.
groups <- data.table(group = rep(1:40, each = 50), x = pmax(0, round(rnorm(2000, 50, 40))))
groups[, `:=`(y = x * 3 + rexp(2000) * (x > 0), w = runif(2000) + 0.1)]
small <- function() groups[, `:=`(a = monotonic(x, y, w), b = monotonic(x, y)), by = "group"]
suppressWarnings(small())
shown("monotonic: 8000 calls by group", peak(for (k in 1:100) suppressWarnings(small())), groups)
x <- round(rgamma(n, 2) * 20, 1)
y <- x * 3 + rexp(n)
shown("monotonic: one call", peak(suppressWarnings(monotonic(x, y, nmax = Inf, expend = FALSE))), data.frame(x, y))

# Both ways, without any work: 60 columns of every kind.
reticulate::py_run_string("
from fusionpy.bridge import calls
calls.CALLS['echo'] = lambda arguments, frames, model: calls.Answer(frames={'frame': frames['data']})
")
wide <- as.data.table(c(
  lapply(1:24, function(k) sample(c(rnorm(999), NA), n, TRUE)), lapply(1:12, function(k) sample(c(1:99, NA), n, TRUE)),
  lapply(1:16, function(k) factor(sample(c(letters, NA), n, TRUE))), lapply(1:6, function(k) sample(c(TRUE, FALSE, NA), n, TRUE)),
  lapply(1:2, function(k) sample(c(state.name, NA), n, TRUE))
))
setnames(wide, paste0("v", 1:60))
rm(data)
bridge <- asNamespace("fusionpy")
shown("60 columns both ways", peak(back <- bridge$ask("echo", list(), list(data = bridge$send(wide)))$frame), wide)
stopifnot(identical(back, wide))
