"""Recipients unlike the donors, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping

from fusionpy.drawing.urns import ReadyModel
from fusionpy.errors import counted, few, warn
from fusionpy.fusion.code_store import Coded
from fusionpy.model import FusionModel
from fusionpy.model.ranges import Tally, strangers

__all__ = ["warn_of_gaps", "warn_of_strange_areas", "warn_of_strangers"]


def warn_of_gaps(prepared: ReadyModel, coded: Coded, stand_in: int) -> None:
    """Warn of predictors that recipients lack and no donor did: nothing was learned of that.

    Parameters
    ----------
    prepared : ReadyModel
    coded : Coded
    stand_in : int
        One that recipients are predicted by.
    """
    if not coded.n_missing:
        return
    known = prepared.predictions.without_gaps(stand_in)
    if strange := {name: n for name, n in coded.n_missing.items() if name in known}:
        lacking = few((f"`{name}` ({n:,})" for name, n in strange.items()), "")
        warn(
            f"Recipients have missing values that no donor had: {lacking}. They are fused as if these were 0,"
            " or none of the levels. Fill them first, with `impute()` for instance."
        )


def warn_of_strangers(model: FusionModel, tallies: Mapping[str, Tally]) -> None:
    """Warn of predictors of which recipients have what donors have not: no donor tells what follows.

    Parameters
    ----------
    model : FusionModel
    tallies : mapping of str to Tally
        Of all recipients.
    """
    if strange := strangers(model.ranges, tallies, model.n_donors):
        listed = "; ".join(f"{few([name], '`')}: {what}" for name, what in list(strange.items())[:5])
        more = f"; and {counted(len(strange) - 5, 'more predictor')}" if len(strange) > 5 else ""
        warn(
            f"Recipients are unlike the donors. {listed}{more}. They are fused as if they were the nearest"
            " donors: check units, codes of missing answers, and levels."
        )


def warn_of_strange_areas(matched: Mapping[str, tuple[int, tuple[str, ...]]]) -> None:
    """Warn of areas of which recipients have no level that donors have: they may be coded in another way.

    Parameters
    ----------
    matched : mapping of str to (int, tuple of str)
        Of each area the number of recipients at levels of donors, and some of the other levels.
    """
    listed = [
        f"`{name}` (such as {few(levels)})"
        for name, (n_known, levels) in matched.items()
        if levels and not n_known
    ]
    if listed:
        warn(
            f"No donor is in any of the recipients' areas: {'; '.join(listed)}. Their effects are drawn as"
            " those of areas of which nothing is known: check that both surveys code them alike."
        )
