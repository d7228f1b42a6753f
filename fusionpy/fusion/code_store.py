"""Recipients as codes, in memory or spilled to disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.digests import Digest
from fusionpy.model.ranges import Tally

__all__ = ["Coded", "spool"]

Block = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.int32]]


class Coded:
    """Recipients' predictors as codes, block after block of rows, in memory or in a temporary file.

    Parameters
    ----------
    n_rows, rows : int
        All, and those of a block; the last block has what is left.
    shape : (int, int, int)
        Coded columns, columns of which the values are kept too, and areas.
    dtype : dtype
        Of the codes.
    file : file, optional
        Where to keep them, if not in memory.

    Attributes
    ----------
    n_missing : dict of str to int
        Missing values of the predictors that have some.
    tallies : dict of str to Tally
        How the predictors lie in the donors' ranges.
    digests : dict of str to Digest
        Of the predictors, if they were wanted.
    unseen : tuple of (u,) uint64
        Of each area the keys of levels that no donor has.
    matched : dict of str to (int, tuple of str)
        Of each area the number of records at levels of donors, and some of the other levels.
    """

    def __init__(
        self,
        n_rows: int,
        rows: int,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        file: IO[bytes] | None,
    ) -> None:
        self.n_rows, self.rows = n_rows, rows
        self._shape, self._dtype, self._file = shape, dtype, file
        self._lock = Lock()  # of the file's position
        self._blocks: list[Block] = []
        self._filling: Block | None = None
        self._filled = self._done = 0
        self.n_missing: dict[str, int] = {}
        self.tallies: dict[str, Tally] = {}
        self.digests: dict[str, Digest] = {}
        self.unseen: tuple[NDArray[np.uint64], ...] = ()
        self.matched: dict[str, tuple[int, tuple[str, ...]]] = {}

    @property
    def starts(self) -> range:
        """First row of each block."""
        return range(0, self.n_rows, self.rows)

    def append(self, codes: NDArray[Any], values: NDArray[np.float64], areas: NDArray[np.int32]) -> None:
        """Add rows: (p, m), (r, m) and (a, m)."""
        taken = 0
        while taken < codes.shape[1]:
            if self._filling is None:
                self._filling = self._empty(min(self.rows, self.n_rows - self._done))
            block: tuple[NDArray[Any], ...] = self._filling
            given: tuple[NDArray[Any], ...] = codes, values, areas
            size = block[0].shape[1]
            part = min(size - self._filled, codes.shape[1] - taken)
            for into, whole in zip(block, given, strict=True):
                into[:, self._filled : self._filled + part] = whole[:, taken : taken + part]
            taken += part
            self._filled += part
            if self._filled == size:
                self._keep(self._filling)
                self._filling, self._filled = None, 0
                self._done += size

    def block(self, start: int) -> Block:
        """Fetch the block that begins at a row: codes, values and areas. Safe from several threads."""
        number = start // self.rows
        if self._file is None:
            return self._blocks[number]
        block = self._empty(min(self.rows, self.n_rows - start))
        n_codes, n_values, n_areas = self._shape
        position = start * (n_codes * self._dtype.itemsize + n_values * 8 + n_areas * 4)
        for into in block:
            _read_into(self._read, into, position)
            position += into.nbytes
        return block

    def _empty(self, rows: int) -> Block:
        n_codes, n_values, n_areas = self._shape
        codes, values = np.empty((n_codes, rows), dtype=self._dtype), np.empty((n_values, rows))
        return codes, values, np.empty((n_areas, rows), dtype=np.int32)

    def _keep(self, block: Block) -> None:
        if self._file is None:
            self._blocks.append(block)
            return
        with self._lock:
            self._file.seek(0, os.SEEK_END)
            for part in block:
                self._file.write(part.data if part.size else b"")
            self._file.flush()

    def _read(self, n: int, position: int) -> bytes:
        """Read up to n bytes of the file, side by side with other threads where the system lets them."""
        assert self._file is not None
        if hasattr(os, "pread"):  # not on Windows
            return os.pread(self._file.fileno(), n, position)
        with self._lock:
            self._file.seek(position)
            return self._file.read(n)


def _read_into(read: Callable[[int, int], bytes], into: NDArray[Any], position: int) -> None:
    """Fill an array from a place in a file."""
    view = into.reshape(-1).view(np.uint8)
    done = 0
    while done < len(view):
        piece = read(min(len(view) - done, 2**26), position + done)
        if not piece:
            raise OSError("the temporary file has been cut short")
        view[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        done += len(piece)


@contextmanager
def spool(spill: bool, folder: Path | None) -> Iterator[IO[bytes] | None]:
    """Hold a file without a name, if codes are to be spilled."""
    if not spill:
        yield None
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file
