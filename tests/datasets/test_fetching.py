"""fetch_recs() and fetch_acs_pums(), against a made-up agency on localhost that has its bad days."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from agency import (
    ACS_PATH,
    RECS_NAME,
    RECS_PATH,
    Agency,
    Fault,
    Handler,
    acs_rows,
    archive,
    recs_file,
)
from patience import until

from fusionpy import datasets
from fusionpy.datasets import caching, downloading, fetching, unpacking
from fusionpy.datasets.places import STATES, settle_states
from fusionpy.errors import ArgumentError, FusionError
from fusionpy.progress import announce, heard_by


def broken(after: int) -> Fault:
    """The connection breaks after some bytes."""
    return lambda handler, content: handler.answer(content, after)


def status(code: int, **headers: str) -> Fault:
    """An answer of another kind."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(code)
        for name, value in ({"Content_Length": "0"} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return fault


def raw(*lines: str, body: bytes = b"") -> Fault:
    """An answer as it is written here."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)

    return fault


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the RECS is kept."""
    return tmp_path / "cache" / "recs" / "2020" / RECS_NAME


def left(cache: Path) -> list[str]:
    """Files of the cache, but for locks, which are empty."""
    files = [path for path in cache.rglob("*") if path.is_file()]
    locks = [path for path in files if path.name.endswith(".lock")]
    assert not any(path.stat().st_size for path in locks)
    return sorted(path.name for path in files if path not in locks)


# What is returned


def test_recs_is_typed(agency):
    data = datasets.fetch_recs(2020, quiet=True)
    assert data.shape == (4, 10)
    assert {name: str(kind) for name, kind in data.dtypes.items() if kind.kind in "if"} == {
        "DOEID": "int64", "HDD65": "int64", "KWH": "float64", "SOLAR": "int64", "NWEIGHT": "float64",
        "NWEIGHT1": "int64",
    }  # fmt: skip
    assert data["STATE_FIPS"].tolist() == ["04", "05", "06", "04"]
    assert data["SOLAR"].tolist() == [-2] * 4  # a code, not a hole
    assert data["NOTE"].tolist() == ["NA"] * 4  # a word, not a hole
    chosen = datasets.fetch_recs(2020, columns=["KWH", "DOEID"], quiet=True)
    pd.testing.assert_frame_equal(chosen, data[["KWH", "DOEID"]])


def test_type_that_changes_far_down_the_file(agency):
    rows = recs_file(40_000).decode().splitlines()
    rows[-1] = rows[-1].replace(",0,NA", ",0.5,")
    agency.files[RECS_PATH] = "\r\n".join(rows).encode()
    data = datasets.fetch_recs(2020, quiet=True)
    assert data["NWEIGHT1"].dtype == "float64"
    assert data["NWEIGHT1"].iloc[-1] == 0.5
    assert data["NOTE"].isna().sum() == 1


def test_acs_is_typed(agency):
    homes = datasets.fetch_acs_pums(2023, ["WA", 41, "district of columbia"], quiet=True)
    assert homes["SERIALNO"].tolist() == [
        f"2023{kind}00000{fips}" for fips in ("53", "41", "11") for kind in ("HU", "GQ")
    ]
    assert homes["STATE"].tolist() == ["53", "53", "41", "41", "11", "11"]
    assert homes["PUMA"].unique().tolist() == ["00300"]
    assert homes["BLD"].dtype == "Int64"
    assert homes["BLD"].isna().tolist() == [False, True] * 3
    assert homes["BLD"].iloc[0] == 2
    assert homes["WGTP1"].dtype == "int64"
    assert homes["WGTP1"].iloc[0] == -3
    people = datasets.fetch_acs_pums(2023, "WA", records="person", quiet=True)
    assert people[["NAICSP", "SOCP"]].iloc[0].tolist() == ["4MS", "4930XX"]
    assert people[["NAICSP", "SCHL"]].iloc[1].isna().all()
    assert people["SPORDER"].tolist() == [1, 2]


def test_frames_that_are_nullable_can_be_analysed(agency):
    """What is fetched goes into a verb as it is."""
    import fusionpy

    homes = datasets.fetch_acs_pums(2023, ["WA", "OR"], quiet=True)
    fused = pd.concat([homes.assign(M=m) for m in (1, 2)], ignore_index=True)
    found = fusionpy.analyze("mean(HINCP)", fused, weight=None, by="STATE", quiet=True)
    assert found["est"].tolist() == [105000, 105000]


def test_columns_in_their_order(agency):
    homes = datasets.fetch_acs_pums(2023, "wa", columns=["NP", "SERIALNO"], quiet=True)
    assert list(homes) == ["NP", "SERIALNO"]
    with pytest.raises(ArgumentError, match=r"`HINC`: not in psam_h53.csv \(is `HINCP` meant\?\)\."):
        datasets.fetch_acs_pums(2023, "wa", columns=["HINC"], quiet=True)


def test_names_of_the_files_of_other_years(agency):
    packed = archive({"ss16hwa.csv": acs_rows("WA", "h").encode()})
    agency.files[ACS_PATH.replace("2023", "2016") + "csv_hwa.zip"] = packed
    assert len(datasets.fetch_acs_pums(2016, "WA", quiet=True)) == 2
    agency.files["/consumption/residential/data/2015/csv/recs2015_public_v4.csv"] = recs_file(2)
    assert len(datasets.fetch_recs(2015, quiet=True)) == 2


def test_letters_where_there_should_be_numbers(agency, tmp_path):
    packed = archive({"psam_h53.csv": acs_rows("WA", "h").replace("105000", "many").encode()})
    agency.files[ACS_PATH + "csv_hwa.zip"] = packed
    with pytest.raises(datasets.DownloadError, match="'many'") as caught:
        datasets.fetch_acs_pums(2023, "WA", quiet=True)
    assert caught.value.__cause__ is None
    assert len(datasets.fetch_acs_pums(2023, "WA", columns=["SERIALNO"], quiet=True)) == 2


def test_states():
    assert len(STATES) == 52
    assert len({key for state in STATES for key in state}) == 3 * 52
    assert [state.fips for state in STATES] == sorted(state.fips for state in STATES)
    every, problems = settle_states("ALL")
    assert (len(every), problems) == (51, [])
    assert "PR" not in {state.postal for state in every}
    for state in STATES:
        for key in (*state, state.name.upper(), state.postal.lower(), int(state.fips)):
            assert settle_states(key) == ([state], [])
    assert settle_states(np.array([53, 6]))[0] == [settle_states("WA")[0][0], settle_states("CA")[0][0]]
    assert settle_states(pd.Series(["PR"]))[0][0].name == "Puerto Rico"


# The cache


def test_second_call_needs_no_network(agency, kept):
    first = datasets.fetch_recs(2020, quiet=True)
    assert left(kept.parents[2]) == [RECS_NAME, f"{RECS_NAME}.json"]
    agency.server.server_close()  # nobody listens any more
    n_asked = len(agency.asked)
    pd.testing.assert_frame_equal(datasets.fetch_recs(2020, quiet=True), first)
    assert len(agency.asked) == n_asked == 1


def test_record_is_that_of_the_file(agency, kept, capsys):
    datasets.fetch_recs(2020)
    record = json.loads(kept.with_name(f"{RECS_NAME}.json").read_text())
    assert record["sha256"] == hashlib.sha256(recs_file()).hexdigest()
    assert record["size"] == len(recs_file())
    assert record["url"] == agency.url + RECS_PATH
    assert record["how"] == "downloaded"
    assert f"{RECS_NAME}: its SHA-256 was recorded ({record['sha256'][:12]}...)" in capsys.readouterr().err


def test_quiet_is_quiet(agency, capsys):
    agency.faults = [status(503)]
    datasets.fetch_recs(2020, quiet=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_damaged_file_is_refused(agency, kept):
    datasets.fetch_recs(2020, quiet=True)
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b"9001", b"9901"))
    with pytest.raises(datasets.DownloadError, match="is not the file that it should be"):
        datasets.fetch_recs(2020, quiet=True)
    kept.write_bytes(content[:-5])
    with pytest.raises(datasets.DownloadError, match=f"has {len(content) - 5} bytes, not {len(content)}"):
        datasets.fetch_recs(2020, quiet=True)
    kept.unlink()
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4


