# importance() beside the original's: structures, order and numbers.

# base5.fsn, a small model, is not among the reference files: its description is held against a model of the same shape.
archive_of <- function(name) {
  switch(name,
    importance_block = shared_file("reference", "models", "block.fsn"),
    importance_readme = shared_file("reference", "models", "readme.fsn"),
    importance_base5 = like_base5(),
    importance_none = file.path(tempdir(), "none.fsn"),
    importance_suffix = {
      copy <- tempfile(fileext = ".zip")
      file.copy(shared_file("reference", "models", "block.fsn"), copy)
      copy
    }
  )
}

like_base5 <- function() {
  donor <- recs_donors()[1:400, ]
  quietly(train(donor, y = list("insulation", "use_ng", c("natural_gas", "heating_share", "aircon"), "electricity", "propane"),
                x = c("income", "age", "race", "hh_size", "renter"), fsn = tempfile(fileext = ".fsn"),
                method = "fusionModel", seed = 1))
}

test_that("importance() has the original's structure in every call that it was tried in", {
  skip_without_python()
  skip_without_shared()
  for (name in calls_of("importance")) {
    described <- structures("importance")[[name]]
    file <- record(archive_of(name))$value
    found <- record(importance(file))
    expect_identical(is.null(found$error), is.null(described$error), info = name)
    if (!is.null(described$error)) {
      expect_s3_class(found$error, "fusionpy_error")
      next
    }
    expect_identical(found$visible, described$visible, info = name)
    expect_identical(c(length(found$messages), length(found$warnings), length(found$printed)),
                     c(length(described$messages), length(described$warnings), described$printed), info = name)
    result <- described$result
    if (name == "importance_base5") { # another model of that shape: how many rows, and which x gain most, are its own
      for (part in names(result$elements)) result$elements[[part]]$dim <- dim(found$value[[part]])
      x <- levels(found$value$summary$x)
      expect_setequal(x, result$elements$summary$columns$x$levels)
      expect_identical(x[1:7], result$elements$summary$columns$x$levels[1:7])
      result$elements$summary$columns$x$levels <- x
    }
    expect_structure(found$value, result, head = name != "importance_base5", label = name)
  }
})

test_that("levels and numbers of importance() are the original's, order included", {
  skip_without_python()
  skip_without_shared()
  described <- jsonlite::read_json(shared_file("reference", "original", "importance_structure.json"), simplifyVector = TRUE)
  models <- list(block = c("summary", "detailed"), readme = c("readme_summary", "readme_detailed"))
  for (model in names(models)) {
    found <- importance(shared_file("reference", "models", paste0(model, ".fsn")))
    for (part in c("summary", "detailed")) {
      told <- described[[models[[model]][match(part, c("summary", "detailed"))]]]
      expect_identical(class(found[[part]]), told$class)
      expect_identical(nrow(found[[part]]), told$rows)
      expect_named(found[[part]], names(told$columns))
      for (name in names(told$columns)) {
        expect_identical(class(found[[part]][[name]]), told$columns[[name]]$class)
        expect_identical(levels(found[[part]][[name]]), told$columns[[name]]$levels)
      }
    }
  }
  block <- importance(shared_file("reference", "models", "block.fsn"))
  for (part in c("summary", "detailed")) {
    golden <- read_reference("original", paste0("importance_block_", part, ".csv"))
    mine <- as.data.frame(block[[part]])
    mine[] <- lapply(mine, function(column) if (is.factor(column)) as.character(column) else column)
    expect_equal(mine, golden, tolerance = 1e-6)
  }
})

test_that("importance() is drawn as the original's README draws it", {
  skip_without_python()
  imp <- importance(model())
  drawn <- ggplot2::ggplot(imp$summary, ggplot2::aes(x, gain)) + ggplot2::geom_col() + ggplot2::coord_flip() +
    ggplot2::facet_grid(~ y)
  built <- ggplot2::ggplot_build(drawn)
  expect_identical(levels(built$layout$layout$y), levels(imp$summary$y))
  expect_identical(nrow(built$data[[1]]), nrow(imp$summary))
  expect_true(all(levels(imp$summary$y) == c("insulation", "electricity", "vehicles", "solar", "gas_bill")))
})

test_that("variables whose names begin alike come as their files do", {
  skip_without_python()
  donor <- as.data.frame(donors())
  names(donor)[match(c("electricity", "vehicles"), names(donor))] <- c("a_b", "a")
  file <- quietly(train(donor, list(c("a", "a_b"), "solar"), X, fsn = tempfile(fileext = ".fsn"), hyper = FAST, refits = 0))
  found <- importance(file)
  expect_identical(levels(found$summary$y), unique(found$detailed$y))
  expect_identical(levels(found$summary$y), c("a_b", "a", "solar"))
  expect_false(is.unsorted(as.character(found$summary$y)))
  for (part in split(found$summary, found$summary$y)) expect_false(is.unsorted(-part$gain))
})
