"""The report in a real browser: ``pytest -m browser``. Needs Chromium, ChromeDriver and poppler's tools."""

import datetime
import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
from browsing import ARGUMENTS, missing_tool, open_browser
from patience import PATIENCE

import fusionpy
from fusionpy import datasets
from fusionpy.figures.browser import find_browser, print_pdf
from fusionpy.reporting import report
from fusionpy.reporting.exhibits import Figure, Section, numbered, plain_table
from fusionpy.reporting.page import render

pytestmark = pytest.mark.browser

if tool := missing_tool("chromedriver", "pdftotext", "pdfinfo"):
    pytest.skip(f"{tool} is absent", allow_module_level=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of all that a model, two surveys and estimates give; its names are long."""
    folder = tmp_path_factory.mktemp("report")
    donor, recipient = datasets.load_donor().head(1500), datasets.load_recipient().head(3000)
    y = ["heating_fuel", "electricity", ["food_share", "housing_share", "other_share"]]
    hyper = {"num_iterations": 20}
    model = fusionpy.train(
        donor, y, datasets.PREDICTORS, weight="weight", refits=2, hyper=hyper, seed=1, cores=2, quiet=True
    )
    fused = fusionpy.fuse(recipient, model, M=4, seed=1, cores=2, quiet=True)
    estimates = fusionpy.analyze(
        ["mean(electricity)", "mean(heating_fuel)"],
        fused,
        static=recipient,
        weight="weight",
        by="region",
        quiet=True,
    )
    report(
        [folder / "report.html", folder / "report.pdf"],
        model=model,
        donor=donor,
        recipient=recipient,
        estimates=estimates,
        weight="weight",
        title="A rather long title, with a word that is_much_too_long_for_a_narrow_screen_of_any_kind",
        labels={"income": "Household income before taxes, dollars a year, by the hundred, as reported"},
        quiet=True,
        date="2026-11-05",
    )
    return folder / "report.html"


@pytest.fixture(scope="module", params=[1200, 400])
def opened(request, page, tmp_path_factory):
    with open_browser(request.param, tmp_path_factory.mktemp("profile")) as driver:
        driver.go("about:blank")
        driver.log("performance")  # of the browser's own first page
        driver.go(page.as_uri())
        yield driver, request.param


def test_it_requests_itself_only_and_complains_of_nothing(opened, page):
    driver, _ = opened
    messages = [json.loads(entry["message"])["message"] for entry in driver.log("performance")]
    requested = [
        each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]
    assert driver.log("browser") == []


def test_it_fits_the_screen(opened):
    driver, width = opened
    assert driver.run("return document.documentElement.scrollWidth") <= width
    beyond = """
        const boxes = '.scroll, pre, .equation, .skip';
        return [...document.querySelectorAll('body *')]
          .filter(each => !each.closest(boxes) || each.matches('.scroll, pre, .equation'))
          .filter(each => each.getBoundingClientRect().right > window.innerWidth + 1)
          .map(each => each.outerHTML.slice(0, 80));
    """
    assert driver.run(beyond) == []
    scrolled = """
        return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length
    """
    assert (driver.run(scrolled) > 3) == (width == 400)


def test_text_can_be_read(opened):
    """Contrast of at least 4.5 to 1, and no letters under 11 pixels."""
    driver, _ = opened
    texts = driver.run("""
        const shown = [...document.querySelectorAll('body *')].filter(each =>
          !each.closest('svg') && !each.closest('.skip') && !each.closest('.hidden') &&
          [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()));
        const behind = each => {
          for (let e = each; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return colour;
          }
          return 'rgb(255, 255, 255)';
        };
        return shown.map(each => [getComputedStyle(each).color, behind(each),
          parseFloat(getComputedStyle(each).fontSize), each.closest('math') !== null,
          each.textContent.slice(0, 30)]);
    """)
    assert len(texts) > 300
    for colour, background, size, is_formula, text in texts:
        assert contrast(colour, background) >= 4.5, text
        assert size >= (7 if is_formula else 11), text


def contrast(*colours):
    light = []
    for colour in colours:
        rgb = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        light.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_links_lead_somewhere(opened):
    driver, _ = opened
    lost = """
        return [...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
          .filter(name => !document.getElementById(name));
    """
    assert driver.run(lost) == []
    assert driver.run("return document.querySelectorAll('math').length") >= 4
    # Formulas are laid out as such, not as letters in a row.
    assert driver.run("return document.querySelector('mfrac').getBoundingClientRect().height") > 20


def addresses_of(page, folder):
    """All that the browser's own record of its network names, other than its own services."""
    record = folder / "net.json"
    command = [find_browser(), *ARGUMENTS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={record}"]
    subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, timeout=PATIENCE, check=True)
    found = set(re.findall(r'"url":\s*"(\w+://[^"]*)', record.read_text("utf-8")))
    own = re.compile(r"file:|chrome|https?://[\w.-]*(google|googleapis|gvt1)\.com[/:]")
    return {url for url in found if not own.match(url)}


def test_the_page_asks_the_network_for_nothing(page, tmp_path):
    loud = tmp_path / "loud.html"
    loud.write_text('<img src="http://example.test/a.png">', "utf-8")
    assert addresses_of(loud, tmp_path) == {"http://example.test/a.png"}  # so the record does tell
    assert addresses_of(page, tmp_path) == set()


def pages_of(pdf):
    n = int(re.search(r"Pages:\s+(\d+)", subprocess.check_output(["pdfinfo", pdf], text=True))[1])
    return [
        subprocess.check_output(["pdftotext", "-f", str(j), "-l", str(j), pdf, "-"], text=True)
        for j in range(1, n + 1)
    ]


def test_printed_report(page):
    pdf = page.with_suffix(".pdf")
    pages = pages_of(pdf)
    text = "\n".join(pages)
    assert 6 <= len(pages) <= 16
    for j, each in enumerate(pages, 1):
        assert re.search(rf"\b{j} ?/ ?{len(pages)}\b", each)
    html = page.read_text("utf-8")
    for label in re.findall(r"<b>((?:Table|Figure) \d+\.)</b>", html):
        assert text.count(label) >= 1
    assert all(len(each.split()) > 40 for each in pages[:-1] if "Figure" not in each)
    info = subprocess.check_output(["pdfinfo", pdf], text=True)
    assert "A rather long title" in info
    assert "A4" in info
    fonts = subprocess.check_output(["pdffonts", pdf], text=True).splitlines()[2:]
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts)  # embedded


def drawing(name, width, height):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f'<text x="5" y="15">top{name}</text><text x="5" y="{height - 5}">end{name}</text></svg>'
    )


