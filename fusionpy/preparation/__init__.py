"""Before the training: predictors chosen and ordered, gaps filled, shapes enforced."""
