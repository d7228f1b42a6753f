# What R's supsmu makes of the given points: Rscript --vanilla supsmu.R points.json smooths.json
paths <- commandArgs(trailingOnly = TRUE)
cases <- jsonlite::read_json(paths[1], simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
smooths <- lapply(cases, function(case) {
  found <- supsmu(case$x, case$y, wt = case$w, bass = case$bass)
  list(x = found$x, y = found$y)
})
jsonlite::write_json(smooths, paths[2], digits = NA)
