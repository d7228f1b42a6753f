#' The example survey of fusionModel
#'
#' fusionModel comes with `recs`, 5,686 households of the Residential Energy Consumption Survey of 2015, and its manual
#' begins with `names(recs)`. fusionpy does not have these data, which are part of a package under the GPL; scripts that
#' ask for `recs` get it from where you have it.
#'
#' The first of these that there is:
#'
#' 1. `options(fusionModel.recs = )`: a data frame, or the path of a file;
#' 2. the environment variable `FUSIONPY_RECS`: the path of a file;
#' 3. what `fetch_recs_example()` has kept. That downloads `recs.rda` from fusionModel's repository, once; or takes it
#'    from your file (`path`), or from the original fusionModel in a library of yours (`lib.loc`).
#'
#' Files are `recs.rda` of fusionModel's source, or what `saveRDS()`, fst or Arrow (Parquet) wrote. They are read
#' without R, and nothing in them is executed. Nothing is opened before `recs` is used. `data(recs)` works too.
#'
#' To try the package, use [load_donor()].
#'
#' @param path Path of a file that has the data. `NULL`: see above.
#' @param lib.loc Folder of a library in which the original fusionModel is installed.
#'
#' @return `recs` is a data.frame of 127 columns: `weight`, 13 predictors (`income` to `heat_type`), 17 fusion variables,
#'   and the replicate weights `rep_1` to `rep_96`. `fetch_recs_example()` returns it, invisibly.
#' @name recs
#' @aliases fetch_recs_example
#' @usage fetch_recs_example(path = NULL, lib.loc = NULL)
#' @export fetch_recs_example
#' @rawNamespace export(recs)
#' @examples
#' \dontrun{
#' fetch_recs_example()
#' predictors <- names(recs)[2:12]
#' }
fetch_recs_example <- function(path = NULL, lib.loc = NULL) {
  arguments <- take("fetch_recs_example", environment())
  if (!is.null(lib.loc)) arguments$path <- path(save_original(lib.loc))
  found <- plain_frame(ask("fetch_recs_example", arguments)$frame)
  the$recs <- list(from = KEPT, frame = found)
  invisible(found)
}

KEPT <- "what was kept"

# The original's data, out of the library where it is installed; no code of it is run.
save_original <- function(lib.loc) {
  folder <- tryCatch(find.package("fusionModel", lib.loc), error = function(e) NULL)
  if (is.null(folder)) refuse_recs(paste0("No fusionModel is installed in '", lib.loc, "'."))
  imports <- utils::packageDescription("fusionModel", lib.loc)$Imports
  if ("fusionpy" %in% trimws(unlist(strsplit(as.character(imports), "[,(]")))) {
    refuse_recs(paste0("The fusionModel in '", lib.loc, "' is the facade of fusionpy, which has no data."))
  }
  held <- new.env()
  suppressWarnings(utils::data(list = "recs", package = "fusionModel", lib.loc = lib.loc, envir = held))
  if (!is.data.frame(held$recs)) refuse_recs(paste0("The fusionModel in '", lib.loc, "' has no `recs`."))
  file <- tempfile(fileext = ".rds")
  saveRDS(as.data.frame(held$recs), file, version = 2)
  file
}

# `recs` is made when the package is loaded, and opened when it is first used.
bind_recs <- function(namespace) {
  makeActiveBinding("recs", function() open_recs(), namespace)
}

open_recs <- function() {
  asked <- getOption("fusionModel.recs")
  if (is.data.frame(asked)) return(plain_frame(asked))
  from <- if (!is.null(asked)) asked else if (nzchar(Sys.getenv("FUSIONPY_RECS"))) Sys.getenv("FUSIONPY_RECS") else KEPT
  if (identical(the$recs$from, from)) return(the$recs$frame)
  if (is_looked_at()) return(NULL)
  the$verb <- list(name = "recs", call = quote(recs), formals = character())
  place <- if (identical(from, KEPT)) NULL else path(from)
  if (inherits(place, "wrong")) {
    refuse_recs(paste0("Option `fusionModel.recs` must be a data frame or the path of a file, not ", shown(from), "."))
  }
  reply <- ask("recs", structure(list(path = place), context = the$verb))
  if (!reply$found) refuse_recs("fusionpy does not come with these data, and you have not said where you have them.")
  the$recs <- list(from = from, frame = plain_frame(reply$frame))
  the$recs$frame
}

refuse_recs <- function(problem) {
  raise("data", "`recs`, the example survey of fusionModel, cannot be opened.", problem,
        paste("Call `fusionpy::fetch_recs_example()`, once; or set `options(fusionModel.recs = )` to a file that has it;",
              "or the environment variable FUSIONPY_RECS. See `?fusionpy::recs`. `load_donor()` is a survey to try with."))
}

# Whether it is not used but met by what goes through all that a package has: library(), which looks for names that are
# there twice; listings of environments; R CMD INSTALL; the checks of packages tools and codetools.
is_looked_at <- function() {
  if (nzchar(Sys.getenv("R_PACKAGE_DIR"))) return(TRUE) # in R CMD INSTALL
  lists <- c("checkConflicts", "as.list.environment", "eapply", "mget")
  for (frame in rev(seq_len(max(0, sys.nframe() - 3)))) { # who asked: before the binding, open_recs() and this
    name <- as.list(sys.call(frame))[[1]]
    if (is.name(name) && as.character(name) %in% lists) return(TRUE)
    from <- topenv(environment(sys.function(frame)))
    if (!identical(from, .BaseNamespaceEnv)) {
      return(isNamespace(from) && getNamespaceName(from) %in% c("tools", "codetools"))
    }
  }
  FALSE
}