def test_file_that_its_source_replaced_is_refused(agency, kept):
    datasets.fetch_recs(2020, quiet=True)
    kept.unlink()
    agency.files[RECS_PATH] = recs_file(5)
    with pytest.raises(datasets.DownloadError, match="as recorded on 20"):
        datasets.fetch_recs(2020, quiet=True)
    assert left(kept.parents[2]) == [f"{RECS_NAME}.json"]
    kept.with_name(f"{RECS_NAME}.json").unlink()
    assert len(datasets.fetch_recs(2020, quiet=True)) == 5


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"url": 1}', b"\xff", b'{"size": "1"}'])
def test_damaged_record_is_refused(agency, kept, content):
    datasets.fetch_recs(2020, quiet=True)
    kept.with_name(f"{RECS_NAME}.json").write_bytes(content)
    with pytest.raises(datasets.DownloadError, match="is damaged"):
        datasets.fetch_recs(2020, quiet=True)


def test_file_put_there_by_hand(agency, kept, capsys):
    kept.parent.mkdir(parents=True)
    kept.write_bytes(recs_file(3))
    assert len(datasets.fetch_recs(2020)) == 3
    assert not agency.asked
    assert "SHA-256 was recorded" in capsys.readouterr().err
    kept.write_bytes(recs_file(2))
    with pytest.raises(datasets.DownloadError, match="not the file that it should be"):
        datasets.fetch_recs(2020)


def test_wrong_file_put_there_by_hand(agency, kept):
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(
        datasets.DownloadError, match="does not name the column DOEID; it begins with b'<!DOC"
    ):
        datasets.fetch_recs(2020)
    assert left(kept.parents[2]) == [RECS_NAME]  # a user's file is not deleted


