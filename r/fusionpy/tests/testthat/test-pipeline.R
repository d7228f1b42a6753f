# A script as fusionData's production runs it, on the samples.

test_that("a production pipeline in fusionData's style runs as it is", {
  skip_without_python()
  skip_if_not_installed("zip")
  folder <- tempfile("pipeline")
  dir.create(folder)
  donor <- donors(1500)
  fusion.vars <- list("insulation", c("food_share", "housing_share"), "solar", "electricity", "gas_bill", "vehicles")
  pred.vars <- c("region", "urban", "age", "education", "income", "hh_size", "tenure", "dwelling", "year_built", "rooms")

  # Order and predictors.
  prep <- quietly(prepXY(data = donor, y = fusion.vars, x = pred.vars, weight = "weight", cor_thresh = 0.025,
                         lasso_thresh = 0.99, xmax = 100, fraction = min(1, max(1000, 0.1 * nrow(donor)) / nrow(donor)),
                         cores = 1))
  expect_setequal(unlist(prep$y), unlist(fusion.vars))
  expect_true(all(unlist(prep$x) %in% c(pred.vars, unlist(fusion.vars))))

  # Train, with the hyperparameters of production.
  fsn.path <- quietly(train(
    data = donor, y = prep$y, x = prep$x, fsn = file.path(folder, "model.fsn"), weight = "weight", nquantiles = 3,
    nclusters = 500, krange = c(10, 100),
    hyper = list(boosting = "goss", num_leaves = 2^(4:5), min_data_in_leaf = max(10, round(0.001 * nrow(donor))),
                 feature_fraction = 0.8, num_iterations = 30, learning_rate = 0.1, max_depth = 5, max_bin = 255,
                 min_data_in_bin = 3, max_cat_threshold = 32),
    refits = 0, cores = 1
  ))

  # What the archive says of itself.
  zip::unzip(fsn.path, files = "metadata.rds", exdir = folder)
  meta <- readRDS(file.path(folder, "metadata.rds"))
  expect_setequal(unlist(meta$ylist), unlist(fusion.vars))
  expect_identical(unname(lapply(meta$ylist, as.character)), unname(prep$y))

  # Fuse back onto the donors, without their y, and validate.
  sim.path <- quietly(fuse(data = donor[, setdiff(names(donor), unlist(fusion.vars)), with = FALSE], fsn = fsn.path,
                           fsd = file.path(folder, "valid.fsd"), M = 4, margin = 4, cores = 1))
  utils::capture.output(valid <- quietly(validate(observed = donor, implicates = read_fsd(sim.path, M = Inf), subset_vars = c("income", "tenure"),
                            weight = "weight", plot = FALSE)))
  expect_setequal(valid$y, unlist(fusion.vars))

  # Fuse onto recipients, their key retained.
  recipient <- recipients(400)
  data.table::setkeyv(recipient, "hid")
  fsd <- quietly(fuse(data = recipient, fsn = fsn.path, fsd = file.path(folder, "fused.fsd"), M = 20,
                      retain = data.table::key(recipient), margin = 4))
  expect_true(file.exists(fsd))

  # Importance.
  detailed <- data.table::as.data.table(importance(fsn.path)$detailed)
  top <- detailed[, list(gain = mean(gain)), by = c("y", "x")]
  expect_setequal(top$y, unlist(fusion.vars))

  # Read, and smooth spending by group.
  sim <- read_fsd(fsd, M = 20)
  expect_identical(nrow(sim), 20L * 400L)
  expect_identical(names(sim)[1:2], c("M", "hid"))
  expect_identical(sim$hid, rep(recipient$hid, 20))
  sim <- merge(sim, recipient[, c("hid", "tenure", "weight")], by = "hid")
  before <- sim[, list(total = sum(weight * gas_bill)), by = "tenure"]
  suppressWarnings( # no electricity is 0
    sim[, gas_bill := suppressMessages(monotonic(x = electricity, y = gas_bill + 1, w = weight)), by = "tenure"]
  )
  after <- sim[, list(total = sum(weight * (gas_bill - 1))), by = "tenure"]
  expect_equal(after, before, tolerance = 1e-6)

  # Fill what the recipient lacks.
  d <- data.table::copy(recipient)
  d$rooms[seq(1, 400, 5)] <- NA
  d$tenure[seq(2, 400, 9)] <- NA
  full <- quietly(impute(as.data.table(d), weight = "weight", ignore = "hid"))
  expect_false(anyNA(full[, c("rooms", "tenure", "income")]))
  expect_identical(full$hid, d$hid)

  # Estimates, with the implicates in their file.
  found <- quietly(analyze(x = list(mean = c("electricity", "insulation"), sum = "solar", median = "electricity"), implicates = fsd,
                           static = recipient, weight = "weight", by = "tenure"))
  expect_false(anyNA(found$est))
})

