# validate() and plot_valid() beside the original's: structures, rows, files, what is said.

grDevices::pdf(NULL) # where figures that are only built would be drawn

SUBSETS <- c("income", "age", "race", "urban_rural")

# Donors and five implicates of theirs, with a logical.
fused_back <- function() {
  o <- recs_donors()
  I0 <- reference_implicates("implicates_readme_donor_M40.csv.gz", M = 5)
  o$rich <- o$electricity > 10000
  I0$rich <- I0$electricity > 10000
  list(o = o, I0 = I0)
}

# What the original's calls were given: v0 of plot = FALSE, v1 of plot = TRUE.
given <- function() {
  if (is.null(made$given)) {
    found <- c(fused_back(), list(sv = SUBSETS))
    found$v0 <- silently(validate(found$o, found$I0, subset_vars = SUBSETS, plot = FALSE))
    found$v1 <- silently(validate(found$o, found$I0, subset_vars = SUBSETS, weight = "weight", plot = TRUE))
    made$given <- found
  }
  made$given
}

silently <- function(call) record(call)$value

# A call as it was typed, in a folder of its own. `pl` is there.
as_typed <- function(call) {
  folder <- tempfile("typed")
  dir.create(file.path(folder, "pl"), recursive = TRUE)
  before <- setwd(folder)
  on.exit(setwd(before))
  typed <- sub("fusionModel::", "", call, fixed = TRUE)
  if (grepl("path = ", typed) && !grepl("width", typed)) typed <- sub(")$", ", dpi = 40)", typed) # sooner
  found <- record(eval(str2lang(typed), given()))
  found$files <- sort(list.files(folder, recursive = TRUE))
  found$sizes <- lapply(stats::setNames(nm = found$files), function(file) size_of(file.path(folder, file)))
  found
}

# Height and width in pixels.
size_of <- function(file) {
  if (!identical(readBin(file, "raw", 4)[2:4], charToRaw("PNG"))) return("content is not PNG in spite of the name")
  header <- readBin(file, "integer", 6, endian = "big")
  rev(header[5:6])
}

# The original's curves have fewer points where it drops subsets (differences.yaml), and the curve's first heights are
# of another smoother; everything else of them is held against it.
without_curves <- function(described) {
  described$elements$smooth$head <- described$elements$smooth$head[c("metric", "q", "CAT", "VAR")]
  described$elements$perf$head <- described$elements$perf$head["y"]
  described$elements$smooth$dim <- NULL
  described
}

# Kinds of messages in the original's words, and ours.
SAID <- c(
  "weights taken as equal" = "No `weight` is given", "categorical variables are made indicators" = "as indicators",
  "heading of a printed summary of correlations (observed, fused)" = "Correlations of observed and fused",
  "how many variables are validated" = "Variables that are compared: 6",
  "how many analyses over how many subsets" = "comparisons in [0-9]+ subsets", "time taken" = "Time taken",
  "metrics are being smoothed" = "Metrics are smoothed", "heading of the printed table perf" = "Averages of error",
  "figures are made" = "Figures are made\\.", "figures are made and saved" = "Figures are made and written",
  "where the figures are" = "Figures are in"
)

expect_said <- function(said, described, name) {
  kinds <- vapply(described, function(each) each[2], "")
  ours <- SAID[kinds]
  expect_false(anyNA(ours), info = name)
  places <- vapply(ours, function(pattern) match(TRUE, grepl(pattern, said)), 0L)
  expect_false(anyNA(places), info = paste(name, "lacks", ours[is.na(places)][1]))
  expect_false(is.unsorted(places), info = name)
}

test_that("validate() and plot_valid() have the original's structure in every call that they were tried in", {
  skip_without_python()
  skip_without_shared()
  for (name in calls_of("validate_plot_valid")) {
    described <- structures("validate_plot_valid")[[name]]
    found <- as_typed(described$call)
    expect_identical(is.null(found$error), is.null(described$error), info = paste(name, conditionMessage(found$error)))
    if (!is.null(described$error)) {
      expect_s3_class(found$error, "fusionpy_error")
      expect_true(nchar(conditionMessage(found$error)) > 20, info = name)
      next
    }
    expect_identical(found$visible, described$visible, info = name)
    expect_identical(found$warnings, character(), info = name)
    expect_length(found$printed, described$printed)
    expect_said(found$messages, described$messages, name)
    expect_structure(found$value, without_curves(described$result), head = TRUE, label = name)
    expect_identical(dim(found$value$smooth)[2], described$result$elements$smooth$dim[2])
  }
})

