# analyze() held against the original's own answers: every call of analyze_more_calls.json, as it was typed.

original_calls <- function() {
  if (is.null(made$calls)) {
    made$calls <- jsonlite::read_json(shared_file("reference", "original", "analyze_more_calls.json"),
                                      simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
  }
  made$calls
}

# All 127 columns: the fst file of the shared data lacks the replicate weights.
recipients_with_replicates <- function() {
  if (is.null(made$with_replicates)) {
    every <- read_reference("..", "data", "recs2015.csv.gz")
    names <- grep("^rep_", names(every), value = TRUE)
    made$with_replicates <- cbind(recs_recipients(), every[seq(2, nrow(every), 2), names])
  }
  made$with_replicates
}

# Where calls are evaluated: I(), S(), I0, S0, fd and rr as `_about` and the notes describe them. Calls begin with
# analyze(, which repeats the original's margins.
calling <- function() {
  from <- new.env(parent = globalenv())
  implicates <- reference_implicates("implicates_readme_recipient_M20.csv.gz")
  from$I0 <- as.data.frame(implicates)
  from$S0 <- recipients_with_replicates()
  from$I <- function() data.table::as.data.table(from$I0)
  from$S <- function() data.table::as.data.table(from$S0)
  from$analyze <- function(...) fusionpy::analyze(..., pooling = "rubin")
  from$fd <- function(d) {
    data.frame(hi = d$electricity > 10000, per = d$electricity / d$hh_size,
               g = factor(ifelse(d$square_feet > 2000, "big", "small"), c("small", "big", "huge")))
  }
  from$key <- data.table::key # which scripts attach
  from$data.table <- data.table::data.table
  from$seen <- list()
  from$rr <- function(d) {
    from$seen <- c(from$seen, list(d))
    data.frame(z = d$electricity)
  }
  environment(from$fd) <- globalenv()
  from
}

# Lines of functions were put one behind the other, with indentation between them.
run <- function(call, from) eval(parse(text = gsub("     ", "\n", call$call)), from)

KINDS <- c("how many implicates" = "implicates\\.", "one implicate: no moe" = "One implicate",
           "weights taken as equal" = "taken as equal", "how many replicate weights are used of how many" = "of [0-9]+ replicate",
           "fun is being applied" = "Applying `fun`", "time taken" = "Estimated in")

# Faults of the original, and calls that it refuses: what is different here, each with its entry in differences.yaml.
OTHERWISE <- c(
  static_NA_in_mean = "a warning, and rows of both variables", static_NA_factor_y = "a warning, and rows that are aligned",
  fun_NA = "a warning, and both implicates' values", mean_twice = "both entries", weight_negative = "taken as 0, with a warning",
  fun_short_columns = "refused", fun_wrong_rows = "refused", implicate_NA = "a warning", median_only = "answered",
  median_only_with_by = "answered", by_is_y = "answered", rep10_too_few = "answered", character_static = "answered",
  M_gap = "answered"
)

call_names <- function() {
  calls <- original_calls()
  names(calls)[!startsWith(names(calls), "_")]
}

# What is not as described: structure, rows, numbers, visibility, messages, warnings, lines printed.
departures <- function(name, said, call) {
  described <- call$result
  found <- said$value
  if (!is.null(said$error)) return(paste0(name, ": ", conditionMessage(said$error)))
  note <- character()
  check <- function(what, mine, theirs) {
    if (!isTRUE(all.equal(mine, theirs, tolerance = 1e-6))) note <<- c(note, paste0(name, ": ", what, " is ", told(mine), ", not ", told(theirs)))
  }
  check("class", class(found), described$class)
  check("dim", dim(found), as.integer(described$dim))
  check("names", names(found), described$names)
  check("classes", lapply(found, class), lapply(described$column_classes, as.character))
  check("key", data.table::key(found), described$key)
  for (by in names(described$factor_levels)) check(by, levels(found[[by]]), described$factor_levels[[by]])
  others <- setdiff(names(attributes(found)), c("names", "row.names", "class", ".internal.selfref"))
  check("other attributes", others, as.character(described$other_attributes))
  check("visible", said$visible, call$visible)
  if (!is.null(call$file)) note <- c(note, number_departures(name, found, call))
  note <- c(note, said_departures(name, said, call$conditions))
  note
}

number_departures <- function(name, found, call) {
  theirs <- read_reference("original", call$file)
  mine <- as.data.frame(found)
  note <- character()
  for (column in names(theirs)) {
    a <- mine[[column]]
    b <- theirs[[column]]
    if (is.factor(a) || column == "level") a <- as.character(a)
    if (column == "level") b <- as.character(b)
    tolerance <- 1e-6
    rows <- rep(TRUE, length(b))
    if (column %in% c("est", "moe")) {
      median <- theirs$type == "median" # see differences.yaml: ties, and bootstraps in small groups
      rows <- !(median & column == "moe" & name == "median_by_small_groups")
      tolerance <- ifelse(median, if (column == "est") 1e-4 else 1e-3, 1e-6)
      same <- if (identical(is.na(a), is.na(b))) is.na(b) | abs(a - b) <= tolerance * abs(b) else rep(FALSE, length(b))
    } else {
      same <- rep(identical(as.character(a), as.character(b)), length(b))
    }
    if (!all(same[rows])) note <- c(note, paste0(name, ": ", column, " differs: ", told(utils::head(a)), ", not ", told(utils::head(b))))
  }
  note
}

said_departures <- function(name, said, conditions) {
  kinds <- vapply(said$messages, function(text) {
    found <- names(KINDS)[vapply(KINDS, grepl, NA, text)]
    if (length(found)) found[1] else text
  }, "", USE.NAMES = FALSE)
  kinds <- grep("analyze: [0-9]+/[0-9]+", kinds, invert = TRUE, value = TRUE) # how far it is, in a log
  note <- character()
  if (!identical(kinds, conditions$messages)) {
    note <- paste0(name, ": said ", told(kinds), ", not ", told(conditions$messages))
  }
  if (length(said$warnings)) note <- c(note, paste0(name, ": warned: ", told(said$warnings)))
  if (length(said$printed) != conditions$printed) note <- c(note, paste0(name, ": printed ", told(said$printed)))
  note
}

test_that("every call of the original's gives its structure, rows, numbers and messages", {
  skip_without_python()
  skip_without_shared()
  from <- calling()
  found <- character()
  n <- 0
  for (name in setdiff(call_names(), names(OTHERWISE))) {
    call <- original_calls()[[name]]
    if (!is.null(call$error)) next
    n <- n + 1
    said <- record(run(call, from))
    found <- c(found, departures(name, said, call))
  }
  expect_identical(found, character())
  expect_gt(n, 50)
  expect_identical(original_calls()$`_inputs_changed_by_reference`, list(implicates = FALSE, static = FALSE))
  expect_identical(from$S0, recipients_with_replicates())
  expect_identical(from$I0, as.data.frame(reference_implicates("implicates_readme_recipient_M20.csv.gz")))
})

test_that("every call that the original refuses is refused, but those that make sense", {
  skip_without_python()
  skip_without_shared()
  from <- calling()
  for (name in call_names()) {
    call <- original_calls()[[name]]
    if (is.null(call$error) || name %in% names(OTHERWISE)) next
    said <- record(run(call, from))
    expect(inherits(said$error, "fusionpy_error"), paste0(name, ": ", told(said$error)))
  }
  refused <- c("fun_short_columns", "fun_wrong_rows")
  for (name in refused) {
    expect_s3_class(record(eval(parse(text = original_calls()[[name]]$call), from))$error, "fusionpy_schema_error")
  }
  warned <- c("static_NA_in_mean", "static_NA_factor_y", "fun_NA", "implicate_NA")
  for (name in setdiff(names(OTHERWISE), refused)) {
    said <- record(eval(parse(text = original_calls()[[name]]$call), from))
    expect_null(said$error, info = name)
    expect_s3_class(said$value, "data.table")
    expected <- if (name == "weight_negative") "taken as 0" else if (name %in% warned) "Values are missing, and left out" else "none"
    expect_match(c(said$warnings, "none")[1], expected, info = name)
  }
})

test_that("fun is called once, with what the original gives it but one column M", {
  skip_without_python()
  skip_without_shared()
  from <- calling()
  probes <- grep("^fun_probe", call_names(), value = TRUE)
  expect_length(probes, 5)
  for (name in probes) {
    call <- original_calls()[[name]]
    from$seen <- list()
    said <- record(run(call, from))
    expect_null(said$error, info = name)
    expect_length(from$seen, call$fun$called_times)
    d <- from$seen[[1]]
    expect_identical(class(d), call$fun$class, info = name)
    expect_identical(nrow(d), as.integer(call$fun$rows), info = name)
    expect_null(data.table::key(d))
    is_replicate <- grepl("^rep_[0-9]+$", names(d))
    expect_identical(names(d)[!is_replicate], call$fun$columns[-1], info = name)
    expect_identical(sum(is_replicate), as.integer(call$fun$replicate_weight_columns_seen), info = name)
    expect_identical(class(d$W), call$fun$W_class)
    expect_identical(class(d$WR), call$fun$WR_class)
    w <- if (grepl("no_static", name)) rep(1, 8529) else rep(as.numeric(from$S0$weight), 3)
    expect_identical(d$W, w, info = name)
    wr <- if (grepl("_rep$", name)) as.numeric(unlist(from$S0[paste0("rep_", 1:3)])) else w
    expect_identical(d$WR, unname(wr), info = name)
  }
  call <- original_calls()$rep_names_in_fun
  on.exit(rm(list = c("NN", "KK"), envir = globalenv()))
  quietly(run(call, from))
  expect_identical(names(get("NN", globalenv())), call$fun_saw$columns[-1])
  expect_identical(get("KK", globalenv()), list(call$fun_saw$rows, call$fun_saw$class, NULL))
})

test_that("the rules of analyze in structures.json hold, with our margins too", {
  skip_without_python()
  skip_without_shared()
  rules <- structures("analyze")[["_rules"]]
  expect_match(rules$columns, "N \\(integer\\), y, level, type")
  from <- calling()
  one <- function(...) suppressWarnings(quietly(fusionpy::analyze(..., implicates = from$I0, static = from$S0)))
  found <- one(list(sum = c("insulation", "electricity"), mean = c("insulation", "use_ng")), by = c("renter", "aircon"))
  expect_identical(class(found), c("data.table", "data.frame"))
  expect_null(data.table::key(found))
  expect_type(found$N, "integer")
  expect_named(found, c("renter", "aircon", "N", "y", "level", "type", "est", "moe"))
  expect_identical(found$y[1:11], rep(c("electricity", "insulation", "use_ng"), c(1, 8, 2)))
  expect_identical(found$type[1:11], rep(c("sum", "count", "proportion"), c(1, 4, 6)))
  expect_identical(found$level[10:11], c("FALSE", "TRUE"))
  expect_false(is.unsorted(found$renter))
  of_numbers <- one(list(mean = "electricity"))
  expect_type(of_numbers$level, "logical")
})
