# analyze(): functions of the user's, formulas, several groupings, layouts.

fused_small <- function() {
  if (is.null(made$fused)) made$fused <- quietly(fuse(recipients(), model(), M = 3, seed = 1))
  data.table::copy(made$fused)
}

of <- function(..., static = recipients()) quietly(analyze(..., static = static))

# In the environment of a script, where data.table is attached or imported.
as_typed <- function(text) eval(parse(text = text), list2env(list(data.table = data.table::data.table), parent = globalenv()))

test_that("data.table's syntax works inside fun, and what fun changes is its own", {
  skip_without_python()
  fused <- fused_small()
  static <- recipients()
  before <- list(data.table::copy(fused), data.table::copy(static))
  per_head <- mean(fused$electricity / rep(static$hh_size, 3))
  ways <- c(
    "function(d) d[, .(z = electricity / hh_size)]",
    "function(d) data.frame(z = d$electricity / d$hh_size)",
    "function(d) { d[, z := electricity / hh_size]; d }",
    "function(d) { d[, z := electricity / hh_size]; d[, electricity := 0L]; d[, rooms := NULL]; d[, .(z)] }",
    "function(d) { d[1:50, electricity := 0L]; d[1, hh_size := 99L]; data.frame(z = RESULT / HEADS) }"
  )
  for (way in ways) {
    fun <- as_typed(way)
    environment(fun) <- list2env(list(RESULT = before[[1]]$electricity, HEADS = rep(before[[2]]$hh_size, 3)),
                                 parent = environment(fun))
    found <- of(list(mean = "z"), fused, fun = fun)
    expect_equal(found$est, per_head, info = way)
    expect_identical(list(fused, static), before, info = way)
  }
  if (requireNamespace("dplyr", quietly = TRUE)) {
    tidy <- as_typed("function(d) d |> dplyr::mutate(z = electricity / hh_size) |> dplyr::select(z)")
    expect_equal(of(list(mean = "z"), fused, fun = tidy)$est, per_head)
    grouped <- as_typed("function(d) dplyr::transmute(tibble::as_tibble(d), M, z = electricity / hh_size, urban)")
    expect_equal(of(list(mean = "z"), fused, fun = grouped)$est, per_head)
  }
  w <- as_typed("function(d) d[, .(z = electricity - weighted.mean(electricity, W))]")
  for (weight in list(NULL, "weight")) {
    found <- of(list(mean = "z"), fused, fun = w, weight = weight)
    expect_equal(found$est, 0, tolerance = 1e-8)
  }
  all_as_one <- as_typed("function(d) d[, .(mean_all = weighted.mean(electricity, W))]")
  found <- of(list(mean = c("mean_all", "electricity")), fused, fun = all_as_one, weight = "weight", pooling = "rubin")
  expect_equal(found$est[2], found$est[1])
  expect_true(is.na(found$moe[2])) # one value: no variance
})

test_that("fun's columns replace those of static, and of the implicates, whatever the order of rows", {
  skip_without_python()
  fused <- fused_small()
  shuffled <- fused[order(-fused$M)]
  doubled <- function(d) data.frame(electricity = 2 * d$electricity, rooms = rev(d$rooms))
  once <- of(list(mean = c("electricity", "rooms")), fused)
  for (given in list(fused, shuffled, as.data.frame(fused))) {
    expect_equal(of(list(mean = "electricity"), given, fun = doubled)$est, 2 * once$est[1])
    expect_equal(of(list(mean = "rooms"), given, fun = doubled)$est, once$est[2])
    expect_equal(of(list(mean = "electricity"), given, by = "urban", fun = doubled)$est,
                 2 * of(list(mean = "electricity"), fused, by = "urban")$est)
  }
})

test_that("what fun returns is refused if it does not fit its records", {
  skip_without_python()
  fused <- fused_small()
  bad <- list("100 rows" = function(d) data.frame(z = seq_len(100)), "3 rows" = function(d) data.frame(z = 1:3),
              "0 rows" = function(d) data.frame(z = integer()), "It is 1" = function(d) 1,
              "`M`" = function(d) data.frame(M = rev(d$M)), "`W`" = function(d) data.frame(W = d$W + 1),
              "twice" = function(d) data.frame(z = d$M, z = d$M, check.names = FALSE))
  for (message in names(bad)) {
    expect_error(of(list(mean = "z"), fused, fun = bad[[message]]), message, class = "fusionpy_schema_error", fixed = TRUE)
  }
})

