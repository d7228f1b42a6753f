"""Pure functions over arrays: no frames, no files, no global random state.

All arithmetic that counts, in arrays alone, so that each part can be tested against a slow twin. For how a
donor is drawn, read `uniforms.py`, `clusters.py`, `pools.py` and `draws.py`, in this order; for estimates,
`estimates.py` and `rubin.py`. `forest/` predicts what LightGBM would, bit for bit.
"""
