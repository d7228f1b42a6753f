# What R's survey package makes of the donor survey: Rscript --vanilla survey.R donor.csv numbers.json
suppressPackageStartupMessages(library(survey))
paths <- commandArgs(trailingOnly = TRUE)
donor <- read.csv(paths[1], stringsAsFactors = TRUE)
donor$solar <- donor$solar == "True"
donor$one <- 1
total <- sum(donor$weight)
replicates <- grep("^rep_", names(donor))
shares <- c(0.1, 0.25, 0.5, 0.9)

rows <- list()
note <- function(design, statistic, group, level, est, se) {
  rows[[length(rows) + 1]] <<- data.frame(
    design, statistic, group = as.character(group), level = as.character(level),
    est = as.numeric(est), se = as.numeric(se)
  )
}

by_group <- function(design, label) {
  for (f in c("mean", "total")) {
    fun <- if (f == "mean") svymean else svytotal
    for (name in c("electricity", "gas_bill")) {
      found <- svyby(as.formula(paste0("~", name)), ~region, design, fun)
      note(label, paste(f, name), found$region, "", found[[name]], SE(found))
    }
    for (region in levels(donor$region)) {
      inside <- design[donor$region == region, ] # subset() would take `region` for the column
      found <- fun(~heating_fuel, inside)
      note(label, paste(f, "heating_fuel"), region, levels(donor$heating_fuel), coef(found), SE(found))
      found <- fun(~solar, inside)
      note(label, paste(f, "solar"), region, c("False", "True"), coef(found), SE(found))
    }
  }
  for (region in levels(donor$region)) {
    found <- svyratio(~electricity, ~rooms, design[donor$region == region, ])
    note(label, "ratio electricity/rooms", region, "", coef(found), SE(found))
  }
}

R <- length(replicates)
weights <- donor[replicates]
by_type <- list(
  brr = list(type = "BRR"),
  fay = list(type = "Fay", rho = 0.5),
  "fay 0.3" = list(type = "Fay", rho = 0.3),
  jk1 = list(type = "JK1", scale = (R - 1) / R),
  sdr = list(type = "ACS"),
  bootstrap = list(type = "bootstrap")
)
for (label in names(by_type)) {
  arguments <- list(
    data = donor, weights = ~weight, repweights = weights, combined.weights = TRUE, mse = TRUE
  )
  design <- do.call(svrepdesign, c(arguments, by_type[[label]]))
  by_group(design, label)
  # Records of equal value share their weight: else quantiles would depend on their order.
  arguments$weights <- ave(donor$weight, donor$electricity)
  arguments$repweights <- data.frame(lapply(weights, ave, donor$electricity))
  design <- do.call(svrepdesign, c(arguments, by_type[[label]]))
  for (share in shares) {
    found <- svyquantile(~electricity, design, share, qrule = "hf5", interval.type = "quantile", ci = TRUE)
    note(label, paste("quantile", share), "", "", coef(found), SE(found))
  }
}

# Linearised, sampled with replacement.
linear <- svydesign(ids = ~1, weights = ~weight, data = donor)
by_group(linear, "linear")
for (share in shares) {
  found <- svyquantile(~electricity, linear, share, qrule = "hf5", alpha = 0.1, df = Inf, ci = TRUE)
  note("linear", paste("quantile", share), "", "", coef(found), SE(found))
}
# Sums of weights are known, so totals are those of a survey that is post-stratified to their sum.
known <- postStratify(linear, ~one, data.frame(one = 1, Freq = total))
by_group(known, "known")

rows <- do.call(rbind, rows)
rows$n <- nrow(donor)
writeLines(jsonlite::toJSON(rows, digits = NA), paths[2])
