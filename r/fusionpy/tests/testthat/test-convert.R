json <- function(value) as.character(to_json(list(a = value)))
crosses <- function(convert, value, text) expect_identical(json(convert(value)), paste0("{\"a\":", text, "}"))
refused <- function(convert, value) expect_s3_class(convert(value), "wrong")

test_that("strings cross as one, or as a list", {
  crosses(string, "a", "\"a\"")
  crosses(string, "quote \" back \\ \u00e9", "\"quote \\\" back \\\\ \u00e9\"")
  crosses(string, iconv("\u00e9", "UTF-8", "latin1"), "\"\u00e9\"")
  crosses(strings, c("a"), "[\"a\"]")
  crosses(strings, c(x = "a", y = "b"), "[\"a\",\"b\"]")
  crosses(strings, character(), "[]")
  for (value in list(NA, NA_character_, 1, TRUE, NULL, c("a", "b"), character(), factor("a"), list("a"))) {
    refused(string, value)
  }
  for (value in list(NA, c("a", NA), 1, NULL, factor("a"), list("a"))) refused(strings, value)
})

test_that("c() and list() of names are told apart", {
  crosses(steps, c("a", "b"), "[\"a\",\"b\"]")
  crosses(steps, list("a", "b"), "[[\"a\"],[\"b\"]]")
  crosses(steps, list("a", c("b", "c")), "[[\"a\"],[\"b\",\"c\"]]")
  crosses(steps, list(c("a", "b")), "[[\"a\",\"b\"]]")
  crosses(steps, list(first = "a"), "[[\"a\"]]")
  crosses(steps, "a", "[\"a\"]")
  for (value in list(NA, list(1), list("a", NA), NULL, data.frame(a = "b"))) refused(steps, value)
})

test_that("numbers cross with all their digits, and NA does not", {
  crosses(number, 5, "5")
  crosses(number, 5L, "5")
  crosses(number, 0.1 + 0.2, "0.30000000000000004")
  crosses(number, -1.5, "-1.5")
  crosses(number, 1e300, "1.0000000000000001e+300")
  crosses(number, Inf, "Infinity")
  crosses(number, -Inf, "-Infinity")
  crosses(number, 2147483648, "2147483648")
  for (value in list(NA, NA_integer_, NA_real_, NaN, TRUE, "5", c(1, 2), numeric(), NULL, list(1), factor(1))) {
    refused(number, value)
  }
  crosses(numbers, c(10, 500), "[10,500]")
  crosses(numbers, 10L, "[10]")
  for (value in list(c(1, NA), "a", NULL, list(1))) refused(numbers, value)
})

test_that("flags are TRUE or FALSE", {
  crosses(flag, TRUE, "true")
  crosses(flag, FALSE, "false")
  for (value in list(NA, 1, "TRUE", NULL, c(TRUE, TRUE))) refused(flag, value)
})

test_that("NULL crosses where it may", {
  crosses(optional(number), NULL, "null")
  crosses(optional(strings), NULL, "null")
  crosses(optional(string), "a", "\"a\"")
})

test_that("paths are expanded", {
  crosses(path, "a b.fsn", "\"a b.fsn\"")
  expect_identical(json(path("~/x")), json(jsonlite::unbox(path.expand("~/x"))))
  refused(path, 1)
})

test_that("hyperparameters are single, or several for a grid", {
  hyper <- list(boosting = "goss", num_leaves = c(16, 32), learning_rate = 0.1, extra_trees = TRUE, max_depth = list(4, 5))
  wanted <- paste0("{\"boosting\":\"goss\",\"num_leaves\":[16,32],\"learning_rate\":0.10000000000000001,",
                   "\"extra_trees\":true,\"max_depth\":[4,5]}")
  crosses(hyperparameters, hyper, wanted)
  crosses(hyperparameters, list(), "{}")
  crosses(hyperparameters, list(8, num_leaves = 16), "{\"Var1\":8,\"num_leaves\":16}")
  for (value in list(c(num_leaves = 16), "a", list(a = NULL), list(a = NA), list(a = factor(1)), list(a = mean))) {
    refused(hyperparameters, value)
  }
})

