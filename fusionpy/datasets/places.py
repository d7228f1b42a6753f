"""The states of the United States, by postal code, FIPS code or name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fusionpy.errors import is_whole, meant, shown

__all__ = ["STATES", "State", "settle_states"]


class State(NamedTuple):
    """A state, the District of Columbia or Puerto Rico.

    Attributes
    ----------
    postal : str
        Two capitals.
    fips : str
        Two digits.
    name : str
    """

    postal: str
    fips: str
    name: str


STATES = [
    State(*entry.split(" ", 2))
    for entry in (
        "AL 01 Alabama,AK 02 Alaska,AZ 04 Arizona,AR 05 Arkansas,CA 06 California,CO 08 Colorado,"
        "CT 09 Connecticut,DE 10 Delaware,DC 11 District of Columbia,FL 12 Florida,GA 13 Georgia,"
        "HI 15 Hawaii,ID 16 Idaho,IL 17 Illinois,IN 18 Indiana,IA 19 Iowa,KS 20 Kansas,KY 21 Kentucky,"
        "LA 22 Louisiana,ME 23 Maine,MD 24 Maryland,MA 25 Massachusetts,MI 26 Michigan,MN 27 Minnesota,"
        "MS 28 Mississippi,MO 29 Missouri,MT 30 Montana,NE 31 Nebraska,NV 32 Nevada,NH 33 New Hampshire,"
        "NJ 34 New Jersey,NM 35 New Mexico,NY 36 New York,NC 37 North Carolina,ND 38 North Dakota,"
        "OH 39 Ohio,OK 40 Oklahoma,OR 41 Oregon,PA 42 Pennsylvania,RI 44 Rhode Island,SC 45 South Carolina,"
        "SD 46 South Dakota,TN 47 Tennessee,TX 48 Texas,UT 49 Utah,VT 50 Vermont,VA 51 Virginia,"
        "WA 53 Washington,WV 54 West Virginia,WI 55 Wisconsin,WY 56 Wyoming,PR 72 Puerto Rico"
    ).split(",")
]
"""The fifty states, the District of Columbia and Puerto Rico, by FIPS code."""

_KNOWN = {key.casefold(): state for state in STATES for key in state}


def settle_states(states: Any) -> tuple[list[State], list[str]]:
    """Find the states that are meant.

    Parameters
    ----------
    states : str, int, or sequence of them
        Postal codes, FIPS codes or names, in any mixture and in capitals or not; "all" means the fifty states
        and the District of Columbia.

    Returns
    -------
    list of State
        Each once, in the order given.
    list of str
        What is wrong with `states`.

    Examples
    --------
    >>> [state.postal for state in settle_states(["wa", 15, "District of Columbia"])[0]]
    ['WA', 'HI', 'DC']
    >>> settle_states(["WA", "Washingtn", 53])[1]
    ["`states`: 'Washingtn' is no state (is 'Washington' meant?).", '`states`: Washington is there 2 times.']
    """
    if isinstance(states, str) and states.casefold() == "all":
        return STATES[:-1], []
    given = [states] if isinstance(states, str) or not isinstance(states, Iterable) else list(states)
    if not given:
        return [], ["`states` names none."]
    found, problems = [], []
    for each in given:
        key = f"{int(each):02d}" if is_whole(each, 1) else str(each).strip()
        state = _KNOWN.get(key.zfill(2) if key.isdigit() else key.casefold())
        if state is not None:
            found.append(state)
        else:
            guess = meant(key.title(), [state.name for state in STATES], "'")
            problems.append(f"`states`: {shown(each)} is no state{guess}.")
    chosen = list(dict.fromkeys(found))
    problems += [
        f"`states`: {state.name} is there {found.count(state)} times."
        for state in chosen
        if found.count(state) > 1
    ]
    return chosen, problems