def test_checksum_that_is_given(agency, kept):
    digest = hashlib.sha256(recs_file()).hexdigest()
    with pytest.raises(datasets.DownloadError, match=f"is {digest}, not {'0' * 64}"):
        datasets.fetch_recs(2020, checksum="0" * 64, quiet=True)
    assert left(kept.parents[2]) == []
    assert len(datasets.fetch_recs(2020, checksum=digest.upper(), quiet=True)) == 4
    with pytest.raises(datasets.DownloadError, match=f"is {digest}, not {'0' * 64}"):
        datasets.fetch_recs(2020, checksum="0" * 64, quiet=True)  # of a file that is there
    packed = agency.files[ACS_PATH + "csv_hwa.zip"]
    good = {"csv_hwa.zip": hashlib.sha256(packed).hexdigest()}
    assert len(datasets.fetch_acs_pums(2023, ["OR", "WA"], checksum=good, quiet=True)) == 4


def test_checksum_that_is_known(agency, kept, monkeypatch):
    monkeypatch.setitem(fetching.SHA256, f"recs/2020/{RECS_NAME}", "1" * 64)
    with pytest.raises(datasets.DownloadError, match=f"not {'1' * 64} as it should be"):
        datasets.fetch_recs(2020, quiet=True)
    kept.write_bytes(recs_file())
    with pytest.raises(datasets.DownloadError, match=f"not {'1' * 64} as it should be"):
        datasets.fetch_recs(2020, quiet=True)


def test_place_of_the_cache(monkeypatch, tmp_path):
    for name in ("FUSIONPY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, place in {
        "linux": ".cache/fusionpy",
        "darwin": "Library/Caches/fusionpy",
        "win32": "AppData/Local/fusionpy/Cache",
    }.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert caching.cache_folder() == tmp_path / place
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert caching.cache_folder() == tmp_path / "local" / "fusionpy" / "Cache"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification says to ignore
    assert caching.cache_folder() == tmp_path / ".cache" / "fusionpy"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caching.cache_folder() == tmp_path / "xdg" / "fusionpy"
    monkeypatch.setenv("FUSIONPY_CACHE", str(tmp_path / "own"))
    assert caching.cache_folder() == tmp_path / "own"
    assert caching.cache_folder(tmp_path / "given") == tmp_path / "given"


