# fuse() and read_fsd(), call by call as the original was called: structures.json, group fuse_read_fsd.

# What differs on purpose; differences.yaml has the reasons.
OTHERWISE <- list(
  fuse_fsd_bad_suffix = "works: fst files of either ending, and Parquet",
  fuse_zero_rows = "works: no recipients, no rows",
  fuse_fsd_new_folder_rel = "the path is absolute here too",
  fuse_chr = "works: characters are taken as factors, if their values are levels"
)

# A warning of ours where the original says nothing: predictors with holes that no donor had.
WARNS <- "fuse_NA"

# The files and tables of the calls, in a folder of their own.
stage <- function(folder) {
  stage <- new.env(parent = globalenv())
  donor <- recs_donors()[1:400, ]
  stage$rec <- reset_rows(recs_recipients()[1:60, ])
  y <- list("insulation", "use_ng", c("natural_gas", "heating_share", "aircon"), "electricity", "propane")
  stage$f <- quietly(train(donor, y, c("income", "age", "race", "hh_size", "renter"), fsn = file.path(folder, "f.fsn"),
                           hyper = FAST, refits = 0, method = "fusionModel", seed = 1))
  hid <- sprintf("h%03d", 1:60)
  stage$k1 <- data.table::data.table(stage$rec, hid = hid, key = "hid")
  stage$k2 <- data.table::data.table(stage$rec, year = 2015L, hid = hid, key = c("year", "hid"))
  writeLines("no archive", file.path(folder, "bad.fsn"))
  reticulate::py_run_string(sprintf("
import pyarrow
from fusionpy.formats.fst import write_fst
table = pyarrow.table({'a': pyarrow.array(range(5), pyarrow.int32()), 'b': list('abcde')})
write_fst([table], '%s', table.schema)
", file.path(folder, "noM.fst")))
  for (verb in c("fuse", "read_fsd")) assign(verb, get(verb, asNamespace("fusionpy")), stage)
  stage$key <- data.table::key
  stage
}

test_that("every call of fuse() and read_fsd() gives what it gives in the original", {
  skip_without_python()
  skip_without_shared()
  folder <- tempfile("stage")
  dir.create(folder)
  home <- setwd(folder)
  on.exit(setwd(home))
  stage <- stage(folder)
  group <- structures("fuse_read_fsd")
  before <- lapply(mget(c("rec", "k1", "k2"), envir = stage), data.table::copy)
  expect_true(all(names(OTHERWISE) %in% names(group)))
  for (name in calls_of("fuse_read_fsd")) {
    told <- group[[name]]
    if (name == "read_other_suffix") file.copy("o.fsd", "o.dat")
    if (name == "read_fst_suffix") file.copy("o.fsd", "o.fst", overwrite = TRUE)
    mine <- record(eval(str2lang(told$call), stage))
    said <- paste0(name, ": ", told$call)
    expect_identical(length(mine$warnings), as.integer(name %in% WARNS), info = said)
    expect_identical(mine$printed, character(), info = said)
    if (name %in% names(OTHERWISE)) {
      expect_null(mine$error, info = said)
      next
    }
    if (!expect_answered(mine, told, said)) next
    if (startsWith(told$call, "fuse")) expect_gt(length(mine$messages), 0)
    expect_structure(mine$value, told$result, label = said)
    if (is.character(mine$value)) {
      expect_identical(basename(mine$value), basename(told$result$head), info = said)
      expect_true(file.exists(mine$value), info = said)
    }
    if (!is.null(told$rows_in_file)) expect_identical(nrow(read_fsd(mine$value, M = Inf)), told$rows_in_file, info = said)
    if (!is.null(told$file_keys)) {
      expect_identical(data.table::key(read_fsd(mine$value)), told$file_keys, info = said)
      expect_identical(names(read_fsd(mine$value)), told$file_columns, info = said)
    }
  }
  expect_identical(mget(names(before), envir = stage), before) # the caller's data are left alone
})
