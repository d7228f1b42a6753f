# Nothing here starts Python: that happens when it is first needed.

ENVIRONMENT <- "r-fusionpy"

# What lasts for the session: the Python side, the verb at work, bytes that R may collect.
the <- new.env(parent = emptyenv())
the$garbage <- 0

.onLoad <- function(libname, pkgname) {
  set_cores()
  bind_recs(topenv())
  python <- preferred_python()
  if (!is.null(python) && !reticulate::py_available()) reticulate::use_python(python, required = TRUE)
}

# The Python program that was asked for, or that of our own environment; NULL if there is none.
preferred_python <- function() {
  if (nzchar(Sys.getenv("RETICULATE_PYTHON"))) return(NULL)
  option <- getOption("fusionpy.python")
  if (!is.null(option)) return(option)
  there <- tryCatch(reticulate::virtualenv_exists(ENVIRONMENT), error = function(e) FALSE)
  if (there) reticulate::virtualenv_python(ENVIRONMENT) else NULL
}

# The Python program that will be, or is, used; NULL if there is none.
python_to_use <- function() {
  if (reticulate::py_available()) return(reticulate::py_config()$python)
  asked <- Sys.getenv("RETICULATE_PYTHON")
  if (nzchar(asked)) return(asked)
  found <- preferred_python()
  if (!is.null(found)) return(found)
  tryCatch(reticulate::py_discover_config("fusionpy")$python, error = function(e) NULL)
}

# The version of fusionpy that a Python program has; NA if it has none.
version_there <- function(python) {
  script <- "from importlib.metadata import version; print(version('fusionpy'))"
  found <- tryCatch(
    suppressWarnings(system2(python, c("-c", shQuote(script)), stdout = TRUE, stderr = FALSE)),
    error = function(e) NULL
  )
  if (length(found) == 1 && is.null(attr(found, "status"))) found else NA_character_
}

# The Python side, started when it is first needed.
connect <- function() {
  if (is.null(the$bridge)) {
    the$bridge <- tryCatch(reticulate::import("fusionpy.bridge", convert = FALSE), error = refuse_python)
  }
  the$bridge
}

refuse_python <- function(error) {
  python <- tryCatch(python_to_use(), error = function(e) NULL)
  where <- if (is.null(python)) "No Python was found." else paste0("Python is '", python, "'.")
  told <- gsub("\\s*\n.*", "", conditionMessage(error))
  raise("python", "Python's fusionpy cannot be used.", c(where, told),
        "Run `install_fusionpy()`, restart R, or set `RETICULATE_PYTHON` to a Python that has fusionpy.")
}
