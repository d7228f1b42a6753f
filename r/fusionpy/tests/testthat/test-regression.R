# analyze(~ lm()), and the hand-over to survey, mitools and mice.

fused_for_regressions <- function() {
  if (is.null(made$regressed)) made$regressed <- quietly(fuse(recipients(150), model(), M = 4, seed = 3))
  made$regressed
}

regress <- function(x, ...) {
  quietly(analyze(x, fused_for_regressions(), static = recipients(150), weight = "weight", ...))
}

test_that("regressions are asked for as formulas, or as text", {
  skip_without_python()
  found <- regress(list(m = m ~ lm(log(electricity) ~ rooms * solar + I(rooms^2)), ~ glm(solar ~ rooms, family = binomial())))
  expect_identical(found[name == "m"]$level,
                   c("(Intercept)", "rooms", "solarTRUE", "I(rooms^2)", "rooms:solarTRUE"))
  expect_identical(unique(found$type), c("lm", "glm")[order(c("log(electricity)", "solar"))])
  same <- regress(list(lm = "log(electricity) ~ rooms * solar + I(rooms^2)", glm = "solar ~ rooms, family = binomial"))
  expect_equal(same$est, found$est)
  expect_equal(same$moe, found$moe)
  by <- regress(~ lm(electricity ~ rooms), by = "tenure")
  expect_identical(nrow(by), 2L * nlevels(droplevels(recipients(150)$tenure)))
})

test_that("what is no regression is told of", {
  skip_without_python()
  expect_error(regress(~ lm(electricity)), "of regressions such as", class = "fusionpy_argument_error")
  expect_error(regress(~ lm(electricity ~ rooms, tenure)), "of regressions such as", class = "fusionpy_argument_error")
  expect_error(regress(~ lm(electricity ~ poly(rooms, 2))), "poly", class = "fusionpy_argument_error")
  expect_error(regress(~ lm(electricity ~ room)), "room", class = "fusionpy_schema_error")
})

test_that("coefficients and margins are survey's and mitools'", {
  skip_without_python()
  skip_if_not_installed("survey")
  skip_if_not_installed("mitools")
  found <- regress(~ lm(log(electricity) ~ rooms + tenure), detailed = TRUE)
  sets <- to_imputationList(fused_for_regressions(), recipients(150))
  expect_s3_class(sets, "imputationList")
  expect_length(sets$imputations, 4)
  designs <- survey::svydesign(ids = ~1, weights = ~weight, data = sets)
  fits <- with(designs, survey::svyglm(log(electricity) ~ rooms + tenure))
  pooled <- mitools::MIcombine(fits)
  known <- !is.na(found$est)
  expect_equal(found$est[known], unname(pooled$coefficients))
  expect_equal(found$se[known], unname(sqrt(diag(pooled$variance))), tolerance = 1e-6)
  rubin <- regress(~ lm(log(electricity) ~ rooms + tenure), detailed = TRUE, pooling = "rubin")
  expect_equal(rubin$se[known], found$se[known])
  expect_equal(rubin$df[known], unname(pooled$df), tolerance = 1e-6)
})

test_that("mice pools what it is handed", {
  skip_without_python()
  skip_if_not_installed("mice")
  fused <- fused_for_regressions()
  sets <- to_mids(fused, recipients(150), columns = c("electricity", "solar", "rooms", "tenure"))
  expect_s3_class(sets, "mids")
  expect_identical(sets$m, 4)
  expect_identical(unname(sets$nmis[c("electricity", "solar", "rooms", "tenure")]), c(150L, 150L, 0L, 0L))
  for (m in 1:4) {
    one <- mice::complete(sets, m)
    expect_equal(one$electricity, fused[fused$M == m]$electricity)
    expect_equal(as.logical(one$solar), fused[fused$M == m]$solar)
    expect_equal(one$rooms, recipients(150)$rooms)
  }
  pooled <- summary(mice::pool(with(sets, lm(log(electricity) ~ rooms))))
  each <- sapply(1:4, function(m) coef(lm(log(electricity) ~ recipients(150)$rooms, fused[fused$M == m])))
  expect_equal(pooled$estimate, unname(rowMeans(each)))
})

test_that("files are handed over too, and wrong static columns refused", {
  skip_without_python()
  skip_if_not_installed("mitools")
  file <- tempfile(fileext = ".parquet")
  recipient <- recipients(150)
  quietly(fuse(recipient, model(), fsd = file, M = 4, seed = 3))
  expect_equal(to_imputationList(file, recipient)$imputations, to_imputationList(fused_for_regressions(), recipient)$imputations)
  moved <- recipient[rev(seq_len(nrow(recipient)))]
  expect_error(to_imputationList(file, moved), "order", class = "fusionpy_schema_error")
  expect_error(to_imputationList(file, recipient[1:3]), "3 rows", class = "fusionpy_schema_error")
  fused <- fused_for_regressions()
  expect_error(to_imputationList(fused, recipient[1:3]), "3 rows", class = "fusionpy_schema_error")
  expect_error(to_imputationList(fused[, -"M"]), "column `M`", class = "fusionpy_schema_error")
  expect_error(to_imputationList(fused, columns = "income"), "income", class = "fusionpy_schema_error")
  expect_error(to_imputationList(fused, static = 3), "static", class = "fusionpy_argument_error")
  expect_error(to_mids(), "`implicates` is missing", class = "fusionpy_argument_error")
})
