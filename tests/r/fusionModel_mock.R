# Installs a package named fusionModel that is not it: it draws whole donors, whatever the predictors.
# Rscript --vanilla fusionModel_mock.R library sources [import]: with the name of a package that it is to import
# (which is made, too), it looks like fusionpy's stand-in.
paths <- commandArgs(trailingOnly = TRUE)

install <- function(name, described, exported, code) {
  source <- file.path(paths[2], name)
  dir.create(file.path(source, "R"), recursive = TRUE)
  writeLines(c(
    paste("Package:", name), "Version: 0.0.1", "Title: Stand-In", "Description: Draws donors.", "License: MIT",
    "Author: none", "Maintainer: none <none@example.org>", described
  ), file.path(source, "DESCRIPTION"))
  writeLines(exported, file.path(source, "NAMESPACE"))
  writeLines(code, file.path(source, "R", "all.R"))
  options <- c("CMD", "INSTALL", "--no-docs", "--no-test-load", paste0("--library=", paths[1]), source)
  said <- system2(file.path(R.home("bin"), "R"), options, stdout = TRUE, stderr = TRUE,
                  env = paste0("R_LIBS=", paths[1]))
  if (!is.null(attr(said, "status"))) stop(paste(said, collapse = "\n"))
}

imported <- if (length(paths) > 2) paste("Imports:", paths[3])
if (length(paths) > 2) install(paths[3], character(), "export(nothing)", "nothing <- NULL")
install("fusionModel", imported, "export(train, fuse)", '
train <- function(data, y, x, fsn = "model.fsn", weight = NULL, nfolds = 5, nquantiles = 2, nclusters = 2000,
                  krange = c(10, 500), hyper = NULL, fork = FALSE, cores = 1) {
  if (any(vapply(data, is.character, NA))) stop("Coerce character variables to factor")
  if (nfolds == 7) stop("seven folds are too many\\nfor a stand-in")
  stopifnot(is.data.frame(data), unlist(x) %in% names(data))
  w <- if (is.null(weight)) rep(1, nrow(data)) else data[[weight]]
  if (nzchar(Sys.getenv("MOCK_SEEN"))) dput(as.list(match.call())[c("y", "x", "krange", "hyper")], Sys.getenv("MOCK_SEEN"))
  saveRDS(list(data = data[unlist(y)], w = w), fsn)
  invisible(fsn)
}

fuse <- function(data, fsn, fsd = NULL, M = 1, retain = NULL, kblock = 10, margin = 2, cores = 1) {
  model <- readRDS(fsn)
  rows <- sample.int(nrow(model$data), M * nrow(data), replace = TRUE, prob = model$w)
  cat("progress that nobody wants to see\\n")
  cbind(M = rep(seq_len(M), each = nrow(data)), model$data[rows, , drop = FALSE])
}')