test_that("a weight without static is told to be ignored, unless it is among the implicates", {
  skip_without_python()
  fused <- fused_small()
  plain <- quietly(analyze(list(mean = "electricity"), fused))
  expect_message(found <- analyze(list(mean = "electricity"), fused, weight = "wgt"), "`weight` is ignored")
  expect_identical(found, plain)
  fused$wgt <- seq_len(nrow(fused))
  own <- quietly(analyze(list(mean = "electricity"), fused, weight = "wgt"))
  means <- vapply(1:3, function(m) with(fused[fused$M == m], weighted.mean(electricity, wgt)), 0)
  expect_equal(own$est, mean(means))
  expect_error(of(list(mean = "electricity"), fused, weight = "nowhere"), "nowhere", class = "fusionpy_schema_error")
})

test_that("files, too, are told of, and read whole for fun", {
  skip_without_python()
  fsd <- quietly(fuse(recipients(), model(), fsd = tempfile(fileext = ".fsd"), M = 3, seed = 1))
  expect_message(analyze(list(mean = "electricity"), fsd), "Using 3 implicates")
  fun <- function(d) data.frame(z = d$electricity / d$rooms)
  expect_identical(of(list(mean = "z"), fsd, fun = fun), of(list(mean = "z"), fused_small(), fun = fun))
  expect_identical(of(~ mean(electricity / rooms), fsd), of(~ mean(electricity / rooms), fused_small()))
  one <- fused_small()[1:100]
  expect_message(expect_warning(analyze(list(mean = "electricity"), one), NA), "no margins")
})

test_that("formulas ask for what lists ask for", {
  skip_without_python()
  fused <- fused_small()
  asked <- list(avg ~ mean(electricity), ~ median(electricity), all ~ total(electricity), p ~ prop(insulation),
                n ~ count(solar), ~ quantile(electricity, 0.9), r ~ ratio(gas_bill, electricity), ~ p10(gas_bill),
                ~ gini(gas_bill))
  found <- suppressWarnings(of(asked, fused, weight = "weight", by = "urban"))
  expect_named(found, c("urban", "N", "name", "y", "level", "type", "est", "moe"))
  same <- suppressWarnings(of(list(mean = "electricity", median = "electricity", sum = "electricity", proportion = "insulation",
                  count = "solar", p90 = "electricity", ratio = "gas_bill/electricity", p10 = "gas_bill", gini = "gas_bill"),
             fused, weight = "weight", by = "urban"))
  expect_identical(as.list(found[, names(same), with = FALSE]), as.list(same))
  expect_identical(unique(found$name[found$type == "mean"]), "avg")
  expect_true(all(is.na(found$name[found$type == "median"])))
  expect_identical(of(~ mean(electricity), fused)$est, of(list(mean = "electricity"), fused)$est)
  expect_identical(of(list(avg = ~ mean(electricity)), fused), of(list(avg ~ mean(electricity)), fused))
  mixed <- of(list(mean = c("electricity", "gas_bill"), tot ~ sum(solar)), fused)
  expect_identical(mixed$type, c("mean", "mean", "count", "count"))
  expect_identical(of(list(ratio = c("gas_bill/electricity", "electricity/rooms")), fused)$y,
                   c("electricity/rooms", "gas_bill/electricity"))
})

test_that("formulas may have expressions, of columns, functions and values of the caller's", {
  skip_without_python()
  fused <- fused_small()
  limit <- 10000
  high <- function(kwh) ifelse(kwh > limit, "high", "low")
  found <- suppressWarnings(of(list(a ~ mean(electricity / rooms), b ~ mean(electricity > limit), c ~ prop(high(electricity)),
                   d ~ sum(electricity * 0 + 2)), fused, weight = "weight"))
  rooms <- rep(recipients()$rooms, 3)
  w <- rep(recipients()$weight, 3)
  expect_equal(found$est[found$name == "a"], weighted.mean(fused$electricity / rooms, w))
  expect_identical(unique(found$y[found$name == "a"]), "electricity/rooms")
  is_high <- weighted.mean(fused$electricity > limit, w)
  expect_equal(found$est[found$name == "b"], c(1 - is_high, is_high))
  expect_identical(found$level[found$name == "b"], c("FALSE", "TRUE"))
  expect_equal(found$est[found$name == "c"], c(is_high, 1 - is_high))
  expect_equal(found$est[found$name == "d"], 2 * sum(recipients()$weight))
  with_fun <- of(list(~ mean(2 * z)), fused, fun = function(d) data.frame(z = d$electricity))
  expect_equal(with_fun$est, 2 * mean(fused$electricity))
  expect_error(of(~ mean(electricity / nothing_there), fused), "nothing_there", class = "fusionpy_schema_error")
  expect_error(of(~ mean(electricity[1:3]), fused), "3 values for 300", class = "fusionpy_schema_error")
})

