"""Official microdata files, downloaded once and kept: the RECS and the American Community Survey."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa

from fusionpy.datasets.downloading import OfficialFile, bring
from fusionpy.datasets.places import State, settle_states
from fusionpy.datasets.unpacking import as_frame, read_csv, what_is_wrong
from fusionpy.errors import ArgumentError, Problems, few, is_whole, repeated, shown

__all__ = ["fetch_acs_pums", "fetch_recs", "settle_base", "settle_digest"]

EIA = "https://www.eia.gov"
CENSUS = "https://www2.census.gov"
RECS_FILES = {
    2015: "consumption/residential/data/2015/csv/recs2015_public_v4.csv",
    2020: "consumption/residential/data/2020/csv/recs2020_public_v7.csv",
}
SHA256: dict[str, str] = {}
"""Checksums that are known beforehand, by folder and name in the cache.

An entry needs a source that can be trusted. The agencies publish none, so the table is empty as yet, and the
cache's own records do the work.
"""

FIRST_ACS = 2013
NO_ACS = 2020
RENAMED_ACS = 2017  # psam_h53.csv since then, ss16hwa.csv before
_ACS_TEXT = re.compile(r"(RT|SERIALNO|ST|STATE|(PUMA|POWPUMA|MIGPUMA|NAICSP|SOCP)\d*)")
_RECS_TEXT = re.compile(r"STATE_FIPS")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def fetch_recs(
    year: int,
    *,
    columns: Sequence[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    url: str | None = None,
    checksum: str | None = None,
) -> pd.DataFrame:
    r"""Fetch the public microdata of the Residential Energy Consumption Survey (RECS).

    Parameters
    ----------
    year : {2015, 2020}
        Of the survey.
    columns : sequence of str, optional
        Those to read, in this order. Missing: all, which is 759 in 2015 and 799 in 2020.
    cache : path, optional
        Folder in which the file is kept. Missing: the environment variable FUSIONPY_CACHE, or else the
        platform's place: ``$XDG_CACHE_HOME/fusionpy`` or ``~/.cache/fusionpy`` on Linux,
        ``~/Library/Caches/fusionpy`` on macOS, ``%LOCALAPPDATA%\fusionpy\Cache`` on Windows.
    quiet : bool, default False
        No progress, no notes.
    url : str, optional
        Server that has the file instead of https://www.eia.gov, under the same path. Missing: the environment
        variable FUSIONPY_EIA_URL, if there is one.
    checksum : str, optional
        SHA-256 that the file must have.

    Returns
    -------
    pandas.DataFrame
        One row per household (5,686 in 2015, 18,496 in 2020), values and codes as in the file. These are
        some columns of 2020; the codebook on the survey's page explains all of them:

        ===================== ======= ===================================================================
        Column                Type    Meaning
        ===================== ======= ===================================================================
        ``DOEID``             int64   Identifier
        ``REGIONC``           str     Census region; a number in 2015, as ``DIVISION``
        ``DIVISION``          str     Census division, Mountain in two parts
        ``STATE_FIPS``        str     State, two digits; ``state_postal`` and ``state_name`` too. Not in 2015
        ``HDD65``, ``CDD65``  int64   Heating and cooling degree days of the year, base 65 °F
        ``TYPEHUQ``           int64   Type of home, 1 to 5
        ``KWH``               float64 Electricity, kWh a year
        ``NWEIGHT``           float64 Survey weight
        ``NWEIGHT1`` …        float64 Replicate weights: 60 of a jackknife; 2015 has ``BRRWT1`` …
                                      ``BRRWT96``, of Fay's method
        ===================== ======= ===================================================================

        Negative codes are not missing values: -2 is "not applicable". Whole numbers are int64, or the
        nullable Int64 where fields are empty.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    DownloadError
        If the file cannot be had, or is not what it should be. The message tells where to put a file that was
        downloaded by hand.

    Notes
    -----
    The file is downloaded once (about 20 MB of 2015, 60 MB of 2020); its page is
    https://www.eia.gov/consumption/residential/data/2020/index.php?view=microdata, and 2015 has one like it.
    A download that broke goes on where it stopped, in a later call too. No checksum is known beforehand. The
    first download is therefore trusted, if it looks like the file; its SHA-256 is recorded beside it, and
    checked ever after, so that a file that was damaged or replaced is refused. Calls at the same time wait
    for each other.

    Examples
    --------
    >>> recs = fetch_recs(2020, columns=["DOEID", "state_postal", "KWH", "NWEIGHT"])  # doctest: +SKIP
    """
    problems = Problems(ArgumentError, "`fetch_recs()` cannot start.")
    if not is_whole(year, 0) or int(year) not in RECS_FILES:
        problems.add(f"`year` must be one of {', '.join(map(str, RECS_FILES))}, not {shown(year)}.")
    base = settle_base(url, "FUSIONPY_EIA_URL", EIA, problems)
    wanted = _columns(columns, problems)
    digest = settle_digest("checksum", checksum, problems)
    problems.stop()
    path = RECS_FILES[int(year)]
    wrong = partial(what_is_wrong, member=None, column="DOEID")
    file = bring(_source(base, path, f"recs/{int(year)}", digest, wrong), cache, quiet)
    return as_frame(read_csv(file, None, wanted, _is_recs_text, is_whole=False))


def fetch_acs_pums(
    year: int,
    states: str | int | Sequence[str | int],
    *,
    records: Literal["household", "person"] = "household",
    columns: Sequence[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    url: str | None = None,
    checksum: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Fetch the American Community Survey's Public Use Microdata Sample of one year.

    Parameters
    ----------
    year : int
        Of the survey's 1-year sample, from 2013 on. There is none of 2020.
    states : str, int, or sequence of them
        Postal codes ("WA"), FIPS codes ("53", 53) or names ("Washington"), and "PR" or "Puerto Rico"; "all"
        means the fifty states and the District of Columbia.
    records : {"household", "person"}
        Which of the two files of each state.
    columns : sequence of str, optional
        Those to read, in this order. Missing: all, of which there are more than 200, most of them replicate
        weights and flags.
    cache, quiet
        As in `fetch_recs`.
    url : str, optional
        Server that has the files instead of https://www2.census.gov, under the same paths. Missing: the
        environment variable FUSIONPY_CENSUS_URL, if there is one.
    checksum : mapping, optional
        SHA-256 that files must have, by their names: ``{"csv_hwa.zip": "..."}``.

    Returns
    -------
    pandas.DataFrame
        One row per housing unit (vacant ones, and one for each person in group quarters, too), or one per
        person; states in the order given. Values and codes are as in the files, but numbers are numbers: a
        code ``01`` is 1. These are the columns that most work begins with; the data dictionary of the year
        explains all of them:

        ============================ ===== ===============================================================
        Column                       Type  Meaning
        ============================ ===== ===============================================================
        ``SERIALNO``                 str   Identifier of the housing unit, which its persons have too
        ``STATE``                    str   FIPS code, two digits; ``ST`` before 2023
        ``PUMA``                     str   Area code, five digits, unique within the state
        ``WGTP``, ``WGTP1`` …        int64 Weight and 80 replicate weights, some negative, of households
        ``PWGTP``, ``PWGTP1`` …      int64 The same of persons
        ``NP``, ``TYPEHUGQ``         int64 Persons (0: vacant) and type of unit (1: housing unit)
        ``HINCP``, ``ADJINC``        Int64 Household income, and the factor that turns it into dollars of
                                           the survey's year, times one million
        ``SPORDER``, ``RELSHIPP``    int64 Number of the person, and relation to the first one (20: is it)
        ============================ ===== ===============================================================

        Text are also ``RT``, ``NAICSP``, ``SOCP`` and the areas of work and migration. All else is int64, or
        the nullable Int64 where fields are empty, as for those whom a question did not concern.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    DownloadError
        If a file cannot be had, or is not what it should be. The message tells where to put a file that was
        downloaded by hand.

    Notes
    -----
    Files are ``csv_hwa.zip`` and ``csv_pwa.zip`` for Washington, in
    https://www2.census.gov/programs-surveys/acs/data/pums/, folder ``2023/1-Year``. Only the CSV file of the
    expected name is read in an archive, and none is unpacked to disk. How files are kept, checked and resumed
    is told in `fetch_recs`. The replicate weights are for ``analyze(var_scale="sdr")``.

    Examples
    --------
    >>> columns = ["SERIALNO", "PUMA", "WGTP", "NP", "HINCP"]
    >>> homes = fetch_acs_pums(2023, ["WA", "Oregon"], columns=columns)  # doctest: +SKIP
    """
    problems = Problems(ArgumentError, "`fetch_acs_pums()` cannot start.")
    if not is_whole(year, FIRST_ACS):
        problems.add(f"`year` must be a year from {FIRST_ACS} on, not {shown(year)}.")
    elif year == NO_ACS:
        problems.add(f"`year`: of {NO_ACS} there is only an experimental sample, in another form.")
    found, wrong_states = settle_states(states)
    for problem in wrong_states:
        problems.add(problem)
    if records not in ("household", "person"):
        problems.add(f"`records` must be 'household' or 'person', not {shown(records)}.")
    base = settle_base(url, "FUSIONPY_CENSUS_URL", CENSUS, problems)
    wanted = _columns(columns, problems)
    names = {f"csv_{str(records)[0]}{state.postal.lower()}.zip" for state in found}
    digests = _digests(checksum, names, problems)
    problems.stop()
    tables = []
    for state in found:
        member = _acs_member(int(year), records, state)
        path = f"programs-surveys/acs/data/pums/{int(year)}/1-Year/csv_{records[0]}{state.postal.lower()}.zip"
        wrong = partial(what_is_wrong, member=member, column="SERIALNO")
        digest = digests.get(path.rsplit("/", 1)[-1])
        file = bring(_source(base, path, f"acs-pums/{int(year)}-1-year", digest, wrong), cache, quiet)
        tables.append(read_csv(file, member, wanted, _is_acs_text, is_whole=True))
    return as_frame(pa.concat_tables(tables))


