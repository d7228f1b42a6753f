# R's own fusionModel, run as `compare_with_r()` asks: Rscript side_by_side.R asked.rds results/
# Without arguments: where fusionModel is, its version, and what it stands on.
paths <- commandArgs(trailingOnly = TRUE)
if (!length(paths)) {
  found <- find.package("fusionModel", quiet = TRUE)
  if (length(found)) {
    facts <- read.dcf(file.path(found[1L], "DESCRIPTION"), c("Version", "Depends", "Imports"))
    cat(found[1L], facts[1L, ], sep = "\n")
  }
} else {
  asked <- readRDS(paths[1L])
  fsn <- file.path(paths[2L], "model.fsn")
  for (k in seq_along(asked$seeds)) {
    set.seed(asked$seeds[k])
    began <- proc.time()[["elapsed"]]
    trained <- do.call(fusionModel::train, c(list(data = asked$donor, fsn = fsn), asked$train))
    fused <- fusionModel::fuse(asked$recipient, trained, M = asked$M, cores = asked$cores)
    seconds <- proc.time()[["elapsed"]] - began
    saveRDS(as.data.frame(fused), file.path(paths[2L], paste0("fused_", k, ".rds")))
    writeLines(format(seconds), file.path(paths[2L], paste0("seconds_", k, ".txt")))
    unlink(fsn)
  }
}
