"""Fusion and analysis on a Dask cluster, for what one machine cannot do (`pip install "fusionpy[dask]"`).

`fuse` writes a data set of Parquet files with the very implicates that `fusionpy.fuse` would write on one
machine, and `analyze` estimates from them what `fusionpy.analyze` would. Both use the Dask client that is
there, or start workers on this machine for the call.

>>> import fusionpy.distributed
"""

import importlib.util

if importlib.util.find_spec("dask") is None or importlib.util.find_spec("distributed") is None:
    raise ImportError('fusionpy.distributed needs Dask, which is not installed: pip install "fusionpy[dask]"')

from fusionpy.distributed.analysing import analyze
from fusionpy.distributed.fusing import fuse

__all__ = ["analyze", "fuse"]
