test_that("train() returns its file's path invisibly, and does not change the data", {
  skip_without_python()
  data <- donors()
  before <- data.table::copy(data)
  file <- tempfile(fileext = ".fsn")
  path <- quietly(withVisible(train(data, "solar", X, fsn = file, hyper = FAST, refits = 0)))
  expect_false(path$visible)
  expect_identical(path$value, file)
  expect_true(file.exists(file))
  expect_identical(data, before)
})

test_that("train() notes that fork has no effect", {
  skip_without_python()
  file <- tempfile(fileext = ".fsn")
  quietly(expect_message(train(donors(), "solar", X, fsn = file, hyper = FAST, refits = 0, fork = TRUE), "fork"))
})

test_that("x and y as lists are one entry for each step", {
  skip_without_python()
  y <- list("insulation", c("electricity", "vehicles"))
  x <- list(c("region", "rooms"), c("insulation", "income"))
  file <- quietly(train(donors(), y, x, fsn = tempfile(fileext = ".fsn"), hyper = FAST, refits = 0))
  used <- importance(file)$summary
  expect_true(all(used[used$y == "insulation", ]$x %in% x[[1]]))
  expect_true(all(used[used$y != "insulation", ]$x %in% x[[2]]))
  expect_error(train(donors(), y, x[1], fsn = tempfile(fileext = ".fsn")), class = "fusionpy_argument_error")
})

test_that("fuse() gives a data.table with key M, the donors' classes, and retained columns as they are", {
  skip_without_python()
  data <- as.data.frame(recipients())
  data$id <- seq_len(nrow(data)) / 3
  data$day <- Sys.Date() + seq_len(nrow(data))
  data$when <- as.POSIXct(data$day) + 0.123
  data$note <- c("x", NA)
  data$mixed <- rep(list(1, "a"), nrow(data) / 2)
  data$long <- structure(data$id, class = "integer64")
  kept <- c("id", "day", "when", "note", "mixed", "long")
  fused <- quietly(fuse(data, model(), M = 3, retain = kept, seed = 1))
  expect_s3_class(fused, "data.table")
  expect_identical(data.table::key(fused), "M")
  expect_named(fused, c("M", kept, "insulation", "electricity", "vehicles", "solar", "gas_bill"))
  expect_identical(fused$M, rep(1:3, each = nrow(data)))
  for (name in kept) expect_identical(fused[101:200][[name]], data[[name]], info = name)
  for (name in setdiff(names(fused), c("M", kept))) {
    expect_identical(class(fused[[name]]), class(donors()[[name]]), info = name)
    expect_identical(levels(fused[[name]]), levels(donors()[[name]]), info = name)
    expect_true(all(fused[[name]] %in% donors()[[name]]), info = name)
  }
})

test_that("set.seed() makes draws repeatable, and seed does", {
  skip_without_python()
  draw <- function(...) quietly(fuse(recipients(), model(), ...))
  set.seed(5)
  one <- draw()
  set.seed(5)
  expect_identical(draw(), one)
  expect_false(identical(draw(), one))
  expect_identical(draw(seed = 2, cores = 2), draw(seed = 2, margin = -7))
})

test_that("fuse() takes no recipients, too", {
  skip_without_python()
  fused <- quietly(fuse(recipients()[0], model(), M = 2, retain = "hid"))
  expect_identical(dim(fused), c(0L, 7L))
  expect_identical(levels(fused$insulation), levels(donors()$insulation))
})

test_that("fuse(fsd =) returns the path, and read_fsd() reads it", {
  skip_without_python()
  data <- recipients()
  data$day <- Sys.Date() + seq_len(nrow(data))
  for (ending in c(".fsd", ".parquet")) {
    fsd <- tempfile(fileext = ending)
    path <- quietly(withVisible(fuse(data, model(), fsd = fsd, M = 3, retain = c("hid", "day"), seed = 1)))
    expect_true(path$visible)
    expect_identical(path$value, fsd)
    whole <- quietly(fuse(data, model(), M = 3, retain = c("hid", "day"), seed = 1))
    expect_equal(as.data.frame(read_fsd(fsd, M = Inf)), as.data.frame(whole))
    expect_identical(data.table::key(read_fsd(fsd)), "M")
    expect_identical(unique(read_fsd(fsd)$M), 1L)
    expect_named(read_fsd(fsd, columns = c("solar", "hid")), c("solar", "hid"))
    some <- read_fsd(fsd, M = 2, df = data[c(3, 5), "hid"])
    expect_identical(some$hid, rep(data$hid[c(3, 5)], 2))
  }
})

