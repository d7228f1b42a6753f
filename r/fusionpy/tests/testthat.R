library(testthat)
library(fusionpy)

test_check("fusionpy")
