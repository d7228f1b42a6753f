"""Frames of the caller's, whatever their library: read, described and given back.

`tables.py` reads any of them into Arrow's form, which all others work with: read it first. `returned.py` is
the way back, `levels.py` and `level_notes.py` keep categories whole through files, `digests.py` tells
whether rows are those that were fused, `forking.py` what libraries cannot do in a forked process.
"""