test_that("prepXY() gives lists that train() takes, with attributes", {
  skip_without_python()
  y <- list("insulation", c("electricity", "vehicles"), "gas_bill")
  prep <- quietly(prepXY(donors(), y, X, weight = "weight", xforce = "urban", seed = 1))
  expect_named(prep, c("y", "x"))
  expect_setequal(lapply(prep$y, sort), y)
  expect_type(prep$x, "list")
  expect_length(prep$x, 3)
  expect_true(all(vapply(prep$x, function(names) "urban" %in% names, NA)))
  expect_identical(attr(prep, "xforce"), "urban")
  expect_identical(attr(prep, "xoriginal"), X)
  expect_true(all(attr(prep, "xpredictors") %in% X))
  expect_null(attr(quietly(prepXY(donors(), c("solar", "vehicles"), X)), "xforce"))
})

test_that("analyze() gives the reference's columns", {
  skip_without_python()
  fused <- quietly(fuse(recipients(), model(), M = 3, seed = 1))
  found <- quietly(analyze(list(mean = c("electricity", "insulation"), sum = "solar", median = "electricity"), fused,
                           static = recipients(), weight = "weight", by = "urban"))
  expect_named(found, c("urban", "N", "y", "level", "type", "est", "moe"))
  expect_type(found$N, "integer")
  expect_setequal(found$type, c("mean", "proportion", "count", "median"))
  one <- fused[recipients()$urban[rep(1:100, 3)], ]
  w <- recipients()$weight[recipients()$urban]
  means <- vapply(1:3, function(m) weighted.mean(one$electricity[one$M == m], w), 0)
  expect_equal(found[urban == TRUE & type == "mean"]$est, mean(means))
  more <- quietly(analyze(list(p90 = "electricity", ratio = "gas_bill/electricity"), fused, detailed = TRUE))
  expect_true(all(c("se", "df", "lower", "upper", "fmi", "n_eff") %in% names(more)))
  expect_setequal(more$y, c("electricity", "gas_bill/electricity"))
})

test_that("analyze() reads files, and takes columns that a function makes", {
  skip_without_python()
  fsd <- quietly(fuse(recipients(), model(), fsd = tempfile(fileext = ".fsd"), M = 3, seed = 1))
  fused <- read_fsd(fsd, M = Inf)
  ask_for <- function(of, ...) quietly(analyze(list(mean = "electricity"), of, static = recipients(), by = "urban", ...))
  expect_identical(ask_for(fsd), ask_for(fused))
  per_room <- function(df) data.frame(per_room = df$electricity / df$rooms, big = df$electricity > 1e4)
  found <- quietly(analyze(list(mean = c("per_room", "big")), fsd, static = recipients(), fun = per_room))
  wanted <- mean(fused$electricity / rep(recipients()$rooms, 3))
  expect_equal(found[y == "per_room"]$est, wanted)
  expect_equal(sum(found[y == "big"]$est), 1)
})

test_that("validate() gives its class, prints averages, and plot_valid() draws", {
  skip_without_python()
  fused <- quietly(fuse(donors(), model(), M = 3, seed = 1))
  utils::capture.output(valid <- quietly(validate(donors(), fused, c("urban", "rooms"), weight = "weight", plot = FALSE)))
  expect_s3_class(valid, c("validate", "data.table", "data.frame"), exact = TRUE)
  expect_named(valid, c("id", "share", "y", "level", "est.obs", "moe.obs", "est.sim", "moe.sim", "est.mean"))
  expect_output(print(valid), "value added")
  expect_output(print(valid[valid$y == "solar"]), "est.obs")
  folder <- tempfile("figures")
  utils::capture.output(drawn <- quietly(plot_valid(valid, y = "solar", path = folder, dpi = 40)))
  expect_named(drawn$plots, c("est", "vad", "moe", "solar"))
  expect_setequal(list.files(folder), paste0(c("allvars", "solar"), "_", rep(c("est", "vad", "moe"), each = 2), ".png"))
  expect_error(plot_valid(data.frame()), class = "fusionpy_argument_error")
  expect_error(plot_valid(valid, y = "solr"), "solar", class = "fusionpy_argument_error")
  utils::capture.output(drawn <- quietly(validate(donors(), fused, "urban", plot = TRUE, y = "solar")))
  expect_s3_class(drawn, c("validate", "list"), exact = TRUE)
  expect_named(drawn, c("plots", "perf", "smooth", "data"))
})

