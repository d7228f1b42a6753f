"""What R's fusionModel 2.4.0 does with an archive: a small `fuse()` and `importance()` for tests.

Written from the last section of `../shared/spec/fsn_format.md` alone, and not from our reader, of which it
uses only what decodes the bytes of RDS and fst. Draws are replaced by what they are drawn from: classes'
probabilities, and the donors of the pool with their shares. Two archives from which it takes the same, R
draws the same from; `Fails` stands for an error of R's.

python tests/original.py model.fsn        steps, members and rows of importance
"""

# ruff: noqa: PD011 (values of an RValue)

from __future__ import annotations

import functools
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.stats import norm

from fusionpy.errors import FusionError
from fusionpy.formats.fst import read_fst
from fusionpy.formats.rds import Damaged, read_rds
from fusionpy.formats.rds.values import NA_INTEGER, RValue

NEEDED = ("xclass", "yclass", "ylevels", "ylist", "ytype", "ycenter", "yscale", "kcenters", "kneighbors")
EDGE = norm.ppf(0.999)


class Fails(Exception):  # noqa: N818
    """The original stops here."""


# The container


def unpacked(path: Path) -> dict[str, bytes]:
    """Files as they lie on disk once R has unpacked the archive; entries for folders leave nothing."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Fails("zip: it cannot be opened")
                if not info.filename.endswith("/"):
                    found[str(PurePosixPath(info.filename))] = archive.read(info)
    except zipfile.BadZipFile:
        raise Fails("zip: it cannot be opened") from None
    return found


def collated(names: Sequence[str]) -> list[str]:
    """Sort as R does in most sessions: capitals beside small letters."""
    return sorted(names, key=lambda name: (name.casefold(), name.swapcase()))


def folders_of(names: Sequence[str]) -> list[str]:
    """List all folders that hold a file, at any depth, hidden or not."""
    return collated({str(each) for name in names for each in PurePosixPath(name).parents} - {"."})


def models_in(files: dict[str, bytes], folder: str) -> dict[str, lgb.Booster]:
    """Load every text of a folder as a model; keys are `<variable>_<kind>`."""
    names = [n for n in files if str(PurePosixPath(n).parent) == folder and n.endswith(".txt")]
    return {PurePosixPath(name).stem: load(files[name]) for name in collated(names)}


def load(content: bytes) -> lgb.Booster:
    """Load a model as LightGBM does: its trees stand where `tree_sizes` say, and lines end with LF."""
    sizes = re.search(rb"^tree_sizes=([0-9 ]+)$", content, re.MULTILINE)
    if b"\r" in content or not content.startswith(b"tree\n") or sizes is None:
        raise Fails("LightGBM: R aborts")
    at = content.index(b"Tree=0")
    for number, size in enumerate(sizes[1].split()):
        if not content.startswith(b"Tree=%d\n" % number, at):
            raise Fails("LightGBM: R aborts")
        at += int(size)
    if not content.startswith(b"end of trees", at):
        raise Fails("LightGBM: R aborts")
    try:
        return parsed(content.decode())
    except lgb.basic.LightGBMError:
        raise Fails("LightGBM: no model") from None


@functools.cache  # tests load the same models again and again
def parsed(model: str) -> lgb.Booster:
    return lgb.Booster(model_str=model)


# Metadata


@dataclass
class About:
    """Entries of `metadata.rds`, by name."""

    entries: dict[str, RValue | None]

    def named(self, key: str) -> dict[str, Any]:
        """Read a list or a vector with names."""
        found = self.entries[key]
        assert found is not None
        if found.kind != "list":
            return dict(zip(found.names or (), found.values, strict=False))
        return {name: each.values for name, each in found.entries().items()}

    def of_step(self, key: str, step: int) -> RValue | None:
        """Read the element of a step."""
        found = self.entries[key]
        assert found is not None
        if step >= len(found.values):
            raise Fails("subscript out of bounds")
        return found.values[step]


def about_of(files: dict[str, bytes]) -> About:
    if "metadata.rds" not in files:
        raise Fails("cannot open metadata.rds")
    try:
        found = read_rds(files["metadata.rds"])
    except Damaged:
        raise Fails("unknown input format") from None
    entries = found.entries()
    if absent := [key for key in NEEDED if key not in entries]:
        raise Fails(f"metadata without {absent}")
    return About(entries)


def numbers(value: RValue) -> np.ndarray:
    """Numbers of a vector or matrix, NaN for NA."""
    found = np.asarray(value.values, dtype=float)
    if value.kind == "integer":
        found = np.where(np.asarray(value.values) == NA_INTEGER, np.nan, found)
    found = np.where(np.isnan(found), np.nan, found)  # R's NA is a signalling NaN
    return found.reshape(value.dim, order="F") if value.dim else found


def column_names(value: RValue) -> tuple[str, ...] | None:
    names = value.attributes.get("dimnames")
    return None if names is None or names.values[1] is None else names.values[1].values


# fuse()


def fuse(path: Path, data: pd.DataFrame, kblock: int = 10) -> list[tuple[Any, ...]]:
    """Say what the original's `fuse()` would draw from, step by step and recipient by recipient."""
    files = unpacked(path)
    about = about_of(files)
    try:
        donor = read_fst(files["donor.fst"]).to_pandas()
    except (KeyError, FusionError):
        raise Fails("cannot open donor.fst") from None
    known = recipients(about, data)
    steps = about.entries["ylist"].values
    folders = folders_of([*files])
    if len(folders) != len(steps):
        raise Fails("subscript out of bounds")
    found: list[tuple[Any, ...]] = []
    for number, folder in enumerate(folders):
        variables = steps[number].values
        matrix, checked = predictors_of(about, known, number)
        models = models_in(files, folder)
        solo = len(variables) == 1
        if solo and about.named("ytype")[variables[0]] != "continuous":
            found += classes(about, models, variables[0], matrix, checked, known)
            continue
        expected = expectations(models, matrix, checked)
        zero = expected.pop(f"{variables[0]}_z", None) if solo else None
        rows, shares = pools(about, number, donor, expected, None if solo else kblock)
        for name in variables:
            if name not in donor:
                raise Fails(f"donor.fst without {name}")
            values = [donor[name].to_numpy(dtype=float)[each] for each in rows]
            likely = np.array([v[np.argmax(s)] for v, s in zip(values, shares, strict=True)])
            known[name] = likely if zero is None else np.where(zero > 0.5, 0.0, likely)
            told = [
                tuple(zip(v.tolist(), s.tolist(), strict=True)) for v, s in zip(values, shares, strict=True)
            ]
            found.append((name, *kind_of(about, name), None if zero is None else zero.tolist(), told))
    return found


