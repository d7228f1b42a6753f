"""monotonic(): make one variable a monotone function of another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, Problems, counted, is_whole, settle_seed, shown, warn
from fusionpy.figures.monotone import monotone_chart
from fusionpy.frames.tables import is_text, to_floats
from fusionpy.kernels.monotone_spline import rising_spline
from fusionpy.kernels.supersmoother import supersmooth
from fusionpy.kernels.uniforms import THIN, uniforms
from fusionpy.model.schema import positive_weights
from fusionpy.model.variables import describe, is_number
from fusionpy.progress import tell_of_seed

__all__ = ["monotonic"]

Array = NDArray[np.float64]
FEWEST = 2  # points that a smooth is to be made of
FEW, FIXED_SPAN = 40, 0.3  # with fewer points the span is fixed: Friedman advises one of .2 to .4
SHORTEST_WINDOW = 5
DISTORTED = 0.05  # share of a value by which sorting may move it, and share of the values that it may
MOST = 1e100  # of any value: squares stay finite


class Vector(NamedTuple):
    """An argument's values, and the way back to what it was.

    Attributes
    ----------
    values : (n,) float64
    is_integer : bool
    name : str or None
        Of a series.
    index : pandas.Index or None
    like : callable
        Turns values into the kind of vector, and the type of numbers, that the argument is.
    """

    values: Array
    is_integer: bool
    name: str | None
    index: Any
    like: Callable[[Array], Any]


def monotonic(
    x: Any,
    y: Any,
    *,
    w: Any = None,
    preserve: bool = True,
    expend: bool = True,
    fast: bool = True,
    nmax: float = 5000,
    plot: bool = False,
    seed: int | None = None,
) -> Any:
    r"""Replace a variable by a smooth, monotone function of another, expenditure by one of consumption.

    Parameters
    ----------
    x : (n,) array, Series or Array
        What `y` is to be a function of: a numpy array, a list, a pandas or polars Series, or a pyarrow Array.
    y : (n,) array, Series or Array
    w : (n,) array, Series or Array, optional
        Survey weights; negative ones count as 0. Records of zero weight get values, but have no say in them,
        except that they count among the points of a window. Where the weight is missing they do not either.
    preserve : bool
        Keep the weighted mean of `y`: by a factor, or by a shift if `expend` is False and a `y` is negative.
        Where `expend` has set a floor under results, their mean may be higher.
    expend : bool
        `y` is what is spent on `x`. Neither is negative; nothing is spent where `x` is 0, and something where
        it is not: a `y` of 0 there counts as the least positive one, and no result is less than that, before
        and after the mean is put right.
    fast : bool
        The smooth is sorted. False: if that moves more than 5 % of its values by more than 5 %, a monotone
        spline is fitted instead.
    nmax : int or inf
        Points that the smooth is made of, at most. If there are more, points evenly spaced in the order of
        `x` are taken, the first of them by chance, and those at both ends.
    plot : bool
        Return a figure too.
    seed : int, optional
        Of that chance. Missing: drawn, and told on standard error if it is used.

    Returns
    -------
    fitted : the kind of vector that `y` is
        With its type of numbers, and its name and index. Integers are rounded, which moves their mean a
        little.
    figure : plotnine.ggplot
        With `plot` only: points and function.

    Raises
    ------
    ArgumentError
        If arguments are wrong or do not fit each other.

    Warns
    -----
    FusionWarning
        For what `expend` changes in `y`; for missing weights; if `expend` is True, an `x` is 0 and `y` falls
        as `x` rises; if the mean cannot be kept, as all results are 0.

    Notes
    -----
    `monotonic()` of R's fusionModel does the same. The smooth is Friedman's (1984). It is to rise if its
    correlation with `x` is not negative, and is sorted accordingly, which takes no estimate farther from
    a monotone truth (Chernozhukov, Fernández-Val and Galichon 2009, *Biometrika* 96:559). Between its points
    the function is a line. With `expend` the records whose `x` is 0 enter the smooth as one point, the first
    of them. Fewer than 40 points are smoothed by running lines of a fixed span, .3, as Friedman advises.

    Examples
    --------
    >>> therms, bill = [0, 10, 20, 30, 40], [0.0, 18.0, 42.0, 57.0, 83.0]
    >>> monotonic(therms, bill).round(2).tolist()
    [0.0, 19.4, 39.8, 60.2, 80.6]
    """
    problems = Problems(
        ArgumentError, "`monotonic()` cannot start.", "See `help(fusionpy.monotonic)` for what it takes."
    )
    given = {"preserve": preserve, "expend": expend, "fast": fast, "plot": plot}
    seed_given = seed is not None
    seed = _check_options(given, nmax, seed, problems)
    across, up, weight = _check_vectors(x, y, w, expend, problems)
    problems.stop()
    rows = _points(across.values, weight, expend)
    weight = np.nan_to_num(weight)  # from here on those of missing weight have none
    if len(rows) > nmax:
        rows = _thinned(rows, across.values, up.values, int(nmax), seed)
        if not seed_given:
            tell_of_seed("monotonic", seed, quiet=False)
    spent = _as_spending(across.values, up.values) if expend else up.values
    at, level = _curve(across.values[rows], spent[rows], weight[rows], expend, fast)
    fitted = _follow(across.values, at, level)
    if expend:
        fitted = _with_floor(fitted, across.values, spent)
    if preserve:
        fitted = _keep_mean(fitted, up.values, weight, expend)
        fitted = _with_floor(fitted, across.values, spent) if expend else fitted
    answer = up.like(fitted)
    if not plot:
        return answer
    names = (across.name or "x", up.name or "y")
    return answer, monotone_chart(across.values, up.values, fitted, weight, names)


def _check_options(given: dict[str, bool], nmax: float, seed: int | None, problems: Problems) -> int:
    """Note impossible options; settle the seed."""
    for name, value in given.items():
        problems.flag(name, value)
    if not is_whole(nmax, FEWEST) and not (isinstance(nmax, float) and nmax == math.inf):
        wanted = f"a whole number of at least {FEWEST}, or infinite"
        problems.add(f"`nmax` must be {wanted}, not {shown(nmax)}.")
    return settle_seed(seed, problems)


def _check_vectors(x: Any, y: Any, w: Any, expend: bool, problems: Problems) -> tuple[Vector, Vector, Array]:
    """Read the vectors, or raise all that is wrong with them, and with what was noted before."""
    across, up = _vector(x, "x", problems), _vector(y, "y", problems)
    weights = None if w is None else _vector(w, "w", problems)
    read = {"x": across, "y": up, "w": weights}
    sizes = {f"`{name}` {each.values.size:,}": each for name, each in read.items() if each is not None}
    if len({each.values.size for each in sizes.values()}) > 1:
        problems.add(f"They must be of the same length: {', '.join(sizes)}.")
    indices = [each.index for each in sizes.values() if each.index is not None]
    if any(len(index) == len(indices[0]) and not index.equals(indices[0]) for index in indices):
        problems.add("Their indices differ: align them, or call `.reset_index(drop=True)` on each.")
    if up is not None and up.values.size == 0:
        problems.add("`y` has no values.")
    for name, each in read.items():
        is_bounded = name != "w" and expend is True
        if each is not None and is_bounded and (n_negative := int((each.values < 0).sum())):
            where = "while `expend` is True; pass `expend=False`"
            problems.add(f"`{name}` has {counted(n_negative, 'negative value')} {where}.")
    if weights is not None and weights.values.size and not (weights.values > 0).any():
        problems.add("`w` has no positive value.")
    problems.stop()
    assert across is not None
    assert up is not None
    if weights is not None and (n_missing := int(np.isnan(weights.values).sum())):
        message = f"`w` has {counted(n_missing, 'missing value')}; such records have no say."
        warn(message)
    if weights is None:
        return across, up, np.ones(len(up.values))
    weight = positive_weights(weights.values, "w")
    assert not isinstance(weight, str)
    return across, up, weight


def _vector(value: Any, argument: str, problems: Problems) -> Vector | None:
    """Read one argument; what is wrong with it is noted, and then it is missing."""
    try:
        array, name, index, restore = _as_arrow(value)
    except (TypeError, pa.ArrowException):
        wanted = "a numpy array, a pandas or polars Series or a pyarrow Array"
        problems.add(f"`{argument}` must be {wanted} of numbers, not {shown(value)}.")
        return None
    if len(array) and not is_number(array.type):
        kind = "text" if is_text(array.type) else describe(array)
        problems.add(f"`{argument}` must hold numbers, not {kind}.")
        return None
    values = to_floats(array)
    if argument != "w" and (n_missing := int(np.isnan(values).sum())):
        problems.add(f"`{argument}` has {counted(n_missing, 'missing value')}; drop or impute these records.")
        return None
    if (np.abs(values) > MOST).any():
        problems.add(f"`{argument}` has infinite values, or values beyond {MOST:g}.")
        return None
    is_integer = pa.types.is_integer(array.type)

    def like(fitted: Array) -> Any:
        try:
            return restore(
                pa.array(np.round(fitted) if is_integer else fitted).cast(array.type, safe=is_integer)
            )
        except pa.ArrowInvalid:
            problem = f"`{argument}` is of type {array.type}, which cannot hold a fitted {fitted.max():,.0f}."
            raise ArgumentError("`monotonic()` cannot return.", [problem], "Use a wider type.") from None

    return Vector(values, is_integer, name, index, like)


def _as_arrow(value: Any) -> tuple[pa.Array, str | None, Any, Callable[[pa.Array], Any]]:
    """Tell the values, the name, the index, and how to turn other values into the same kind of vector.

    Raises
    ------
    TypeError
        If it is no vector.
    """
    if isinstance(value, pa.Array):
        return value, None, None, lambda array: array
    if isinstance(value, pa.ChunkedArray):
        return value.combine_chunks(), None, None, lambda array: pa.chunked_array([array])
    if isinstance(value, np.ndarray | list | tuple):
        plain = np.asarray(value)
        if plain.ndim != 1:
            raise TypeError
        return pa.array(plain), None, None, lambda array: array.to_numpy(zero_copy_only=False)
    series = nw.from_native(cast(Any, value), series_only=True)
    array = series.to_arrow()
    name = series.name if isinstance(series.name, str) and series.name else None
    if series.implementation.is_pandas():
        import pandas as pd

        return (
            array,
            name,
            value.index,
            lambda new: pd.Series(
                new.to_numpy(zero_copy_only=False), index=value.index, name=value.name, dtype=value.dtype
            ),
        )
    import polars as pl

    return array, name, None, lambda new: pl.Series(value.name, new, dtype=value.dtype)


def _points(x: Array, weight: Array, expend: bool) -> NDArray[np.intp]:
    """Rows that the smooth is made of: of known weight; with `expend` one only where x is 0."""
    used = np.flatnonzero(~np.isnan(weight))
    if not expend:
        return used
    nothing = used[(x[used] == 0) & (weight[used] > 0)]
    return np.sort(np.concatenate([nothing[:1], used[x[used] > 0]]))


def _thinned(rows: NDArray[np.intp], x: Array, y: Array, n: int, seed: int) -> NDArray[np.intp]:
    """Take n of the rows, evenly in the order of x, and those at both ends."""
    order = rows[np.lexsort((y[rows], x[rows]))]
    inner, wanted = order[1:-1], n - 2
    start = uniforms(seed, THIN, 1)[0, 0]
    places = np.floor((start + np.arange(wanted)) * (len(inner) / wanted)).astype(np.intp)
    return np.concatenate([order[:1], inner[places], order[-1:]])


def _as_spending(x: Array, y: Array) -> Array:
    """Let nothing be spent where x is 0, and something where it is not; what that changes is told."""
    for changed, message in (
        (y[x == 0] > 0, "`y` is not 0 at some `x` of 0: it counts as 0 there (`expend`)."),
        (
            y[x > 0] == 0,
            "`y` is 0 at some `x` above 0: it counts as the least positive `y` there (`expend`).",
        ),
    ):
        if changed.any():
            warn(message)
    positive = y[y > 0]
    raised = np.maximum(y, positive.min()) if len(positive) else y
    return np.where(x > 0, raised, 0.0)


def _with_floor(fitted: Array, x: Array, spent: Array) -> Array:
    """Let nothing be fitted where x is 0, and no less than the least positive spending where it is not."""
    positive = spent[spent > 0]
    return np.where(x > 0, np.maximum(fitted, positive.min() if len(positive) else 0.0), 0.0)


def _weighed(x: Array, y: Array, weight: Array) -> NDArray[np.bool_]:
    """Tell the points to smooth: all, but those of weight 0 if a window, or an x of several, has no more."""
    weightless = weight == 0
    if not weightless.any():
        return np.ones(len(x), dtype=np.bool_)
    order = np.lexsort((y, x))
    runs = np.convolve(weightless[order], np.ones(SHORTEST_WINDOW), "valid")
    place = np.unique(x, return_inverse=True)[1].reshape(-1)
    alone = (np.bincount(place, weight) == 0) & (np.bincount(place) > 1)
    if alone.any() or runs.max() >= SHORTEST_WINDOW:
        return np.asarray(weight > 0)
    return np.ones(len(x), dtype=np.bool_)


def _curve(x: Array, y: Array, weight: Array, expend: bool, fast: bool) -> tuple[Array, Array]:
    """Smooth, and make it monotone: ascending places, and the function there."""
    points = _weighed(x, y, weight)
    x, y, weight = x[points], y[points], weight[points]
    mean = float(weight.astype(np.longdouble).mean())  # as R takes it: last bits may decide between spans
    at, smooth = supersmooth(x, y, weight / mean, span=FIXED_SPAN if len(x) < FEW else None)
    if len(at) < 2:
        return at, smooth
    sign = 1.0 if ((at - at.mean()) * (smooth - smooth.mean())).sum() >= 0 else -1.0
    if expend and sign < 0 and at[0] == 0:
        message = (
            "`y` falls as `x` rises, yet nothing is spent where `x` is 0: "
            "the function falls from the least `x` above 0 on."
        )
        warn(message)
    level = sign * np.sort(sign * smooth)
    if not fast:
        is_moved = np.abs(level - smooth) > DISTORTED * np.abs(smooth)
        if is_moved.mean() > DISTORTED:
            level = sign * rising_spline(x, sign * y, weight)[1]
    return at, level


def _follow(x: Array, at: Array, level: Array) -> Array:
    """Interpolate, level beyond the ends, monotone to the last bit."""
    distinct, place = np.unique(x, return_inverse=True)
    sign = 1.0 if level[-1] >= level[0] else -1.0
    # Interpolation rounds, and may overstep the point ahead by a bit.
    return np.asarray(sign * np.maximum.accumulate(sign * np.interp(distinct, at, level)))[place]


def _keep_mean(fitted: Array, y: Array, weight: Array, expend: bool) -> Array:
    """Give the fitted values the weighted mean of y, by a factor if no y is negative."""
    wanted, found = float(np.average(y, weights=weight)), float(np.average(fitted, weights=weight))
    if y.min() >= 0 and found > 0:
        return fitted * (wanted / found)
    if not expend:
        return fitted + (wanted - found)
    if wanted > 0:
        message = "All fitted values are 0: they cannot have the mean of `y`."
        warn(message)
    return fitted
