"""Implicates for other libraries: one frame each, and what was estimated from each pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.survey import FusedSurvey
from fusionpy.analysis.table import Estimates
from fusionpy.errors import ArgumentError, Problems, SchemaError, few, meant, shown, warn
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import take_names
from fusionpy.kernels.rubin import combine

__all__ = ["pool", "split_implicates"]

Array = NDArray[np.float64]


def split_implicates(
    implicates: Any, *, static: Any = None, columns: str | Sequence[str] | None = None
) -> Iterator[Any]:
    """Hand out implicates one at a time, each with the recipients' own columns, for any other library.

    Parameters
    ----------
    implicates : pandas or polars DataFrame, pyarrow Table, or path
        What `fuse` returned or wrote; files are read one implicate at a time.
    static : pandas or polars DataFrame, or pyarrow Table, optional
        Columns that are not simulated: one row per recipient, in the implicates' order, as for `analyze`.
    columns : str or sequence of str, optional
        Which columns are wanted. All, if left out.

    Yields
    ------
    the kind of frame that `implicates` is (for a file: that `static` is, or pandas)
        A row per recipient, without the column M. A column that both have is the implicates'.

    Raises
    ------
    ArgumentError
        If `columns` is wrong.
    SchemaError
        If columns are missing or cannot be used; if `static` is not in the implicates' order.

    Examples
    --------
    >>> import fusionpy, statsmodels.formula.api as smf
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> model = fusionpy.train(donor, "electricity", ["rooms", "tenure"], refits=5, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    >>> fits = [
    ...     smf.wls("np.log(electricity) ~ rooms", each, weights=each["weight"]).fit(cov_type="HC1")
    ...     for each in fusionpy.split_implicates(fused, static=recipient)
    ... ]
    >>> fusionpy.pool(fits)["term"].tolist()
    ['Intercept', 'rooms']
    """
    problems = Problems(ArgumentError, "`split_implicates()` cannot start.")
    names = take_names(columns, "columns", problems)
    problems.stop()
    survey = FusedSurvey(open_implicates(implicates), static, None)
    survey.check_order()
    known = survey.known
    if lost := [name for name in names if name not in known]:
        found = [f"`{name}`: neither in `implicates` nor in `static`{meant(name, known)}." for name in lost]
        hint = f"Columns there are: {few(dict.fromkeys(known), '`', most=12)}."
        raise SchemaError("`columns` do not fit the data.", found, hint)
    survey.choose(names, everything=columns is None)
    return _frames(survey, names)


def _frames(survey: FusedSurvey, names: Sequence[str]) -> Iterator[Any]:
    for columns in survey.each():
        if names:
            columns = {name: columns[name] for name in names}
        yield return_table(pa.table(dict(columns)), survey.kind, {})


def pool(
    estimates: Sequence[Any],
    variances: Sequence[Any] | None = None,
    *,
    complete_df: float | None = None,
    level: float = 0.90,
) -> Estimates:
    r"""Pool what was estimated from each implicate, by Rubin's rules.

    Parameters
    ----------
    estimates : sequence
        One entry per implicate, at least two: a number, a vector of numbers, a mapping or pandas Series of
        them by name; or, without `variances`, results that have ``params`` and ``cov_params()``, as those of
        statsmodels.
    variances : sequence, optional
        One entry per implicate: the sampling variance of each estimate, or their covariance matrix.
    complete_df : float, optional
        Degrees of freedom that complete data would have. Missing: the least ``df_resid`` of results that tell
        it; infinite otherwise.
    level : float
        Of the margins and intervals.

    Returns
    -------
    pandas.DataFrame
        A row per estimate: `term`, its name, and `est`, `se`, `df`, `moe`, `lower`, `upper` and `fmi`, as in
        what `analyze` returns. The total covariance matrix is in ``.attrs["fusionpy"]["covariance"]``.

    Raises
    ------
    ArgumentError
        If estimates and variances do not fit each other.

    Warns
    -----
    FusionWarning
        If margins would rest on less than one degree of freedom: they are missing.

    Notes
    -----
    With estimates :math:`\hat\theta_m` and covariances :math:`V_m` the estimate is the mean, its covariance
    :math:`\bar V + (1 + 1/M) B`, B that of the :math:`\hat\theta_m` (Rubin 1987). Degrees of freedom are
    those of Barnard and Rubin (1999); with infinite ones of complete data, Rubin's, as in `MIcombine` of
    R's mitools.

    Examples
    --------
    >>> found = pool([10.0, 12.0, 11.0], [1.0, 1.0, 1.0])
    >>> found[["est", "se", "df"]].round(4).values.tolist()
    [[11.0, 1.5275, 6.125]]
    """
    problems = Problems(
        ArgumentError, "`pool()` cannot start.", "See `help(fusionpy.pool)` for what it takes."
    )
    taken = _take(estimates, variances, problems)
    problems.level(level)
    is_number = isinstance(complete_df, int | float) and not isinstance(complete_df, bool)
    if complete_df is not None and not (is_number and complete_df > 0):
        problems.add(f"`complete_df` must be a positive number, not {shown(complete_df)}.")
    problems.stop()
    assert taken is not None
    names, q, within = taken
    if complete_df is None:
        told = [getattr(each, "df_resid", None) for each in estimates] if variances is None else []
        complete_df = min((float(df) for df in told if df is not None), default=np.inf)
    found = combine(q, np.stack([np.diagonal(v) for v in within]), complete_df=complete_df, level=level)
    M = len(q)
    away = q - q.mean(axis=0)
    covariance = within.mean(axis=0) + (1 + 1 / M) * away.T @ away / (M - 1)
    if (found.df < 1).any():
        warn("Margins that would rest on less than one degree of freedom are missing.")
    table = Estimates(
        {
            "term": names,
            "est": found.est,
            "se": found.se,
            "df": found.df,
            "moe": found.moe,
            "lower": found.est - found.moe,
            "upper": found.est + found.moe,
            "fmi": found.fmi,
        }
    )
    table.attrs["fusionpy"] = {"M": M, "level": level, "covariance": covariance.tolist()}
    return table


Taken = tuple[list[str], Array, Array]  # names, (M, p) estimates, (M, p, p) covariances


def _take(estimates: Any, variances: Any, problems: Problems) -> Taken | None:
    """Take estimates and covariances of every implicate."""
    if not isinstance(estimates, Sequence | np.ndarray) or isinstance(estimates, str) or len(estimates) < 2:
        problems.add("`estimates` must have an entry for each of at least two implicates.")
        return None
    if variances is None:
        if not all(hasattr(each, "params") and hasattr(each, "cov_params") for each in estimates):
            problems.add("`variances` is missing, and `estimates` have no `params` and `cov_params()`.")
            return None
        variances = [each.cov_params() for each in estimates]
        estimates = [_named_params(each) for each in estimates]
    if not isinstance(variances, Sequence | np.ndarray) or len(variances) != len(estimates):
        problems.add(f"`variances` must have an entry for each of the {len(estimates):,} implicates.")
        return None
    try:
        names, q = _vectors(estimates)
        within = np.stack([_matrix(each, names) for each in variances])
    except (TypeError, ValueError) as error:
        problems.add(f"`estimates` and `variances` do not fit each other: {error}.")
        return None
    if not (np.isfinite(q).all() and np.isfinite(within).all()):
        problems.add("`estimates` and `variances` must be finite.")
    if (np.diagonal(within, axis1=1, axis2=2) < 0).any():
        problems.add("`variances` must not be negative.")
    return names, q, within


def _named_params(result: Any) -> Any:
    """Name a result's parameters as its model does, where they are a plain array."""
    names = getattr(getattr(result, "model", None), "exog_names", None)
    if names is None or not isinstance(result.params, np.ndarray):
        return result.params
    return dict(zip(names, result.params, strict=True))


def _vectors(estimates: Sequence[Any]) -> tuple[list[str], Array]:
    """Put estimates into the order of the first, by their names if they have some."""
    first = estimates[0]
    if isinstance(first, Mapping | pd.Series):
        keys = list(first.keys())
        for each in estimates:
            if not isinstance(each, Mapping | pd.Series) or set(each.keys()) != set(keys):
                raise ValueError("implicates have different terms")
        named = [[float(each[key]) for key in keys] for each in estimates]
        return [str(key) for key in keys], np.array(named, dtype=np.float64)
    plain = [np.atleast_1d(np.asarray(each, dtype=np.float64)) for each in estimates]
    if any(each.ndim != 1 or each.shape != plain[0].shape for each in plain):
        raise ValueError("implicates have different numbers of estimates")
    return [str(number) for number in range(1, len(plain[0]) + 1)], np.stack(plain)


def _matrix(variance: Any, names: Sequence[str]) -> Array:
    """Take a covariance matrix, or variances alone."""
    p = len(names)
    if isinstance(variance, pd.DataFrame | pd.Series):
        variance = variance.rename(index=str)
        variance = variance.reindex(names) if set(names) == set(variance.index) else variance
    if isinstance(variance, pd.DataFrame):
        variance = variance.rename(columns=str)
        variance = variance[list(names)] if set(names) == set(variance.columns) else variance
    if isinstance(variance, Mapping):
        variance = [variance[name] for name in names]
    found = np.asarray(variance, dtype=np.float64)
    if found.size == p and found.ndim < 2:
        return np.diag(found.reshape(p))
    if found.shape == (p, p):
        return found
    raise ValueError(f"{p} estimates need as many variances, or a matrix of {p} rows and columns")
