# What loading the package gives: structures.json, group package.

test_that("every name of the original is exported", {
  skip_without_shared()
  wanted <- structures("package")[["_rules"]]$exports
  expect_identical(setdiff(wanted, getNamespaceExports("fusionpy")), character())
  skip_if_not_installed("fusionModel")
  expect_identical(setdiff(wanted, getNamespaceExports("fusionModel")), character())
})

test_that("loading sets the option of cores, and leaves what is set", {
  for (package in intersect(c("fusionpy", "fusionModel"), rownames(utils::installed.packages()))) {
    ask <- sprintf("cat(getOption('fusionModel.cores'))")
    load <- sprintf("invisible(loadNamespace('%s'))", package)
    cores <- max(1, parallel::detectCores(logical = FALSE) - 1, na.rm = TRUE)
    expect_identical(session(load, ask), as.character(cores))
    expect_identical(session("options(fusionModel.cores = 3)", load, ask), "3")
  }
})

test_that("the option is honoured, checked, and what loading set leaves a verb's own default", {
  skip_without_python()
  on.exit(options(before))
  before <- options(fusionModel.cores = 2)
  seen <- function() {
    fun <- function(path, columns = NULL, M = 1, df = NULL, cores = 7) take("read_fsd", environment())$cores
    as.character(fun("a.fsd"))
  }
  expect_identical(seen(), "2")
  options(fusionModel.cores = the$cores)
  expect_identical(seen(), "7")
  options(fusionModel.cores = NULL)
  expect_identical(seen(), "7")
  for (wrong in list(0, 1.5, "2", NA, c(1, 2))) {
    options(fusionModel.cores = wrong)
    expect_error(read_fsd("a.fsd"), "fusionModel.cores", class = "fusionpy_argument_error")
  }
  expect_error(read_fsd(tempfile(fileext = ".fsd"), cores = 1), "no such file", class = "fusionpy_error")
  verbs <- names(Filter(function(arguments) "cores" %in% names(arguments), TABLE))
  expect_gt(length(verbs), 7)
  for (verb in verbs) { # even without arguments: its problems name the option
    expect_error(quietly(do.call(verb, list())), "fusionModel.cores", class = "fusionpy_argument_error", info = verb)
  }
  options(fusionModel.cores = 2)
  same <- quietly(fuse(recipients(50), model(), seed = 1))
  options(fusionModel.cores = NULL)
  expect_identical(same, quietly(fuse(recipients(50), model(), seed = 1)))
})

test_that("lookup() stops where the original stops, and says what is not done", {
  expect_error(lookup(), "fusionData", class = "fusionpy_argument_error")
  folder <- file.path(tempfile(), "fusionData", "fusion")
  dir.create(folder, recursive = TRUE)
  home <- setwd(folder)
  on.exit(setwd(home))
  expect_error(lookup("electricity"), "not done", class = "fusionpy_argument_error")
})