def test_cache_that_cannot_be_written(agency, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(datasets.DownloadError, match="The cache cannot be written") as caught:
        datasets.fetch_recs(2020, cache=tmp_path / "file", quiet=True)
    assert "FUSIONPY_CACHE" in str(caught.value)
    assert not agency.asked


def test_disk_that_fills(agency, kept, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    opening = Path.open

    def opened(path: Path, mode: str = "r", *more: Any, **others: Any) -> Any:
        return Full() if path.suffix == ".part" and "w" in mode else opening(path, mode, *more, **others)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(datasets.DownloadError, match="No space left on device"):
        datasets.fetch_recs(2020, quiet=True)
    assert len(agency.asked) == 1  # no further try: it is not the network's fault


# The network


def test_broken_download_goes_on_where_it_stopped(agency):
    content = recs_file()
    agency.faults = [broken(100), broken(60), broken(0)]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert agency.sent == [100, 60, 0, len(content) - 160]
    tag = f'"{hashlib.md5(content).hexdigest()}"'
    headers = [(asked["Range"], asked["If-Range"]) for _, asked in agency.asked]
    assert headers == [(None, None), ("bytes=100-", tag), ("bytes=160-", tag), ("bytes=160-", tag)]
    assert {asked["Accept-Encoding"] for _, asked in agency.asked} == {"identity"}
    assert all(asked["User-Agent"].startswith("fusionpy/") for _, asked in agency.asked)


def test_later_call_goes_on_where_an_earlier_one_stopped(agency, kept):
    content = recs_file()
    agency.faults = [broken(100)] + [broken(0)] * 6
    with pytest.raises(datasets.DownloadError, match=f"after 100 of {len(content)} bytes"):
        datasets.fetch_recs(2020, quiet=True)
    assert left(kept.parents[2]) == [f"{RECS_NAME}.part", f"{RECS_NAME}.part.json"]
    agency.faults.clear()
    agency.sent.clear()
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert agency.sent == [len(content) - 100]
    assert kept.read_bytes() == content
    assert left(kept.parents[2]) == [RECS_NAME, f"{RECS_NAME}.json"]


def test_interrupt_keeps_the_part(agency, kept):
    class Impatient:
        def announce(self, message: str) -> None:
            pass

        def follow(self, title: str, done: int, total: int, doing: str) -> None:
            assert (title, total) == (f"{RECS_NAME}, MB", 3)
            if done == 1:
                raise KeyboardInterrupt

    agency.files[RECS_PATH] = content = recs_file(40_000)
    assert 2_000_000 < len(content) < 3_000_000
    with pytest.raises(KeyboardInterrupt), heard_by(Impatient()):
        datasets.fetch_recs(2020)
    part = kept.with_name(f"{RECS_NAME}.part")
    n_kept = part.stat().st_size
    assert n_kept >= 1_000_000
    assert content.startswith(part.read_bytes())
    assert len(datasets.fetch_recs(2020, quiet=True)) == 40_000
    assert agency.sent[-1] == len(content) - n_kept


def test_progress_is_told_in_megabytes(agency, capsys):
    agency.files[RECS_PATH] = recs_file(40_000)
    datasets.fetch_recs(2020)
    assert f"{RECS_NAME}, MB: 3/3 (" in capsys.readouterr().err


def test_file_that_changes_between_two_parts(agency, kept):
    def change(handler: Handler, content: bytes) -> None:
        handler.answer(content, 100)
        agency.files[RECS_PATH] = recs_file(6)

    agency.faults = [change]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 6
    assert kept.read_bytes() == recs_file(6)
    assert agency.sent == [100, len(recs_file(6))]  # all of the new one


def test_server_without_ranges_or_validators(agency, kept):
    agency.ranges = False
    agency.faults = [broken(100)]
    datasets.fetch_recs(2020, quiet=True)
    assert agency.sent == [100, len(recs_file())]
    assert kept.read_bytes() == recs_file()
    kept.unlink()
    agency.ranges, agency.etag = True, False
    agency.faults = [broken(100)]
    datasets.fetch_recs(2020, quiet=True)
    assert agency.asked[-1][1]["Range"] is None  # nothing tells whether the rest belongs to the part


def test_date_is_a_validator_and_a_weak_tag_is_none(agency):
    date = "Mon, 01 Jun 2026 10:00:00 GMT"
    agency.etag = False
    agency.faults = [lambda handler, content: handler.answer(content, 100, ETag='W/"1"', Last_Modified=date)]
    datasets.fetch_recs(2020, quiet=True)
    assert (agency.asked[1][1]["Range"], agency.asked[1][1]["If-Range"]) == ("bytes=100-", date)


@pytest.mark.parametrize(
    "claim", ["bytes 0-10/900", "bytes 100-200/999", "bytes 100-150/{n}", "bytes */{n}", "lines 3-4/5", ""]
)
def test_another_part_than_was_asked_for(agency, kept, claim):
    n = len(recs_file())
    wrong = status(206, Content_Range=claim.format(n=n))
    agency.faults = [broken(100), wrong]
    datasets.fetch_recs(2020, quiet=True)
    assert kept.read_bytes() == recs_file()
    assert agency.asked[2][1]["Range"] is None


def test_part_that_nobody_asked_for(agency):
    agency.faults = [status(206, Content_Range="bytes 0-5/6")] * 9
    with pytest.raises(datasets.DownloadError, match="another part of the file"):
        datasets.fetch_recs(2020, quiet=True)


def test_part_that_is_longer_than_the_file(agency, kept):
    agency.faults = [broken(100), status(416)]
    datasets.fetch_recs(2020, quiet=True)
    assert kept.read_bytes() == recs_file()
    assert [asked["Range"] for _, asked in agency.asked] == [None, "bytes=100-", None]


def test_part_of_another_server_is_not_gone_on_with(agency, kept):
    agency.faults = [broken(100)] + [broken(0)] * 6
    with pytest.raises(datasets.DownloadError):
        datasets.fetch_recs(2020, quiet=True)
    agency.faults.clear()
    other = agency.url.replace("127.0.0.1", "localhost")
    os.environ["no_proxy"] = "127.0.0.1,localhost"
    datasets.fetch_recs(2020, url=other, quiet=True)
    assert agency.asked[-1][1]["Range"] is None


def test_whole_part_needs_no_network(agency, kept):
    """The last byte came, and then the power went."""
    kept.parent.mkdir(parents=True)
    kept.with_name(f"{RECS_NAME}.part").write_bytes(recs_file())
    started = {"url": agency.url + RECS_PATH, "validator": '"1"', "total": len(recs_file())}
    kept.with_name(f"{RECS_NAME}.part.json").write_text(json.dumps(started))
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert not agency.asked


def test_server_that_is_busy(agency, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(downloading, "PAUSES", (1.0, 2.0, 4.0, 8.0))
    date = "Mon, 01 Jun 2026 10:00:00 GMT"
    agency.faults = [status(503), status(429, Retry_After="3"), status(502, Retry_After=date)]
    agency.faults += [status(500, Retry_After="86400")]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert slept == [1, 3, 4, 60]


def test_server_that_stays_busy(agency):
    agency.faults = [status(503)] * 9
    with pytest.raises(datasets.DownloadError, match="503 Service Unavailable"):
        datasets.fetch_recs(2020, quiet=True)
    assert len(agency.asked) == 5


def test_tries_are_counted_from_the_last_byte(agency, kept):
    agency.faults = [broken(1)] * 20
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert len(agency.asked) == 21


def test_redirections_are_followed(agency):
    agency.files["/moved.csv"] = recs_file()
    agency.faults = [status(302, Location="/moved.csv")]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert [path for path, _ in agency.asked] == [RECS_PATH, "/moved.csv"]
    assert datasets.fetch_recs(2020, quiet=True).shape == (4, 10)


def test_redirections_out_of_https_are_not():
    handler, request = downloading._Redirects(), urllib.request.Request("https://www.eia.gov/a.csv")
    for target in ("http://www.eia.gov/a.csv", "ftp://www.eia.gov/a.csv"):
        with pytest.raises(urllib.error.HTTPError, match="leads out of HTTPS") as caught:
            handler.redirect_request(request, io.BytesIO(), 302, "Found", Message(), target)
        caught.value.close()
    followed = handler.redirect_request(
        request, io.BytesIO(), 302, "Found", Message(), "https://eia.gov/a.csv"
    )
    assert followed.full_url == "https://eia.gov/a.csv"


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (
            raw("HTTP/1.1 200 OK", "Content-Encoding: gzip", "Content-Length: 3", body=b"abc"),
            "not the plain file",
        ),
        (raw("HTTP/1.1 204 No Content"), "not the plain file"),
        (raw("HTTP/1.0 200 OK", body=recs_file()), "does not say how long the file is"),
        (raw("HTTP/1.1 200 OK", f"Content-Length: {10**12}"), "far too large"),
        (status(403), "403 Forbidden"),
        (status(302, Location="file:///etc/passwd"), "302"),
    ],
)
def test_answers_that_end_it(agency, kept, fault, match):
    agency.faults = [fault]
    with pytest.raises(datasets.DownloadError, match=match):
        datasets.fetch_recs(2020, quiet=True)
    assert len(agency.asked) == 1
    assert not kept.exists()


@pytest.mark.parametrize(
    "fault",
    [
        raw(),
        raw("SSH-2.0-OpenSSH_9.2"),
        raw("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"5\r\nDOEID\r\n"),
        raw("HTTP/1.1 200 OK", "Content-Length: 900", body=b"DOEID,KWH\n"),
    ],
)
def test_answers_that_another_try_mends(agency, fault):
    agency.faults = [fault, fault]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert len(agency.asked) == 3


def test_chunked_answer(agency, kept):
    content = recs_file()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:50], content[50:], b""))
    agency.faults = [raw("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunks)]
    assert len(datasets.fetch_recs(2020, quiet=True)) == 4
    assert kept.read_bytes() == content


def test_page_instead_of_the_file(agency, kept):
    agency.files[RECS_PATH] = b"<!DOCTYPE html><title>Down for maintenance</title>"
    with pytest.raises(datasets.DownloadError, match="begins with b'<!DOCTYPE html>"):
        datasets.fetch_recs(2020, quiet=True)
    assert left(kept.parents[2]) == []


def test_calls_at_the_same_time(agency, kept, monkeypatch):
    waiting: list[str] = []
    monkeypatch.setattr(caching, "announce", lambda message, quiet: waiting.append(message))

    def slow(handler: Handler, content: bytes) -> None:
        until(lambda: len(waiting) == 5)
        handler.answer(content)

    agency.faults = [slow]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(datasets.fetch_recs(2020, quiet=True))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 6
    assert len(agency.asked) == 1


def test_another_process_is_waited_for_and_its_end_lifts_the_lock(agency, kept, capsys, monkeypatch):
    kept.parent.mkdir(parents=True)
    script = (
        "import pathlib, sys\n"
        "from fusionpy.datasets.caching import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), True):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", script, str(kept)], **pipes)

    def heard(message: str, quiet: bool) -> None:
        announce(message, quiet)
        other.kill()

    monkeypatch.setattr(caching, "announce", heard)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        assert len(datasets.fetch_recs(2020)) == 4
    finally:
        other.kill()
        other.communicate()
    assert "another process is fetching it; waiting." in capsys.readouterr().err


# Archives


@functools.cache
def hostile() -> dict[str, tuple[bytes, str]]:
    rows = acs_rows("WA", "h").encode()
    good = archive({"psam_h53.csv": rows})
    encrypted = bytearray(good)
    for start in (encrypted.find(b"PK\x03\x04") + 6, encrypted.find(b"PK\x01\x02") + 8):
        encrypted[start] |= 1
    lying = bytearray(archive({"psam_h53.csv": rows}, zipfile.ZIP_STORED))
    place = lying.find(b"PK\x01\x02") + 24
    lying[place : place + 4] = (len(rows) - 40).to_bytes(4, "little")
    link = zipfile.ZipInfo("psam_h53.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    twice = archive({"psam_h53.csv": rows, "psam_hXX.csv": rows}).replace(b"psam_hXX.csv", b"psam_h53.csv")
    damaged = bytearray(good)
    damaged[60:70] = b"\xff" * 10
    flipped = bytearray(archive({"psam_h53.csv": rows}, zipfile.ZIP_STORED))
    flipped[flipped.find(b"105000")] = ord("9")
    return {
        "a bomb": (archive({"psam_h53.csv": rows + b"0" * 60_000_000}), "claims to unpack to 60,000,"),
        "outside": (archive({"../psam_h53.csv": rows}), "no member named psam_h53.csv"),
        "in a folder": (archive({"/tmp/psam_h53.csv": rows}), "no member named psam_h53.csv"),
        "of another state": (archive({"psam_h41.csv": rows}), "no member named psam_h53.csv"),
        "twice": (twice, "several members named"),
        "many members": (
            archive({f"{i}.csv": b"" for i in range(99)} | {"psam_h53.csv": rows}),
            "99|100 members",
        ),
        "encrypted": (bytes(encrypted), "is encrypted"),
        "a link": (linked.getvalue(), "no plain file"),
        "bzip2": (archive({"psam_h53.csv": rows}, zipfile.ZIP_BZIP2), "compressed in an unusual way"),
        "lying about its size": (bytes(lying), "damaged|no ZIP archive"),
        "damaged": (bytes(damaged), "damaged"),
        "a flipped byte": (bytes(flipped), "Bad CRC-32"),
        "cut off": (good[:-30], "no ZIP archive"),
        "no archive": (b"<html>Sign in</html>", "no ZIP archive"),
        "empty": (b"", "no ZIP archive"),
        "no table": (archive({"psam_h53.csv": b""}), "does not name the column SERIALNO"),
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_archive(agency, tmp_path, name):
    content, match = hostile()[name]
    agency.files[ACS_PATH + "csv_hwa.zip"] = content
    with pytest.raises(datasets.DownloadError, match=match) as caught:
        datasets.fetch_acs_pums(2023, "WA", quiet=True)
    assert caught.value.__cause__ is None
    assert left(tmp_path / "cache") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_archive_larger_than_any(agency, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 100)
    with pytest.raises(datasets.DownloadError, match="claims to unpack"):
        datasets.fetch_acs_pums(2023, "WA", quiet=True)


# Messages


def offline(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.delenv("FUSIONPY_EIA_URL")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    datasets.fetch_recs(2020, quiet=True)


def refused(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    agency.server.server_close()
    datasets.fetch_recs(2020, quiet=True)


def replaced(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    datasets.fetch_recs(2020, quiet=True)
    (caching.cache_folder() / "recs" / "2020" / RECS_NAME).unlink()
    agency.files[RECS_PATH] = recs_file(5)
    datasets.fetch_recs(2020, quiet=True)


def damaged(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    datasets.fetch_recs(2020, quiet=True)
    (caching.cache_folder() / "recs" / "2020" / RECS_NAME).write_bytes(b"DOEID\n")
    datasets.fetch_recs(2020, quiet=True)


def acs_missing(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    datasets.fetch_acs_pums(2023, "HI", quiet=True)


def recs_wrong(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    datasets.fetch_recs(2019, columns=["A", "A"], url="www.eia.gov", checksum="abc")


def acs_wrong(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    monkeypatch.setenv("FUSIONPY_CENSUS_URL", "ftp://census.gov")
    checksum: Any = {"csv_hca.zip": 5}
    datasets.fetch_acs_pums(
        2020,
        ["WA", "Oregn", 53, None],
        records="homes",
        columns=[],
        checksum=checksum,  # type: ignore[arg-type]
    )


def acs_early(monkeypatch: pytest.MonkeyPatch, agency: Agency) -> None:
    datasets.fetch_acs_pums(2012, [], checksum="abc")  # type: ignore[arg-type]


MESSAGES: dict[Any, str] = {
    offline: """
DownloadError: 'recs2020_public_v7.csv' cannot be downloaded.
  x https://www.eia.gov/consumption/residential/data/2020/csv/recs2020_public_v7.csv: Name or service not known.
  i Try again later, or download the file yourself and save it as '<cache>/recs/2020/recs2020_public_v7.csv'.
""",  # noqa: E501
    refused: """
DownloadError: 'recs2020_public_v7.csv' could not be downloaded.
  x <server>/consumption/residential/data/2020/csv/recs2020_public_v7.csv: Connection refused.
  i Try again later, or download the file yourself and save it as '<cache>/recs/2020/recs2020_public_v7.csv'.
""",
    replaced: """
DownloadError: What <server>/consumption/residential/data/2020/csv/recs2020_public_v7.csv sent is not the file that it should be.
  x Its SHA-256 is <digest>, not <digest> as recorded on <day>.
  i If its source replaced the file on purpose, delete '<cache>/recs/2020/recs2020_public_v7.csv.json' and try again.
""",  # noqa: E501
    damaged: """
DownloadError: '<cache>/recs/2020/recs2020_public_v7.csv' is not the file that it should be.
  x It has 6 bytes, not 273 as when it was recorded.
  i Delete it and 'recs2020_public_v7.csv.json' beside it to download the file anew.
""",
    acs_missing: """
DownloadError: 'csv_hhi.zip' cannot be downloaded.
  x <server>/programs-surveys/acs/data/pums/2023/1-Year/csv_hhi.zip: 404 Not Found.
  i Try again later, or download the file yourself and save it as '<cache>/acs-pums/2023-1-year/csv_hhi.zip'.
""",
    recs_wrong: """
ArgumentError: `fetch_recs()` cannot start.
  x `year` must be one of 2015, 2020, not 2019.
  x `url` must be an address such as 'https://www.eia.gov', not 'www.eia.gov'.
  x `columns`: 'A' is there twice.
  x `checksum` must be a SHA-256, 64 hexadecimal digits, not 'abc'.
""",
    acs_wrong: """
ArgumentError: `fetch_acs_pums()` cannot start.
  x `year`: of 2020 there is only an experimental sample, in another form.
  x `states`: 'Oregn' is no state (is 'Oregon' meant?).
  x `states`: None is no state.
  x `states`: Washington is there 2 times.
  x `records` must be 'household' or 'person', not 'homes'.
  x FUSIONPY_CENSUS_URL must be an address such as 'https://www2.census.gov', not 'ftp://census.gov'.
  x `columns` must be names of columns, not [].
  x `checksum`: 'csv_hca.zip' is not among the files: 'csv_hwa.zip'.
  x ... and 1 more.
""",
    acs_early: """
ArgumentError: `fetch_acs_pums()` cannot start.
  x `year` must be a year from 2013 on, not 2012.
  x `states` names none.
  x `checksum` must be a mapping of files to their SHA-256, not 'abc'.
""",
}


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.__name__)
def test_message(case, agency, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(FusionError) as caught:
        case(patch, agency)
    error = caught.value
    message = str(error).replace(str(tmp_path / "cache"), "<cache>").replace(agency.url, "<server>")
    message = re.sub(r"[0-9a-f]{64}", "<digest>", re.sub(r"on \d{4}-\d\d-\d\d", "on <day>", message))
    assert f"{type(error).__name__}: {message}" == MESSAGES[case].strip()
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert all(line.isprintable() and len(line) <= 200 for line in message.split("\n"))


def test_import_needs_no_network():
    script = (
        "import socket\n"
        "def no(*args, **kwargs): raise SystemExit('network')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "import fusionpy\n"
        "assert callable(fusionpy.datasets.fetch_recs)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# The vignette, whose functions know the official layouts

VIGNETTE = Path(__file__).resolve().parents[2] / "vignettes" / "6-recs-to-acs.md"


def vignette_up_to_the_surveys() -> dict[str, Any]:
    """Run the vignette's cells as far as it has its two surveys."""
    names: dict[str, Any] = {}
    for cell in re.findall(r"^```python\n(.*?)^```", VIGNETTE.read_text("utf-8"), re.M | re.S):
        if not cell.startswith("# hidden"):
            exec(compile(cell, VIGNETTE.name, "exec"), names)
        if "told" in names:
            return names
    raise AssertionError("no cell finds the surveys")


def official_files(states: list[str], n: int = 60) -> dict[str, bytes]:
    """Made-up RECS and ACS files of some states, with every code that the vignette recodes."""
    draw = np.random.default_rng(1)
    fips = {state.postal: state.fips for state in STATES}

    def some(*codes: int) -> np.ndarray:
        return np.resize(codes, n * len(states))[draw.permutation(n * len(states))]

    postal = np.resize(states, n * len(states))
    recs = pd.DataFrame(
        {
            "DOEID": np.arange(len(postal)) + 100001,
            "DIVISION": np.where(postal == "NM", "Mountain South", "Pacific"),
            "STATE_FIPS": [fips[each] for each in postal], "state_postal": postal, "HDD65": some(4000, 5000),
            "CDD65": some(200, 900), "MONEYPY": some(*range(1, 17)), "HHAGE": some(18, 44, 90),
            "NHSLDMEM": some(1, 2, 7), "NUMCHILD": some(0, 1, 6), "KOWNRENT": some(1, 2, 3),
            "TYPEHUQ": some(1, 2, 3, 4, 5), "YEARMADERANGE": some(*range(1, 10)), "TOTROOMS": some(1, 6, 15),
            "HHSEX": some(1, 2), "SDESCENT": some(0, 0, 1), "HOUSEHOLDER_RACE": some(1, 2, 3, 4, 5, 6),
            "EDUCATION": some(1, 2, 3, 4, 5), "KWH": draw.gamma(4, 2500, len(postal)).round(2),
            "FUELHEAT": some(5, 1, 2, 3, 7, 99, -2), "NWEIGHT": draw.uniform(500, 9000, len(postal)).round(4),
        }
    )  # fmt: skip
    recs = recs.assign(**{f"NWEIGHT{i}": recs["NWEIGHT"] for i in range(1, 61)})
    files = {RECS_PATH: recs.to_csv(index=False).encode()}
    for state in states:
        ids = [f"2024HU{fips[state]}{i:05d}" for i in range(1, n + 1)]
        size = np.resize([1, 2, 9, 0], n)
        lived = size > 0
        homes = pd.DataFrame(
            {
                "RT": "H", "SERIALNO": ids, "PUMA": "00301", "STATE": fips[state], "ADJINC": 1015979,
                "WGTP": 50, "NP": size, "TYPEHUGQ": 1, "BLD": np.resize(range(1, 11), n),
                "TEN": np.resize([1, 2, 3, 4, 3], n), "RMSP": np.resize([1, 5, 14, 19, 7], n),
                "HINCP": np.resize([-5000, 0, 61_000, 2_000_000, 182_000], n),
                "YRBLT": np.resize([1939, 1940, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2020, 2024], n),
            }
        )  # fmt: skip
        blank = ["HINCP", "TEN"]
        homes[blank] = homes[blank].astype("Int64").where(pd.Series(lived))
        other = {"SERIALNO": [f"2024GQ{fips[state]}00001"], "STATE": fips[state], "NP": 1, "TYPEHUGQ": 3}
        homes = pd.concat([homes.convert_dtypes(), pd.DataFrame(other).convert_dtypes()])
        people = [
            (ids[i], j + 1, 25 if j else 20, 5 if j else 40, 1 + j % 2, 1 + i % 9, 1 + i % 3, 1 + i % 24)
            for i in range(n)
            for j in range(size[i])
        ]
        columns = ["SERIALNO", "SPORDER", "RELSHIPP", "AGEP", "SEX", "RAC1P", "HISP", "SCHL"]
        persons = pd.DataFrame(
            [*people, (f"2024GQ{fips[state]}00001", 1, 37, 96, 2, 1, 1, 16)], columns=columns
        )
        persons["SCHL"] = persons["SCHL"].astype("Int64").where(persons["AGEP"] >= 3)
        for records, table in {"h": homes, "p": persons.assign(RT="P")}.items():
            path = f"{ACS_PATH.replace('2023', '2024')}csv_{records}{state.lower()}.zip"
            content = table.to_csv(index=False).encode()
            files[path] = archive({f"psam_{records}{fips[state]}.csv": content})
    return files


def test_vignette_harmonises_official_files(agency, monkeypatch):
    monkeypatch.delenv("FUSIONPY_SHARED", raising=False)
    agency.files = official_files(["HI", "LA", "ME", "ND", "NM", "WA"])
    names = vignette_up_to_the_surveys()
    donor, recipient = names["donor"], names["recipient"]
    assert names["told"] == "Run on the official files of HI, LA, ME, ND, NM, WA."
    assert len(donor) == 360
    assert len(recipient) == 6 * 45  # no vacant home, no group quarters
    assert not donor.isna().any(axis=None)
    assert not recipient.isna().any(axis=None)
    shared = [name for name in recipient if name in donor and name not in ("hid", "weight")]
    assert len(shared) == 15
    assert donor[shared].dtypes.equals(recipient[shared].dtypes)
    first = recipient.iloc[0]  # of Hawaii: one person, a mobile home of 1939, an income below zero
    assert first[["state", "puma", "hid"]].tolist() == ["HI", "1500301", "2024HU1500001"]
    assert first[["home_type", "year_built", "race", "education"]].tolist() == [
        "Mobile home", "Before 1950", "White", "Less than high school",
    ]  # fmt: skip
    assert first[["age", "hh_size", "children", "rooms"]].tolist() == [40, 1, 0, 1]
    assert first["income_rank"] == donor["income_rank"].min()
    assert not first["renter"]
    third = recipient.iloc[2]  # nine persons, of whom eight are five years old
    assert third[["hh_size", "children", "rooms", "home_type"]].tolist() == [7, 4, 14, "Attached"]
    assert third["race"] == "Hispanic"
    recs = names["fetch"](["HI"])[0]
    assert (donor["home_type"].cat.codes == recs["TYPEHUQ"] - 1).all()
    assert (donor["year_built"].cat.codes == recs["YEARMADERANGE"].clip(upper=8) - 1).all()
    is_other = (recs["SDESCENT"] == 0) & recs["HOUSEHOLDER_RACE"].isin([3, 5, 6])
    assert ((donor["race"] == "Other") == is_other).all()
    assert set(donor["heat_fuel"].cat.categories) == set(donor["heat_fuel"])
    days = recs[recs["state_postal"] == "WA"]
    expected = round(np.average(days["HDD65"], weights=days["NWEIGHT"]))
    for survey in (donor, recipient):
        assert survey.loc[survey["state"] == "WA", "hdd"].unique().tolist() == [expected]
        assert survey.loc[survey["state"] == "NM", "division"].unique().tolist() == ["Mountain"]
    built = recipient.set_index("hid")["year_built"]
    years = [1939, 1940, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2020, 2024]
    for i, year in enumerate(years, 1):
        level = "Before 1950" if year < 1950 else "2010 or later" if year >= 2010 else f"{year}s"
        assert built.get(f"2024HU15{i:05d}", level) == level  # every fourth home is vacant


def test_vignette_without_any_file_says_why(agency, monkeypatch):
    monkeypatch.delenv("FUSIONPY_SHARED", raising=False)
    agency.files = {}
    names = vignette_up_to_the_surveys()
    assert names["donor"] is names["recipient"] is None
    assert names["told"].startswith("Not run, as there are no files of households.")
    assert RECS_PATH in names["told"]


def test_vignette_names_levels_as_the_files_that_were_harmonised_before(agency, monkeypatch, shared):
    monkeypatch.delenv("FUSIONPY_SHARED", raising=False)
    agency.files = official_files(["HI", "LA", "ME", "ND", "NM", "WA"], n=24)
    names = vignette_up_to_the_surveys()
    before = {
        "donor": pd.read_parquet(shared / "data" / "recs2020_donor.parquet"),
        "recipient": pd.read_parquet(shared / "data" / "acs2024_recipient_WA.parquet"),
    }
    for name, survey in before.items():
        here = names[name]
        assert set(before["recipient"]) - {"puma"} <= set(here)
        for column in set(here) & set(survey) - {"state", "division"}:
            if isinstance(survey[column].dtype, pd.CategoricalDtype):
                assert here[column].cat.categories.equals(survey[column].cat.categories), column
        assert set(here["division"].cat.categories) <= set(survey["division"].cat.categories)
