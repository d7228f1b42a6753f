# Quantiles of records of equal value and unequal weight, in several orders, by the survey package.
# Rscript quantiles.R cases.json numbers.json
suppressPackageStartupMessages(library(survey))
paths <- commandArgs(TRUE)
cases <- jsonlite::fromJSON(paths[1], simplifyVector = FALSE)
quantiles <- function(x, w, shares) {
  design <- svydesign(ids = ~1, weights = ~w, data = data.frame(x = x, w = w))
  unname(sapply(shares, function(share) coef(svyquantile(~x, design, share, qrule = "hf5", ci = FALSE))))
}
found <- lapply(cases, function(case) {
  x <- unlist(case$x)
  w <- unlist(case$w)
  shares <- unlist(case$shares)
  orders <- list(order(x, w), order(x, -w))
  list(
    apart = lapply(orders, function(rows) quantiles(x[rows], w[rows], shares)),
    shared = lapply(orders, function(rows) quantiles(x[rows], ave(w, x)[rows], shares))
  )
})
writeLines(jsonlite::toJSON(found, digits = NA), paths[2])
