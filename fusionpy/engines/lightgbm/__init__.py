"""LightGBM, the engine of gradient boosted trees.

`engine` is the table that `fusionpy.engines.base` asks for; `boosting` fits and predicts, `searching` chooses
rounds and hyperparameters, `model_text` reads with distrust. Nothing outside this folder imports LightGBM.
"""
