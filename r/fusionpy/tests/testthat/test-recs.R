# `recs`: opened when it is used, from where the user has it.

# A survey like the original's, as its own package keeps it: an .rda file packed by bzip2.
likeness <- function(rows = 5686) {
  set.seed(2)
  data.frame(weight = seq_len(rows), income = factor(sample(c("lo", "hi", NA), rows, TRUE), c("lo", "hi"), ordered = TRUE),
             race = factor(sample(c("u", "v"), rows, TRUE)), renter = sample(c(TRUE, NA), rows, TRUE),
             electricity = c(NA, rnorm(rows - 1)), place = sample(c("a", "é", NA), rows, TRUE))
}

saved <- function(frame, ending = ".rda", version = 3) {
  recs <- frame
  file <- tempfile(fileext = ending)
  if (ending == ".rda") save(recs, file = file, compress = "bzip2", version = version) else saveRDS(recs, file, version = version)
  file
}

local_recs <- function(option = NULL, variable = "", frame = parent.frame()) {
  cache <- tempfile("cache")
  before <- Sys.getenv(c("FUSIONPY_RECS", "FUSIONPY_CACHE"), NA)
  Sys.setenv(FUSIONPY_RECS = variable, FUSIONPY_CACHE = cache)
  python_cache(cache)
  options(fusionModel.recs = option)
  the$recs <- NULL
  restore <- function() {
    for (name in names(before)) if (is.na(before[[name]])) Sys.unsetenv(name) else do.call(Sys.setenv, as.list(before[name]))
    python_cache(before[["FUSIONPY_CACHE"]])
    options(fusionModel.recs = NULL)
    the$recs <- NULL
  }
  do.call(on.exit, list(as.call(list(restore)), add = TRUE, after = FALSE), envir = frame)
  cache
}

# Python reads its environment as it was when it started.
python_cache <- function(value) {
  if (!reticulate::py_available()) return(invisible())
  environ <- reticulate::import("os", convert = FALSE)$environ
  if (is.na(value)) environ$pop("FUSIONPY_CACHE", NULL) else environ$update(list(FUSIONPY_CACHE = value))
}

test_that("without the data, one error tells the three ways to them", {
  skip_without_python()
  local_recs()
  problem <- tryCatch(fusionpy::recs, error = identity)
  expect_s3_class(problem, "fusionpy_data_error")
  for (way in c("fetch_recs_example()", "fusionModel.recs", "FUSIONPY_RECS")) {
    expect_match(conditionMessage(problem), way, fixed = TRUE)
  }
  local_recs(option = tempfile(fileext = ".rda"))
  expect_error(fusionpy::recs, "cannot be read", class = "fusionpy_argument_error")
  local_recs(option = 7)
  expect_error(fusionpy::recs, "fusionModel.recs", class = "fusionpy_data_error")
})

test_that("it is what the file has, whatever the kind of file, and a plain data.frame", {
  skip_without_python()
  whole <- likeness()
  cases <- list(saved(whole), saved(whole, version = 2), saved(whole, ".rds"), saved(data.table::as.data.table(whole)))
  for (file in cases) {
    local_recs(option = file)
    expect_identical(fusionpy::recs, whole)
    expect_identical(dim(fusionpy::recs[1:10, ]), c(10L, 6L))
    local_recs(variable = file)
    expect_identical(names(fusionpy::recs)[2:3], c("income", "race"))
  }
  local_recs(option = data.table::as.data.table(whole))
  expect_identical(fusionpy::recs, whole)
})

test_that("fetch_recs_example() keeps a file that it was given, and refuses another", {
  skip_without_python()
  cache <- local_recs()
  whole <- likeness()
  file <- saved(whole)
  expect_identical(quietly(withVisible(fetch_recs_example(file)))$visible, FALSE)
  expect_true(file.exists(file.path(cache, "recs-example", "recs.rda")))
  unlink(file)
  the$recs <- NULL
  expect_identical(fusionpy::recs, whole)
  expect_error(quietly(fetch_recs_example(saved(likeness(20)))), "20 rows")
  expect_error(quietly(fetch_recs_example(saved(mtcars))), "lacks")
  expect_identical(fusionpy::recs, whole)
  other <- likeness()
  other$weight <- rev(other$weight)
  quietly(fetch_recs_example(saved(other)))
  expect_identical(fusionpy::recs$weight, other$weight)
  expect_error(fetch_recs_example(lib.loc = tempfile()), "No fusionModel", class = "fusionpy_data_error")
})