def test_nothing_is_cut_between_pages(tmp_path):
    """Drawings and tables of many heights: first and last line, and caption, are on one page."""
    exhibits = []
    for j in range(24):
        height = 120 + 37 * j % 400
        panels = 3 if j % 5 == 4 else 1
        svgs = tuple(drawing(f"{j}x{p}", 400, height) for p in range(panels))
        exhibits.append(Figure(f"f{j}", f"Caption{j}x.", "Alt.", svgs))
        rows = 3 + 5 * j % 16
        frame = pd.DataFrame({"a": [f"row{j}x{r}x" for r in range(rows)], "b": range(rows)})
        exhibits.append(plain_table(f"t{j}", f"Heading{j}x.", frame, note=f"Note{j}x."))
    long = pd.DataFrame(
        {"group": [f"group{r // 4}x" for r in range(100)], "b": [f"cell{r}x" for r in range(100)]}
    )
    exhibits.append(plain_table("long", "Long.", long, {"group": "Thehead"}, grouped=True))
    exhibits.append(plain_table("estimates", "Last.", long.head(1)))  # the section's text names it
    sections = numbered([Section("estimates", "Estimates", tuple(exhibits), {"M": []})])
    date = datetime.date(2026, 11, 5)
    html = render(sections, title="T", authors=[], date=date, notes=[], version="0", glance={})
    (tmp_path / "a.html").write_text(html, "utf-8")
    print_pdf(find_browser(), tmp_path / "a.html", tmp_path / "a.pdf")
    pages = pages_of(tmp_path / "a.pdf")

    def page_of(word):
        found = [number for number, text in enumerate(pages) if re.search(rf"\b{word}(?!\d)", text)]
        assert found, word
        return found[0]

    for each in sections[0].exhibits:
        key = each.key[1:]
        if each.kind == "Figure":
            words = [f"{end}{key}x{p}" for p in range(len(each.svgs)) for end in ("top", "end")]
            words.append(f"Caption{key}x")
        elif each.key in ("long", "estimates"):
            continue
        else:
            words = [f"Heading{key}x", f"Note{key}x", *(row[0] for row in each.rows)]
        assert len({page_of(word) for word in words}) == 1, words
    for r in range(0, 100, 4):
        assert len({page_of(f"cell{r + k}x") for k in range(4)} | {page_of(f"group{r // 4}x")}) == 1
    with_cells = [text for text in pages if re.search(r"\bcell\d", text)]
    assert len(with_cells) > 1
    assert all("Thehead" in text for text in with_cells)  # the head is repeated
