"""R's data frames and R's own fusionModel, from Python (`pip install "fusionpy[r]"`; R itself must be there).

`read_rds` and `read_rda` read what R has saved, `to_r` and `from_r` hand data frames to R and take them
back, and `compare_with_r` runs R's fusionModel beside fusionpy. R starts within this process when one of them
is first called, not before.

rpy2, which all of it uses, is under the GPL (version 2 or later): it is an extra that nothing else of
fusionpy imports. Only read files that you trust: R, before version 4.4 at least, can be made to run code by a
file that was forged for it.
"""

from fusionpy.r.comparison import compare_with_r
from fusionpy.r.objects import from_r, read_rda, read_rds, to_r

__all__ = ["compare_with_r", "from_r", "read_rda", "read_rds", "to_r"]
