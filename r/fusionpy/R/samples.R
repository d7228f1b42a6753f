#' Two small sample surveys
#'
#' Simulated households to try the package on: a donor survey of 4,000 with predictors, fusion variables and replicate
#' weights, and a recipient survey of 20,000 with predictors only.
#'
#' @return A data.table. Both have the identifier `hid`, the predictors `region`, `urban`, `age`, `education`, `income`,
#'   `hh_size`, `tenure`, `dwelling`, `year_built` and `rooms`, and `weight`. Donors have also the fusion variables
#'   `heating_fuel`, `insulation`, `solar`, `vehicles`, `electricity`, `gas_bill`, `food_share`, `housing_share`,
#'   `other_share` and `savings`, and the replicate weights `rep_1` to `rep_40`.
#' @export
#' @examplesIf fusionpy::fusionpy_config()$available
#' donor <- load_donor()
#' str(donor[, 1:12])
load_donor <- function() {
  ask("sample", list(name = jsonlite::unbox("donor")))$frame
}

#' @rdname load_donor
#' @export
load_recipient <- function() {
  ask("sample", list(name = jsonlite::unbox("recipient")))$frame
}
