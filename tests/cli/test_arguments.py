"""Text of the command line, turned into what the verbs take."""

from __future__ import annotations

from fusionpy.cli.arguments import (
    expand_patterns,
    read_design,
    read_groupings,
    read_hyper,
    read_labels,
    read_levels,
    read_range,
    read_rules,
    read_steps,
    split_names,
    whole_number,
)
from fusionpy.errors import ArgumentError, Problems


def test_arguments() -> None:
    problems = Problems(ArgumentError, "")
    assert split_names(None, "--x", problems) == []
    assert split_names(" a ,b+c", "--y", problems) == ["a", "b+c"]
    assert expand_patterns(["b", "a*", "b", "z*"], ["a1", "b", "a2"]) == ["b", "a1", "a2", "b", "z*"]
    assert expand_patterns(["a1", "a*"], ["a1"]) == ["a1"]
    assert read_range(" 1, 20 ", "--krange", problems) == (1, 20)
    assert read_range(None, "--krange", problems) is None
    hyper = read_hyper(["a=1,2", "b=0.5", "c=goss", "d=true", "e=1e-3"], "--hyper", problems)
    assert hyper == {"a": [1, 2], "b": 0.5, "c": "goss", "d": True, "e": 0.001}
    assert read_hyper([], "--hyper", problems) is None
    assert read_levels(["a = x < y z"], problems)["a"].levels == ("x", "y z")
    assert read_steps("a, b+c", "--y", problems) == [["a"], ["b", "c"]]
    assert read_groupings(["a,b", "c"], "--by", problems) == [["a", "b"], ["c"]]
    assert read_design("fay:x", "--var-scale", problems) == "fay:x"
    assert read_labels(["a = b = c"], "--labels", problems) == {"a": "b = c"}
    assert read_rules(["a >= 0", "b <= a"], "--rules", problems) == ["a >= 0", "b <= a"]
    assert [whole_number(number, "", problems) for number in (5.0, 0.5)] == [5, 0.5]
    assert problems.found == []


def test_arguments_that_are_not_understood() -> None:
    for read, given in ((read_steps, "a,+b"), (read_labels, ["a"]), (read_labels, ["a=b", "a=c"])):
        problems = Problems(ArgumentError, "")
        read(given, "--option", problems)  # type: ignore[operator]
        assert len(problems.found) == 1
        assert problems.found[0].startswith("`--option`")
