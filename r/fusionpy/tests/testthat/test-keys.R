# Keys of the data, from fuse() to a file to read_fsd() to a join.
library(data.table)

keyed <- function(n = 60) {
  data <- recipients(n)
  set.seed(4)
  data[, `:=`(year = sample(2018:2020, n, TRUE), code = sprintf("%s%03d", sample(c("a", "B", "é"), n, TRUE), sample(n)),
              wide = bit64::as.integer64(sample(n)) * 3e9, kind = factor(sample(c("u", "v"), n, TRUE), c("v", "u")))]
  data[5, `:=`(code = NA, wide = bit64::NA_integer64_)]
  data[9, kind := NA]
  data[]
}

# Whether rows really are in the order of the key that a table says it has.
is_sorted <- function(table) {
  by <- key(table)
  sorted <- copy(table)[, row := .I]
  setattr(sorted, "sorted", NULL)
  setkeyv(sorted, by)
  !is.unsorted(sorted$row)
}

test_that("keys that are retained survive in memory and in files, and rows are in their order", {
  skip_without_python()
  skip_if_not_installed("bit64")
  keys <- list(c("year", "hid"), c("kind", "code"), c("wide", "year"), c("income", "hid"))
  for (by in keys) {
    data <- keyed()
    setkeyv(data, by)
    plain <- quietly(fuse(as.data.frame(data), model(), M = 2, retain = "hid", seed = 3))
    expect_identical(key(plain), "M")
    for (retain in list(by, rev(by), by[1], by[2], c("rooms", by), "rooms", NULL)) {
      fused <- quietly(fuse(data, model(), M = 2, retain = c(retain, setdiff("hid", retain)), seed = 3))
      expect_identical(key(fused), c("M", intersect(c(retain, "hid"), by)))
      expect_true(is_sorted(fused))
      # Draws belong to records, whatever the order.
      same <- merge(plain[, c("M", "hid", "electricity", "solar")], fused[, c("M", "hid", "electricity", "solar")],
                    by = c("M", "hid"))
      expect_identical(nrow(same), 120L)
      expect_identical(same$electricity.x, same$electricity.y)
      expect_identical(same$solar.x, same$solar.y)
      for (ending in c(".fsd", ".parquet")) {
        file <- quietly(fuse(data, model(), tempfile(fileext = ending), M = 2, retain = c(retain, setdiff("hid", retain)),
                             seed = 3))
        back <- read_fsd(file, M = Inf)
        expect_identical(key(back), key(fused))
        expect_equal(back, fused)
      }
    }
  }
})

test_that("rows that are moved are told of, and static in another order is refused", {
  skip_without_python()
  data <- recipients(80)[, year := rep(2021:2018, each = 20)]
  setkeyv(data, c("year", "hid"))
  expect_message(fuse(data, model(), retain = "hid", seed = 1), "sorted by hid")
  file <- quietly(fuse(data, model(), tempfile(fileext = ".fsd"), M = 3, retain = "hid", seed = 1))
  moved <- copy(data)[, c("hid", "rooms", "urban")]
  expect_error(quietly(analyze(list(mean = "electricity"), file, static = moved, by = "urban")), "order",
               class = "fusionpy_error")
  setkeyv(moved, "hid")
  right <- quietly(analyze(list(mean = "electricity"), file, static = moved, by = "urban"))
  unsorted <- quietly(fuse(as.data.frame(data), model(), M = 3, seed = 1))
  expect_equal(right, quietly(analyze(list(mean = "electricity"), unsorted, static = data, by = "urban")))
  whole <- capture_messages(fuse(data, model(), retain = key(data), seed = 1))
  expect_false(any(grepl("sorted", whole)))
})

test_that("a key of which columns between are not read is set only where rows are in its order", {
  skip_without_python()
  data <- recipients(60)[, year := rep(2020:2018, each = 20)]
  setkeyv(data, c("year", "hid"))
  file <- quietly(fuse(data, model(), tempfile(fileext = ".fsd"), M = 2, retain = key(data), seed = 1))
  part <- read_fsd(file, columns = c("solar", "hid", "M"), M = 2)
  expect_identical(key(part), "M")
  expect_true(is_sorted(part))
  expect_identical(key(read_fsd(file, columns = c("hid", "year", "solar"))), c("year", "hid"))
  expect_null(key(read_fsd(file, columns = c("hid", "year"), M = 2)))
  expect_identical(key(read_fsd(file, M = 2, df = data[3:9, "hid"])), c("M", "year", "hid"))
})

test_that("a file whose note is out of date gives no false key", {
  skip_without_python()
  data <- recipients(40)
  setkeyv(data, "hid")
  file <- quietly(fuse(data, model(), tempfile(fileext = ".parquet"), M = 2, retain = "hid", seed = 1))
  reticulate::py_run_string(sprintf("
import pyarrow.parquet as pq
table = pq.read_table('%s')
pq.write_table(table.sort_by([('M', 'ascending'), ('hid', 'descending')]), '%s')
", file, file))
  back <- read_fsd(file, M = 2)
  expect_identical(key(back), "M")
  expect_identical(back$hid, rep(rev(data$hid), 2))
})

test_that("implicates are told, not warned of, where there are fewer than asked", {
  skip_without_python()
  file <- quietly(fuse(recipients(20), model(), tempfile(fileext = ".fsd"), M = 2, seed = 1))
  expect_no_warning(expect_message(found <- read_fsd(file, M = 9), "2 implicates"))
  expect_identical(found, read_fsd(file, M = 1:2))
  expect_error(read_fsd(file, M = c(2, 5)), "`M`", class = "fusionpy_argument_error")
  expect_error(read_fsd(file, M = 0), "`M`", class = "fusionpy_argument_error")
})

test_that("folders of fsd are made, and taken away if nothing is written", {
  skip_without_python()
  folder <- tempfile("new")
  file <- file.path(folder, "one", "two.fsd")
  expect_error(quietly(fuse(recipients(20), model(), file, retain = "nope")), class = "fusionpy_error")
  expect_false(dir.exists(folder))
  seen <- withVisible(quietly(fuse(recipients(20), model(), file, seed = 1)))
  expect_true(seen$visible)
  expect_true(file.exists(seen$value))
  again <- quietly(fuse(recipients(20), model(), file, M = 2, seed = 1))
  expect_identical(nrow(read_fsd(again, M = Inf)), 40L)
})

test_that("a fraction of a neighbour is cut off, and told", {
  skip_without_python()
  expect_message(seven <- fuse(recipients(30), model(), kblock = 7.5, seed = 1), "kblock")
  expect_identical(seven, quietly(fuse(recipients(30), model(), kblock = 7, seed = 1)))
  for (wrong in list(4, 4.5, 31, 30.5, "7", NA)) {
    expect_error(quietly(fuse(recipients(30), model(), kblock = wrong)), "kblock", class = "fusionpy_argument_error")
  }
})