def kind_of(about: About, name: str) -> tuple[Any, ...]:
    """Class and levels that a result comes back in."""
    return tuple(about.named("yclass")[name]), tuple(about.named("ylevels").get(name, ()))


def recipients(about: About, data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Predictors as numbers: codes of the model's levels, which the recipients' must be."""
    levels = about.named("xlevels") if "xlevels" in about.entries else {}
    found = {}
    for name, kind in about.named("xclass").items():
        column = data[name]
        if "factor" not in kind:
            found[name] = column.to_numpy(dtype=float)
            continue
        own = [text(level) for level in column.cat.categories]
        if name in levels and list(levels[name]) != own:
            raise Fails(f"levels of {name}")
        found[name] = column.cat.codes.to_numpy(dtype=float)
    return found


def text(level: Any) -> str:
    return str(level).removesuffix(".0") if not isinstance(level, bool) else str(level).upper()


def predictors_of(about: About, known: dict[str, np.ndarray], step: int) -> tuple[np.ndarray, bool]:
    """Columns for a step's models, by position; without `xpreds` whatever there is, and nobody looks."""
    if "xpreds" not in about.entries:
        return np.column_stack([*known.values()]), False
    names = about.of_step("xpreds", step).values
    if strange := [name for name in names if name not in known]:
        raise Fails(f"no {strange}")
    return np.column_stack([known[name] for name in names]), True


def predict(model: lgb.Booster, matrix: np.ndarray, checked: bool) -> np.ndarray:
    if checked and model.num_feature() != matrix.shape[1]:
        raise Fails("number of features")
    width = max(model.num_feature() - matrix.shape[1], 0)
    padded = np.pad(matrix, ((0, 0), (0, width)), constant_values=np.nan)
    return model.predict(padded, predict_disable_shape_check=True, num_threads=1)


def classes(
    about: About,
    models: dict[str, lgb.Booster],
    name: str,
    matrix: np.ndarray,
    checked: bool,
    known: dict[str, np.ndarray],
) -> list[tuple[Any, ...]]:
    """Draw a categorical variable of its own by probabilities; models of other names do not matter."""
    if f"{name}_m" not in models:
        raise Fails(f"no model of {name}")
    found = predict(models[f"{name}_m"], matrix, checked)
    n_levels = len(about.named("ylevels").get(name, ())) or 2
    if found.shape[1:] != ((n_levels,) if n_levels > 2 else ()):
        raise Fails(f"classes of {name}")
    known[name] = (found > 0.5).astype(float) if found.ndim == 1 else found.argmax(axis=1).astype(float)
    return [(name, *kind_of(about, name), found.tolist())]


def expectations(models: dict[str, lgb.Booster], matrix: np.ndarray, checked: bool) -> dict[str, np.ndarray]:
    """Every model of a folder is a column, or one for each class."""
    found = {}
    for name, model in models.items():
        each = predict(model, matrix, checked)
        if name.endswith("_m"):
            each = each.reshape(len(matrix), -1)
            found |= {f"{name}{j + 1}": each[:, j] for j in range(each.shape[1])}
        else:
            found[name] = each
    return found


def pools(
    about: About, step: int, donor: pd.DataFrame, expected: dict[str, np.ndarray], kblock: int | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Find each recipient's nearest centre, and the centre's donors with their shares of weight."""
    entries = [about.of_step(key, step) for key in ("kcenters", "kneighbors", "ycenter", "yscale")]
    if any(each is None for each in entries):
        raise Fails("a step without centres")
    centres, neighbours, centre, scale = entries
    columns = column_names(centres)
    if columns is None or set(columns) != set(expected):
        raise Fails("columns unlike those of kcenters")
    if centre.names != columns or scale.names != columns:
        raise Fails("columns unlike those of ycenter")
    values = np.column_stack([expected[name] for name in columns])
    middle, spread = numbers(centre), numbers(scale)
    scaled = (((values - middle) / spread) + EDGE) / (2 * EDGE)
    values = np.where(np.isnan(middle), values, scaled)
    distance = ((values[:, None, :] - numbers(centres)[None]) ** 2).sum(axis=2)
    table = numbers(neighbours)
    if kblock is not None and table.shape[1] < kblock:
        raise Fails("subscript out of bounds")
    if (table == 0).any() or np.nanmax(table) > len(donor):
        raise Fails("no such donor")
    weight = donor["W"].to_numpy(dtype=float) if "W" in donor else np.ones(len(donor))
    rows, shares = [], []
    for place in distance.argmin(axis=1):
        pool = table[place] if kblock is None else table[place, :kblock]
        if np.isnan(pool).all() or (kblock is not None and np.isnan(pool).any()):
            raise Fails("no donors")
        pool = pool[~np.isnan(pool)].astype(int) - 1
        rows.append(pool)
        shares.append(weight[pool] / weight[pool].sum())
    return rows, shares


# importance()


def importance(path: Path) -> list[tuple[str, str, str, float]]:
    """List variable, model, predictor and gain as the original's `importance(fsn)$detailed` does.

    Members of a step are those whose path begins with its folder's name; they come in the archive's order.
    """
    files = unpacked(path)
    found = []
    for folder in folders_of([*files]) or [""]:
        for name in files:
            if (
                not name.endswith(".txt")
                or not re.match(re.escape(folder), name)
                or (folder and "/" not in name)
            ):
                continue
            variable, _, kind = PurePosixPath(name).stem.rpartition("_")
            model = load(files[name])
            gains = zip(model.feature_name(), model.feature_importance("gain"), strict=True)
            found += [(variable, kind, x, gain) for x, gain in gains if gain > 0]
    return found


def summary(detailed: list[tuple[str, str, str, float]]) -> set[tuple[str, str]]:
    """Variables and predictors that `importance(fsn)$summary` has a row for."""
    return {(variable, x) for variable, _, x, _ in detailed}


if __name__ == "__main__":
    members = unpacked(Path(sys.argv[1]))
    print(folders_of([*members]), *members, sep="\n")
    print(pd.DataFrame(importance(Path(sys.argv[1])), columns=["y", "model", "x", "gain"]))
