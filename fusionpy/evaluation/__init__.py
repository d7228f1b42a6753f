"""How good implicates are: `validate()`, `score()`, `cross_score()`, and `importance()` of a model.

`observed` reads what was observed beside implicates, for all of them. Read `validation` first, which compares
estimates (`comparisons`, by `subsets`), then `scoring`, which compares distributions (`measures`).
"""
