# The reference's formals, from its public documentation; extra arguments come last.
REFERENCE_FORMALS <- list(
  train = function(data, y, x, fsn = "fusion_model.fsn", weight = NULL, nfolds = 5, nquantiles = 2,
                   nclusters = 2000, krange = c(10, 500), hyper = NULL, fork = FALSE, cores = 1) NULL,
  fuse = function(data, fsn, fsd = NULL, M = 1, retain = NULL, kblock = 10, margin = 2, cores = 1) NULL,
  prepXY = function(data, y, x, weight = NULL, cor_thresh = 0.05, lasso_thresh = 0.95, xmax = 100, xforce = NULL,
                    fraction = 1, cores = 1) NULL,
  analyze = function(x, implicates, static = NULL, weight = NULL, rep_weights = NULL, by = NULL, fun = NULL,
                     var_scale = 4, cores = 1) NULL,
  validate = function(observed, implicates, subset_vars, weight = NULL, min_size = 30, plot = TRUE, cores = 1) NULL,
  plot_valid = function(valid, y = NULL, path = NULL, cores = 1, ...) NULL,
  impute = function(data, weight = NULL, ignore = NULL, cores = parallel::detectCores(logical = FALSE) - 1L) NULL,
  importance = function(fsn) NULL,
  monotonic = function(x, y, w = NULL, preserve = TRUE, expend = TRUE, fast = TRUE, nmax = 5000, plot = FALSE) NULL,
  read_fsd = function(path, columns = NULL, M = 1, df = NULL,
                      cores = max(1, parallel::detectCores(logical = FALSE) - 1)) NULL,
  lookup = function(var = NULL, year = NULL) NULL
)
OURS <- c("recs", "fetch_recs_example", "install_fusionpy", "fusionpy_config", "load_donor", "load_recipient",
          "to_imputationList", "to_mids")

test_that("every exported function has the reference's formals first", {
  expect_setequal(getNamespaceExports("fusionpy"), c(names(REFERENCE_FORMALS), OURS))
  for (verb in names(REFERENCE_FORMALS)) {
    wanted <- formals(REFERENCE_FORMALS[[verb]])
    expect_identical(as.list(formals(verb, envir = asNamespace("fusionpy")))[seq_along(wanted)], as.list(wanted),
                     info = verb)
  }
})

test_that("extra arguments have defaults", {
  for (verb in names(REFERENCE_FORMALS)) {
    extra <- formals(verb, envir = asNamespace("fusionpy"))[-seq_along(formals(REFERENCE_FORMALS[[verb]]))]
    extra <- extra[setdiff(names(extra), "...")]
    expect_false(any(vapply(extra, identical, NA, quote(expr = ))), info = verb)
  }
})

test_that("the table of conversions has every argument that is sent", {
  settled <- c("data", "observed", "implicates", "static", "fun", "valid", "df", "w", "...", "fork", "plot")
  for (verb in setdiff(names(REFERENCE_FORMALS), "lookup")) {
    known <- c(names(TABLE[[verb]]), settled, if (verb == "monotonic") c("x", "y"))
    expect_identical(setdiff(names(formals(verb, envir = asNamespace("fusionpy"))), known), character(), info = verb)
    expect_identical(setdiff(names(TABLE[[verb]]), names(formals(verb, envir = asNamespace("fusionpy")))), character())
  }
})
