# Try the installed R packages: Rscript smoke.R VERSION. Stands alone; .ci/release.py copies it to an empty folder.
version <- commandArgs(TRUE)[1]
stopifnot(packageVersion("fusionpy") == version, packageVersion("fusionModel") >= "2.4.0")
suppressPackageStartupMessages(library(fusionModel))
stopifnot(identical(fusionModel::train, fusionpy::train), fusionpy_config()$version == version)

donor <- head(load_donor(), 600)
recipient <- head(load_recipient(), 500)
train(donor, y = c("insulation", "electricity"), x = c("region", "rooms", "income"), fsn = "model.fsn",
      weight = "weight", seed = 1)
fused <- fuse(recipient, fsn = "model.fsn", M = 4, seed = 1)
estimates <- analyze(list(mean = c("electricity", "insulation")), fused, static = recipient, weight = "weight",
                     by = "region")
print(estimates)
stopifnot(nrow(fused) == 4 * nrow(recipient), nrow(estimates) > 4, all(estimates$moe > 0))
vignette <- readLines(system.file("doc", "from-fusionModel.html", package = "fusionpy", mustWork = TRUE))
stopifnot(length(vignette) > 100, !any(grepl("fusionpy is not installed", vignette)))
cat("fusionpy ", version, " and fusionModel ", format(packageVersion("fusionModel")), " work in R\n", sep = "")