test_that("figures are called and labelled as the original's, and print", {
  skip_without_python()
  skip_without_shared()
  described <- structures("validate_plot_valid")$validate_plot
  plots <- given()$v1$plots
  expect_named(plots, names(described$plot_labels))
  check <- function(plot, told, name) {
    mapped <- vapply(plot$mapping, ggplot2::as_label, "")
    expect_identical(mapped[c("x", "y")], c(x = told$x, y = told$y), info = name)
    expect_identical(plot$labels$title, told$title, info = name)
    expect_identical(plot$labels$subtitle, told$subtitle, info = name)
    if (!is.null(told$colour)) expect_identical(mapped[["colour"]], told$colour, info = name)
    expect_s3_class(ggplot2::ggplotGrob(plot + ggplot2::theme_bw()), "gtable")
  }
  for (metric in METRICS) check(plots[[metric]], described$plot_labels[[metric]], metric)
  for (name in setdiff(names(plots), METRICS)) {
    for (metric in METRICS) check(plots[[name]][[metric]], described$plot_labels[[name]][[metric]], paste(name, metric))
  }
  # The rules: square roots, percent; lines for all variables, points and lines for each.
  expect_identical(ggplot2::ggplot_build(plots$est)$layout$panel_scales_x[[1]]$trans$name, "sqrt")
  expect_match(plots$est$labels$x, "percent of population")
  geoms <- function(plot) unique(vapply(plot$layers, function(layer) class(layer$geom)[1], ""))
  expect_identical(geoms(plots$est), "GeomLine")
  expect_setequal(geoms(plots$electricity$est), c("GeomPoint", "GeomLine"))
  expect_identical(nrow(ggplot2::ggplot_build(plots$electricity$est)$data[[1]]), 95L)
})

test_that("files have the original's names, and the sizes that are asked for", {
  skip_without_python()
  skip_without_shared()
  calls <- list(
    default_no_device_open = list(), dpi_72_w5_h5 = list(dpi = 72, width = 5, height = 5),
    units_cm = list(width = 10, height = 5, units = "cm"), width_only = list(width = 4), device_pdf = list(device = "pdf"),
    scale = list(width = 4, height = 4, scale = 2)
  )
  written <- structures("validate_plot_valid")[["_plot_files"]]
  expect_setequal(names(written), names(calls))
  for (name in names(written)) {
    folder <- tempfile("figures")
    found <- record(do.call(plot_valid, c(list(given()$v0, y = "electricity", path = folder), calls[[name]])))
    expect_null(found$error, info = name)
    wanted <- written[[name]]$files
    if (name == "device_pdf") { # the original's fault: PDF in files called .png
      names(wanted) <- sub("png$", "pdf", names(wanted))
      heads <- vapply(file.path(folder, names(wanted)), function(file) readChar(file, 4), "")
      expect_identical(unname(heads), rep("%PDF", length(wanted)))
    } else {
      sizes <- lapply(stats::setNames(nm = names(wanted)), function(file) size_of(file.path(folder, file)))
      expect_identical(sizes, lapply(wanted, as.integer), info = name)
    }
    expect_setequal(list.files(folder), names(wanted))
  }
  files <- structures("validate_plot_valid")$plot_valid_path$files
  found <- as_typed("plot_valid(v0, path = \"pl\")")
  expect_setequal(basename(found$files), names(files))
  asked <- structures("validate_plot_valid")$plot_valid_wh
  expect_identical(as_typed(asked$call)$sizes, lapply(stats::setNames(asked$files_height_width, paste0("pl2/", names(asked$files_height_width))), as.integer))
  expect_setequal(as_typed(structures("validate_plot_valid")$plot_valid_newfolder$call)$files,
                  paste0("pl3/", structures("validate_plot_valid")$plot_valid_newfolder$files))
})

