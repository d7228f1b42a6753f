"""compare_with_r(): fusionpy and R's own fusionModel, side by side."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, FusionError, Problems, SchemaError, grouped, meant, settle_seed
from fusionpy.formats.leftovers import scratch_folder
from fusionpy.frames.tables import Unreadable, as_table, is_text, take_names
from fusionpy.fusion import fuse
from fusionpy.model.columns import NO_COLUMN
from fusionpy.progress import tell_of_seed, track
from fusionpy.r.marginals import Group, estimate, groups_of, statistics_of, tabulate
from fusionpy.r.objects import read_rds, to_r, value_to_r
from fusionpy.r.session import find_r, helper, rinterface
from fusionpy.training import train
from fusionpy.training.planning import check_roles, plan_steps

__all__ = ["compare_with_r"]

OWN = ("data", "y", "x", "weight", "cores", "seed", "quiet", "fsn", "method")  # of train's arguments
SHARED = ("nfolds", "nquantiles", "nclusters", "krange", "hyper")  # that R's train has, too
VALID = re.compile(r"([A-Za-z]|\.(?![0-9]))[A-Za-z0-9._]*")  # names that R takes as they are
HELP = "See `help(fusionpy.r.compare_with_r)` for what it takes."
GET_IT = "R's fusionModel is on GitHub (ummel/fusionModel): install it in R, or say in `library` where it is."


def compare_with_r(
    donor: Any,
    recipient: Any,
    y: str | Sequence[str | Sequence[str]],
    *,
    x: str | Sequence[str] | Sequence[Sequence[str]],
    weight: str | None = None,
    by: str | Sequence[str] | None = None,
    M: int = 20,
    repeats: int = 1,
    cores: int = 1,
    seed: int | None = None,
    method: Literal["default", "2024", "fusionModel"] = "fusionModel",
    library: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    **train_arguments: Any,
) -> pd.DataFrame:
    r"""Train and fuse with fusionpy and with R's own fusionModel, and compare what they simulate.

    Parameters
    ----------
    donor : pandas or polars DataFrame, or pyarrow Table
        The donor survey. Text is made categories.
    recipient : pandas or polars DataFrame, or pyarrow Table
        The recipient survey.
    y, x, weight
        As for `train`.
    by : str or sequence of str, optional
        Columns of `recipient`: the statistics are taken within their levels too. Numbers of more than five
        values are cut into five classes. Records without a value are in no group.
    M : int
        Implicates of each model, at least 2.
    repeats : int
        How often each side is trained, with other seeds.
    cores : int
        Threads of either side.
    seed : int, optional
        Same seed, same comparison. Missing: drawn, and recorded in the result.
    method : {"fusionModel", "default", "2024"}
        Of fusionpy's models: "fusionModel" is R's own method, see `train`.
    library : path, optional
        Folder of R packages in which fusionModel is, before the folders that R knows.
    quiet : bool
        No progress.
    **train_arguments
        Other arguments of `train`. Those that R's has too (`nfolds`, `nquantiles`, `nclusters`, `krange`,
        `hyper`) go to both.

    Returns
    -------
    pandas.DataFrame
        One row per group, variable, level and statistic: `by` and `group` (both missing: all records), `n`
        (its records), `y`, `level`, `statistic` ("mean", "q10" to "q90", "zero": the share of zeros,
        "share"), `python`, `r` (averages over implicates), `difference` (python - r), `se` and `z`. The
        seconds that either side took, fusionModel's version and the seed are in ``.attrs["fusionpy"]``.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns cannot be used.
    FusionError
        If R or its fusionModel is missing, if it is fusionpy's stand-in of that name, or if it fails.
    ImportError
        If rpy2 is not installed.

    Notes
    -----
    R's side runs in a process of its own. With :math:`v_p` and :math:`v_r` the variances between implicates,
    :math:`z = (p - r) / \sqrt{v_p / M + v_r / M}`: how many standard errors of the draws the two are apart.
    That leaves out what else is random, as the folds of the cross-validation are. With `repeats` of 2 or more
    the variances are those between the repeats' averages, which have it all, and their number takes the place
    of M.

    Examples
    --------
    >>> from fusionpy import datasets
    >>> from fusionpy.r import compare_with_r
    >>> donor, recipient = datasets.load_donor(), datasets.load_recipient()
    >>> found = compare_with_r(donor, recipient, "electricity", x=["region", "rooms"])  # doctest: +SKIP
    >>> found.nlargest(5, "z")  # doctest: +SKIP
    """
    problems = Problems(ArgumentError, "`compare_with_r()` cannot start.", HELP)
    for name, value, low in (("M", M, 2), ("repeats", repeats, 1), ("cores", cores, 1)):
        problems.whole(name, value, low)
    _check_train_arguments(train_arguments, problems)
    groups_by = take_names(by, "by", problems, once=True)
    seed_given = seed is not None
    seed = settle_seed(seed, problems)
    plans, predictors = plan_steps(y, x, problems)
    outcomes = [name for plan in plans for name in plan.variables]
    check_roles(predictors, outcomes, weight, train_arguments.get("replicate_weights"), problems)
    needed = [*predictors, *take_names(train_arguments.get("areas"), "areas", problems)]
    if library is not None and not Path(library).expanduser().is_dir():
        problems.add(f"`library` must be a folder of R packages; there is no '{library}'.")
    problems.stop()
    others = [*([weight] if weight else []), *(train_arguments.get("replicate_weights") or [])]
    donors, recipients, groups = _read_surveys(donor, recipient, outcomes, needed, groups_by, others)
    rinterface()
    version = _find_fusion_model(library)
    if not seed_given:
        tell_of_seed("compare_with_r", seed, quiet)
    seeds = np.random.default_rng(seed).integers(0, 2**31, (int(repeats), 3)).tolist()
    statistics = list(statistics_of(donors, outcomes))
    everything = {"y": y, "x": x, "weight": weight, "cores": cores, **train_arguments}
    runs = {
        "python": _run_python(donors, recipients, {**everything, "method": method}, int(M), seeds),
        "r": _run_r(
            donors, recipients, _asked_of_r(everything), int(M), [each[2] for each in seeds], library
        ),
    }

    def estimated(fused: pa.Table) -> Any:
        return estimate(fused, statistics, groups, recipients.num_rows, int(M))

    with track("compare_with_r", 2 * len(seeds), quiet) as tick:
        # One side after the other: neither takes the other's time.
        mine, seconds = _gone_through(runs["python"], estimated, tick)
        theirs, r_seconds = _gone_through(runs["r"], estimated, tick)
    found = tabulate(mine, theirs, statistics, groups)
    noted = {"seed": seed, "M": int(M), "repeats": int(repeats), "method": method, "fusionModel": version}
    found.attrs["fusionpy"] = {**noted, "seconds": {"python": seconds, "r": r_seconds}}
    return found


def _check_train_arguments(arguments: Mapping[str, Any], problems: Problems) -> None:
    known = [name for name in inspect.signature(train).parameters if name not in OWN]
    for name in arguments:
        if name not in known:
            problems.add(f"`{name}` is no argument that can go to `train()`{meant(name, known)}.")


def _asked_of_r(everything: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of what fusionpy's `train` is asked what R's can be asked too."""
    asked = {"y": _as_given(everything["y"]), "x": _as_given(everything["x"]), "weight": everything["weight"]}
    asked |= {"cores": int(everything["cores"]), **{name: everything.get(name) for name in SHARED}}
    return {name: value for name, value in asked.items() if value is not None}


