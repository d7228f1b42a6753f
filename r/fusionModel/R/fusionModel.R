#' The name fusionModel for package fusionpy
#'
#' Every function of this package is that of package fusionpy: `fusionModel::train` is [fusionpy::train()], and so on.
#' So scripts that say `library(fusionModel)` or `fusionModel::train(...)` run with fusionpy as they are.
#'
#' @section How to choose between this package and the original:
#' Both are called fusionModel, so a library, that is, a folder of installed packages, holds only one of them. Where both
#' are wanted, install this one in a library of its own, and put that library first in the sessions that are to use it:
#'
#' ```
#' install.packages("r/fusionModel", repos = NULL, type = "source", lib = "~/R/facade")
#' .libPaths(c("~/R/facade", .libPaths()))   # or library(fusionModel, lib.loc = "~/R/facade")
#' library(fusionModel)
#' ```
#'
#' Without the second line R finds the original. For scripts that cannot be changed, set the environment variable
#' `R_LIBS=~/R/facade` before R starts. `fusionModel::fusionpy_config()` exists in this package only, so it tells which
#' of the two is loaded.
#'
#' @section Functions:
#' Each has its help page in fusionpy: [analyze][fusionpy::analyze()],
#' [fetch_recs_example][fusionpy::fetch_recs_example()], [fuse][fusionpy::fuse()],
#' [fusionpy_config][fusionpy::fusionpy_config()], [importance][fusionpy::importance()],
#' [impute][fusionpy::impute()], [install_fusionpy][fusionpy::install_fusionpy()],
#' [load_donor][fusionpy::load_donor()], [load_recipient][fusionpy::load_recipient()],
#' [lookup][fusionpy::lookup()], [monotonic][fusionpy::monotonic()], [plot_valid][fusionpy::plot_valid()], [prepXY][fusionpy::prepXY()],
#' [read_fsd][fusionpy::read_fsd()], the data [recs][fusionpy::recs], [to_imputationList][fusionpy::to_imputationList()],
#' [to_mids][fusionpy::to_mids()], [train][fusionpy::train()], [validate][fusionpy::validate()].
#'
#' @aliases analyze fetch_recs_example fuse fusionpy_config importance impute install_fusionpy load_donor load_recipient
#'   lookup monotonic plot_valid prepXY read_fsd recs to_imputationList to_mids train validate
#' @examples
#' identical(fusionModel::train, fusionpy::train)
#' utils::packageVersion("fusionModel") >= "2.4.0"
#' @rawNamespace
#' importFrom(fusionpy, analyze, fetch_recs_example, fuse, fusionpy_config, importance, impute, install_fusionpy,
#'            load_donor, load_recipient, lookup, monotonic, plot_valid, prepXY, read_fsd, recs, to_imputationList, to_mids,
#'            train, validate)
#' export(analyze, fetch_recs_example, fuse, fusionpy_config, importance, impute, install_fusionpy,
#'        load_donor, load_recipient, lookup, monotonic, plot_valid, prepXY, read_fsd, recs, to_imputationList, to_mids,
#'            train, validate)
"_PACKAGE"

.onAttach <- function(libname, pkgname) {
  packageStartupMessage("This fusionModel is the facade of package fusionpy; see help(\"fusionModel-package\").")
}
