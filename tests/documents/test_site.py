"""The documentation's site in a real browser, at desktop and phone width: ``pytest -m browser``.

The environment variable FUSIONPY_SITE names a site that is built; otherwise one is. Pictures of the pages are
left in the folder that FUSIONPY_SCREENSHOTS names.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browsing import ARGUMENTS, missing_tool, open_browser

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
# The pages are served on this machine; no other name is looked up.
LOCAL = [flag.replace("NOTFOUND", "NOTFOUND, EXCLUDE 127.0.0.1") for flag in ARGUMENTS]
if tool := missing_tool("chromedriver"):
    pytest.skip(f"{tool} is absent", allow_module_level=True)
if importlib.util.find_spec("mkdocs") is None:
    pytest.skip("the packages of the extra `docs` are absent", allow_module_level=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if named := os.environ.get("FUSIONPY_SITE"):
        return Path(named).resolve()
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, ROOT / "docs" / "build.py", "--site", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def served(site):
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=[1440, 390])
def browser(request, tmp_path_factory):
    with open_browser(request.param, tmp_path_factory.mktemp("profile"), LOCAL) as driver:
        yield driver, request.param


@pytest.fixture(scope="module")
def addresses(site, served):
    return [
        f"{served}/{file.parent.relative_to(site).as_posix()}/" for file in sorted(site.rglob("index.html"))
    ]


def keep(driver, width, address):
    """Leave a picture of the page, if someone wants to look at it."""
    if folder := os.environ.get("FUSIONPY_SCREENSHOTS"):
        name = re.sub(r"\W+", "-", address.split("/", 3)[-1].strip("/.")) or "index"
        driver.photograph(Path(folder) / f"{name}-{width}.png")


def test_every_page_fits_loads_and_complains_of_nothing(browser, addresses, served):
    driver, width = browser
    driver.log("performance")
    assert len(addresses) > 30
    for address in addresses:
        driver.go(address)
        keep(driver, width, address)
        page = driver.until("return document.readyState === 'complete' && document.title")
        assert page, address
        assert driver.run("return document.documentElement.scrollWidth") <= width, address
        beyond = """
            const boxes = 'pre, .scroll, .formula, .formula-inline, .md-typeset__scrollwrap';
            return [...document.querySelectorAll('.md-main *')]
              .filter(each => !each.closest('.md-sidebar') && !each.parentElement.closest(boxes))
              .filter(each => each.getBoundingClientRect().right > window.innerWidth + 1)
              .map(each => each.outerHTML.slice(0, 100));
        """
        assert driver.run(beyond) == [], address
        driver.run("for (const each of document.images) each.loading = 'eager'")
        lost = """
            return [...document.images].every(e => e.complete) &&
              [[...document.images].filter(e => !e.naturalWidth).map(e => e.src)]
        """
        assert driver.until(lost) == [[]], address
    assert driver.log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.log("performance")]
    requested = {
        m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"
    }
    assert len(requested) > len(addresses)
    assert [url for url in requested if not url.startswith((served, "data:", "blob:", "chrome"))] == []


def test_formulas_are_typeset(browser, served):
    driver, _ = browser
    driver.go(f"{served}/methods/")
    assert driver.run("return document.querySelectorAll('math[display=block]').length") >= 5
    assert driver.run("return document.querySelector('math mfrac').getBoundingClientRect().height") > 20
    assert (
        driver.run("return document.querySelector('.md-content').innerText.match(/\\$[^$\\n]*\\\\[a-z]+/)")
        is None
    )


def test_code_can_be_copied(browser, served):
    driver, _ = browser
    driver.go(f"{served}/vignettes/1-simple-fusion/")
    buttons = "document.querySelectorAll('.language-python .md-code__button[data-md-type=copy]')"
    assert driver.until(f"return {buttons}.length >= 2")
    outputs = "return document.querySelectorAll('.output .md-code__button[data-md-type=copy]').length"
    assert driver.run(outputs) == 0


def test_search_finds(browser, served):
    driver, width = browser
    driver.go(f"{served}/")
    driver.until("return document.querySelector('[data-md-component=search-query]') !== null")
    driver.run("document.querySelector('label[for=__search]').click()")
    driver.run("""
        const field = document.querySelector('[data-md-component=search-query]');
        field.focus(); field.value = 'hot deck'; field.dispatchEvent(new Event('keyup', {bubbles: true}));
        field.dispatchEvent(new Event('input', {bubbles: true}));
    """)
    found = "return [...document.querySelectorAll('.md-search-result__link')].map(each => each.href)"
    links = driver.until(found)
    keep(driver, width, f"{served}/search")
    assert links
    assert all(link.startswith(served) for link in links)


def test_the_menu_leads_to_pages(browser, served):
    driver, width = browser
    driver.go(f"{served}/")
    if width < 800:  # the drawer
        shown = "return document.querySelector('.md-sidebar--primary').getBoundingClientRect().right > 100"
        assert driver.run(shown) is False
        driver.run("document.querySelector('label.md-header__button[for=__drawer]').click()")
        assert driver.until(shown)
        keep(driver, width, f"{served}/drawer")
    else:
        tabs = driver.run(
            "return [...document.querySelectorAll('.md-tabs__link')].map(e => e.innerText.trim())"
        )
        assert {"Getting started", "How-tos", "Vignettes", "Methods", "Reference", "Studies", "FAQ"} <= set(
            tabs
        )
    links = "[...document.querySelectorAll('.md-nav__link, .md-tabs__link')]"
    driver.run(f"{links}.find(e => /tutorial\\/$/.test(e.href)).click()")
    assert driver.until("return /tutorial\\/$/.test(location.href) && document.readyState === 'complete'")
    assert driver.run("return document.querySelectorAll('article h1').length") == 1


def test_the_dark_scheme(browser, served):
    driver, width = browser
    driver.go(f"{served}/vignettes/3-analysis/")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = driver.run(ground)
    driver.run("document.querySelector('label.md-header__button[for^=__palette]:not([hidden])').click()")
    assert driver.until(f"return getComputedStyle(document.body).backgroundColor !== '{light}'")
    keep(driver, width, f"{served}/dark")
    driver.run("document.querySelector('label.md-header__button[for^=__palette]:not([hidden])').click()")
