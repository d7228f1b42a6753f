"""Data frames that R has saved, read without R: plain columns, and nothing that could act."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fusionpy.formats.r_types import INT_NA, KINDS, field_of, to_arrow
from fusionpy.formats.rds import Damaged, read_rda
from fusionpy.formats.rds.values import RValue

__all__ = ["read_r_frame"]


def read_r_frame(content: bytes, name: str | None = None) -> pa.Table:
    """Read a data frame from what R's `save` or `saveRDS` wrote.

    Parameters
    ----------
    content : bytes
        Packed or not.
    name : str, optional
        Of the object, where there are several.

    Returns
    -------
    pyarrow.Table
        R's NA is null. Factors are dictionaries, with their levels and their order.

    Raises
    ------
    Damaged
        If it is no such file, holds no data frame of that name, or has columns other than numbers, factors,
        text and booleans.
    """
    found = read_rda(content)
    frames = {key: value for key, value in found.items() if _is_frame(value)}
    if name in frames:
        frames = {str(name): frames[name]}
    if len(frames) != 1:
        raise Damaged(f"it holds {len(frames)} data frames" + (f", none named {name}" if name else ""))
    frame = next(iter(frames.values()))
    assert frame is not None  # as _is_frame says
    columns = dict(zip(frame.names or (), frame.values, strict=True))
    arrays = {str(key): _column(str(key), value) for key, value in columns.items()}
    if len({len(each) for each in arrays.values()}) > 1:
        raise Damaged("its columns differ in length")
    return pa.table(arrays)


def _is_frame(value: RValue | None) -> bool:
    return value is not None and value.kind == "list" and "data.frame" in value.classes


def _column(name: str, value: RValue | None) -> pa.Array:
    """Make a column of a vector."""
    classes = () if value is None else value.classes
    if value is not None and value.kind == "integer" and "factor" in classes:
        levels = value.attributes.get("levels")
        codes = np.asarray(value.values, dtype=np.int32)
        texts = () if levels is None else levels.values
        missing = codes == INT_NA
        if (codes[~missing] < 1).any() or (codes[~missing] > len(texts)).any():
            raise Damaged(f"its column {name} has codes that are no levels")
        indices = pa.array(np.where(missing, 0, codes - 1), mask=missing if missing.any() else None)
        return pa.DictionaryArray.from_arrays(
            indices, pa.array(list(texts), pa.string()), ordered="ordered" in classes
        )
    if value is not None and value.kind == "character" and not classes:
        return pa.array(list(value.values), pa.string())
    if value is not None and value.kind in ("logical", "integer", "double") and not classes:
        kind = KINDS[value.kind]
        return to_arrow(kind, np.asarray(value.values), field_of(name, kind, None).type)
    raise Damaged(f"its column {name} is neither numbers, a factor, text nor booleans")
