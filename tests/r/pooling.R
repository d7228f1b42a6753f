# What mitools and mice make of estimates and variances: Rscript --vanilla pooling.R cases.json numbers.json
paths <- commandArgs(trailingOnly = TRUE)
cases <- jsonlite::fromJSON(paths[1], simplifyDataFrame = FALSE)
pooled <- lapply(cases, function(case) {
  rubin <- mitools::MIcombine(as.list(case$q), as.list(case$u))
  mice <- mice::pool.scalar(case$q, case$u, n = case$complete + 1, k = 1, rule = "rubin1987")
  list(
    est = rubin$coefficients, variance = as.numeric(rubin$variance), df = as.numeric(rubin$df),
    fmi = as.numeric(rubin$missinfo), mice_est = mice$qbar, mice_variance = mice$t, mice_df = mice$df,
    mice_fmi = mice$fmi, mice_between = mice$b
  )
})
writeLines(jsonlite::toJSON(pooled, digits = NA, auto_unbox = TRUE), paths[2])
