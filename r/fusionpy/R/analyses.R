# What `x` and `by` of analyze() ask for: named lists, formulas, names of columns in quotes or without.

# x as a list of analyses, each a list of `how` (mean), `what` (names of columns; of a ratio pairs of them), `name`, and
# of formulas `made`: an expression of columns, and where it is evaluated, by the name that its column gets.
analyses_of <- function(x) {
  wanted <- wrong("a named list of character vectors, or formulas, such as `list(mean = \"income\", tot ~ sum(income))`")
  if (inherits(x, "formula")) x <- list(x)
  if (!is.list(x) || is.data.frame(x)) return(wanted)
  names <- if (is.null(names(x))) character(length(x)) else names(x)
  is_formula <- vapply(x, inherits, NA, "formula")
  if (anyNA(names) || !all(nzchar(names) | is_formula)) return(wanted)
  found <- Map(function(each, name) {
    if (inherits(each, "formula")) as_analysis(each, name) else entry_of(name, strings(each))
  }, x, names)
  is_wrong <- vapply(found, inherits, NA, "wrong")
  if (any(is_wrong & is_formula)) return(found[[which(is_wrong & is_formula)[1]]])
  if (any(is_wrong)) wanted else unname(found)
}

entry_of <- function(how, what, name = NULL, made = list()) {
  if (inherits(what, "wrong")) return(what)
  list(how = how, what = what, name = name, made = made)
}

# name ~ mean(a), ~ quantile(a, 0.9), ~ ratio(a, b), ~ mean(a / b).
as_analysis <- function(formula, name) {
  wanted <- wrong("of formulas such as `name ~ mean(income)` or `~ median(income / hh_size)`")
  asked <- formula[[length(formula)]]
  if (length(formula) == 3) name <- if (is.call(formula[[2]])) NA else text_of(formula[[2]])
  if (is.na(name) || !is.call(asked) || !is.symbol(asked[[1]]) || length(asked) < 2) return(wanted)
  how <- as.character(asked[[1]])
  inside <- as.list(asked)[-1]
  if (how == "quantile" && length(inside) == 2) {
    share <- tryCatch(eval(inside[[2]], environment(formula)), error = function(e) NULL)
    if (!is.numeric(share) || length(share) != 1 || is.na(share)) return(wanted)
    how <- paste0("p", format(100 * share, digits = 15))
    inside <- inside[1]
  }
  if (how %in% c("lm", "glm")) return(regression_of(how, asked, name))
  if (length(inside) != if (how == "ratio") 2 else 1) return(wanted)
  what <- vapply(inside, text_of, "", USE.NAMES = FALSE)
  is_made <- vapply(inside, is.call, NA)
  made <- lapply(inside[is_made], function(expression) list(expression = expression, frame = environment(formula)))
  names(made) <- what[is_made]
  entry_of(how, if (how == "ratio") list(what) else what, if (nzchar(name)) name, made)
}

# name ~ lm(log(a) ~ b * c), ~ glm(a ~ b, family = binomial): Python reads the formula.
regression_of <- function(how, asked, name) {
  inside <- as.list(asked)[-1]
  wanted <- wrong("of regressions such as `~ lm(log(income) ~ age)` or `~ glm(solar ~ age, family = binomial)`")
  is_formula <- length(inside) && is.call(inside[[1]]) && identical(inside[[1]][[1]], quote(`~`)) && length(inside[[1]]) == 3
  if (!is_formula || length(inside) > if (how == "glm") 2 else 1) return(wanted)
  text <- text_of(inside[[1]])
  if (length(inside) == 2) text <- paste0(text, ", family = ", text_of(inside[[2]]))
  entry_of(how, text, if (nzchar(name)) name)
}

# Columns of a formula in text; what cannot be read Python tells.
columns_of_formula <- function(text) {
  parsed <- tryCatch(parse(text = paste0("list(", text, ")"), keep.source = FALSE)[[1]], error = function(e) NULL)
  if (is.call(parsed) && length(parsed) > 1) all.vars(parsed[[2]])
}

text_of <- function(expression) {
  if (is.call(expression)) paste(deparse(expression, width.cutoff = 500L), collapse = " ") else as.character(expression)
}

# As JSON: a list of objects.
statistics <- function(value) {
  asked <- analyses_of(value)
  if (inherits(asked, "wrong")) return(asked)
  lapply(asked, function(each) {
    what <- each$what
    if (each$how == "ratio" && is.character(what)) what <- lapply(what, in_two)
    list(how = jsonlite::unbox(enc2utf8(each$how)), what = what, name = if (!is.null(each$name)) string(each$name))
  })
}

