"""Before the training: predictors chosen and ordered, gaps filled, shapes enforced.

`screening.py` (`prep_xy`), `imputation.py` (`impute`) and `monotone.py` (`monotonic`) are the verbs, each
to be read first; `ordering.py`, `donors.py` and `design.py` serve the first, `incomplete.py` and
`imputation_predictors.py` the second.
"""
