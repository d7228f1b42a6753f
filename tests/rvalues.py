"""Values of R compared as R compares them."""

from __future__ import annotations

from fusionpy.formats.rds.values import (
    RValue,
)


def identical(a, b):
    """R's `identical()`, NA and NaN kept apart."""
    if not isinstance(a, RValue) or not isinstance(b, RValue):
        return a is b or (isinstance(a, str) and a == b)
    if a.kind != b.kind or len(a) != len(b) or list(a.attributes) != list(b.attributes):
        return False
    if not all(identical(a.attributes[name], b.attributes[name]) for name in a.attributes):
        return False
    if isinstance(a.values, tuple):
        return all(identical(x, y) for x, y in zip(a.values, b.values, strict=True))
    return a.values.dtype == b.values.dtype and a.values.tobytes() == b.values.tobytes()
