# train_accepts.json: what the original's train() accepts, and what it makes of it. Every entry is tried.

accepts <- function(section = NULL) {
  if (is.null(made$accepts)) {
    made$accepts <- jsonlite::read_json(shared_file("reference", "original", "train_accepts.json"),
                                        simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
  }
  if (is.null(section)) made$accepts else made$accepts[[section]]
}

# Where we answer otherwise, and why; differences.yaml says the same.
OTHERWISE <- list(
  # The original stops, by a fault or a limit of its own; here it works.
  nfolds_.999 = "one donor is enough to validate",
  nclusters_1 = "a single pool is a pool",
  fsn_relative_new_folder = "R itself crashes; the folders are made, as for absolute paths",
  weight_negative = "taken as 0, with a warning",
  weight_zero = "such donors play no part",
  x_character = "taken as unordered factors, with a warning",
  y_character = "likewise",
  cores_100 = "threads; the result does not depend on them",
  # The original goes on, to wrong results; here it is an error that says so.
  y_duplicate = "its fuse() fails",
  y_in_x = "a variable that predicts itself",
  xlist_names_later_y = "recipients lack it when the step is drawn",
  block_dup_across = "its fuse() fails",
  y_Inf = "there is no mean to learn: the original's mean model stops after one round"
)
# Accepted by both, but with a warning here: the original is silent.
WARNED <- c("objective", "y_constant", "weight_negative", "x_character", "y_character")

# What stands for the texts of `args` that are descriptions.
SAID <- list(
  fsn_relative_new_folder = list(fsn = "n1/n2/m.fsn", nfolds = 0.8),
  fsn_absolute_new_folder = quote(list(fsn = file.path(getwd(), "n3", "n4", "m.fsn"), nfolds = 0.8)),
  fsn_is_an_existing_folder = list(fsn = "dd/x.fsn", nfolds = 0.8)
)

# The donors as an entry's name says that they are.
altered <- function(name, d) {
  set <- function(column, value) {
    d[[column]] <- value
    d
  }
  at <- function(column, value) set(column, replace(as.numeric(d[[column]]), 3, value))
  switch(name,
    weight_NA = at("weight", NA), weight_negative = at("weight", -1), weight_zero = at("weight", 0),
    y_NA = at("electricity", NA), x_NA_ok = at("age", NA), x_Inf = at("age", Inf), y_Inf = at("electricity", Inf),
    x_character = set("race", as.character(d$race)), y_character = set("electricity", as.character(d$electricity)),
    y_named_M = set("M", d$electricity), y_named_W = set("W..1", d$electricity),
    name_not_syntactic = set("a b", d$electricity), y_constant = set("electricity", 5), x_constant = set("age", 5),
    x_date = , y_date = set("when", as.Date("2020-01-01") + seq_len(nrow(d))),
    y_unused_level = set("insulation", factor(d$insulation, c(levels(d$insulation), "never"))),
    d)
}

# Call train() as an entry says.
try_entry <- function(section, name, entry, base) {
  d0 <- recs_donors()[1:400, ]
  dn <- dw <- altered(name, d0)
  pv <- c("income", "age", "race", "hh_size", "renter")
  given <- if (is.null(SAID[[name]])) parse(text = paste0("list(", entry$args, ")"))[[1]] else SAID[[name]]
  given <- eval(given)
  # `num_iterations`, which makes the calls short, was typed last, as the order of the grids' columns shows.
  if ("num_iterations" %in% names(given$hyper) && is.list(given$hyper) && !is.data.frame(given$hyper)) {
    given$hyper <- given$hyper[order(names(given$hyper) == "num_iterations")]
  }
  arguments <- utils::modifyList(list(data = d0, y = "electricity", x = pv, seed = 1), base[[section]])
  for (argument in names(given)) arguments[argument] <- given[argument]
  if (is.null(arguments$fsn)) arguments$fsn <- paste0(section, "-", name, ".fsn")
  record(do.call(train, arguments))
}

BASE <- list(
  hyper = list(), opts = list(hyper = list(num_iterations = 15)), files = list(hyper = list(num_iterations = 10)),
  calls = list(hyper = list(num_iterations = 10), nfolds = 0.8)
)

# What the archive has beside what an entry says: all that differs.
archive_differences <- function(path, entry, name) {
  found <- utils::unzip(path, list = TRUE)$Name
  folder <- tempfile("inside")
  if (!"metadata.rds" %in% found) return(paste0(name, ": nothing for R in the archive"))
  utils::unzip(path, "metadata.rds", exdir = folder)
  metadata <- readRDS(file.path(folder, "metadata.rds"))
  problems <- character()
  note <- function(...) problems <<- c(problems, paste0(name, ": ", ...))
  if (!setequal(grep("/", found, value = TRUE), grep("/", entry$members, value = TRUE))) note("members ", told(found))
  if (!all(c("donor.fst", "metadata.rds") %in% found)) note("members of R ", told(found))
  if (!isTRUE(all.equal(metadata$ptiles, entry$ptiles, tolerance = 1e-7))) note("percentiles ", told(metadata$ptiles))
  for (model in names(entry$grid)) {
    mine <- metadata$hyper_results[[1]][[model]]
    theirs <- lapply(entry$grid[[model]], unlist)
    if (!identical(names(mine), names(theirs))) note("columns of the grid: ", told(names(mine)))
    if (sum(mine$final_model) != 1) note("final models: ", told(mine$final_model))
    if (mine$best_score[mine$final_model] != min(mine$best_score)) note("not the best: ", told(mine))
    if (which(mine$final_model) != which.min(mine$best_score)) note("a tie does not go to the first: ", told(mine))
    for (column in setdiff(names(theirs), c("best_score", "best_iter", "final_model"))) {
      value <- if (is.factor(mine[[column]])) as.character(mine[[column]]) else mine[[column]]
      if (!isTRUE(all.equal(value, theirs[[column]], check.attributes = FALSE))) note(column, " in the grid: ", told(value))
    }
  }
  c(problems, mean_model_differences(path, entry, name, folder))
}

# Kinds of boosting and sampling that the mean model says it was made by.
mean_model_differences <- function(path, entry, name, folder) {
  theirs <- entry$parameters_written_in_mean_model[c("boosting", "data_sample_strategy", "feature_fraction", "max_bin")]
  if (is.null(entry$parameters_written_in_mean_model)) return(character())
  utils::unzip(path, "1/electricity_m.txt", exdir = folder)
  lines <- readLines(file.path(folder, "1", "electricity_m.txt"))
  grid <- entry$grid$m
  open <- names(Filter(function(values) length(unique(unlist(values))) > 1, grid)) # which row is best is drawn
  problems <- character()
  for (parameter in setdiff(names(theirs), open)) {
    wanted <- sprintf("[%s: %s]", parameter, theirs[[parameter]])
    if (!wanted %in% lines) problems <- c(problems, paste0(name, ": no ", wanted, " in the mean model"))
  }
  problems
}

try_section <- function(section) {
  folder <- tempfile("accepts")
  dir.create(file.path(folder, "dd", "x.fsn"), recursive = TRUE)
  home <- Sys.getenv("HOME")
  before <- setwd(folder)
  Sys.setenv(HOME = folder)
  on.exit({
    setwd(before)
    Sys.setenv(HOME = home)
  })
  old <- options(fusionpy.method = "fusionModel")
  on.exit(options(old), add = TRUE)
  writeLines("not a model", "exists.fsn")
  writeLines("not a model", "nfolds_0.8.fsn")
  problems <- character()
  tried <- character()
  for (name in names(accepts(section))) {
    entry <- accepts(section)[[name]]
    tried <- c(tried, name)
    said <- try_entry(section, name, entry, BASE)
    note <- function(...) problems <<- c(problems, paste0(name, ": ", ...))
    wanted <- xor(entry$accepted, name %in% names(OTHERWISE))
    if (wanted != is.null(said$error)) {
      note(if (wanted) "is to be accepted: " else "is to be refused", if (wanted) conditionMessage(said$error))
      next
    }
    if (!wanted) {
      if (!inherits(said$error, "fusionpy_error")) note("not an error of ours: ", class(said$error)[1])
      next
    }
    if (said$visible || !file.exists(said$value) || !startsWith(said$value, "/")) note("value ", said$value)
    if (length(said$warnings) != (name %in% WARNED)) note("warnings: ", told(said$warnings))
    if (!is.null(entry$said) && grepl("a message", entry$said) && !any(grepl("one value only", said$messages))) {
      note("no message")
    }
    if (!is.null(entry$members)) problems <- c(problems, archive_differences(said$value, entry, name))
  }
  list(problems = problems, tried = tried)
}

for (section in c("hyper", "opts", "files", "calls")) {
  test_that(paste("what the original's train() accepts or refuses, section", section), {
    skip_without_python()
    skip_without_shared()
    found <- try_section(section)
    expect_identical(found$problems, character())
    expect_identical(found$tried, names(accepts(section)))
  })
}

test_that("exceptions are entries, and there are 120 of these", {
  skip_without_shared()
  every <- unlist(lapply(c("hyper", "opts", "files", "calls"), function(section) names(accepts(section))))
  expect_identical(setdiff(c(names(OTHERWISE), WARNED, names(SAID)), every), character())
  expect_length(every, 120)
})

test_that("train() tells what the original tells, where it tells it", {
  skip_without_python()
  y <- list("insulation", c("vehicles", "solar"), "electricity")
  file <- file.path(tempfile("new"), "folders", "model.fsn")
  said <- record(train(donors(), y, X, fsn = file, hyper = FAST, refits = 0))
  expect_false(said$visible)
  expect_identical(said$value, file)
  plain <- gsub("^.* ?(ℹ|i) |\n$", "", said$messages)
  at <- function(pattern) {
    found <- grep(pattern, plain)
    expect_length(found, 1)
    found
  }
  order <- c(at("all available predictors"), at("^4 fusion variables, 5 initial predictors, 600 donors"),
             at("^Step 1 of 3: insulation"), at("^Step 2 of 3: vehicles, solar"), at("^Step 3 of 3: electricity"),
             at("^R-squared of cluster means: 0?\\.[0-9]+|^R-squared of cluster means: 1"), at("^Donors per cluster"),
             at("The model is in .*model.fsn"), at("took [0-9.]+ secs"))
  expect_false(is.unsorted(order, strictly = TRUE))
  expect_length(said$printed, 2) # of the one continuous step that stands alone
  expect_match(said$printed[1], "Min. 1st Qu.  Median    Mean 3rd Qu.    Max.", fixed = TRUE)
  own <- record(train(donors(), c("solar", "electricity"), list(X, c(X, "solar")), fsn = file, hyper = FAST, refits = 0))
  expect_match(own$messages, "specified", all = FALSE)
})

test_that("formals are what is used: three percentiles only for the paper's method", {
  skip_without_python()
  models <- function(...) {
    file <- quietly(train(donors(), "electricity", X, fsn = tempfile(fileext = ".fsn"), hyper = FAST, refits = 0, ...))
    unique(importance(file)$detailed$model)
  }
  utils::capture.output({
    expect_setequal(models(), c("m", "q1", "q2"))
    expect_setequal(models(nquantiles = 3), c("m", "q1", "q2", "q3"))
    expect_setequal(models(method = "fusionModel"), c("m", "q1", "q2"))
    expect_setequal(models(method = "2024"), c("m", "q1", "q2", "q3"))
    expect_setequal(models(method = "2024", nquantiles = 2), c("m", "q1", "q2"))
  })
})

# The method that a model says it was trained by.
read_method <- function(file) {
  folder <- tempfile("inside")
  utils::unzip(file, "manifest.json", exdir = folder)
  jsonlite::read_json(file.path(folder, "manifest.json"))$options$method
}

test_that("the option sets the method of a whole script, and is checked", {
  skip_without_python()
  method_of <- function(...) {
    utils::capture.output(file <- quietly(train(donors(), "solar", X, fsn = tempfile(fileext = ".fsn"), hyper = FAST,
                                                refits = 0, nfolds = 2, ...)))
    read_method(file)
  }
  expect_identical(method_of(), "default")
  old <- options(fusionpy.method = "fusionModel")
  on.exit(options(old))
  expect_identical(method_of(), "fusionModel")
  expect_identical(method_of(method = "2024"), "2024")
  fused <- data.table::data.table(M = rep(1:3, each = 20), a = sin(1:60), key = "M")
  estimate <- function(...) quietly(analyze(list(mean = "a"), fused, ...))
  as_original <- estimate()
  expect_identical(as_original, estimate(pooling = "rubin"))
  prep <- function(...) quietly(prepXY(donors(), c("solar", "electricity"), X, seed = 1, ...))
  expect_identical(prep(), prep(method = "fusionModel"))
  options(fusionpy.method = NULL)
  expect_identical(estimate(), estimate(pooling = "barnard-rubin"))
  expect_false(identical(estimate()$moe, as_original$moe))
  options(fusionpy.method = "2024")
  expect_identical(method_of(), "2024")
  expect_identical(prep(), prep(method = "default"))
  expect_identical(estimate(), estimate(pooling = "barnard-rubin"))
  options(fusionpy.method = "fusionmodel")
  for (call in list(quote(estimate()), quote(prep()), quote(method_of()))) {
    expect_error(eval(call), "`fusionpy.method` must be one of", class = "fusionpy_argument_error")
  }
})

test_that("hyper is a list, of vectors too; what is no list is refused", {
  expect_wrong <- function(value) expect_s3_class(hyperparameters(value), "wrong")
  json <- function(value) as.character(to_json(hyperparameters(value)))
  expect_identical(json(list(boosting = c("gbdt", "goss"), num_leaves = 2^(4:5), extra_trees = c(TRUE, FALSE))),
                   "{\"boosting\":[\"gbdt\",\"goss\"],\"num_leaves\":[16,32],\"extra_trees\":[true,false]}")
  expect_identical(json(list(8, num_leaves = 4L)), "{\"Var1\":8,\"num_leaves\":4}")
  expect_identical(json(list()), "{}")
  expect_identical(json(data.frame(num_leaves = 4, max_bin = 15)), "{\"num_leaves\":4,\"max_bin\":15}")
  expect_wrong(c(num_leaves = 8))
  expect_wrong("num_leaves")
  expect_wrong(data.frame(num_leaves = c(4, 8)))
  expect_wrong(list(num_leaves = 4, num_leaves = 8))
  expect_wrong(list(num_leaves = NULL))
  expect_wrong(list(num_leaves = NA))
})

test_that("train() keeps the rules that structures.json has for it", {
  skip_without_python()
  skip_without_shared()
  rules <- structures("train")[["_rules"]]
  expect_match(rules$value, "absolute")
  expect_match(rules$messages, "2 lines per such step")
  d <- recs_donors()[1:200, ]
  frames <- list(data.frame = d, data.table = data.table::as.data.table(d))
  if (requireNamespace("tibble", quietly = TRUE)) frames$tibble <- tibble::as_tibble(d)
  before <- setwd(tempdir())
  on.exit(setwd(before))
  for (kind in names(frames)) {
    expect_match(rules$input, kind)
    data <- frames[[kind]]
    kept <- data.table::copy(data)
    said <- record(train(data, list("electricity", "insulation", c("propane", "aircon"), "square_feet"),
                         c("income", "age"), fsn = "relative.fsn", weight = "weight", hyper = FAST, nfolds = 0.8,
                         method = "fusionModel", seed = 1))
    expect_null(said$error)
    expect_identical(said$visible, rules$visible)
    expect_identical(said$value, file.path(normalizePath(tempdir()), "relative.fsn"))
    expect_identical(said$warnings, character())
    expect_length(said$printed, 2 * 2) # two steps of a single continuous variable
    expect_length(grep("^.*R-squared", said$messages), 2)
    expect_length(grep("Step [1-4] of 4", said$messages), 4)
    expect_identical(data, kept)
    expect_identical(names(data), names(kept))
  }
})

test_that("areas go through train() and fuse(), whatever R's type of them", {
  skip_without_python()
  donor <- donors(400)
  recipient <- recipients(100)
  donor$state <- sprintf("%02d", seq_len(400) %% 15)
  recipient$state <- sprintf("%02d", seq_len(100) %% 20)
  donor$county <- seq_len(400) %% 30 + 6001
  recipient$county <- as.integer(seq_len(100) %% 35 + 6001)
  arguments <- list(y = "electricity", x = X, hyper = FAST, refits = 2, seed = 1, areas = c("state", "county"))
  file <- tempfile(fileext = ".fsn")
  trained <- function(data) quietly(do.call(train, c(list(data, fsn = file), arguments)))
  utils::capture.output(trained(donor))
  fused <- quietly(fuse(recipient, file, M = 3, retain = "county", seed = 1))
  expect_identical(nrow(fused), 300L)
  expect_identical(fused$county, rep(recipient$county, 3))
  recipient$state <- factor(recipient$state) # levels that no donor has are no error
  recipient$county <- as.numeric(recipient$county)
  expect_identical(quietly(fuse(recipient, file, M = 3, seed = 1))$electricity, fused$electricity)
  written <- quietly(fuse(recipient, file, fsd = tempfile(fileext = ".fsd"), M = 3, seed = 1))
  expect_identical(read_fsd(written, M = 3)$electricity, fused$electricity)
  expect_error(quietly(fuse(recipient[, -"county"], file, seed = 1)), "county")
})
