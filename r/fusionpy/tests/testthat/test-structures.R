# The comparer itself: it must be able to fail.
test_that("the comparer tells every difference of a frame from what is described", {
  frame <- data.frame(a = c(1.5, NA), b = factor(c("u", "v"), c("u", "v")))
  told <- list(
    class = "data.frame", type = "list", dim = c(2L, 2L), row_names_default = TRUE,
    columns = list(a = list(class = "numeric", type = "double"),
                   b = list(class = "factor", type = "integer", levels = c("u", "v"), ordered = FALSE)),
    head = list(a = c("1.5", "NA"), b = c("u", "v"))
  )
  expect_identical(structure_differences(frame, told, head = TRUE), character())
  changed <- function(...) structure_differences(frame, utils::modifyList(told, list(...)), head = TRUE)
  expect_match(changed(class = c("tbl_df", "data.frame")), "class")
  expect_match(changed(dim = c(3L, 2L)), "dim")
  expect_match(changed(row_names_default = FALSE), "row_names")
  expect_match(changed(attributes = list(sorted = "a")), "sorted")
  expect_match(changed(columns = list(a = list(type = "integer"))), "it\\$a: type")
  expect_match(changed(columns = list(b = list(levels = c("v", "u")))), "levels")
  expect_match(changed(head = list(a = c("1.6", "NA"))), "first values")
  expect_match(structure_differences(structure(frame, extra = 1), told), "extra")
  expect_match(structure_differences(data.table::data.table(frame, key = "b"), told), "sorted", all = FALSE)
  inside <- list(class = "list", type = "list", names = "x", elements = list(x = told))
  expect_identical(structure_differences(list(x = frame), inside), character())
  expect_match(structure_differences(list(x = NULL), inside), "it\\$x: class", all = FALSE)
})

test_that("what a call gives and says is recorded", {
  noisy <- function() {
    message("one")
    warning("two")
    cat("a\nb\n")
    invisible(3)
  }
  found <- record(noisy())
  expect_identical(found$value, 3)
  expect_false(found$visible)
  expect_identical(found$messages, "one\n")
  expect_identical(found$warnings, "two")
  expect_identical(found$printed, c("a", "b"))
  expect_s3_class(record(stop("no"))$error, "simpleError")
})

test_that("reference data come with their classes", {
  skip_without_python()
  skip_without_shared()
  expect_identical(c(nrow(recs_donors()), nrow(recs_recipients())), c(2843L, 2843L))
  fused <- reference_implicates("implicates_readme_donor_M40.csv.gz", M = 2)
  expect_identical(data.table::key(fused), "M")
  expect_identical(nrow(fused), 2L * 2843L)
  same <- intersect(names(fused), names(recs_all()))
  expect_identical(lapply(fused[, same, with = FALSE], levels), lapply(recs_all()[same], levels))
  expect_true(all(c("validate_noplot", "plot_valid_y") %in% calls_of("validate_plot_valid")))
})
