"""Chromium, driven by ChromeDriver, for tests that look at pages."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE

from fusionpy.figures.browser import FLAGS, find_browser

__all__ = ["ARGUMENTS", "Driver", "free_port", "missing_tool", "open_browser"]

ARGUMENTS = [flag for flag in FLAGS if "pdf" not in flag] + ["--no-sandbox"]


def missing_tool(*names: str) -> str | None:
    """The first of these programs that is absent."""
    return next((name for name in names if shutil.which(name) is None), None)


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        port: int = each.getsockname()[1]
        return port


class Driver:
    """A session of ChromeDriver."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]

    def start(self, width: int, folder: Path, arguments: list[str]) -> None:
        metrics = {"width": width, "height": 900, "pixelRatio": 1, "mobile": width < 800}
        options = {
            "args": [*arguments, f"--user-data-dir={folder}"],
            "binary": find_browser(),
            "mobileEmulation": {"deviceMetrics": metrics},
        }
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def go(self, url: str) -> None:
        self.call("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str) -> Any:
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def log(self, kind: str) -> Any:
        return self.call("POST", f"{self.session}/se/log", {"type": kind})

    def until(self, script: str, seconds: float = PATIENCE) -> Any:
        """Run a script until it returns something true; give that, or the last that it returned."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def photograph(self, file: Path) -> None:
        """Save what the window shows as PNG."""
        file.write_bytes(base64.b64decode(self.call("GET", f"{self.session}/screenshot")))


@contextmanager
def open_browser(width: int, folder: Path, arguments: list[str] = ARGUMENTS) -> Iterator[Driver]:
    """Start a browser with a window of this width and an empty profile in `folder`."""
    port = free_port()
    process = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    driver = Driver(f"http://127.0.0.1:{port}")
    try:
        for _ in range(10 * PATIENCE):
            try:
                driver.call("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        driver.start(width, folder, arguments)
        yield driver
        driver.call("DELETE", driver.session)
    finally:
        process.terminate()
        process.wait()
