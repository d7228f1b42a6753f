"""The documents, and what makes a site of them; ``pytest -m docs`` runs documents and builds the site."""

from __future__ import annotations

import ast
import base64
import functools
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from making import running
from making.assembling import Page, assemble, find_pages
from making.documents import Cell, find_cells, pieces, problems
from making.execute import render
from making.layers import draw_layers

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
needs_jupyter = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("nbclient", "ipykernel")),
    reason="the packages of the extra `docs` are absent",
)


# ---------------------------------------------------------------- documents


def test_documents_are_well_formed():
    pages = find_pages(ROOT)
    assert {"index.md", "vignettes/1-simple-fusion.md", "changelog.md"} <= {page.path for page in pages}
    wrong = [
        f"{page.shown}, line {line}: {problem}"
        for page in pages
        for line, problem in problems(page.source.read_text("utf-8"), executed=page.is_document)
    ]
    assert wrong == []


def test_every_vignette_and_tutorial_runs_something():
    pages = [page for page in find_pages(ROOT) if re.match(r"vignettes/|how-to/|tutorial", page.path)]
    assert len(pages) > 9
    assert [page.path for page in pages if not page.executed] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# T\n\n```python\n1\n```\n\n```text\nx\n```\n", []),
        ("Text first.\n", [(1, "starts with its title")]),
        ("# T\n\n```\nx\n```\n", [(3, "of no language")]),
        ("# T\n\n```yaml\nx\n```\n", [(3, "of 'yaml'")]),
        ("# T\n\n```python title=x\nx\n```\n", [(3, "of 'python title=x'")]),
        ("# T\n\n* a\n\n  ```bash\n  x\n  ```\n", [(5, "at the margin")]),
        ("# T\n\n````text\n```python\n1\n```\n````\n", []),
        ("# T\n\n```python\n1\n", [(3, "never closed")]),
        ("# T\n\n[a](https://doi.org/10.1/x) [b](mailto:a@b.org) [c](a.md#b) <br>\n", []),
        ("# T\n\ntext\n<img src='gone.png'>\n", [(4, "in Markdown")]),
        ("# T\n\nSee <a href='gone/'>it</a>.\n", [(3, "in Markdown")]),
        ("# T\n\n[a](https:/doi.org)\n", [(3, "'https:/doi.org' is no address")]),
        ("# T\n\n```text\n1\n```\n\n[a](https://nodot/x)\n", [(7, "'https://nodot/x' is no address")]),
        ("# T\n\n[a](ftp://a.org/x) [b](javascript:alert)\n", [(3, "'ftp:"), (3, "'javascript:")]),
    ],
)
def test_problems_of_form(text, expected):
    found = list(problems(text))
    assert [line for line, _ in found] == [line for line, _ in expected]
    for (_, problem), (_, part) in zip(found, expected, strict=True):
        assert part in problem


def test_a_page_that_is_not_run_has_text_only():
    assert list(problems("# T\n\n```\nx\n```\n", executed=False)) == []
    assert [line for line, _ in problems("# T\n\n```python\nx\n```\n", executed=False)] == [3]


def test_cells_and_their_directives():
    text = (
        "# T\n\n```python\n# hidden\na = 1\n```\nprose\n~~~text\n```r\n~~~\n"
        "```r\n# alt: A plot.\nplot(1)\n```\n"
    )
    first, second = find_cells(text)
    assert first == Cell(3, 6, "python", "# hidden\na = 1")
    assert "hidden" in first.directives
    assert second.line == 11
    assert second.directives == {"alt": "A plot."}
    assert second.shown == "plot(1)"
    assert "".join(piece for _, piece in pieces(text)) == text
    assert [piece for is_prose, piece in pieces(text) if is_prose] == ["# T\n\n", "prose\n", ""]


# ---------------------------------------------------------------- pages


def top_modules() -> list[Path]:
    package = ROOT / "fusionpy"
    files = [*package.glob("*.py"), *package.glob("*/__init__.py")]
    return [file for file in files if file.stem != "__main__" and file != package / "__init__.py"]


@functools.cache
def public_names() -> list[str]:
    names = []
    for module in ("", ".datasets", ".distributed", ".r"):
        file = ROOT / "fusionpy" / module.removeprefix(".") / "__init__.py"
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names += [f"fusionpy{module}.{name}" for name in ast.literal_eval(node.value)]
    return names


