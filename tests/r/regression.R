# What R's survey package and mitools make of implicates: Rscript --vanilla regression.R folder numbers.json
suppressPackageStartupMessages({library(survey); library(mitools)})
paths <- commandArgs(trailingOnly = TRUE)
asked <- jsonlite::fromJSON(file.path(paths[1], "asked.json"), simplifyDataFrame = FALSE)
read <- function(m) {
  frame <- read.csv(file.path(paths[1], paste0("implicate_", m, ".csv")), stringsAsFactors = TRUE)
  frame$solar <- frame$solar == "True"
  frame$urban <- frame$urban == "True"
  frame$`my rooms` <- frame$rooms
  frame
}
frames <- lapply(seq_len(asked$M), read)
by_design <- list(
  linear = function(data) svydesign(ids = ~1, weights = ~weight, data = data),
  fay = function(data) {
    svrepdesign(data = data, weights = ~weight, repweights = data[grep("^rep_", names(data))], type = "Fay",
                rho = 0.5, combined.weights = TRUE, mse = TRUE)
  }
)
found <- list()
for (design in names(by_design)) {
  designs <- lapply(frames, by_design[[design]])
  for (each in asked$formulas) {
    family <- get(each$family)()
    # With replicate weights survey takes no formula of which a coefficient follows from others.
    if (design == "fay" && each$formula %in% asked$dependent) next
    fits <- lapply(designs, function(one) svyglm(as.formula(each$formula), one, family = family))
    pooled <- MIcombine(lapply(fits, coef), lapply(fits, vcov), df.complete = 1e6)
    row <- list(
      design = design, formula = each$formula, names = names(coef(fits[[1]])), est = unname(pooled$coefficients),
      se = unname(sqrt(diag(pooled$variance))), df = unname(pooled$df),
      fmi = unname(pooled$missinfo), first = unname(coef(fits[[1]])),
      first_se = unname(sqrt(diag(vcov(fits[[1]]))))
    )
    found[[length(found) + 1]] <- row
  }
}
writeLines(jsonlite::toJSON(found, digits = NA, auto_unbox = TRUE, na = "null"), paths[2])
