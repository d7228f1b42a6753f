#' Look up variables of fusionData
#'
#' In fusionModel, `lookup()` tells details of the variables that a clone of fusionData, the repository behind
#' fusionACS, has. It has the same place here, and stops where the original stops: unless the working directory is in
#' a folder `fusionData`.
#'
#' @section What is not done here:
#' Within a clone of fusionData `lookup()` stops, too, and says so. That repository is not public, and what the function
#' gives is documented nowhere but in its source, which fusionpy does not use. [read_fsd()] reads the fst files in such
#' a clone: `names(read_fsd(file))` are the variables of one.
#'
#' The signature is that of `fusionModel::lookup()`.
#'
#' @param var,year As in the original; not used.
#'
#' @return Nothing: it stops.
#' @seealso [read_fsd()]
#' @export
#' @examples
#' try(lookup("electricity"))
lookup <- function(var = NULL, year = NULL) {
  the$verb <- list(name = "lookup", call = sys.call(), formals = c("var", "year"))
  here <- getwd()
  if (!grepl("/fusionData", here, fixed = TRUE)) {
    raise("argument", "`lookup()` cannot start.",
          paste0("It looks into a clone of fusionData, and the working directory is in none: '", here, "'."),
          "`setwd()` to a folder `fusionData`. See `?fusionpy::lookup` for what is not done here.")
  }
  raise("argument", "`lookup()` is not done by fusionpy.", "What it tells of a clone of fusionData is documented nowhere.",
        "Ask the original fusionModel, or read a file's variables with `names(read_fsd(file))`.")
}
