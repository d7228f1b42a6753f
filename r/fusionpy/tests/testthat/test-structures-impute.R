# impute(), call by call as the original was called: structures.json, group impute.

# What differs on purpose; differences.yaml has the reasons.
IMPUTES <- list(
  impute_one_column = "works: draws from what was observed",
  impute_bad_name = "works: names are kept as they are"
)

# The frames of the calls: rows 1..300 with holes, made anew for each call.
holed <- function() {
  h <- reset_rows(recs_all()[1:300, c("income", "age", "renter", "race", "electricity", "hh_size")])
  for (j in 1:4) h[[j]][seq(j, 300, by = 7 + 2 * j)] <- NA
  h
}

frames_of_impute <- function(name) {
  h <- holed()
  at <- list2env(list(h = h, d = reset_rows(recs_all()[1:300, c("income", "age", "renter", "race")])))
  at$dt <- data.table::data.table(h[, 1:4], id = 1:300, key = "id")
  at$hc <- transform(h[, 1:4], race = as.character(race))
  at$hn <- cbind(h[, 1:4], none = NA_real_)
  at$hw <- cbind(h[, 1:4], weight = recs_all()$weight[1:300])
  if (name == "impute_weight_NA") at$hw$weight[3] <- NA
  at$rn <- h[, 1:3]
  rownames(at$rn) <- paste0("r", 1:300)
  at$hx <- stats::setNames(h[, 1:3], c("income", "a b", "renter"))
  at$hm <- cbind(h[, 1:3], day = as.Date("2020-01-01") + 1:300)
  at$hcst <- cbind(h[, 1:3], cst = c(NA, rep(1L, 299)))
  at$hf <- transform(h[, 1:3], age = as.numeric(age))
  at$impute <- fusionpy::impute
  parent.env(at) <- globalenv()
  at
}

test_that("every call of impute() gives what it gives in the original", {
  skip_without_python()
  skip_without_shared()
  skip_if_not_installed("tibble")
  group <- structures("impute")
  expect_true(all(names(IMPUTES) %in% names(group)))
  for (name in calls_of("impute")) {
    told <- group[[name]]
    at <- frames_of_impute(name)
    given <- lapply(as.list(at), identity)
    mine <- record(eval(str2lang(told$call), at))
    said <- paste0(name, ": ", told$call)
    expect_identical(mine$warnings, character(), info = said)
    expect_identical(as.list(at)[names(given)], given, info = said) # the caller's data are left alone
    if (name %in% names(IMPUTES)) {
      expect_null(mine$error, info = said)
      next
    }
    if (!expect_answered(mine, told, said)) next
    expect_gt(length(mine$messages), 0)
    expect_structure(mine$value, told$result, label = said)
    filled <- setdiff(names(mine$value), "none")
    expect_false(anyNA(as.data.frame(mine$value)[filled]), info = said)
  }
})

test_that("a key that was imputed is none any more, others stay", {
  skip_without_python()
  data <- donors(200)[, c("hid", "region", "rooms", "income")]
  data$rooms[c(3, 90)] <- NA
  data.table::setkeyv(data, "rooms")
  expect_null(data.table::key(quietly(impute(data, ignore = "hid", seed = 1))))
  data.table::setkeyv(data, "hid")
  full <- quietly(impute(data, ignore = "hid", seed = 1))
  expect_identical(data.table::key(full), "hid")
  expect_identical(full$hid, data$hid)
  data.table::setkeyv(data, c("hid", "rooms"))
  expect_identical(data.table::key(quietly(impute(data, ignore = "hid", seed = 1))), "hid")
})
