test_that("the Python that is asked for comes first", {
  before <- Sys.getenv("RETICULATE_PYTHON", NA)
  on.exit(if (is.na(before)) Sys.unsetenv("RETICULATE_PYTHON") else Sys.setenv(RETICULATE_PYTHON = before))
  old <- options(fusionpy.python = "/some/python")
  on.exit(options(old), add = TRUE)
  Sys.setenv(RETICULATE_PYTHON = "/other/python")
  expect_null(preferred_python())
  Sys.unsetenv("RETICULATE_PYTHON")
  expect_identical(preferred_python(), "/some/python")
  options(fusionpy.python = NULL)
  expect_no_error(preferred_python())
})

test_that("the version is that of the Python program", {
  skip_without_python()
  config <- fusionpy_config()
  expect_true(config$available)
  expect_match(config$version, "^[0-9]+\\.")
  expect_identical(version_there("/no/such/python"), NA_character_)
})

test_that("loading the package does not start Python", {
  lib <- dirname(find.package("fusionpy"))
  script <- sprintf(".libPaths(c(%s, .libPaths())); library(fusionpy); cat(reticulate::py_available())", deparse(lib))
  told <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote(script)), stdout = TRUE)
  expect_identical(utils::tail(told, 1), "FALSE")
})