test_that("a recipient's own key goes along, through the file, into joins", {
  skip_without_python()
  folder <- tempfile("pipeline")
  recipient <- recipients(400)
  recipient[, `:=`(acs_year = rep(2019:2015, each = 80), acs_hid = sprintf("%d_%04d", rep(1:8, 50), 400:1))]
  data.table::setkeyv(recipient, c("acs_year", "acs_hid"))

  # As in production: the folder is not there yet, the key is what is retained, draws go to disk.
  fsd <- fuse(data = recipient, fsn = model(), fsd = file.path(folder, "2019", "H_fused.fsd"), M = 4,
              retain = data.table::key(recipient), margin = 4)
  sim <- read_fsd(fsd, M = Inf)
  expect_identical(data.table::key(sim), c("M", "acs_year", "acs_hid"))
  expect_identical(sim[, list(acs_year, acs_hid)], recipient[rep(1:400, 4), list(acs_year, acs_hid)])

  # Records by their identifiers, of one implicate and one year.
  ids <- recipient$acs_hid[recipient$acs_year == 2019L][c(7, 3, 50)]
  found <- sim[.(1L, 2019L, ids), nomatch = NULL]
  expect_identical(found$acs_hid, ids)
  expect_identical(found$electricity, sim$electricity[match(ids, sim$acs_hid)])
  expect_identical(nrow(sim[.(2L)]), 400L)
  expect_identical(nrow(sim[.(1L, 2019L, "nobody"), nomatch = NULL]), 0L)

  # Joins by key, both ways, and an update by reference, give what a look-up row by row gives.
  by <- data.table::key(recipient)
  joined <- merge(sim, recipient[, c(by, "tenure", "weight"), with = FALSE], by = by)
  expect_identical(nrow(joined), 1600L)
  sim[recipient, on = by, tenure := i.tenure]
  expect_identical(as.character(sim$tenure), as.character(rep(recipient$tenure, 4)))
  one <- read_fsd(fsd, columns = c(by, "solar", "gas_bill"))
  expect_identical(data.table::key(one), by)
  kept <- recipient[one]
  expect_identical(kept$i.gas_bill, NULL)
  expect_identical(kept$gas_bill, one$gas_bill)
  expect_identical(kept$acs_hid, recipient$acs_hid)

  # What is wanted of a list of households, without reading the rest.
  some <- read_fsd(fsd, M = Inf, df = recipient[c(9, 2, 380), by, with = FALSE])
  expect_identical(data.table::key(some), c("M", by))
  expect_identical(nrow(some), 12L)
  expect_identical(some[.(3L, recipient$acs_year[9], recipient$acs_hid[9])]$electricity,
                   sim[.(3L, recipient$acs_year[9], recipient$acs_hid[9])]$electricity)
})

test_that("models of R's own fusionModel fuse here", {
  skip_without_python()
  shared <- Sys.getenv("FUSIONPY_SHARED", "/work/shared")
  archive <- file.path(shared, "reference", "models", "readme.fsn")
  skip_if_not(file.exists(archive), "the shared reference models")
  skip_if_not(file.exists(file.path(shared, "data", "recs2015.fst")), "the shared data")
  recs <- read_fsd(file.path(shared, "data", "recs2015.fst"))
  fused <- quietly(fuse(recs[1:200], archive, M = 2, seed = 1))
  expect_identical(nrow(fused), 400L)
  same <- intersect(names(fused), names(recs))
  expect_identical(lapply(fused[, same, with = FALSE], class), lapply(recs[, same, with = FALSE], class))
  expect_named(importance(archive), c("summary", "detailed"))
})