test_that("statistics are a list of analyses, of named vectors and formulas", {
  one <- function(how, what, name = "null") paste0("{\"how\":\"", how, "\",\"what\":", what, ",\"name\":", name, "}")
  in_all <- function(...) paste0("[", paste(c(...), collapse = ","), "]")
  crosses(statistics, list(mean = c("a", "b"), median = "c"), in_all(one("mean", "[\"a\",\"b\"]"), one("median", "[\"c\"]")))
  crosses(statistics, list(sum = "a", mean = "c", sum = "b"),
          in_all(one("sum", "[\"a\"]"), one("mean", "[\"c\"]"), one("sum", "[\"b\"]")))
  crosses(statistics, list(n ~ mean(a), ~ sum(b / 2), sum = "c"),
          in_all(one("mean", "[\"a\"]", "\"n\""), one("sum", "[\"b/2\"]"), one("sum", "[\"c\"]")))
  crosses(statistics, ~ quantile(a, 0.905), in_all(one("p90.5", "[\"a\"]")))
  crosses(statistics, list(ratio = c("a/b", "c"), ~ ratio(d, e)),
          in_all(one("ratio", "[[\"a\",\"b\"],\"c\"]"), one("ratio", "[[\"d\",\"e\"]]")))
  crosses(statistics, list(), "[]")
  for (value in list("a", list("a"), list(mean = 1), NULL, c(mean = "a"), ~ a, ~ mean(a, b))) refused(statistics, value)
})

test_that("groupings are names, or lists of them", {
  crosses(groupings, "a", "[\"a\"]")
  crosses(groupings, list("a", c("a", "b"), NULL), "[[\"a\"],[\"a\",\"b\"],[]]")
  for (value in list(1, NA_character_, list(1), factor("a"), data.frame(a = "b"))) refused(groupings, value)
})

test_that("by without quotes is what is written, unless it is a value", {
  county <- "tract"
  settle <- function(by) settle_by(tryCatch(list(given = by), error = identity), substitute(by))
  expect_identical(settle(np), "np")
  expect_identical(settle(list(np, c(np, "puma"), region)), list("np", c("np", "puma"), "region"))
  expect_identical(settle(county), "tract")
  expect_identical(settle(c), "c") # a function is no name of a column
  expect_identical(settle(NULL), NULL)
  expect_error(settle(nowhere("np")), "nowhere")
  expect_identical(settle(5), 5)
})

test_that("directions are a list of named numbers", {
  crosses(directions, list(rent = c(rooms = 1, age = -1)), "{\"rent\":{\"rooms\":1,\"age\":-1}}")
  for (value in list("a", list(1), list(rent = c(rooms = "up")), c(rent = 1))) refused(directions, value)
})

test_that("var_scale is a number or a design", {
  crosses(number_or_string, 4, "4")
  crosses(number_or_string, "fay", "\"fay\"")
  refused(number_or_string, NA)
})

test_that("seeds are R's", {
  crosses(seed, 7, "7")
  set.seed(3)
  one <- json(seed(NULL))
  set.seed(3)
  expect_identical(json(seed(NULL)), one)
  expect_false(identical(json(seed(NULL)), one))
})

test_that("every row of every table refuses an environment and takes its default", {
  for (verb in names(TABLE)) {
    from <- list2env(as.list(formals(verb, envir = asNamespace("fusionpy"))), parent = globalenv())
    for (name in names(TABLE[[verb]])) {
      convert <- TABLE[[verb]][[name]]
      refused(convert, globalenv())
      default <- from[[name]]
      if (missing(default) || name == "path") next
      expect_false(inherits(convert(eval(default)), "wrong"), info = paste(verb, name))
    }
  }
})
