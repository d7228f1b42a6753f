"""The made-up agency, for all tests of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agency import (
    ACS_PATH,
    RECS_PATH,
    Agency,
    acs_archive,
    recs_file,
)

from fusionpy.datasets import downloading


@pytest.fixture
def agency(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Agency]:
    agency = Agency()
    monkeypatch.setenv("FUSIONPY_EIA_URL", agency.url)
    monkeypatch.setenv("FUSIONPY_CENSUS_URL", agency.url + "/")
    monkeypatch.setenv("FUSIONPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloading, "PAUSES", (0.01, 0.01, 0.01, 0.01))
    agency.files[RECS_PATH] = recs_file()
    for state in ("WA", "OR", "DC"):
        for records in "hp":
            agency.files[f"{ACS_PATH}csv_{records}{state.lower()}.zip"] = acs_archive(state, records)
    yield agency
    agency.close()
