"""The example survey of R's fusionModel, `recs`, from where the user has it, or from its repository."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa

from fusionpy.datasets.caching import CacheRecord, DownloadError, beside, cache_folder, locked, unwritable
from fusionpy.datasets.downloading import OfficialFile, bring
from fusionpy.datasets.fetching import settle_base, settle_digest
from fusionpy.errors import ArgumentError, FusionError, Problems, shown
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.r_frames import read_r_frame
from fusionpy.formats.rds import Damaged
from fusionpy.formats.stored import ENDINGS, holds_fst, open_stored
from fusionpy.frames.returned import to_pandas

__all__ = ["fetch_recs_example", "kept_example", "read_example"]

GITHUB = "https://raw.githubusercontent.com"
FILE = "ummel/fusionModel/HEAD/data/recs.rda"
FOLDER, NAME = "recs-example", "recs.rda"
N_ROWS = 5686
NEEDED = {"weight", "income", "electricity"}


def fetch_recs_example(
    path: str | os.PathLike[str] | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    url: str | None = None,
    checksum: str | None = None,
) -> pd.DataFrame:
    """Fetch `recs`, the example survey of R's fusionModel: households of the RECS 2015, prepared.

    Parameters
    ----------
    path : path, optional
        A file that has it: ``recs.rda`` of fusionModel's source, or what R's `saveRDS` wrote. It is copied
        into the cache. Missing: the file in the cache, or else it is downloaded.
    cache, quiet
        As in `fetch_recs`.
    url : str, optional
        Server that has the file instead of https://raw.githubusercontent.com, under the same path. Missing:
        the environment variable FUSIONPY_GITHUB_URL, if there is one.
    checksum : str, optional
        SHA-256 that the file must have.

    Returns
    -------
    pandas.DataFrame
        5,686 households: ``weight``, predictors (``income`` to ``heat_type``), fusion variables, and the
        replicate weights ``rep_1`` to ``rep_96``. Factors are categories.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    DownloadError
        If the file cannot be had, or is not what it should be.

    Notes
    -----
    The data are of the U.S. Energy Information Administration; the file is part of fusionModel, which is
    under the GPL, and fusionpy does not have it. It is read without R, and nothing of it is executed. How
    files are kept and checked is told in `fetch_recs`.

    Examples
    --------
    >>> recs = fetch_recs_example()  # doctest: +SKIP
    """
    problems = Problems(ArgumentError, "`fetch_recs_example()` cannot start.")
    if path is not None and not isinstance(path, str | os.PathLike):
        problems.add(f"`path` must be the path of a file, not {shown(path)}.")
    base = settle_base(url, "FUSIONPY_GITHUB_URL", GITHUB, problems)
    digest = settle_digest("checksum", checksum, problems)
    problems.stop()
    if path is not None:
        _keep_copy(Path(path).expanduser(), cache, quiet)
    file = bring(OfficialFile(f"{base}/{FILE}", FOLDER, digest, _what_is_wrong), cache, quiet)
    found: pd.DataFrame = to_pandas(read_example(file))
    return found


def kept_example(cache: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the file in the cache; None if it is not there."""
    path = cache_folder(cache) / FOLDER / NAME
    return path if path.is_file() else None


def read_example(path: Path) -> pa.Table:
    """Read the survey from a file of R's (``.rda``, ``.rds``), an fst or a Parquet file.

    Raises
    ------
    ArgumentError
        If there is no data frame in it.
    """
    if holds_fst(path) or path.suffix.lower() in ENDINGS:
        stored = open_stored(path)
        return stored.read(0, stored.n_rows, stored.names)
    headline = f"'{shown_path(path)}' cannot be read."
    hint = "Name `recs.rda` of fusionModel, or a file of R's `saveRDS()`, fst or Parquet."
    try:
        return read_r_frame(path.read_bytes(), "recs")
    except Damaged as error:
        raise ArgumentError(headline, [f"As a file of R's, {error}."], hint) from None
    except OSError as error:
        raise ArgumentError(headline, [f"{error.strerror}."], hint) from None


def _what_is_wrong(path: Path) -> str | None:
    """Say what shows that a file is not the example."""
    try:
        table = read_example(path)
    except FusionError as error:
        return error.problems[0]
    if lacking := NEEDED - set(table.column_names):
        return f"It lacks {', '.join(sorted(lacking))}."
    return None if table.num_rows == N_ROWS else f"It has {table.num_rows:,} rows, not {N_ROWS:,}."


def _keep_copy(path: Path, cache: str | os.PathLike[str] | None, quiet: bool) -> None:
    """Put the user's file into the cache, in the place of what is there."""
    if (problem := _what_is_wrong(path)) is not None:
        raise DownloadError(f"'{shown_path(path)}' is not fusionModel's example.", [problem])
    target = cache_folder(cache) / FOLDER / NAME
    if target.exists() and target.samefile(path):
        return
    with locked(target, quiet):
        part = beside(target, ".part")
        try:
            shutil.copyfile(path, part)
            CacheRecord.of(part, path.absolute().as_uri(), "given").write(target)
            part.replace(target)
        except OSError as error:
            raise unwritable(target, error) from None