def _as_given(names: Any) -> Any:
    """Make lists of a plan's names, as R wants them: a block, or a step's predictors, is one of several."""
    if isinstance(names, str):
        return [names]
    return [name if isinstance(name, str) else list(name) for name in names]


def _read_surveys(
    donor: Any, recipient: Any, y: list[str], x: list[str], by: list[str], others: list[str]
) -> tuple[pa.Table, pa.Table, list[Group]]:
    """Fetch the columns that either side needs; text becomes categories, the same in both surveys."""
    problems = Problems(
        SchemaError, "The surveys cannot be compared with R.", "Rename or recode these columns."
    )
    bad: list[tuple[str, str, str]] = []
    columns: dict[tuple[str, str], pa.Array] = {}
    wanted = [
        ("donor", as_table(donor, "donor"), [*y, *x, *others]),
        ("recipient", as_table(recipient, "recipient"), [*x, *by]),
    ]
    for which, table, names in wanted:
        for name in dict.fromkeys(names):
            role = f"column of `{which}`"
            if which == "recipient" and name in y:
                continue
            if name not in table.names:
                bad.append((role, name, NO_COLUMN + meant(name, table.names)))
                continue
            try:
                columns[which, name] = table.column(name)
            except Unreadable as error:
                bad.append((role, name, str(error)))
            if not VALID.fullmatch(name):
                bad.append((role, name, "a name that R does not take"))
    for problem in grouped(bad):
        problems.add(problem)
    problems.stop()
    for name in {name for _, name in columns}:
        both = [(which, name) for which in ("donor", "recipient") if (which, name) in columns]
        if all(is_text(columns[key].type) for key in both):
            held = sorted(set().union(*(pc.unique(columns[key]).drop_null().to_pylist() for key in both)))
            for key in both:
                codes = pc.index_in(columns[key], value_set=pa.array(held, columns[key].type))
                columns[key] = pa.DictionaryArray.from_arrays(
                    codes.cast(pa.int32()), pa.array(held, pa.string())
                )
    surveys = [
        pa.table({name: column for (which, name), column in columns.items() if which == survey})
        for survey in ("donor", "recipient")
    ]
    return surveys[0], surveys[1], list(groups_of(surveys[1], by))


