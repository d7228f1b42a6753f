"""LightGBM's model text, checked before LightGBM reads it.

LightGBM takes its own text on trust: a wrong child or feature number makes it read foreign memory, or go
round in circles. So every line that it acts on is checked here, and whatever is not just as LightGBM writes
it is refused.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import MOST_VALUE

__all__ = ["check_model_text", "without_ranges"]

MOST_LEAVES = 131_072  # LightGBM's own limit
DAMAGED_TREE = "a tree's nodes do not form a tree"
DAMAGED_SETS = "a tree's sets of categories are damaged"

_ANY = r"[^\x00-\x1f\x7f]*"  # LightGBM would take control characters for the end of the line, or of the text
_HEAD = re.compile(
    r"tree\nversion=v[34]\nnum_class=(?P<classes>[0-9]{1,6})\nnum_tree_per_iteration=(?P<per_round>[0-9]{1,6})\n"
    rf"label_index=0\nmax_feature_idx=(?P<last>[0-9]{{1,6}})\nobjective=(?P<objective>{_ANY})\n(?:average_output\n)?"
    rf"feature_names=(?P<names>{_ANY})\n(?:monotone_constraints=(?P<monotone>(?:-1|0|1)(?: (?:-1|0|1))*)\n)?"
    rf"feature_infos=(?P<infos>{_ANY})\ntree_sizes=(?P<sizes>[0-9 ]*)\n\n"
)
_ONCE = ("num_leaves", "num_cat")
_BY_NODE = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_BY_LEAF = ("leaf_value", "leaf_weight", "leaf_count")
_UNUSED = ("internal_value", "internal_weight", "internal_count")
_OPTIONAL = ("cat_boundaries", "cat_threshold")
_LINES = (*_ONCE, *_BY_NODE, *_BY_LEAF, *_UNUSED, *_OPTIONAL, "is_linear", "shrinkage")
_TREE = re.compile(
    r"Tree=(?P<number>[0-9]{1,9})\n"
    + "".join(f"(?:{key}=(?P<{key}>[^\n]*)\n){'?' if key in _OPTIONAL else ''}" for key in _LINES)
    + r"\n\n"
)
_NUMBERS = re.compile(r"[-+.0-9a-z \n]*")
_TAIL = re.compile(
    r"end of trees\n(?:\nfeature_importances:\n(?:[^\x00-\x1f\x7f=]+=[0-9]+\n)*+)?"  # for people to read
    r"(?:\nparameters:\n(?:\[[a-z0-9_]+: [^\x00-\x1f\x7f:\"\\]*\]\n)*+\nend of parameters\n)?"
    r"(?:\npandas_categorical:null\n?)?"
)


def check_model_text(model: str, n_features: int, objective: str, n_classes: int) -> None:
    """Refuse a model text that LightGBM could not read safely, or that is another model than expected.

    Parameters
    ----------
    model : str
        As `fusionpy.engines.lightgbm.boosting.text` writes it.
    n_features : int
        Number of predictors.
    objective : {"binary", "multiclass", "regression", "quantile"}
    n_classes : int
        Of a multiclass model; otherwise 1.

    Raises
    ------
    ValueError
        Saying what is wrong.

    Notes
    -----
    Checked: the header's numbers; that each tree has every array in full; that features, children and sets of
    categories exist; that the children form a tree; that leaves are finite. Some 4 ms for 100 kB.
    """
    head = _HEAD.match(model)
    if head is None:
        raise ValueError("its header is damaged")
    _check_head(head, n_features, objective, n_classes)
    trees: list[re.Match[str]] = []
    position = head.end()
    while tree := _TREE.match(model, position):
        trees.append(tree)
        position = tree.end()
    sizes = " ".join(str(tree.end() - tree.start()) for tree in trees)
    if sizes != head["sizes"] or any(int(tree["number"]) != place for place, tree in enumerate(trees)):
        raise ValueError("its trees are not those that its header announces")
    if not trees or len(trees) % n_classes:
        raise ValueError(f"it has {len(trees)} trees for {n_classes} classes")
    if not _TAIL.fullmatch(model, position):
        raise ValueError("it is cut off, or damaged, behind its trees")
    _check_trees(trees, n_features)


def without_ranges(model: str) -> str:
    """Take out of a text what predictors' least and greatest values are, and their levels by frequency.

    Parameters
    ----------
    model : str
        As `fusionpy.engines.lightgbm.boosting.text` writes it.

    Returns
    -------
    str
        A model that predicts the same: LightGBM notes ranges for people to read.
    """
    head = _HEAD.match(model)
    if head is None:
        return model
    begin, end = head.span("infos")
    return model[:begin] + " ".join(["none"] * len(head["infos"].split(" "))) + model[end:]


def _check_head(head: re.Match[str], n_features: int, objective: str, n_classes: int) -> None:
    expected = objective + {"binary": " sigmoid:1", "multiclass": f" num_class:{n_classes}"}.get(
        objective, ""
    )
    if head["objective"] != expected:
        raise ValueError(f"it was fitted for '{head['objective'][:40]}', not '{expected}'")
    if int(head["classes"]) != n_classes or int(head["per_round"]) != n_classes:
        raise ValueError(f"it does not have {n_classes} classes")
    counts = [int(head["last"]) + 1, len(head["names"].split(" ")), len(head["infos"].split(" "))]
    if head["monotone"] is not None:
        counts.append(len(head["monotone"].split(" ")))
    if set(counts) != {n_features}:
        raise ValueError(f"it was fitted on {counts[0]} predictors, not {n_features}")


def _check_trees(trees: list[re.Match[str]], n_features: int) -> None:
    """Check the arrays of all trees together."""
    once = np.ones(len(trees), dtype=np.intp)
    n_leaves = _join(trees, "num_leaves", once, int)
    n_sets = _join(trees, "num_cat", once, int)
    if n_leaves.min() < 1 or n_leaves.max() > MOST_LEAVES or n_sets.min() < 0 or (n_sets >= n_leaves).any():
        raise ValueError("a tree has an impossible number of leaves")
    n_nodes = n_leaves - 1
    leaf = _join(trees, "leaf_value", n_leaves, float)
    threshold = _join(trees, "threshold", n_nodes, float)
    # A threshold may be infinite: it then parts missing values from the others.
    if not (np.abs(leaf) <= MOST_VALUE).all() or np.isnan(threshold).any():
        raise ValueError("a leaf or a threshold is not a finite number")
    _join(trees, "shrinkage", once, float)
    if _join(trees, "is_linear", once, int).any():
        raise ValueError("it has linear leaves, which fusionpy does not use")
    # Not used to predict, but LightGBM would stop the whole process at what is not a number.
    for key in ("split_gain", "internal_value", "internal_weight"):
        _join(trees, key, n_nodes, float)
    _join(trees, "internal_count", n_nodes, int)
    _join(trees, "leaf_weight", n_leaves, float, may_be_empty=n_leaves == 1)
    _join(trees, "leaf_count", n_leaves, int, may_be_empty=n_leaves == 1)
    feature = _join(trees, "split_feature", n_nodes, int)
    if ((feature < 0) | (feature >= n_features)).any():
        raise ValueError("a tree splits on a predictor that there is not")
    # Bits: 1 = by a set of categories, 2 = missing goes left, 4 and 8 = what counts as missing, never both.
    kind = _join(trees, "decision_type", n_nodes, int)
    if ((kind < 0) | (kind > 11)).any():
        raise ValueError("a tree has an unknown kind of split")
    _check_shape(
        _join(trees, "left_child", n_nodes, int), _join(trees, "right_child", n_nodes, int), n_leaves
    )
    by_set = kind % 2 == 1
    _check_sets(trees, n_sets, np.repeat(n_sets, n_nodes)[by_set], threshold[by_set])


def _join(
    trees: list[re.Match[str]],
    key: str,
    length: NDArray[np.intp],
    kind: type[int] | type[float],
    may_be_empty: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Join one array of all trees, as numbers; in each tree it must have its length."""
    lines = [tree[key] or "" for tree in trees]
    every = "\n".join(lines)
    if not _NUMBERS.fullmatch(every) or "  " in every or "\n " in f"\n{every}" or " \n" in f"{every}\n":
        raise ValueError(f"its '{key}' are not numbers")
    found = np.array([line.count(" ") + 1 if line else 0 for line in lines])
    fits = found == length
    if may_be_empty is not None:
        fits |= may_be_empty & (found == 0)
    if not fits.all():
        raise ValueError(f"a tree's '{key}' are not as many as they should be")
    try:
        return np.array([*map(kind, every.split())], dtype=np.intp if kind is int else np.float64)
    except (ValueError, OverflowError):
        raise ValueError(f"its '{key}' are not numbers") from None


