"""The list of differences from the reference is complete and true: every entry has a test that exists."""

import ast
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

HERE = Path(__file__).parent
FIELDS = ["verb", "reference", "ours", "reason", "test"]
ENTRIES = yaml.safe_load((HERE / "differences.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.get("test")))
def test_every_difference_has_its_test(entry):
    assert list(entry) == FIELDS
    assert all(isinstance(text, str) and text.strip() for text in entry.values())
    file, _, function = entry["test"].partition("::")
    tree = ast.parse((HERE.parent / file).read_text(encoding="utf-8"))
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_difference_is_told_once():
    told = [(entry["verb"], entry["reference"]) for entry in ENTRIES]
    assert len(set(told)) == len(told)


def test_verbs_are_verbs_of_the_reference():
    known = "train fuse prepXY analyze validate plot_valid impute importance monotonic read_fsd".split()
    assert {entry["verb"] for entry in ENTRIES} <= set(known)
