#' Hand implicates to mitools, survey and mice
#'
#' `to_imputationList()` makes an [mitools::imputationList()] of implicates, which `survey::svydesign()` takes as `data`;
#' `to_mids()` makes an object of class `mids`, which `mice`'s `with()` and `pool()` take.
#'
#' A data set has the columns of the implicates, but for `M`, and those of `static`; a column that both have is the
#' implicates'. To `mice`, columns that are the same in all implicates are observed, all others wholly imputed.
#'
#' Weights: `survey::svyglm()` takes them for what they are, and so does `analyze(~ lm(...))`. [stats::lm()], which one
#' uses with `mice`, gets the same coefficients, but takes weights for numbers of records: its variances are others.
#'
#' @param implicates What [fuse()] returned, or the path of what it wrote, which is read whole.
#' @param static A data frame of columns that are not simulated: one row per recipient, in the implicates' order.
#' @param columns Names of the columns that are wanted. `NULL`: all.
#'
#' @return `to_imputationList()` an `imputationList`, `to_mids()` a `mids`, of as many data sets as there are implicates.
#' @aliases imputationList mids as.mids
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' recipient <- load_recipient()[1:200]
#' file <- train(donor, y = "electricity", x = c("region", "rooms", "tenure"), fsn = tempfile(fileext = ".fsn"),
#'               refits = 0, seed = 1)
#' fused <- fuse(recipient, file, M = 3, seed = 1)
#' if (requireNamespace("survey", quietly = TRUE) && requireNamespace("mitools", quietly = TRUE)) {
#'   sets <- to_imputationList(fused, recipient)
#'   designs <- survey::svydesign(ids = ~1, weights = ~weight, data = sets)
#'   summary(mitools::MIcombine(with(designs, survey::svyglm(log(electricity) ~ rooms))))
#' }
#' if (requireNamespace("mice", quietly = TRUE)) {
#'   sets <- to_mids(fused, recipient, columns = c("electricity", "rooms", "tenure"))
#'   summary(mice::pool(with(sets, lm(log(electricity) ~ rooms + tenure))))
#' }
to_imputationList <- function(implicates, static = NULL, columns = NULL) {
  take("to_imputationList", environment())
  need("mitools", "to_imputationList")
  mitools::imputationList(data_sets(implicates, static, columns, "to_imputationList")$sets)
}

#' @rdname to_imputationList
#' @export
to_mids <- function(implicates, static = NULL, columns = NULL) {
  take("to_mids", environment())
  need("mice", "to_mids")
  found <- data_sets(implicates, static, columns, "to_mids")
  sets <- found$sets
  is_same <- function(name) all(vapply(sets[-1], function(set) identical(set[[name]], sets[[1]][[name]]), NA))
  imputed <- Filter(function(name) !is_same(name), found$own)
  observed <- sets[[1]]
  for (name in imputed) observed[[name]] <- observed[[name]][rep(NA_integer_, nrow(observed))]
  long <- data.table::rbindlist(c(list(observed), sets))
  data.table::set(long, j = ".imp", value = rep(c(0L, seq_along(sets)), each = nrow(observed)))
  data.table::set(long, j = ".id", value = rep(seq_len(nrow(observed)), length(sets) + 1L))
  for (name in names(long)) if (is.character(long[[name]])) data.table::set(long, j = name, value = factor(long[[name]]))
  # It logs that what is to be imputed has no predictors: nothing more is imputed.
  withCallingHandlers(
    mice::as.mids(as.data.frame(long)),
    warning = function(w) if (grepl("logged events", conditionMessage(w))) invokeRestart("muffleWarning")
  )
}

need <- function(package, verb) {
  if (requireNamespace(package, quietly = TRUE)) return(invisible())
  hint <- paste0("Install it: install.packages(\"", package, "\")")
  raise("argument", paste0("`", verb, "()` needs the package ", package, "."), hint = hint)
}

# A data frame per implicate, `sets`, and the names of the implicates' own columns.
data_sets <- function(implicates, static, columns, verb) {
  if (!is.data.frame(implicates)) {
    if (!is.null(static)) {
      ask("check_static", structure(list(), context = the$verb), list(implicates = path(implicates), static = send(static)))
    }
    implicates <- read_fsd(implicates, M = Inf)
  }
  m <- implicates[["M"]]
  is_odd <- !is.numeric(m) || anyNA(m) || !length(m) || length(unique(tabulate(match(m, unique(m))))) > 1
  headline <- paste0("`", verb, "()` cannot start.")
  if (is_odd) {
    hint <- "Pass what fuse() returned or wrote."
    raise("schema", headline, "`implicates` must have a column `M`, and the same rows for each of its values.", hint)
  }
  rows <- split(seq_along(m), m)
  n <- length(rows[[1]])
  if (!is.null(static) && nrow(static) != n) {
    problem <- paste0("`static` has ", nrow(static), " rows, an implicate ", n, ".")
    raise("schema", headline, problem, "Pass one row per recipient, in the implicates' order.")
  }
  own <- setdiff(names(implicates), "M")
  others <- setdiff(names(static), own)
  if (!is.null(columns)) {
    lost <- setdiff(columns, c(own, others))
    if (length(lost)) raise("schema", headline, paste0("`columns`: `", lost, "` is neither in `implicates` nor in `static`."))
    own <- intersect(own, columns)
    others <- intersect(others, columns)
  }
  beside <- lapply(stats::setNames(nm = others), function(name) static[[name]])
  sets <- lapply(unname(rows), function(rows) {
    mine <- lapply(stats::setNames(nm = own), function(name) implicates[[name]][rows])
    as.data.frame(c(mine, beside), optional = TRUE, stringsAsFactors = FALSE)
  })
  list(sets = sets, own = own)
}