def test_every_public_name_is_in_the_reference():
    written = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"(?m)^::: (\S+)$", page.read_text("utf-8"))
    ]
    assert len(written) == len(set(written))
    assert len(public_names()) > 40
    assert set(public_names()) - set(written) == set()


def test_the_first_page_of_the_reference_links_to_every_name_of_fusionpy():
    text = (DOCS / "api" / "index.md").read_text("utf-8")
    linked = set(re.findall(r"\]\[(fusionpy\.\w+)\]", text))
    verbs = {name for name in public_names() if name.count(".") == 1}
    results = {"fusionpy.Prepared", "fusionpy.Scorecard", "fusionpy.Validation", "fusionpy.datasets"}
    errors = {name for name in verbs if name.endswith(("Error", "Warning"))}
    assert verbs - linked == results | errors


def test_every_page_is_in_the_menu():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))

    def leaves(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [
            leaf for each in (entry.values() if isinstance(entry, dict) else entry) for leaf in leaves(each)
        ]

    menu = leaves(config["nav"])
    assert sorted(menu) == [page.path for page in find_pages(ROOT)]


def test_every_command_is_described_with_all_its_options():
    from making.commands import describe_commands
    from typer.main import get_command

    from fusionpy.cli import app

    text = describe_commands()
    assert "\b" not in text
    assert text.count("Examples:\n\n```text\n") > 8
    root = get_command(app)
    assert "train" in root.commands
    for name, command in root.commands.items():
        section = re.search(rf"(?ms)^### fusionpy {name}$(.*?)(?=^### |\Z)", text)[1]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert parameter.opts[0] in section, (name, parameter.opts)


def test_layers_are_drawn_from_the_contract():
    drawn = draw_layers(ROOT)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    contract = re.search(r'(?s)id = "layers".*?\nlayers = \[\n(.*?)\n\]', text)[1]
    lines = [re.search(r'"(.*?)"', line)[1].split(" | ") for line in contract.splitlines()]
    rows = re.findall(r"<li>(.*)</li>", drawn)
    assert [re.findall(r"<div><code>(\w+)</code>", row) for row in rows] == lines
    modules = [file.parent.name if file.stem == "__init__" else file.stem for file in top_modules()]
    assert sorted(module for line in lines for module in line) == sorted(modules)
    assert "</code> </div>" not in drawn  # each says what it is


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_are_there(page):
    named = re.findall(r"`([\w./]+(?:/|\.(?:py|R|md|yml|toml|yaml)))`", (ROOT / page).read_text("utf-8"))
    named = [name for name in named if "NAME" not in name.replace("NAMESPACE", "")]
    assert len(named) > 20
    lost = {
        n
        for n in named
        if not any((folder / n).exists() for folder in (ROOT, ROOT / "fusionpy", ROOT / "r/fusionpy"))
    }
    assert lost == set()


def test_the_map_has_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    mapped = text.partition("## A map")[2].partition("\n## ")[0]
    rooms = {file.parent.name + "/" if file.stem == "__init__" else file.name for file in top_modules()}
    assert {room for room in rooms if f"`{room}`" not in mapped} == set()


def test_layers_stand_on_their_page(tmp_path):
    pages = [page for page in find_pages(ROOT) if page.path == "architecture.md"]
    assemble(ROOT, pages, tmp_path / "out", lambda page: (page.source.read_text("utf-8"), None))
    assert draw_layers(ROOT) in (tmp_path / "out" / "architecture.md").read_text("utf-8")


def test_pages_are_assembled_and_links_mended(tmp_path):
    root = tmp_path / "clone"
    files = {
        "docs/a.md": "# A\n\n[V](vignettes/v.md#x) [S](../validation/s/README.md) "
        "[run\nit](../validation/s/run.py)\n"
        "`[no](../validation/s/run.py)` [out](https://e.org/x.py)\n\n```text\n[no](../validation/s/run.py)\n```\n",
        "docs/b.css": "",
        "vignettes/v.md": "# V\n\n[A](../a.md) [A](../docs/a.md)\n\n## X\n",
        "validation/s/README.md": "# S\n\n![P](p.png) [A](../../docs/a.md) [lost](no.csv)\n",
        "validation/s/run.py": "1\n",
        "validation/s/p.png": "png",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    pages = find_pages(root)
    assert [page.path for page in pages] == ["a.md", "vignettes/v.md"]
    pages.append(Page("studies/s.md", root / "validation/s/README.md", "validation/s/README.md", False))
    out = tmp_path / "out"
    assemble(root, pages, out, lambda page: (page.source.read_text("utf-8"), None))
    a = (out / "a.md").read_text("utf-8")
    assert "[V](vignettes/v.md#x) [S](studies/s.md) [run\nit](a/run.py)" in a
    assert a.count("../validation/s/run.py") == 2
    assert "(https://e.org/x.py)" in a
    assert (out / "a/run.py").read_text("utf-8") == "1\n"
    assert (out / "b.css").exists()
    assert "[A](../a.md) [A](../a.md)" in (out / "vignettes/v.md").read_text("utf-8")
    assert "![P](s/p.png) [A](../a.md) [lost](no.csv)" in (out / "studies/s.md").read_text("utf-8")
    assert (out / "studies/s/p.png").exists()


def test_docstrings_become_markdown():
    pytest.importorskip("griffe")
    from making.docstrings import to_markdown

    text = (
        "Of :math:`\\nu > 2`.\n\n.. math::\n\n    a &= b \\\\\n    c &= d\n\nThen.\n\n"
        "    ====== ==========\n    Column Meaning\n    ====== ==========\n    ``a``  One\n"
        "           more\n    ``b``  T[a][b]\n    ====== ==========\n"
    )
    found = to_markdown(text)
    assert "Of $\\nu > 2$." in found
    together = "Do.\n\nParameters\n----------\na, b : int\n    As there.\nc\n    One, two.\n\n"
    together += "Returns\n-------\nx, y\n    Z."
    assert "\na : int\n    As there.\nb : int\n    As there.\nc\n    One, two.\n\n" in to_markdown(together)
    assert to_markdown(together).endswith("-------\nx, y\n    Z.")
    assert "$$\n\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}\n$$\n\nThen." in found
    table = ["| Column | Meaning |", "| --- | --- |", "| ``a`` | One more |", r"| ``b`` | T\[a\]\[b\] |"]
    assert "\n".join(f"    {line}" for line in table) in found


# ---------------------------------------------------------------- outputs


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def result(**data):
    data = {name.replace("_", "/"): value for name, value in data.items()}
    return {"output_type": "execute_result", "data": data, "metadata": {}}


def rendered(*outputs):
    return [text for text, _ in render(list(outputs))]


def test_text_is_joined_and_cleaned():
    (text,) = rendered(stream("\x1b[31mone\x1b[0m\n"), stream("10 %\r 100 %\ntwo  \n"))
    assert text == "``` { .text .output .no-copy }\none\n 100 %\ntwo\n```"
    first, second = rendered(stream("out\n"), stream("err\n", "stderr"))
    assert ".stderr" not in first
    assert second == "``` { .text .output .no-copy .stderr }\nerr\n```"
    assert rendered(stream("a\n```\nb\n"))[0].startswith("```` {")


def test_progress_is_shown_only_if_asked_for():
    said = stream("train: 3/4 (7 s) refitted a\nbeware\ntrain: 4/4 (9 s)\n", "stderr")
    assert "\nbeware\n```" in rendered(said)[0]
    assert "train" not in rendered(said)[0]
    assert rendered(stream("train: 4/4 (9 s)\n", "stderr")) == []
    assert "train: 3/4" in next(render([said], progress=True))[0]
    assert "train: 4/4" in rendered(stream("train: 4/4 (9 s)\n"))[0]


def test_frames_become_tables_without_style_or_empty_lines():
    table = '<table border="1" class="dataframe">\n\n<tr></tr></table>'
    html = f"<div>\n<style scoped>\n  p {{}}\n\n</style>\n{table}</div>"
    (text,) = rendered(result(text_plain="x", text_html=html))
    assert text.startswith('<div class="scroll" tabindex="0" ')
    assert "style" not in text
    assert "\n\n" not in text
    (text,) = rendered(result(text_plain="plain", text_html="<table>of another kind</table>"))
    assert "\nplain\n" in text


def test_markdown_errors_and_pictures():
    assert rendered(result(text_markdown="## More", text_plain="<M>")) == ["## More"]
    error = {"output_type": "error", "ename": "ArgumentError", "evalue": "`x` is wrong.", "traceback": []}
    assert "\nArgumentError: `x` is wrong.\n" in rendered(error)[0]
    picture = result(image_png="...", text_plain="<Figure>")
    assert list(render([picture])) == [("", picture)]


# ---------------------------------------------------------------- what is run, and when


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository of one document and one module; runs are counted instead of run."""
    files = {
        "docs/a.md": "# A\n\n```r\n1\n```\n\nSee data/x.csv, $FUSIONPY_DOWNLOAD.\n",
        "fusionpy/m.py": "1\n",
    }
    files |= {"r/fusionpy/R/f.R": "1\n", ".ci/constraints.txt": "", "data/x.csv": "1\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    runs = []

    def run(command, **_):
        if "execute.py" in command[1]:
            runs.append(command[2])
            Path(command[3]).parent.mkdir(parents=True, exist_ok=True)
            Path(command[3]).write_text("# A\n\nran\n", "utf-8")
        return subprocess.CompletedProcess(command, 0, "1 cell in 1.0 s", "")

    monkeypatch.setattr(running.subprocess, "run", run)
    monkeypatch.setattr(running, "r_is_there", lambda: True)
    return tmp_path, runs


def test_documents_run_again_only_if_something_changed(clone, monkeypatch):
    root, runs = clone

    def build(afresh=False):
        runner = running.Runner(root, root / "build", 2, afresh)
        assert runner.run(find_pages(root)) == []
        assert runner.page_of(find_pages(root)[0])[0] == "# A\n\nran\n"

    build()
    build()
    assert len(runs) == 1
    for changed in ("docs/a.md", "fusionpy/m.py", "r/fusionpy/R/f.R", ".ci/constraints.txt", "data/x.csv"):
        before = len(runs)
        file = root / changed
        file.write_text(file.read_text("utf-8") + "\n", "utf-8")
        build()
        assert len(runs) == before + 1, changed
    monkeypatch.setenv("FUSIONPY_DOWNLOAD", "1")
    build()
    build(afresh=True)
    assert len(runs) == 8


def test_without_r_a_page_says_so(clone, monkeypatch, capsys):
    root, runs = clone
    monkeypatch.setattr(running, "r_is_there", lambda: False)
    runner = running.Runner(root, root / "build", 1, False)
    pages = find_pages(root)
    assert runner.run(pages) == []
    assert runs == []
    assert "docs/a.md: not run, as R or one of" in capsys.readouterr().out
    text, _ = runner.page_of(pages[0])
    assert text.startswith("# A\n\n!!! warning")
    assert "code of R, which was not there" in text
    assert "```r\n1\n```" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "no-such-page"], "there is no such document"),
        (["--no-site", "--require-r"], "R is needed here"),
    ],
)
def test_what_cannot_be_built_is_told(arguments, said, tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path)}  # no Rscript
    command = [sys.executable, DOCS / "build.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "The documentation is not built: 1 problem." in done.stderr


# ---------------------------------------------------------------- documents that run


def run_document(folder, text):
    (folder / "d.md").write_text(text, "utf-8")
    command = [
        sys.executable,
        DOCS / "making" / "execute.py",
        folder / "d.md",
        folder / "out" / "d.md",
        "--name",
        "d.md",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_jupyter
@pytest.mark.docs
def test_a_document_of_python_and_shell(tmp_path):
    text = """# T

```python
# hidden
import sys, warnings
from pathlib import Path
import matplotlib.pyplot as plt
import pandas as pd
```

```python
pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
```

```python
# alt: A line that [rises].
plt.figure(figsize=(3, 2))
plt.plot([1, 2]);
```

```python
print("to stderr", file=sys.stderr)
Path("x.txt").write_text("one\\n")
```

```bash
cat x.txt | tr a-z A-Z
command -v fusionpy
echo "$FUSIONPY_REPOSITORY"
```

```python
# raises: ArgumentError
import fusionpy
fusionpy.fuse(pd.DataFrame(), "no.fsn", M=0)
```

```python
Path("x.txt").resolve()
```

The end, $x$.
"""
    done = run_document(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 cells in ")
    page = (tmp_path / "out" / "d.md").read_text("utf-8")
    assert page.startswith("# T\n")
    assert page.endswith("The end, $x$.\n")
    assert "import sys" not in page
    assert "# alt" not in page
    assert "<td>x</td>" in page
    assert re.search(
        r'!\[A line that \\\[rises\\\]\.\]\(d/figure-1\.png\)\{ width="\d+" height="\d+" loading="lazy" \}',
        page,
    )
    content = (tmp_path / "out/d/figure-1.png").read_bytes()
    assert content.startswith(base64.b64decode("iVBORw0KGgo="))
    assert ".stderr }\nto stderr\n```" in page
    assert f"\nONE\n{Path(sys.executable).parent}/fusionpy\n{ROOT}\n```" in page
    assert "```python\nimport fusionpy\n" in page  # without its directive
    assert re.search(r"\.error \}\nArgumentError: .*\n.*`M`", page)
    assert "PosixPath('x.txt')" in page


@needs_jupyter
@pytest.mark.docs
@pytest.mark.parametrize(
    ("cell", "line", "said"),
    [
        ("```python\na = 1\n\n1 / 0\n```", 6, "ZeroDivisionError: division by zero"),
        ("```python\ndef f():\n    return 1 / 0\n\n\nf()\n```", 8, "ZeroDivisionError"),
        ("```python\nx = (\n```", 4, "SyntaxError"),
        ("```bash\necho so far\nfalse | true\necho no further\n```", 5, "so far"),
        (
            "```python\n# raises: KeyError\n1 / 0\n```",
            3,
            "should raise KeyError, and raised ZeroDivisionError",
        ),
        ("```python\n# raises: KeyError\n1\n```", 3, "should raise KeyError, and raised nothing"),
        ("```python\nimport os\nos._exit(3)\n```", 3, "the kernel died"),
    ],
)
def test_a_cell_that_fails_is_named(tmp_path, cell, line, said):
    done = run_document(tmp_path, f"# T\n\n{cell}\n")
    assert done.returncode == 1
    assert done.stderr.startswith(f"d.md, line {line}: ")
    assert said in done.stderr
    assert "no further" not in done.stderr
    assert not (tmp_path / "out" / "d.md").exists()


@needs_jupyter
@pytest.mark.docs
@pytest.mark.r
def test_a_document_of_r(tmp_path):
    text = """# T

```r
x <- c(a = 1, b = 2)
x
invisible(3)
message("not shown")
cat("said\\n")
warning("beware")
```

```r
# alt: Two points.
plot(x)
writeLines("from R", "r.txt")
```

```python
open("r.txt").read()
```
"""
    done = run_document(tmp_path, text)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "d.md").read_text("utf-8")
    assert "\na b\n1 2\nsaid\nWarning: beware\n```" in page
    assert "not shown\n```\n\n```r" not in page
    assert page.count("not shown") == 1  # in the code
    assert '![Two points.](d/figure-1.png){ width="672" height="432" loading="lazy" }' in page
    assert (tmp_path / "out/d/figure-1.png").stat().st_size > 1000
    assert "'from R\\n'" in page
    done = run_document(tmp_path, "# T\n\n```r\nx <- 1\nmessage('before')\n\nstop('it fails')\n```\n")
    assert done.returncode == 1
    assert done.stderr.startswith("d.md, line 7: ")
    assert "it fails" in done.stderr
    assert "before" in done.stderr


# ---------------------------------------------------------------- the site


@needs_jupyter
@pytest.mark.docs
def test_the_site(tmp_path):
    """All documents run, the site builds without a warning, links hold, nothing comes from elsewhere."""
    site = Path(os.environ.get("FUSIONPY_SITE") or tmp_path / "site").resolve()
    if not os.environ.get("FUSIONPY_SITE"):
        command = [sys.executable, DOCS / "build.py", "--site", site]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    files = sorted(site.rglob("index.html"))
    assert len(files) >= len(find_pages(ROOT))
    for file in files:
        html = file.read_text("utf-8")
        article = re.search(r"(?s)<article.*?</article>", html)[0]
        assert article.count("<h1") == 1, file
        assert "arithmatex" not in article, file
        assert "<!-- commands" not in article, file
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", html), file
        assert all(re.search(r'alt="[^"]+"', picture) for picture in re.findall(r"<img[^>]*>", article)), file
    reference = "".join(file.read_text("utf-8") for file in (site / "api").rglob("index.html"))
    for name in set(public_names()) - {"fusionpy.datasets"}:  # a module, whose page it is
        assert f'id="{name}"' in reference, name
