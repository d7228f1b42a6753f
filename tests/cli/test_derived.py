"""Options that are derived from a verb's parameters."""

from __future__ import annotations

import pytest

from fusionpy.cli import derived
from fusionpy.cli.options import Option
from fusionpy.cli.signatures import Parameter


def test_a_new_parameter_is_an_option_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    about = "How new it is. It leaves `old_one` and `M` as they are. Missing: not at all."
    made = {
        "old_one": Parameter("old_one", "str | None", None, "Old."),
        "novelty": Parameter("novelty", "float | None", None, about),
        "kind": Parameter("kind", "Kind", "a", "", ("a", "b", "c")),
        "several": Parameter("several", "str | Sequence[str] | None", None, "Several."),
        "M": Parameter("M", "int", 1, "Implicates."),
        "off": Parameter("off", "bool", False, "Off."),
    }
    monkeypatch.setattr(derived, "read_parameters", lambda verb: made)
    old, *rest, last = derived.derive_options("verb", [Option("old_one", "O."), ..., "off"], ())
    assert (old.help, old.kind, old.default) == ("O.", str, None)
    assert [each.name for each in rest] == ["novelty", "kind", "several", "M"]
    novelty, kind, several, implicates = rest
    assert novelty.kind is float
    assert novelty.help == "How new it is. It leaves --old-one and --M as they are. Default: not at all."
    assert (kind.kind, kind.help, kind.default) == (str, "a, b or c.", "a")
    assert several.metavar == "NAMES"
    assert several.read("a, b", "--several", None) == ["a", "b"]
    assert implicates.flags == ("-M", "--M")
    assert last.flags == ("--off",)
    made["odd"] = Parameter("odd", "Mapping[str, int]", None, "Odd.")
    with pytest.raises(TypeError, match="How is `odd: Mapping"):
        derived.derive_options("verb", [...], ())
    assert derived.derive_options("verb", ["M"], ())[0].name == "M"


def test_long_docstrings_are_cut_at_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    about = f"First. {'Second, which is long ' * 8}. Default 5. (Not this.)"
    made = {"a": Parameter("a", "int | None", None, about)}
    monkeypatch.setattr(derived, "read_parameters", lambda verb: made)
    assert derived.derive_options("verb", [...], ())[0].help.startswith("First. Default 5.")
