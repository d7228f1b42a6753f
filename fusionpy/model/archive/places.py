"""Where the members of a `.fsn` archive stand: those that R's fusionModel reads, and ours.

R takes every folder that holds a file for a step of the fusion, sorts the folders as text, and loads every
``.txt`` in the i-th of them as a model of step i. So folders are the steps', of one width; what is ours lies
at the archive's root, where R looks for ``metadata.rds`` and ``donor.fst`` alone. Numbers stand there where
variables would: no letter of a variable can clash with anything, whatever the file system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionpy.engines.base import Target

__all__ = ["FORMAT_VERSION", "FORMAT_VERSIONS", "Places", "is_ours", "unprefixed"]

FORMAT_VERSIONS = (1, 2)  # 1: ours in a folder `fusionpy/`, which R took for a step
FORMAT_VERSION = FORMAT_VERSIONS[-1]
_OURS = ("fusionpy/", "fusionpy~")


def is_ours(name: str) -> bool:
    """Tell a member of ours, other than the manifest, from one of R's or of anybody's."""
    return name.startswith(_OURS) and not name.endswith("/")


def unprefixed(name: str) -> str:
    """Take the leading ``./`` from a member's name, as R's own unpacking does.

    Examples
    --------
    >>> unprefixed("././1/income_m.txt")
    '1/income_m.txt'
    """
    while name.startswith("./"):
        name = name[2:]
    return name


@dataclass(frozen=True)
class Places:
    """Names of the members of an archive.

    Attributes
    ----------
    n_steps : int
    version : int
        Of the format.

    Examples
    --------
    >>> places = Places(12)
    >>> places.final(2, Target("rent", "q1", "quantile")), places.table("known")
    ('03/rent_q1.txt', 'fusionpy~known.parquet')
    >>> places.stand_in(2, 0, Target("rent", "q1", "quantile"), ("heat", "rent")), places.of_step(2, "pools")
    ('fusionpy~03~0~2_q1.txt', 'fusionpy~03~pools.parquet')
    """

    n_steps: int
    version: int = FORMAT_VERSION

    def folder(self, step: int) -> str:
        """Name the folder of a step, counted from 0."""
        return f"{step + 1:0{len(str(self.n_steps))}d}"

    def final(self, step: int, target: Target) -> str:
        """Name a model that was fitted on all donors."""
        return f"{self.folder(step)}/{target.name}.txt"

    def stand_in(self, step: int, stand_in: int, target: Target, variables: Sequence[str]) -> str:
        """Name a model of a refit, or of a fold."""
        if self.version == 1:
            return f"fusionpy/{self.folder(step)}/{stand_in}/{target.name}.txt"
        number = variables.index(target.variable) + 1
        return f"fusionpy~{self.folder(step)}~{stand_in}~{number}_{target.kind}.txt"

    def table(self, name: str) -> str:
        """Name a table of the donors."""
        return f"fusionpy{'/' if self.version == 1 else '~'}{name}.parquet"

    def of_step(self, step: int, name: str) -> str:
        """Name a table of a step."""
        return self.table(f"{self.folder(step)}{'/' if self.version == 1 else '~'}{name}")
