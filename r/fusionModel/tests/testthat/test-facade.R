test_that("it exports what fusionpy exports", {
  expect_setequal(getNamespaceExports("fusionModel"), getNamespaceExports("fusionpy"))
  for (name in setdiff(getNamespaceExports("fusionpy"), "recs")) { # which is opened when it is looked at
    expect_identical(getExportedValue("fusionModel", name), getExportedValue("fusionpy", name), info = name)
  }
})

test_that("it has every function that scripts call by the original's name", {
  verbs <- c("train", "fuse", "validate", "plot_valid", "analyze", "prepXY", "impute", "importance", "monotonic",
             "read_fsd", "lookup", "recs")
  expect_true(all(verbs %in% getNamespaceExports("fusionModel")))
})

test_that("`recs` is the same, opened when it is used", {
  expect_true(bindingIsActive("recs", asNamespace("fusionpy")))
  expect_true(bindingIsActive("recs", parent.env(asNamespace("fusionModel")))) # what it imports
  on.exit(options(before))
  before <- options(fusionModel.recs = data.frame(weight = 1:3))
  expect_identical(fusionModel::recs, data.frame(weight = 1:3))
})

test_that("it passes for the version that fusionData asks for", {
  expect_true(utils::packageVersion("fusionModel") >= "2.4.0")
})

test_that("one message tells which package this is, and nothing else is printed", {
  code <- c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "heard <- character()",
    "withCallingHandlers(library(fusionModel), message = function(m) {",
    "  heard <<- c(heard, conditionMessage(m))",
    "  invokeRestart('muffleMessage')",
    "})",
    "cat(length(heard), grepl('facade', heard))"
  )
  script <- tempfile(fileext = ".R")
  writeLines(code, script)
  rscript <- file.path(R.home("bin"), "Rscript")
  expect_identical(system2(rscript, c("--vanilla", shQuote(script)), stdout = TRUE, stderr = TRUE), "1 TRUE")
})
