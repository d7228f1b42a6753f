"""Bytes on disk; no statistics."""


class Damaged(Exception):  # noqa: N818  (told to the user as a problem of the file)
    """A file is not as the format wants it; the message says where."""
