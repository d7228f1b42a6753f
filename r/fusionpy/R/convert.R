# How every argument of every verb becomes JSON: one table, of functions of a value. What cannot cross at all is told
# here; whether a value makes sense, Python tells.

# What is wrong with a value: "must be ...".
wrong <- function(wanted) structure(wanted, class = "wrong")

string <- function(value) {
  if (is.character(value) && length(value) == 1 && !is.na(value)) return(jsonlite::unbox(enc2utf8(as.character(value))))
  wrong("a single string")
}

path <- function(value) {
  text <- string(value)
  if (inherits(text, "wrong")) wrong("the path of a file") else jsonlite::unbox(path.expand(text))
}

# A character vector; one name is one name, in a list.
strings <- function(value) {
  if (is.factor(value) || !is.character(value) || anyNA(value)) return(wrong("a character vector, without NA"))
  enc2utf8(as.vector(value))
}

# c("a", "b"): a list of names. list("a", c("b", "c")): a list of lists of names.
steps <- function(value) {
  if (!is.list(value) || is.data.frame(value)) return(strings(value))
  each <- lapply(unname(value), strings)
  if (any(vapply(each, inherits, NA, "wrong"))) wrong("a list of character vectors, without NA") else each
}

number <- function(value) {
  if (is.numeric(value) && !is.object(value) && length(value) == 1 && !is.na(value)) return(as_number(value))
  wrong("a single number")
}

numbers <- function(value) {
  if (!is.numeric(value) || is.object(value) || anyNA(value)) return(wrong("a vector of numbers, without NA"))
  lapply(as.vector(value), as_number)
}

flag <- function(value) {
  if (isTRUE(value) || isFALSE(value)) jsonlite::unbox(value) else wrong("TRUE or FALSE")
}

# R draws the seed, so that set.seed() makes results repeatable.
seed <- function(value) {
  if (is.null(value)) value <- sample.int(.Machine$integer.max, 1L)
  number(value)
}

# The same for what draws nothing that the user sees: R's random numbers are left where they are.
seed_beside <- function(value) {
  if (!is.null(value)) return(seed(value))
  if (is.null(before <- get0(".Random.seed", globalenv(), inherits = FALSE))) {
    on.exit(rm(".Random.seed", envir = globalenv()))
  } else {
    on.exit(assign(".Random.seed", before, envir = globalenv()))
  }
  seed(NULL)
}

optional <- function(convert) {
  function(value) if (is.null(value)) NULL else convert(value)
}

# The archive to write: what `fuse()` and others take by its name.
model_path <- function(value) {
  found <- path(value)
  if (inherits(found, "wrong") || endsWith(found, ".fsn")) found else wrong("a path that ends with '.fsn'")
}

# A model's path, or c("shrunk", path).
rectifying <- function(value) {
  is_shrunk <- is.character(value) && length(value) == 2 && identical(value[[1]], "shrunk")
  found <- path(if (is_shrunk) value[[2]] else value)
  if (inherits(found, "wrong")) return(wrong("the path of a file, or c(\"shrunk\", path)"))
  if (is_shrunk) c("shrunk", unclass(found)) else found
}

# LightGBM's parameters: of each one value, or several for a grid. Entries without a name get one, as in the original:
# Python says that they have no effect.
hyperparameters <- function(value) {
  wanted <- wrong("a list of LightGBM's parameters, each named once, of numbers, strings, TRUE or FALSE")
  if (!is.list(value) || (is.data.frame(value) && nrow(value) != 1)) return(wanted)
  value <- as.list(value)
  given <- if (is.null(names(value))) rep("", length(value)) else names(value)
  unnamed <- which(is.na(given) | !nzchar(given))
  names(value) <- replace(given, unnamed, paste0("Var", unnamed, recycle0 = TRUE))
  each <- lapply(value, hyperparameter)
  if (anyDuplicated(names(value)) || any(vapply(each, inherits, NA, "wrong"))) wanted else as_object(each)
}

hyperparameter <- function(value) {
  if (is.list(value)) value <- unlist(value)
  if (!is.atomic(value) || is.null(value) || is.object(value) || anyNA(value)) return(wrong("values"))
  convert <- if (is.numeric(value)) as_number else jsonlite::unbox
  if (length(value) == 1) convert(value[[1]]) else lapply(unname(value), convert)
}

# list(rent = c(rooms = 1)): an object of objects of numbers.
directions <- function(value) {
  wanted <- wrong("a named list, such as `list(rent = c(rooms = 1))`")
  if (!is.list(value) || !is_named(value)) return(wanted)
  each <- lapply(value, function(signs) if (is_named(signs)) lapply(as.list(signs), number) else wanted)
  if (any(vapply(each, function(signs) any(vapply(signs, inherits, NA, "wrong")), NA))) wanted else as_object(each)
}

# The method that the option `fusionpy.method` has for a whole script may be one that a verb does not know.
screening_method <- function(value) {
  if (identical(value, "2024") && identical(getOption("fusionpy.method"), "2024")) value <- "default"
  string(value)
}

# How analyze() pools implicates, unless it is told.
usual_pooling <- function() {
  if (identical(getOption("fusionpy.method"), "fusionModel")) "rubin" else "auto"
}

METHODS <- c("default", "2024", "fusionModel")

# What is wrong with the option, if something is.
wrong_option <- function(verb) {
  value <- getOption("fusionpy.method")
  if (!verb %in% c("train", "prepXY", "analyze") || is.null(value)) return(character())
  if (is.character(value) && length(value) == 1 && value %in% METHODS) return(character())
  paste0("Option `fusionpy.method` must be one of ", paste0("'", METHODS, "'", collapse = ", "), ", not ",
         shown(value), ".")
}

