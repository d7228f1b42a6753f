"""A made-up agency on localhost, with its faults on demand."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import threading
import zipfile
from collections.abc import Callable
from email.message import Message
from typing import Any

from fusionpy.datasets.places import STATES

RECS_PATH = "/consumption/residential/data/2020/csv/recs2020_public_v7.csv"


ACS_PATH = "/programs-surveys/acs/data/pums/2023/1-Year/"


RECS_NAME = "recs2020_public_v7.csv"


Fault = Callable[["Handler", bytes], None]


class Agency:
    """A server of made-up files.

    Attributes
    ----------
    files : dict
        Content by path.
    faults : list
        What goes wrong with the next requests, one after the other.
    asked : list
        Path and headers of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, Message]] = []
        self.sent: list[int] = []  # bytes of each answer's body
        self.ranges, self.etag = True, True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.agency = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers like the agencies' servers, with ranges."""

    protocol_version = "HTTP/1.1"
    agency: Agency

    def do_GET(self) -> None:
        self.agency = self.server.agency  # type: ignore[attr-defined]
        self.agency.asked.append((self.path, self.headers))
        self.close_connection = True
        content = self.agency.files.get(self.path)
        if content is None:
            self.send_error(404)
        elif self.agency.faults:
            self.agency.faults.pop(0)(self, content)
        else:
            self.answer(content)

    def answer(self, content: bytes, most: int | None = None, **headers: str) -> None:
        """Send a file, or the part that is asked for; no more than `most` bytes of it."""
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        first, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and self.agency.ranges and self.headers["If-Range"] == tag:
            first = int(asked[1])
        if first >= len(content) and first:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.agency.etag:
            self.send_header("ETag", tag)
        headers = {"Content_Length": str(len(content) - first)} | headers
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        body = content[first:][:most]
        self.agency.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def recs_file(n: int = 4) -> bytes:
    """Made-up households in the official layout, with a few of its columns."""
    rows = ["DOEID,DIVISION,STATE_FIPS,state_postal,HDD65,KWH,SOLAR,NWEIGHT,NWEIGHT1,NOTE"]
    rows += [
        f"{100001 + i},Pacific,0{4 + i % 3},CA,{4000 + i},{9000 + i}.25,-2,3284.1,0,NA" for i in range(n)
    ]
    return ("\n".join(rows) + "\n").encode()


def acs_rows(state: str, records: str) -> str:
    fips = {each.postal: each.fips for each in STATES}[state]
    if records == "h":
        return (
            "RT,SERIALNO,PUMA,STATE,ADJINC,WGTP,WGTP1,NP,TYPEHUGQ,BLD,HINCP\n"
            f"H,2023HU00000{fips},00300,{fips},1019518,42,-3,2,1,02,105000\n"
            f"H,2023GQ00000{fips},00300,{fips},1019518,0,0,1,3,,\n"
        )
    return (
        "RT,SERIALNO,SPORDER,PUMA,STATE,PWGTP,AGEP,SCHL,NAICSP,SOCP,RELSHIPP\n"
        f"P,2023HU00000{fips},01,00300,{fips},42,45,21,4MS,4930XX,20\n"
        f"P,2023HU00000{fips},02,00300,{fips},42,3,,,,25\n"
    )


def acs_archive(state: str, records: str) -> bytes:
    fips = {each.postal: each.fips for each in STATES}[state]
    return archive(
        {"ACS_README.pdf": b"%PDF", f"psam_{records}{fips}.csv": acs_rows(state, records).encode()}
    )


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()