test_that("impute() keeps class, order, classes and observed values", {
  skip_without_python()
  data <- donors()[, c("hid", "region", "rooms", "income", "insulation", "solar", "weight")]
  data$region <- as.character(data$region)
  data$when <- Sys.time() + seq_len(nrow(data))
  data$income[1:3] <- c(NA, NaN, NA)
  for (name in c("region", "rooms", "insulation", "solar")) data[[name]][seq(5, 600, 9)] <- NA
  frames <- list(data, as.data.frame(data))
  if (requireNamespace("tibble", quietly = TRUE)) frames <- c(frames, list(tibble::as_tibble(data)))
  for (frame in frames) {
    before <- data.table::copy(frame)
    full <- quietly(impute(frame, weight = "weight", ignore = c("hid", "when"), seed = 1))
    expect_identical(frame, before)
    expect_identical(lapply(full, class), lapply(frame, class))
    expect_identical(class(full), setdiff(class(frame), c("tbl_df", "tbl")))
    expect_named(full, names(frame))
    expect_false(anyNA(full))
    for (name in names(frame)) {
      seen <- !is.na(frame[[name]])
      expect_identical(full[[name]][seen], frame[[name]][seen], info = name)
      expect_true(all(full[[name]] %in% frame[[name]][seen]), info = name)
      expect_identical(levels(full[[name]]), levels(frame[[name]]), info = name)
    }
  }
  twice <- quietly(impute(data, weight = "weight", ignore = c("hid", "when"), seed = 1, M = 2))
  expect_identical(dim(twice), c(1200L, 9L))
  expect_identical(data.table::key(twice), "M")
  expect_false(anyNA(twice))
  expect_error(impute(full, ignore = "when"), "[Nn]othing", class = "fusionpy_schema_error")
})

test_that("importance() gives the reference's two tables", {
  skip_without_python()
  found <- importance(model())
  expect_named(found, c("summary", "detailed"))
  expect_named(found$summary, c("y", "x", "gain", "cover", "frequency"))
  expect_named(found$detailed, c("y", "model", "x", "gain", "cover", "frequency"))
  sums <- rowsum(found$summary[c("gain", "cover", "frequency")], found$summary$y)
  expect_equal(unlist(sums, use.names = FALSE), rep(1, 3 * nrow(sums)))
  held <- load_donor()[1001:1200]
  expect_true("permutation" %in% names(importance(model(), data = held, seed = 1)$summary))
})

test_that("validate() reads files, and leaves out what cannot be compared", {
  skip_without_python()
  data <- as.data.frame(donors())
  data$day <- Sys.Date() + seq_len(nrow(data))
  data$mixed <- rep(list(1, "a"), nrow(data) / 2)
  fused <- quietly(fuse(data, model(), M = 2, retain = c("hid", "mixed", "day"), seed = 1))
  fsd <- quietly(fuse(data, model(), fsd = tempfile(fileext = ".fsd"), M = 2, retain = "hid", seed = 1))
  utils::capture.output({
    from_frame <- quietly(validate(data, fused, "urban", plot = FALSE))
    from_file <- quietly(validate(data, fsd, "urban", plot = FALSE))
  })
  expect_identical(as.data.frame(from_file), as.data.frame(from_frame))
  expect_setequal(from_frame$y, c("insulation", "electricity", "vehicles", "solar", "gas_bill"))
  data$electricity[1:3] <- NA
  expect_match(record(validate(data, fused, "urban", plot = FALSE))$messages, "`electricity`: 3 records", all = FALSE)
  expect_error(validate(data, fused[1:600], "urban"), "one implicate", class = "fusionpy_schema_error")
  expect_error(validate(data, fused, "urbn"), "urban", class = "fusionpy_schema_error")
})

test_that("analyze() refuses groups that are called as columns of the result", {
  for (name in c("N", "type", "est")) {
    fused <- data.frame(M = rep(1:2, each = 3), a = 1:6, b = c("u", "v", "v"))
    names(fused)[3] <- name
    expect_error(analyze(list(mean = "a"), fused, by = name), name, class = "fusionpy_argument_error")
  }
})

test_that("analyze() refuses what is no function, and implicates without M", {
  skip_without_python()
  expect_error(analyze(list(mean = "a"), data.frame(M = 1, a = 1), fun = 3), "function", class = "fusionpy_argument_error")
  expect_error(analyze(list(mean = "a"), data.frame(a = 1), fun = identity), "M", class = "fusionpy_schema_error")
})

test_that("what does not draw leaves R's random numbers alone", {
  skip_without_python()
  fused <- quietly(fuse(recipients(), model(), M = 2, seed = 1))
  set.seed(1)
  before <- .Random.seed
  quietly(analyze(list(mean = "electricity"), fused))
  first <- quietly(analyze(list(median = "electricity"), fused, pooling = "rubin"))
  importance(model())
  quietly(fuse(recipients(), model(), seed = 4))
  expect_identical(.Random.seed, before)
  set.seed(1)
  expect_identical(quietly(analyze(list(median = "electricity"), fused, pooling = "rubin")), first)
})
