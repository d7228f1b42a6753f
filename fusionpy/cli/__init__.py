"""The command line: parse, call a verb, print."""

from fusionpy.cli.app import app, main

__all__ = ["app", "main"]
