"""Bytes on disk; no statistics.

`base.py` says what a format is, `stored.py` is the table of them: read these first. `parquet.py`, `fst/`
and `partitioned.py` (folders) are what it names; `implicates.py` and `reading.py` are how implicates are
read by all others. `atomic.py` writes files whole or not at all. `rds/` and `r_frames.py` read what R has
saved.
"""


class Damaged(Exception):  # noqa: N818  (told to the user as a problem of the file)
    """A file is not as the format wants it; the message says where."""
