"""Pages as PDF, by a headless Chromium that is on the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from fusionpy.errors import OutputError, few

__all__ = ["BROWSER_VARIABLE", "find_browser", "print_pdf"]

BROWSER_VARIABLE = "FUSIONPY_BROWSER"
NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
# A page may load nothing but itself: no name is ever looked up, and nothing runs in the background.
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
SECONDS = 120.0
WANTED = (
    "Install Chromium, Google Chrome or Microsoft Edge (on Debian and Ubuntu: apt-get install chromium), or "
    f"name one in the environment variable {BROWSER_VARIABLE}. The HTML prints as well from any browser."
)


def find_browser() -> str:
    """Find a browser that can print.

    Returns
    -------
    str
        Its path: what the environment variable FUSIONPY_BROWSER names, or the first of the usual ones.

    Raises
    ------
    OutputError
        If there is none; it says what to install.
    """
    named = os.environ.get(BROWSER_VARIABLE)
    if named:
        if found := shutil.which(named):
            return found
        problem = f"{BROWSER_VARIABLE} is '{named}', which is not a program."
        raise OutputError("There is no browser to make the PDF with.", [problem], WANTED)
    for name in (*NAMES, *PLACES):
        if found := shutil.which(name):
            return found
    raise OutputError(
        "There is no browser to make the PDF with.", [f"Looked for {few(NAMES, most=9)}."], WANTED
    )


def print_pdf(browser: str, html: Path, pdf: Path, seconds: float = SECONDS) -> None:
    """Print a page to a PDF file.

    Parameters
    ----------
    browser : str
        From `find_browser`.
    html : Path
        Absolute. The browser's own files are in its folder for as long as it runs.
    pdf : Path
        Absolute; replaced if it is there.
    seconds : float
        Time limit, after which the browser is ended.

    Raises
    ------
    OutputError
        If no PDF comes of it.
    """
    with tempfile.TemporaryDirectory(dir=html.parent, ignore_cleanup_errors=True) as profile:
        # A file of another name than the page's: some browsers refuse endings that they do not know.
        made = Path(profile) / "page.pdf"
        command = [
            browser,
            *FLAGS,
            f"--user-data-dir={profile}/profile",
            f"--print-to-pdf={made}",
            html.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # as root, in containers, Chromium starts in no other way
        said = _run(command, seconds)
        if not made.is_file() or made.stat().st_size == 0:
            last = said.strip().splitlines()[-1:] or ["It said nothing."]
            raise OutputError(f"'{browser}' made no PDF.", [last[0][:300]], WANTED)
        shutil.copyfile(made, pdf)


def _run(command: list[str], seconds: float) -> str:
    """Run a program without a shell; at the time limit end it with all its children."""
    apart = {"start_new_session": True} if os.name == "posix" else {}
    # A file, not a pipe: a browser's crash handler may outlive it and would hold a pipe open.
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **apart,  # type: ignore[call-overload]
            )
        except OSError as error:
            raise OutputError(f"'{command[0]}' does not start.", [f"{error.strerror}."], WANTED) from None
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            problem = f"It did not finish within {seconds:g} seconds."
            raise OutputError(f"'{command[0]}' made no PDF.", [problem], WANTED) from None
        finally:
            if process.poll() is None:
                _end(process)
        log.seek(0)
        return log.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
