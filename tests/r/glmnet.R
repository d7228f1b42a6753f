# What R's glmnet makes of weighted data: Rscript --vanilla glmnet.R data.csv numbers.json
suppressPackageStartupMessages(library(glmnet))
paths <- commandArgs(trailingOnly = TRUE)
data <- as.matrix(read.csv(paths[1]))
p <- ncol(data) - 2 # then the target and the weight
X <- data[, 1:p]
y <- data[, p + 1]
w <- data[, p + 2]

describe <- function(thresh, pmax) {
  # It warns, as it should, when pmax ends the path.
  fit <- suppressWarnings(glmnet(X, y, weights = w, thresh = thresh, pmax = pmax))
  list(lambda = fit$lambda, deviance = fit$dev.ratio, beta = t(as.matrix(fit$beta)), full = fit$jerr < 0)
}

found <- list(
  default = describe(1e-7, p), tight = describe(1e-14, p),
  few = describe(1e-7, 10), "few, tight" = describe(1e-14, 10)
)
writeLines(jsonlite::toJSON(found, digits = NA, auto_unbox = TRUE, matrix = "rowmajor"), paths[2])
