"""Bytes on disk; no statistics."""
