"""What mkdocs calls: formulas become MathML, links to the repository come from pyproject.toml."""

from __future__ import annotations

import html
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

__all__ = ["formula", "on_config", "on_page_content", "on_post_build"]

FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">(?P<tex>.*?)</(?P=tag)>', re.S)
LONG = 40  # letters of a formula that may be wider than a phone
FONT = "stylesheets/math.woff"  # as extra.css names it
# Letters, accents, Greek, punctuation, arrows, operators, and letters of the styles that formulas use.
CHARACTERS = [
    *((0x20, 0x7E), (0xA0, 0xFF), (0x2B0, 0x36F), (0x391, 0x3F6), (0x2000, 0x206F), (0x20D0, 0x20F0)),
    *((0x2100, 0x214F), (0x2190, 0x22FF), (0x2308, 0x230B), (0x23DC, 0x23E1), (0x27C0, 0x27FF)),
    *((0x2A00, 0x2A7F), (0x1D400, 0x1D56B), (0x1D6A4, 0x1D755)),
]


def on_config(config: Any) -> Any:
    """Name the repository, if the package does."""
    file = Path(config.config_file_path).with_name("pyproject.toml")
    urls = tomllib.loads(file.read_text("utf-8"))["project"].get("urls", {})
    urls = {name.lower(): address for name, address in urls.items()}
    if address := urls.get("repository") or urls.get("source"):
        config.repo_url = address
        config.repo_name = address.rstrip("/").split("/", 3)[-1]
    return config


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Typeset the formulas of a page, so that browsers need no program for it and nothing from elsewhere."""

    def typeset(match: re.Match[str]) -> str:
        tex = html.unescape(match["tex"]).strip()
        tex = re.sub(r"^\\[(\[]|\\[)\]]$", "", tex).strip()
        return formula(tex, display=match["tag"] == "div", page=page.file.src_uri)

    return FORMULA.sub(typeset, content)


def on_post_build(config: Any) -> None:
    """Write the font of formulas: a part of STIX Two Math (SIL Open Font License), which ziamath carries."""
    from fontTools import subset

    package = importlib.util.find_spec("ziamath")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).with_name("fonts") / "STIXTwoMath-Regular.ttf"
    options = subset.Options(
        flavor="woff", layout_features=["ssty", "mark", "mkmk", "ccmp"], notdef_outline=True
    )
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for low, high in CHARACTERS for code in range(low, high + 1)])
    subsetter.subset(font)
    subset.save_font(font, str(Path(config.site_dir) / FONT), options)


def formula(tex: str, *, display: bool, page: str) -> str:
    """Turn LaTeX into MathML, or fail and say where."""
    from math_core import LatexError, LatexToMathML

    try:
        made = LatexToMathML(annotation=True).convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        raise PluginError(f"{page}: this formula cannot be read: {tex}\n{error}") from error
    if display:
        return f'<div class="formula" tabindex="0">{made}</div>'
    return f'<span class="formula-inline">{made}</span>' if len(tex) > LONG else made