# "a/b" as a pair.
in_two <- function(text) {
  parts <- trimws(strsplit(text, "/", fixed = TRUE)[[1]])
  if (length(parts) == 2) parts else jsonlite::unbox(text)
}

# Names of the columns that analyses need, and expressions of those that are to be made.
columns_asked <- function(asked) {
  made <- do.call(c, lapply(asked, function(each) each$made))
  names <- unlist(lapply(asked, function(each) {
    if (each$how %in% c("lm", "glm")) return(lapply(each$what, columns_of_formula))
    if (each$how == "ratio" && is.character(each$what)) lapply(each$what, in_two) else each$what
  }))
  list(names = unique(as.character(names)), made = made[!duplicated(names(made))])
}

# A character vector is one grouping, a list several. JSON has a list of names, or of lists of them.
groupings <- function(value) {
  if (!is.list(value) || is.data.frame(value)) return(strings(value))
  each <- lapply(unname(value), function(names) if (is.null(names)) character() else strings(names))
  if (any(vapply(each, inherits, NA, "wrong"))) {
    return(wrong("a character vector, or a list of them, without NA"))
  }
  each
}

is_groupings <- function(value) {
  is.null(value) || !inherits(groupings(value), "wrong")
}

# `by` as it was given, by value if that is names of columns; or else, as `list(np, c(np, county))`, as it was written.
settle_by <- function(value, written) {
  if (!inherits(value, "error") && is_groupings(value$given)) return(value$given)
  names <- tryCatch(names_written(written), error = function(e) NULL)
  if (!is.null(names)) return(names)
  if (inherits(value, "error")) stop(value)
  value$given
}

names_written <- function(expression) {
  if (is.symbol(expression) && nzchar(as.character(expression))) return(as.character(expression))
  if (is.character(expression) || is.null(expression)) return(expression)
  how <- if (is.call(expression)) text_of(expression[[1]]) else ""
  inside <- lapply(as.list(expression)[-1], names_written)
  switch(how, list = unname(inside), c = unlist(inside, use.names = FALSE), stop("not names"))
}

# A call as fusionACS has it, analyze(data = my.data, ~ mean(a), tot ~ sum(b), by = county): formulas that fell on other
# arguments are gathered in `x`, these get their defaults back, and `data` are the implicates.
gather_formulas <- function(from, dots) {
  defaults <- formals(analyze)
  found <- list()
  for (name in setdiff(names(defaults), c("by", "data", "..."))) {
    if (eval(call("missing", as.name(name)), from) || !inherits(get(name, from), "formula")) next
    found <- c(found, list(get(name, from)))
    if (!identical(defaults[[name]], quote(expr = ))) assign(name, eval(defaults[[name]]), from)
  }
  from$x <- c(found, unname(dots))
  twofold <- Filter(function(name) !eval(call("missing", as.name(name)), from) && !is.null(get(name, from)) &&
                      !inherits(get(name, from), "formula"), c("implicates", "static"))
  if (length(twofold)) {
    given <- paste0("`", twofold, "`", collapse = ", ")
    refuse_call(paste0("`data` stands in the place of `implicates` and `static`; there is ", given, ", too."),
                "Give one frame with all columns, or `implicates` and `static`.")
  }
  data <- from$data
  if (is.data.frame(data) && !("M" %in% names(data))) data <- setDT(c(list(M = rep(1L, nrow(data))), as.list(data)))
  if (is.null(from$weight) && "weight" %in% names(data)) from$weight <- "weight"
  if (is.null(from$layout)) from$layout <- "fusionacs"
  from$implicates <- data
  invisible()
}

check_dots <- function(dots, has_data) {
  if (!length(dots)) return(invisible())
  named <- if (is.null(names(dots))) character() else Filter(nzchar, names(dots))
  if (has_data && !length(named) && all(vapply(dots, inherits, NA, "formula"))) return(invisible())
  shown <- if (length(named)) paste0("`", named, "`", collapse = ", ") else "more than it has, without names"
  refuse_call(paste0("It has no such arguments: ", shown, "."),
              "Formulas may follow one another where `data` is given; see `?fusionpy::analyze`.")
}

refuse_call <- function(problem, hint) {
  verb <- list(call = sys.call(-2), formals = names(formals(analyze)))
  raise("argument", "`analyze()` cannot start.", problem, hint, verb)
}
