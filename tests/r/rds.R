# Objects of every plain kind: written in every form for us to read, and compared with what we wrote.
args <- commandArgs(TRUE)
folder <- args[2]

f <- factor(c("b", NA, "a"), levels = c("c", "b", "a"))
objects <- list(
  null = NULL,
  integers = c(1L, NA, -5L),
  compact = 1:10,
  falling = 10:1,
  named = c(a = 1L, b = NA),
  logicals = c(TRUE, NA, FALSE),
  doubles = c(1.5, NA, NaN, Inf, -Inf, -0.0, 1e-320, 1 / 3),
  realseq = as.numeric(1:5),
  sorted = sort(c(3.5, 1.5, 2.5)),
  characters = c("a", NA, "NA", "", "\u00e9\u4e2d", "tab\there", "q\"uote\\", "a b\nc"),
  latin = iconv("\u00e9", "UTF-8", "latin1"),
  deferred = as.character(c(1L, NA, 30L)),
  deferred_real = as.character(c(0.1, 1e5, 123456, 1 / 3, NA, NaN, Inf, 1e-5, 100000.1)),
  wrapped = {x <- c(2L, 1L, 3L); names(x) <- c("u", "v", "w"); x},
  complexes = c(1 + 2i, NA),
  raws = as.raw(c(0, 255, 65)),
  factor = f,
  ordered = factor(c("lo", "hi"), levels = c("lo", "hi"), ordered = TRUE),
  levels_real = factor(c(0.5, 1.5, 1e5)),
  frame = data.frame(n = c(1.5, NA), i = 1:2, f = factor(c("x", "y")), s = c("p", NA), l = c(NA, TRUE)),
  frame_named = data.frame(n = 1:2, row.names = c("r1", "r2")),
  empty_frame = data.frame(a = integer(0)),
  matrix = matrix(c(1:5, NA), 2, dimnames = list(NULL, c("a", "b", "c"))),
  matrix_rows = matrix(c(0.5, NA, NaN, 1), 2, dimnames = list(c("1", "2"), c("a", "b"))),
  array = array(1:8, c(2, 2, 2)),
  version = list(fusionModel = package_version("2.4.0"), R = getRversion()),
  timing = as.difftime(c(2.5, 3), units = "mins"),
  date = as.Date("2024-02-29"),
  call = call("train"),
  call_long = quote(train(data = recs[d, c("weight", x2)], y = y2, x = , krange = c(10, 300), weight = "w", -1:3)),
  symbol = as.name("abc"),
  pairlist = pairlist(a = 1, 2),
  nested = list(list(list(1, NULL), a = list()), b = NULL),
  attributed = structure(list(a = 1), class = c("k1", "k2"), note = "x", other = list(1L)),
  empty = list(integer(0), character(0), list(), double(0), logical(0))
)

if (args[1] == "write") {
  for (name in names(objects)) {
    for (version in 2:3) {
      save <- function(form, ...) {
        saveRDS(objects[[name]], file.path(folder, paste(name, version, form, "rds", sep = ".")),
          version = version, ...)
      }
      save("gzip")
      save("plain", compress = FALSE)
      save("bzip2", compress = "bzip2")
      save("xz", compress = "xz")
      save("ascii", ascii = TRUE)
      save("hex", ascii = NA)
      native <- file.path(folder, paste(name, version, "native", "rds", sep = "."))
      writeBin(serialize(objects[[name]], NULL, xdr = FALSE, version = version), native)
    }
  }
} else {
  for (name in names(objects)) {
    mine <- readRDS(file.path(folder, paste0(name, ".mine.rds")))
    same <- identical(mine, objects[[name]], num.eq = FALSE, single.NA = FALSE, attrib.as.set = FALSE)
    cat(name, same, "\n")
  }
}
