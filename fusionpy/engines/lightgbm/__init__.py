"""LightGBM, the engine of gradient boosted trees."""