test_that("what is not understood is refused", {
  skip_without_python()
  fused <- fused_small()
  bad <- list(c(mean = "electricity"), list("electricity"), 5, ~ electricity, a ~ b ~ mean(x), list(~ mean()),
              ~ mean(electricity, rooms), ~ quantile(electricity), ~ base::mean(electricity), list(mean = 5))
  for (x in bad) expect_error(of(x, fused), class = "fusionpy_argument_error", info = told(x))
  expect_error(of(~ maen(electricity), fused), "mean", class = "fusionpy_argument_error")
  expect_error(of(list(mean = "electricity"), fused, weights = "w"), "`weights`", class = "fusionpy_argument_error")
  expect_error(of(list(mean = "electricity"), fused, by = 5), "`by`", class = "fusionpy_argument_error")
  expect_error(of(list(mean = "electricity"), fused, by = stop("mine")), "mine")
  expect_error(of(list(mean = "electricity"), fused, by = list(region, nowhere)), "nowhere", class = "fusionpy_schema_error")
  expect_error(of(list(mean = "electricity"), fused, layout = "wide"), "`layout`", class = "fusionpy_argument_error")
})

test_that("several groupings are each what a call of its own gives", {
  skip_without_python()
  fused <- fused_small()
  x <- list(mean = c("electricity", "insulation"), sum = "solar", median = "gas_bill")
  asked <- function(...) suppressWarnings(of(x, fused, weight = "weight", ...))
  both <- asked(by = list(urban, c(urban, tenure), insulation))
  expect_identical(names(both)[1:4], c("grouping", "urban", "tenure", "insulation"))
  alone <- list(urban = "urban", "urban, tenure" = c("urban", "tenure"), insulation = "insulation")
  expect_identical(unique(both$grouping), names(alone))
  for (name in names(alone)) {
    part <- both[both$grouping == name]
    mine <- asked(by = alone[[name]])
    expect_identical(as.list(part[, names(mine), with = FALSE]), as.list(mine))
    for (other in setdiff(c("urban", "tenure", "insulation"), alone[[name]])) expect_true(all(is.na(part[[other]])))
  }
  expect_identical(asked(by = list("urban", c("urban", "tenure"), "insulation")), both)
  over_all <- asked(by = list(NULL, "urban"))
  expect_equal(over_all[over_all$grouping == ""]$est, asked()$est)
  # Names in variables, and through other functions.
  mine <- c("urban", "tenure")
  expect_identical(asked(by = mine), asked(by = c("urban", "tenure")))
  through <- function(...) suppressWarnings(of(x, fused, weight = "weight", ...))
  inner <- function() {
    groups <- "tenure"
    through(by = groups)
  }
  expect_identical(inner(), asked(by = "tenure"))
  expect_identical(asked(by = tenure), asked(by = "tenure"))
})

