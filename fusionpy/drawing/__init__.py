"""Draws of donors for recipients, step after step.

Begin with `steps.py`, which reads as the order of things. `predictions.py` has what models expect of
recipients, `centres.py` which centres are nearest to that, `urns.py` the donors of each centre and their
weights, `limits.py` what rules leave of them.
"""
