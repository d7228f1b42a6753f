"""Frames of the caller's, whatever their library: read, described and given back."""