test_that("a call as fusionACS has it, of long data with a weight per row and implicate", {
  skip_without_python()
  fused <- fused_small()
  long <- data.table::data.table(fused, recipients()[rep(1:100, 3), c("urban", "tenure")])
  set.seed(1)
  long$weight <- stats::rexp(300)
  found <- quietly(analyze(data = long, avg ~ mean(electricity), ~ median(electricity), ~ mean(insulation),
                           n ~ count(solar), ~ sum(gas_bill), by = list(tenure, c(urban, tenure)), pooling = "fusionacs"))
  expect_named(found, c("lhs", "rhs", "type", "tenure", "urban", "level", "N_eff", "est", "moe", "cv", "grouping"))
  first <- found[!duplicated(found$rhs)]
  expect_identical(first$lhs, c("avg", "median_electricity", "mean_insulation", "n", "sum_gas_bill"))
  expect_identical(first$rhs, c("mean(electricity)", "median(electricity)", "mean(insulation)", "count(solar)", "sum(gas_bill)"))
  expect_identical(first$type, c("mean", "median", "prop", "count", "sum"))
  expect_equal(found$cv, 100 * found$moe / 1.645 / found$est)
  owners <- long[long$tenure == "owner"]
  means <- vapply(1:3, function(m) with(owners[owners$M == m], weighted.mean(electricity, weight)), 0)
  row <- found[found$lhs == "avg" & found$grouping == "tenure" & found$tenure == "owner"]
  expect_equal(row$est, mean(means))
  sizes <- vapply(1:3, function(m) with(owners[owners$M == m], sum(weight)^2 / sum(weight^2)), 0)
  expect_equal(row$N_eff, mean(sizes))
  within <- vapply(1:3, function(m) with(owners[owners$M == m], {
    sum(weight * (electricity - weighted.mean(electricity, weight))^2) / (sum(weight) - 1) / (sum(weight)^2 / sum(weight^2))
  }), 0)
  b <- stats::var(means)
  nu <- 2 * (1 + mean(within) / b)^2 / (1 / 2 + sum(within^2) / (9 * b^2))
  expect_equal(row$moe, stats::qt(0.95, nu) * sqrt(mean(within) + (1 + 1 / 3) * b))
  expect_identical(found, quietly(analyze(list(avg ~ mean(electricity), ~ median(electricity), ~ mean(insulation),
                                               n ~ count(solar), ~ sum(gas_bill)), long, weight = "weight",
                                          by = list("tenure", c("urban", "tenure")), pooling = "fusionacs",
                                          layout = "fusionacs")))
  detailed <- quietly(analyze(data = long, ~ mean(electricity), detailed = TRUE))
  expect_identical(names(detailed)[-(1:7)], c("cv", "N", "se", "df", "lower", "upper", "fmi"))
  expect_identical(quietly(analyze(long, avg ~ mean(electricity), by = tenure)),
                   quietly(analyze(data = long, avg ~ mean(electricity), by = "tenure")))
  wrong_calls <- list(function() analyze(data = long, ~ mean(electricity), implicates = long), function() analyze(long),
                      function() analyze(long, list(mean = "electricity")), function() analyze(data = long, ~ mean(electricity), 5),
                      function() analyze(data = long, ~ mean(electricity), static = recipients()))
  for (call in wrong_calls) expect_error(call(), class = "fusionpy_argument_error")
  problem <- tryCatch(analyze(~ mean(electricity), long, weights = "a"), error = identity)
  expect_identical(as.character(problem$call[[1]]), "analyze")
  # One record each, as the public pseudo-sample has it: no margins.
  single <- quietly(analyze(data = long[long$M == 1, -"M"], ~ mean(electricity)))
  expect_equal(single$est, with(long[long$M == 1], weighted.mean(electricity, weight)))
  expect_true(is.na(single$moe))
  expect_type(single$level, "logical")
})

test_that("replicate weights may differ between implicates", {
  skip_without_python()
  fused <- fused_small()
  set.seed(2)
  reps <- paste0("r", 1:8)
  fused$w <- stats::rexp(300)
  for (name in reps) fused[[name]] <- fused$w * sample(c(0.5, 1.5), 300, TRUE)
  found <- quietly(analyze(avg ~ mean(electricity), fused, weight = "w", rep_weights = reps, var_scale = 4, detailed = TRUE))
  value <- function(w, m) with(fused[fused$M == m], weighted.mean(electricity, .SD[[w]]))
  est <- function(w) vapply(1:3, function(m) weighted.mean(fused$electricity[fused$M == m], fused[[w]][fused$M == m]), 0)
  q <- est("w")
  u <- 4 / 8 * rowSums((vapply(reps, est, q) - q)^2)
  expect_equal(found$est, mean(q))
  expect_equal(found$se, sqrt(mean(u) + (1 + 1 / 3) * stats::var(q)))
})

test_that("rectify takes a model's path, and that only what is more than chance is added", {
  skip_without_python()
  file <- quietly(train(donors(), y = "electricity", x = c("region", "rooms", "tenure"), refits = 3, seed = 1,
                        nclusters = 20, hyper = list(num_iterations = 5), fsn = tempfile(fileext = ".fsn")))
  fused <- quietly(fuse(recipients(), file, M = 4, seed = 1))
  by <- function(...) of(list(mean = "electricity"), fused, by = "region", detailed = TRUE, ...)
  full <- by(rectify = file)
  shrunk <- by(rectify = c("shrunk", file))
  expect_true(all(shrunk$n_donors == full$n_donors))
  expect_false(isTRUE(all.equal(full$est, shrunk$est)))
  between <- (shrunk$est - by()$est) / (full$est - by()$est)
  expect_true(all(between > -0.01 & between < 1.01))
  expect_error(by(rectify = c("full", file)), "`rectify` must be the path of a file")
})
