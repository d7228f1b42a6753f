# Paths of NULL elements anywhere within a value; attributes and environments are not looked into.
nulls <- function(value, path) {
  if (is.null(value)) return(path)
  if (!is.list(value) || inherits(value, "ggplot")) return(character())
  names <- if (is.null(names(value))) seq_along(value) else names(value)
  value <- unclass(value)
  unlist(Map(function(i, name) nulls(value[[i]], paste0(path, "$", name)), seq_along(value), names))
}

test_that("NULL elements are found", {
  value <- list(a = 1, b = list(c = NULL, 2, list(d = NULL)), e = list(), f = data.frame(g = 1:2))
  expect_identical(nulls(value, "x"), c("x$b$c", "x$b$$d"))
})

test_that("a script in the style of the original's README runs unchanged, and nothing that it makes is NULL", {
  shared <- file.path(Sys.getenv("FUSIONPY_SHARED", "/work/shared"), "data")
  skip_if_not(dir.exists(shared), "the shared data")
  skip_if_not(identical(Sys.getenv("FUSIONPY_TEST"), "all") || fusionModel::fusionpy_config()$available,
              "Python's fusionpy")
  skip_if_not_installed("ggplot2")
  folder <- tempfile("script")
  dir.create(folder)
  # The example survey: the typed columns, and the replicate weights.
  survey <- read.csv(gzfile(file.path(shared, "recs2015.csv.gz")))
  typed <- fusionModel::read_fsd(file.path(shared, "recs2015.fst"))
  survey[names(typed)] <- as.data.frame(typed)
  saveRDS(survey, file.path(folder, "recs.rds"))
  runner <- file.path(folder, "runner.R")
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    sprintf("setwd(%s)", deparse(folder)),
    sprintf("options(fusionModel.recs = %s)", deparse(file.path(folder, "recs.rds"))),
    "made <- new.env()",
    "heard <- character()",
    "set.seed(1)",
    "withCallingHandlers(",
    sprintf("  sys.source(%s, made),", deparse(normalizePath("script.R"))),
    "  warning = function(w) if (!inherits(w, 'fusionpy_warning')) heard <<- c(heard, conditionMessage(w))",
    ")",
    "saveRDS(list(heard = heard, made = as.list(made)), 'made.rds')"
  ), runner)
  rscript <- file.path(R.home("bin"), "Rscript")
  said <- suppressWarnings(system2(rscript, c("--vanilla", shQuote(runner)), stdout = TRUE, stderr = TRUE))
  expect_null(attr(said, "status"), info = paste(tail(said, 20), collapse = "\n"))
  done <- readRDS(file.path(folder, "made.rds"))
  expect_identical(done$heard, character()) # of groups too small for a margin fusionpy does warn
  made <- done$made
  expect_length(unlist(Map(nulls, made, names(made))), 0)

  # Each has what the next line of such a script would take of it.
  expect_identical(dim(made$sim), c(5L * nrow(made$recipient), 7L))
  expect_identical(names(made$valid), c("plots", "perf", "smooth", "data"))
  expect_s3_class(made$valid$plots$electricity$moe, "ggplot")
  expect_s3_class(made$imp$summary$x, "factor")
  expect_gt(nrow(made$gains), 5)
  expect_identical(sort(unique(made$made$level[made$made$y == "above"])), c("FALSE", "TRUE"))
  expect_setequal(made$made$type, c("mean", "proportion", "count"))
  expect_identical(data.table::key(made$fused), c("M", "acs_year", "acs_hid"))
  expect_identical(made$asked$acs_hid, c(5L, 100L))
  expect_false(anyNA(made$asked$electricity))
  expect_identical(nrow(made$joined), 3L * nrow(made$recipient))
  expect_false(anyNA(made$complete))
  expect_type(made$donor$spent, "double")
  files <- c("importance.png", "valid.png", "electricity.png", "models/recs.fsn", "fused/recs.fsd")
  expect_true(all(file.size(file.path(folder, files)) > 1000))
  expect_true(all(c("allvars_est.png", "electricity_est.png") %in% list.files(file.path(folder, "plots"))))
})
