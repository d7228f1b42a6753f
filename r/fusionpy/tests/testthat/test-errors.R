test_that("what cannot cross is told all at once, with the arguments' names", {
  skip_without_python()
  error <- expect_error(train(donors(), y = NA, fsn = 1, cores = "two"), class = "fusionpy_argument_error")
  expect_s3_class(error, c("fusionpy_argument_error", "fusionpy_error", "error", "condition"), exact = TRUE)
  expect_setequal(error$argument, c("x", "y", "fsn", "cores"))
  expect_length(error$problems, 4)
  expect_match(error$hint, "?fusionpy::train", fixed = TRUE)
  expect_identical(error$call[[1]], quote(train))
})

test_that("what Python refuses is told in R's words", {
  skip_without_python()
  error <- expect_error(fuse(recipients(), model(), M = 0, kblock = 100), class = "fusionpy_argument_error")
  expect_setequal(error$argument, c("M", "kblock"))
  expect_match(conditionMessage(error), "?fusionpy::fuse", fixed = TRUE)
  data <- recipients()
  data$rooms <- as.character(data$rooms)
  data$education <- factor(data$education, ordered = FALSE)
  data$region <- NULL
  error <- expect_error(fuse(data, model()), class = "fusionpy_schema_error")
  expect_identical(error$argument, "data")
  expect_length(error$problems, 3)
  expect_match(paste(error$problems, collapse = "\n"), "`rooms`: must be numeric, not character.", fixed = TRUE)
  expect_match(paste(error$problems, collapse = "\n"), "`education`: must be an ordered factor", fixed = TRUE)
  expect_error(prepXY(donors(), "solar", X, fraction = 2), "prepXY", class = "fusionpy_argument_error")
  expect_error(prepXY(donors(), "sollar", X), "is `solar` meant", class = "fusionpy_schema_error")
})

test_that("every kind of error has its class", {
  skip_without_python()
  bad <- tempfile(fileext = ".fsn")
  writeLines("no model", bad)
  expect_error(fuse(recipients(), bad), class = "fusionpy_archive_error")
  expect_error(importance(tempfile()), class = "fusionpy_error")
  expect_error(train(donors(), "solar", X, fsn = "/dev/null/new/a.fsn"), class = "fusionpy_output_error")
  expect_error(fuse(recipients(), model(), fsd = "/dev/null/new/a.fsd"), class = "fusionpy_output_error")
  expect_error(train(1:3, "solar", X), "data frame", class = "fusionpy_argument_error")
  expect_error(read_fsd(tempfile(fileext = ".fsd")), class = "fusionpy_argument_error")
  echo(data.frame())
  error <- expect_error(ask("fail", list()), class = "fusionpy_internal_error")
  expect_match(error$hint, "ZeroDivisionError")
})

test_that("braces and percent signs in messages are left alone", {
  skip_without_python()
  expect_error(fuse(recipients(), "{x}%s.fsn"), "{x}%s.fsn", fixed = TRUE, class = "fusionpy_error")
  expect_message(say("{1 + 1} <b> %d"), "{1 + 1} <b> %d", fixed = TRUE)
})

test_that("warnings of Python are R's, with a class", {
  skip_without_python()
  data <- donors()
  data$region <- as.character(data$region)
  file <- tempfile(fileext = ".fsn")
  expect_warning(quietly(train(data, "solar", "region", fsn = file, hyper = FAST, refits = 0)), "Character columns",
                 class = "fusionpy_warning")
  expect_true(file.exists(file))
})

test_that("messages can be silenced", {
  skip_without_python()
  expect_silent(quietly(fuse(recipients(), model(), seed = 1)))
  expect_message(fuse(recipients(), model(), seed = 1), "fuse: 1/1")
})

test_that("many problems are shown in part, and kept as a whole", {
  error <- expect_error(raise("schema", "No.", paste("problem", 1:12)), class = "fusionpy_schema_error")
  expect_match(conditionMessage(error), "and 4 more")
  expect_length(error$problems, 12)
})

test_that("values are shown in part of a line", {
  expect_identical(shown(NULL), "NULL")
  expect_identical(shown(data.frame()), "a data frame")
  expect_identical(shown(mean), "a function")
  expect_lte(nchar(shown(1:1000 + 0.5)), 40)
})

test_that("without fusionpy in Python, it is told what to do", {
  error <- expect_error(refuse_python(simpleError("ModuleNotFoundError: No module named 'fusionpy'\nmore")),
                        class = "fusionpy_python_error")
  expect_match(error$hint, "install_fusionpy()", fixed = TRUE)
  expect_match(conditionMessage(error), "No module named 'fusionpy'", fixed = TRUE)
})

test_that("an interrupt stops the work, and R goes on", {
  skip_without_python()
  skip_on_os("windows")
  file <- tempfile(fileext = ".fsn")
  data <- data.table::rbindlist(rep(list(load_donor()), 3))
  sent <- FALSE
  interrupt <- function(message) { # once Python is at work and has told the seed
    if (!sent) tools::pskill(Sys.getpid(), tools::SIGINT)
    sent <<- TRUE
    invokeRestart("muffleMessage")
  }
  ended <- tryCatch(withCallingHandlers({
    train(data, c("electricity", "savings", "gas_bill", "food_share"), X, fsn = file, refits = 20)
    "done"
  }, message = interrupt), interrupt = function(condition) "interrupted")
  expect_identical(ended, "interrupted")
  expect_false(file.exists(file))
  expect_identical(nrow(quietly(fuse(recipients(), model()))), 100L)
})