test_that("rows are the original's, in its order", {
  skip_without_python()
  skip_without_shared()
  for (name in c("validate_rows", "validate_weighted_rows")) {
    golden <- read_reference("original", paste0(name, ".csv.gz"))
    mine <- as.data.frame(if (name == "validate_rows") given()$v0 else given()$v1$data)
    expect_identical(mine[c("id", "y", "level")], golden[c("id", "y", "level")])
    # Its n is share * N, cut: one too small where share * N falls short of a whole number (differences.yaml).
    n <- round(golden$share * 2843)
    slipped <- which(abs(mine$moe.obs / golden$moe.obs - 1) > 1e-6)
    expect_lt(length(slipped), 0.1 * nrow(golden))
    golden$moe.obs[slipped] <- (golden$moe.obs * qt(0.95, n - 1) / qt(0.95, n - 2))[slipped]
    expect_identical(is.na(mine), is.na(golden))
    for (column in setdiff(names(golden), c("id", "y", "level"))) {
      off <- abs(mine[[column]] - golden[[column]]) / pmax(abs(golden[[column]]), 1e-12)
      expect_lt(max(off, na.rm = TRUE), 1e-6)
    }
  }
})

test_that("averages are missing where the original's are, and a message says so", {
  skip_without_python()
  skip_without_shared()
  golden <- read_reference("original", "validate_weighted_perf.csv")
  perf <- given()$v1$perf
  expect_identical(perf$y, golden$y)
  for (metric in METRICS) {
    expect_identical(is.na(perf[[metric]]), is.na(golden[[metric]]), info = metric)
  }
  found <- record(plot_valid(given()$v1))
  expect_match(found$messages, "No averages of `insulation`, `aircon`", all = FALSE)
  smooth <- given()$v1$smooth
  expect_false(anyNA(smooth))
  expect_setequal(smooth$VAR, golden$y)
})

test_that("a part of the table, the list and the plain list are all drawn", {
  skip_without_python()
  skip_without_shared()
  v0 <- given()$v0
  some <- v0[v0$y == "electricity" & v0$share > 0.1]
  expect_s3_class(some, "validate")
  drawn <- silently(plot_valid(some))
  expect_named(drawn$plots, c("est", "vad", "moe", "electricity"))
  expect_identical(nrow(drawn$data), nrow(some))
  again <- silently(plot_valid(drawn, y = "electricity"))
  expect_equal(again$smooth, drawn$smooth)
  copy <- tempfile()
  saveRDS(given()$v1, copy)
  expect_equal(silently(plot_valid(readRDS(copy)))$perf, given()$v1$perf)
  one <- silently(plot_valid(v0[1, ]))
  expect_s3_class(ggplot2::ggplotGrob(one$plots$est), "gtable")
  nobody <- v0[v0$y == "insulation" & v0$est.obs == 0]
  expect_s3_class(ggplot2::ggplotGrob(silently(plot_valid(nobody))$plots$insulation$est), "gtable")
  for (wrong in list(data.frame(), v0[0], v0[, 1:3], list(a = 1), "text")) {
    expect_error(plot_valid(wrong), class = "fusionpy_argument_error")
  }
  expect_error(plot_valid(v0, y = "electricity_"), "electricity_", class = "fusionpy_argument_error")
  expect_error(quietly(plot_valid(v0, y = "rich", path = tempfile(), device = "word")), "word",
               class = "fusionpy_argument_error")
  expect_match(record(plot_valid(some, width = 3))$messages, "no effect", all = FALSE)
})

test_that("variables called as figures, or alike but for capitals, keep theirs", {
  table <- data.table::data.table(SHR = c(0.1, 0.5), x = 1)
  points <- data.frame(share = c(0.1, 0.5), y = "est", level = NA, est = 0.1, vad = 0.9, moe = 1)
  smooth <- data.frame(metric = rep(METRICS, each = 2), share = c(0.1, 0.5), y = "est", value = 0.5)
  expect_warning(plots <- draw_all(points, smooth), "`est`", class = "fusionpy_warning")
  expect_named(plots[[4]], METRICS)
  expect_identical(file_stems(c("a", "A", "b/c", "allvars")), c("a", "A_", "b_c", "allvars_"))
})

test_that("what validate() returned is printed", {
  skip_without_python()
  skip_without_shared()
  expect_output(print(given()$v0), "6 variables in 95 subsets.*electricity.*est\\.obs")
  expect_output(print(given()$v1), "6 variables.*electricity.*plots: est, vad, moe, square_feet.*perf, \\$smooth, \\$data")
  expect_output(print(given()$v0[, c("id", "share")]), "share")
  expect_output(print(given()$v0[0]), "0 variables")
})