def _acs_member(year: int, records: str, state: State) -> str:
    """Name of the CSV file in a state's archive."""
    if year >= RENAMED_ACS:
        return f"psam_{records[0]}{state.fips}.csv"
    return f"ss{year % 100}{records[0]}{state.postal.lower()}.csv"


def _is_acs_text(name: str) -> bool:
    return _ACS_TEXT.fullmatch(name) is not None


def _is_recs_text(name: str) -> bool:
    return _RECS_TEXT.fullmatch(name) is not None


def _source(base: str, path: str, folder: str, digest: str | None, wrong: Any) -> OfficialFile:
    """Describe an official file."""
    name = path.rsplit("/", 1)[-1]
    return OfficialFile(f"{base}/{path}", folder, digest or SHA256.get(f"{folder}/{name}"), wrong)


def settle_base(url: Any, variable: str, official: str, problems: Problems) -> str:
    """Choose the server."""
    base, said = url, "`url`"
    if base is None:
        base, said = os.environ.get(variable) or official, variable
    parts = urlsplit(base) if isinstance(base, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        problems.add(f"{said} must be an address such as '{official}', not {shown(base)}.")
        return official
    return str(base).rstrip("/")


def _columns(columns: Any, problems: Problems) -> list[str] | None:
    """Check names of columns, whether there are such or not."""
    if columns is None:
        return None
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        problems.add(f"`columns` must be names of columns, not {shown(columns)}.")
    for name in repeated(names):
        problems.add(f"`columns`: {shown(name)} is there twice.")
    return names


def settle_digest(said: str, checksum: Any, problems: Problems) -> str | None:
    """Check a SHA-256 that was given."""
    if checksum is None:
        return None
    digest = checksum.strip().lower() if isinstance(checksum, str) else ""
    if not _DIGEST.fullmatch(digest):
        problems.add(f"`{said}` must be a SHA-256, 64 hexadecimal digits, not {shown(checksum)}.")
    return digest


def _digests(checksum: Any, names: set[str], problems: Problems) -> dict[str, str | None]:
    """Check SHA-256s that were given by file."""
    if checksum is None:
        return {}
    if not isinstance(checksum, Mapping):
        problems.add(f"`checksum` must be a mapping of files to their SHA-256, not {shown(checksum)}.")
        return {}
    for name in checksum:
        if name not in names:
            problems.add(f"`checksum`: {shown(name)} is not among the files: {few(sorted(names))}.")
    return {name: settle_digest(f"checksum[{name!r}]", digest, problems) for name, digest in checksum.items()}
