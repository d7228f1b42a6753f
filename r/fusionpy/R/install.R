#' Install what the package needs of Python
#'
#' `install_fusionpy()` makes a virtual environment of Python and installs fusionpy in it, which the package finds from
#' then on. `fusionpy_config()` tells which Python is used, without starting it.
#'
#' The first of these is used: the Python of the environment variable `RETICULATE_PYTHON`; that of
#' `options(fusionpy.python = )`, the path of a Python program; the virtual environment `r-fusionpy`; otherwise
#' whichever Python reticulate finds.
#'
#' @param envname Name, or path, of the virtual environment; it is made unless it is there.
#' @param source What to install: `"fusionpy"`, a version of it such as `"fusionpy==0.1.0"`, or the path of a wheel or
#'   of the source.
#' @param python Path of the Python program, of at least version 3.11, to make the environment with. `NULL`: the one
#'   that reticulate finds.
#' @param ... Passed on to [reticulate::virtualenv_install()].
#'
#' @return `install_fusionpy()`: the path of the environment's Python program, invisibly. `fusionpy_config()`: a list of
#'   `python`, the path of the Python program; `version` of fusionpy there; and `available`, whether it is there.
#' @export
#' @examples
#' \dontrun{
#' install_fusionpy()
#' }
#' fusionpy_config()$available
install_fusionpy <- function(envname = "r-fusionpy", source = "fusionpy", python = NULL, ...) {
  if (file.exists(source)) source <- normalizePath(source)
  without_library_path({
    if (!reticulate::virtualenv_exists(envname)) reticulate::virtualenv_create(envname, python = python)
    reticulate::virtualenv_install(envname, packages = source, ...)
  })
  program <- reticulate::virtualenv_python(envname)
  say(paste0("fusionpy is installed in ", program, ". Restart R if it has started another Python already."))
  invisible(program)
}

#' @rdname install_fusionpy
#' @export
fusionpy_config <- function() {
  python <- python_to_use()
  version <- if (is.null(python)) NA_character_ else version_there(python)
  list(python = python, version = version, available = !is.na(version))
}

# Evaluate without R's LD_LIBRARY_PATH: by it a Python with a shared library, such as pyenv's, loads another
# one's, and then has no SSL.
without_library_path <- function(expression) {
  given <- Sys.getenv("LD_LIBRARY_PATH", NA)
  if (!is.na(given)) {
    Sys.unsetenv("LD_LIBRARY_PATH")
    on.exit(Sys.setenv(LD_LIBRARY_PATH = given))
  }
  expression
}