number_or_string <- function(value) {
  if (is.character(value)) string(value) else number(value)
}

# Text that JSON has as a number, with all digits.
as_number <- function(value) {
  whole <- is.finite(value) && value == floor(value) && abs(value) < 2^53
  text <- if (is.finite(value)) sprintf(if (whole) "%.0f" else "%.17g", as.double(value)) else
    c("-Infinity", "Infinity")[(value > 0) + 1]
  structure(text, class = "json")
}

is_named <- function(value) {
  length(value) == 0 || (!is.null(names(value)) && all(nzchar(names(value))) && !anyNA(names(value)))
}

TABLE <- list(
  train = list(
    y = steps, x = steps, fsn = model_path, weight = optional(string), nfolds = optional(number),
    nquantiles = optional(number), nclusters = optional(number), krange = optional(numbers),
    hyper = optional(hyperparameters), cores = number, seed = seed, method = string, refits = optional(number),
    replicate_weights = optional(strings), bounds = optional(strings), identities = optional(strings),
    monotone = optional(directions), keep_donors = flag, areas = optional(strings)
  ),
  fetch_recs_example = list(path = optional(path)),
  fuse = list(
    fsn = path, fsd = optional(path), M = number, retain = optional(strings), kblock = number, margin = number,
    cores = number, seed = seed, redraw = string
  ),
  prepXY = list(
    y = steps, x = strings, weight = optional(string), cor_thresh = number, lasso_thresh = number, xmax = number,
    xforce = optional(strings), fraction = number, cores = number, seed = seed, method = screening_method
  ),
  analyze = list(
    x = statistics, weight = optional(string), rep_weights = optional(strings), by = optional(groupings),
    var_scale = number_or_string, cores = number, seed = seed_beside, pooling = string, level = number,
    rectify = optional(rectifying), detailed = flag, layout = optional(string)
  ),
  validate = list(
    subset_vars = strings, weight = optional(string), min_size = number, cores = number, y = optional(strings)
  ),
  plot_valid = list(y = optional(strings), path = optional(path), cores = number),
  impute = list(weight = optional(string), ignore = optional(strings), cores = number, seed = seed, M = number),
  importance = list(fsn = path, weight = optional(string), seed = seed_beside, cores = number),
  monotonic = list(preserve = flag, expend = flag, fast = flag, nmax = number, plot = flag, seed = seed),
  to_imputationList = list(columns = optional(strings)),
  to_mids = list(columns = optional(strings)),
  read_fsd = list(path = path, columns = optional(strings), M = number, cores = number)
)

# Frames, and what is settled in R: they are checked, not sent.
FRAMES <- list(
  train = "data", fuse = "data", prepXY = "data", impute = "data", validate = "observed",
  analyze = "static", to_imputationList = "static", to_mids = "static", importance = "data", read_fsd = "df"
)
MAY_BE_NULL <- c("static", "df")

# Take a verb's arguments from where it is called, as JSON will have them, or tell all that is wrong with them.
take <- function(verb, from, call = sys.call(-1)) {
  context <- list(name = verb, call = call, formals = setdiff(names(formals(get(verb))), "..."))
  problems <- c(missing_arguments(context, from), wrong_option(verb))
  arguments <- list()
  for (name in setdiff(names(TABLE[[verb]]), names(problems))) {
    if (name == "cores" && eval(quote(missing(cores)), from)) {
      value <- default_cores(get(name, from))
      if (inherits(value, "wrong")) {
        problems[name] <- value
        next
      }
    } else {
      value <- get(name, from)
    }
    converted <- TABLE[[verb]][[name]](value)
    if (inherits(converted, "wrong")) {
      problems[name] <- paste0("`", name, "` must be ", converted, ", not ", shown(value), ".")
    }
    arguments[name] <- list(converted)
  }
  problems <- c(problems, unfit_frames(verb, from, names(problems)))
  the$verb <- context # now that no argument is left whose evaluation may call another verb
  if (length(problems)) {
    raise("argument", paste0("`", verb, "()` cannot start."), unname(problems), paste0("See `?fusionpy::", verb, "`."))
  }
  structure(arguments, context = context)
}

# Arguments without which nothing can be done.
missing_arguments <- function(context, from) {
  defaults <- formals(get(context$name))[context$formals]
  required <- context$formals[vapply(defaults, identical, NA, quote(expr = ))]
  names <- Filter(function(name) eval(call("missing", as.name(name)), from), required)
  stats::setNames(paste0("`", names, "` is missing.", recycle0 = TRUE), names)
}

unfit_frames <- function(verb, from, missing) {
  found <- character()
  for (name in setdiff(FRAMES[[verb]], missing)) {
    value <- get(name, from)
    if (is.data.frame(value) || (is.null(value) && (name %in% MAY_BE_NULL || verb == "importance"))) next
    found[name] <- paste0("`", name, "` must be a data frame, not ", shown(value), ".")
  }
  if (verb %in% c("analyze", "validate", "to_imputationList", "to_mids") && !("implicates" %in% missing)) {
    value <- get("implicates", from)
    if (!is.data.frame(value) && inherits(path(value), "wrong")) {
      found["implicates"] <- paste0("`implicates` must be a data frame or a path, not ", shown(value), ".")
    }
  }
  if (verb == "analyze" && !is.null(from$fun) && !is.function(from$fun)) {
    found["fun"] <- paste0("`fun` must be a function, not ", shown(from$fun), ".")
  }
  found
}
