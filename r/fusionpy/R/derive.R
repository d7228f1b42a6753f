# Columns that analyze()'s `fun`, or expressions in formulas, make of all implicates, one below the other.

# Gives `implicates`, sorted by M, with those of the columns made that are needed, and `static` without these.
derive <- function(implicates, static, fun, asked, by, weight, rep_weights) {
  if (!is.data.frame(implicates)) implicates <- read_fsd(implicates, M = Inf)
  stacked <- stack_implicates(implicates, static, weight, rep_weights)
  if (is.null(stacked)) return(list(implicates = implicates, static = static)) # which Python refuses
  n <- nrow(stacked)
  columns <- list()
  if (!is.null(fun)) {
    say("Applying `fun`.")
    columns <- made_by_fun(fun(data.table::copy(stacked)), stacked, n)
  }
  seen <- c(columns, as.list(stacked))
  for (name in names(asked$made)) columns[[name]] <- evaluated(asked$made[[name]], seen, name, n)
  columns <- columns[names(columns) %in% c(asked$names, unlist(by))]
  rows <- order(implicates[["M"]])
  kept <- setdiff(names(implicates), names(columns))
  needed <- c("M", asked$names, unlist(by), weight, rep_weights)
  sorted <- lapply(stats::setNames(nm = kept), function(name) {
    if (name %in% needed) implicates[[name]][rows] else implicates[[name]] # which is not sent
  })
  left <- setdiff(names(static), names(columns))
  list(implicates = setDT(c(sorted, columns)), static = if (length(left)) columns_of(static, left))
}

# What the original gives `fun`: M, the implicates' columns, W, the other columns of `static`, WR. All are copies, so that
# `fun` may change them by reference. NULL if these are no implicates, or `static` does not belong to them.
stack_implicates <- function(implicates, static, weight, rep_weights) {
  m <- implicates[["M"]]
  if (!is.numeric(m) || anyNA(m) || !length(m)) return(NULL)
  sizes <- tabulate(match(m, sort(unique(m))))
  fits <- is.null(static) || nrow(static) == sizes[1]
  if (!all(sizes == sizes[1]) || !fits || !all(c(weight, rep_weights) %in% c(names(implicates), names(static)))) return(NULL)
  rows <- order(m)
  of_static <- rep(seq_len(sizes[1]), length(sizes))
  column <- function(name) {
    if (name %in% names(implicates)) implicates[[name]][rows] else static[[name]][of_static]
  }
  apart <- c("M", weight, rep_weights)
  own <- setdiff(names(implicates), apart)
  others <- setdiff(names(static), c(apart, own))
  w <- if (is.null(weight)) rep(1, length(m)) else as.numeric(column(weight))
  wr <- w + 0
  if (length(rep_weights)) {
    of <- rep(rep_len(rep_weights, length(sizes)), each = sizes[1])
    for (name in unique(of)) wr[of == name] <- as.numeric(column(name))[of == name]
  }
  columns <- c(list(M = m[rows]), lapply(stats::setNames(nm = own), column), list(W = w),
               lapply(stats::setNames(nm = others), column), list(WR = wr))
  setDT(columns)
  columns[]
}

# Columns of what `fun` returned: one value for all rows, or one for each row. Other numbers of rows, which the original
# repeats until they fill the column, would stand beside records that they are not of.
made_by_fun <- function(given, stacked, n) {
  headline <- "What `fun` returned cannot be used."
  if (!is.data.frame(given)) {
    raise("schema", headline, paste0("It is ", shown(given), "."), "Return a data frame with a row per record, in order.")
  }
  rows <- nrow(given)
  if (rows != n && rows != 1) {
    problem <- paste0("It is a data frame of ", rows, " rows; all implicates together have ", n, ".")
    raise("schema", headline, problem, "Return a row per record, in order, or one row that holds for all.")
  }
  given <- as.list(given)
  problems <- character()
  if (anyDuplicated(names(given))) problems <- paste0("Column `", names(given)[anyDuplicated(names(given))], "` occurs twice.")
  for (name in intersect(c("M", "W", "WR"), names(given))) {
    if (isTRUE(all.equal(as.numeric(given[[name]]), as.numeric(stacked[[name]]), tolerance = 0))) next
    problems <- c(problems, paste0("It has a column `", name, "` of its own, which `fun` is given and cannot change."))
  }
  if (length(problems)) raise("schema", headline, problems, "Give columns other names.")
  given <- given[setdiff(names(given), c("M", "W", "WR"))]
  if (rows == n) given else lapply(given, function(column) column[rep(1L, n)])
}

# An expression of columns, such as `electricity / hh_size`.
evaluated <- function(made, columns, name, n) {
  value <- tryCatch(eval(made$expression, columns, made$frame), error = function(e) {
    raise("schema", "A formula cannot be evaluated.", paste0("`", name, "`: ", conditionMessage(e)),
          "Its columns must be in `implicates` or `static`, or made by `fun`.")
  })
  if (length(value) == 1) return(rep(value, n))
  if (length(value) == n) return(value)
  raise("schema", "A formula cannot be evaluated.", paste0("`", name, "` gives ", length(value), " values for ", n, " records."))
}