def _check_shape(left: NDArray[np.intp], right: NDArray[np.intp], n_leaves: NDArray[np.intp]) -> None:
    """Check that every node but the root, and every leaf, is the child of exactly one earlier node."""
    n_nodes = n_leaves - 1
    most = np.repeat(n_nodes, n_nodes)
    first_node = np.repeat(np.cumsum(n_nodes) - n_nodes, n_nodes)
    first_leaf = np.repeat(np.cumsum(n_leaves) - n_leaves, n_nodes)
    own = np.arange(len(left)) - first_node
    nodes, leaves = [], []
    for child in (left, right):
        is_node = child >= 0
        leaf = -1 - child
        if (child >= most).any() or (leaf > most).any() or (child[is_node] <= own[is_node]).any():
            raise ValueError(DAMAGED_TREE)
        nodes.append((first_node + child)[is_node])
        leaves.append((first_leaf + leaf)[~is_node])
    roots = np.flatnonzero(own == 0)
    single = (np.cumsum(n_leaves) - 1)[n_leaves == 1]  # leaves of trees without nodes
    for found, number in (([*nodes, roots], len(left)), ([*leaves, single], int(n_leaves.sum()))):
        if (np.bincount(np.concatenate(found), minlength=number) != 1).any():
            raise ValueError(DAMAGED_TREE)


def _check_sets(
    trees: list[re.Match[str]],
    n_sets: NDArray[np.intp],
    available: NDArray[np.intp],
    used: NDArray[np.float64],
) -> None:
    """Check that sets of categories are whole, and that splits by category name one of them."""
    if ((used < 0) | (used >= available) | (used != np.floor(used))).any():
        raise ValueError("a tree splits by a set of categories that there is not")
    with_sets = [tree for tree, number in zip(trees, n_sets, strict=True) if number]
    if not with_sets:
        return
    number = n_sets[n_sets > 0]
    edge = _join(with_sets, "cat_boundaries", number + 1, int)
    last = np.cumsum(number + 1) - 1
    step = np.diff(edge)
    step[last[:-1]] = 1  # from one tree to the next
    if edge[last - number].any() or (step < 1).any():
        raise ValueError(DAMAGED_SETS)
    words = _join(with_sets, "cat_threshold", edge[last], int)
    if ((words < 0) | (words >= 2**32)).any():
        raise ValueError(DAMAGED_SETS)