def _rscript(arguments: Sequence[str], library: Any) -> subprocess.CompletedProcess[str]:
    """Run ``side_by_side.R`` in a process of its own, with the user's own profile and packages."""
    environment = dict(os.environ)
    if library is not None:
        known = environment.get("R_LIBS")
        environment["R_LIBS"] = os.pathsep.join(
            [str(Path(library).expanduser().resolve()), *([known] if known else [])]
        )
    with as_file(files("fusionpy.r").joinpath("side_by_side.R")) as script:
        command = [str(find_r() / "bin" / "Rscript"), "--no-save", "--no-restore", str(script), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, check=False
        )


def _find_fusion_model(library: Any) -> str:
    """Find R's own fusionModel and tell its version.

    Raises
    ------
    FusionError
        If it is not installed, or is fusionpy's package of the same name.
    """
    told = _rscript([], library).stdout.splitlines()
    if not told:
        raise FusionError(
            "R's fusionModel is not installed.", [f"R in '{find_r()}' does not find it."], GET_IT
        )
    place, version, *needs = told
    if re.search(r"\bfusionpy\b", " ".join(needs)):
        problem = f"The one in '{place}' is fusionpy's own stand-in of that name."
        hint = "Install the original in another folder, and say in `library` which: the two share a name."
        raise FusionError("R's own fusionModel is not installed.", [problem], hint)
    return version


def _run_python(
    donors: pa.Table, recipients: pa.Table, asked: Mapping[str, Any], M: int, seeds: Sequence[Sequence[int]]
) -> Iterator[tuple[pa.Table, float]]:
    """Train and fuse here, once for each pair of seeds: the implicates, and the seconds that it took."""
    for train_seed, fuse_seed, *_ in seeds:
        began = time.perf_counter()
        model = train(donors, seed=train_seed, quiet=True, **asked)
        fused = fuse(recipients, model, M=M, cores=asked["cores"], seed=fuse_seed, quiet=True)
        yield fused, time.perf_counter() - began


def _gone_through(
    run: Iterator[tuple[pa.Table, float]], estimated: Callable[[pa.Table], Any], tick: Callable[[], Any]
) -> tuple[NDArray[np.float64], float]:
    """Estimate from what each run of a side has fused: the estimates, and the seconds of all runs."""
    found, seconds = [], 0.0
    for fused, spent in run:
        found.append(estimated(fused))
        seconds += spent
        tick()
    return np.array(found), seconds


def _run_r(
    donors: pa.Table,
    recipients: pa.Table,
    asked: Mapping[str, Any],
    M: int,
    seeds: Sequence[int],
    library: Any,
) -> Iterator[tuple[pa.Table, float]]:
    """Train and fuse in R, once for each seed: the implicates, and the seconds that it took."""
    with scratch_folder() as folder:
        given = folder / "asked.rds"
        plans = {name: _plan(value) if name in "xy" else value for name, value in asked.items()}
        everything = {
            "donor": to_r(donors),
            "recipient": to_r(recipients),
            "train": plans,
            "M": M,
            "cores": asked["cores"],
            "seeds": list(seeds),
        }
        helper("save_rds")(value_to_r(everything), str(given))
        del everything
        done = _rscript([str(given), str(folder)], library)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise FusionError("R's fusionModel failed.", lines[-5:] or ["It said nothing."])
        for k in range(1, len(seeds) + 1):
            seconds = float((folder / f"seconds_{k}.txt").read_text())
            yield read_rds(folder / f"fused_{k}.rds", kind="pyarrow"), seconds


def _plan(names: Sequence[Any]) -> Any:
    """Make a vector of names for R, or a list of vectors if there are blocks or lists among them."""
    if all(isinstance(name, str) for name in names):
        return list(names)
    return rinterface().ListSexpVector([value_to_r(name) for name in names])
