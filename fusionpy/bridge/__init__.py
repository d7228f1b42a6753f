"""What R calls: one job at a time, told in JSON and raw buffers.

R packs arguments and columns, starts a `Job`, and asks it from time to time how far it is: the work is done
in a thread of its own, so that R can show progress and be interrupted. Nothing crosses by reticulate's own
conversions, which lose missing values. Errors cross as data, not as exceptions.
"""

from fusionpy.bridge.jobs import Job

__all__ = ["Job"]
