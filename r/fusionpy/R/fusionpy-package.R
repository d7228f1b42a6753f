#' fusionpy: fuse survey microdata
#'
#' Trains on a donor survey ([train()]) and simulates its own variables for every record of a recipient survey
#' ([fuse()]), several times over, with the functions, defaults and results of fusionModel. The work is done by the
#' Python package fusionpy, which [install_fusionpy()] installs.
#'
#' Errors are conditions of class `fusionpy_error`, and of one of `fusionpy_argument_error`, `fusionpy_schema_error`
#' (columns do not fit), `fusionpy_archive_error` (a model cannot be read), `fusionpy_output_error` (a file cannot be
#' written), `fusionpy_python_error` (Python, or fusionpy in it, is not there) and `fusionpy_internal_error` (a fault
#' of fusionpy). They have fields `headline`, `problems` (each thing that is wrong), `hint` and `argument` (names of
#' the arguments that are meant). Warnings are of class `fusionpy_warning`. Messages are cli's;
#' [suppressMessages()] silences them.
#'
#' @keywords internal
#' @importFrom data.table .SD as.data.table data.table setDT setattr setkeyv
#' @importFrom parallel detectCores
"_PACKAGE"