test_that("fetch_recs_example() takes the data out of an installed original, and runs no code of it", {
  skip_without_python()
  local_recs()
  library <- tempfile("library")
  source <- file.path(tempfile("source"), "fusionModel")
  for (folder in c(library, file.path(source, c("R", "data")))) dir.create(folder, recursive = TRUE)
  writeLines(c("Package: fusionModel", "Version: 2.4.0", "Title: A", "Description: A.", "License: GPL-3", "Author: A",
               "Maintainer: A <a@example.org>", "LazyData: true"), file.path(source, "DESCRIPTION"))
  writeLines("", file.path(source, "NAMESPACE"))
  writeLines(".onLoad <- function(libname, pkgname) stop('executed')", file.path(source, "R", "a.R"))
  file.copy(saved(likeness()), file.path(source, "data", "recs.rda"))
  command <- c("CMD", "INSTALL", "--no-test-load", "--no-docs", paste0("--library=", library), source)
  system2(file.path(R.home("bin"), "R"), command, stdout = FALSE, stderr = FALSE)
  skip_if_not(dir.exists(file.path(library, "fusionModel", "data")), "An R that can install packages:")
  expect_identical(quietly(fetch_recs_example(lib.loc = library)), likeness())
  the$recs <- NULL
  expect_identical(fusionpy::recs, likeness())
  facade <- dirname(find.package("fusionModel", quiet = TRUE))
  skip_if_not(length(facade) == 1, "The facade:")
  expect_error(fetch_recs_example(lib.loc = facade), "facade", class = "fusionpy_data_error")
})

test_that("nothing in a file is executed", {
  skip_without_python()
  file <- tempfile(fileext = ".rda")
  recs <- structure(likeness(), hook = function() stop("executed"))
  save(recs, file = file)
  local_recs(option = file)
  expect_error(fusionpy::recs, "function", class = "fusionpy_argument_error")
})

test_that("the original's 127 columns come as they are there", {
  skip_without_python()
  skip_without_shared()
  frame <- as_typed(shared_file("data", "recs2015.csv.gz"), shared_file("data", "recs2015_schema.json"))
  local_recs(option = saved(frame))
  expect_identical(dim(fusionpy::recs), c(5686L, 127L))
  expect_identical(class(fusionpy::recs), "data.frame")
  expect_identical(fusionpy::recs, frame)
  same <- names(recs_all())
  expect_equal(fusionpy::recs[same], recs_all())
  predictors <- names(fusionpy::recs)[2:12]
  fsn <- quietly(train(data = fusionpy::recs[1:300, ], y = c("electricity", "aircon"), x = predictors,
                       fsn = tempfile(fileext = ".fsn"), hyper = FAST, refits = 0, seed = 1))
  expect_identical(nrow(quietly(fuse(fusionpy::recs[301:320, predictors], fsn, seed = 1))), 20L)
})

test_that("loading, attaching, listing and masking open nothing", {
  skip_without_python()
  facade <- "fusionModel"[nzchar(system.file(package = "fusionModel"))] # which is checked after this package
  code <- c("recs <- 1", sprintf("suppressMessages(library(%s))", c("fusionpy", facade)),
            "cat(recs, 'recs' %in% ls(2))", "cat('', reticulate::py_available())")
  said <- session(code)
  expect_identical(utils::tail(said, 1), "1 TRUE FALSE")
})

test_that("what goes through a package's names opens nothing", {
  local_recs(option = tempfile())
  space <- asNamespace("fusionpy")
  expect_null(as.list(space)$recs)
  expect_null(eapply(space, identity)$recs)
  expect_null(mget(c("recs", "fuse"), envir = space)$recs)
  skip_if_not_installed("codetools")
  expect_no_error(utils::capture.output(codetools::checkUsagePackage("fusionpy", all = FALSE)))
  expect_no_error(tools::checkFF("fusionpy"))
  expect_error(get("recs", space), "cannot be read") # but who uses it is told
  expect_error(lapply("recs", get, envir = space), "cannot be read")
})

test_that("a script sees it after library(fusionModel), with data(recs) or without", {
  skip_without_python()
  skip_if_not_installed("fusionModel")
  env <- paste0("FUSIONPY_RECS=", saved(likeness()))
  code <- c("suppressMessages(library(fusionModel))", "cat(class(recs), nrow(recs[1:10, ]), '')", "data(recs)",
            "cat(names(recs)[2:3], exists('recs', globalenv(), inherits = FALSE))")
  expect_identical(session(code, env = env), "data.frame 10 income race TRUE")
  without <- session("suppressMessages(library(fusionModel))", "names(recs)[2:12]")
  expect_match(paste(without, collapse = "\n"), "fetch_recs_example")
})
