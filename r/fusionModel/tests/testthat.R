library(testthat)
library(fusionModel)

test_check("fusionModel")
