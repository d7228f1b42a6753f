"""Pure functions over arrays: no frames, no files, no global random state."""
