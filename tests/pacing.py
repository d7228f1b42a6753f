"""Which cases of a test are run by `make test`: the others are `slow`, and CI runs those, too."""

import pytest
from hypothesis import settings

# Half of the profile's examples, for tests whose examples are dear.
halved = settings(max_examples=max(settings().max_examples // 2, 1))


def quick(cases, few):
    """Give all cases as parameters; those that are not among the `few` are slow.

    A dict's cases are its keys. The few must be among the cases, lest one is misspelt and none is quick.
    """
    cases, few = [*cases], [*few]
    strangers = [each for each in few if each not in cases]
    if strangers and cases:
        raise ValueError(f"no such cases: {strangers}")
    return [case if case in few else slow(case) for case in cases]


def slow(case):
    """One case of a test, marked slow; a tuple has the values of several parameters."""
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
