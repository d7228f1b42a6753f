"""Model texts that LightGBM cannot read safely are refused: it would crash, or never come back."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile

import lightgbm as lgb
import numpy as np
import pytest
from pacing import slow
from patience import PATIENCE

from fusionpy.engines.lightgbm.model_text import check_model_text

N_FEATURES = 4


def fit(objective: str, n_classes: int = 1, **params: object) -> str:
    """Fit a small model on two numbers (one with gaps), a category, and noise."""
    rng = np.random.default_rng(3)
    x = np.column_stack(
        [rng.normal(size=500), rng.normal(size=500), rng.integers(0, 40, 500), rng.random(500)]
    )
    x[rng.random(500) < 0.1, 1] = np.nan
    signal = x[:, 0] + np.nan_to_num(x[:, 1], nan=3) + (x[:, 2] % 3)
    label = {
        "binary": signal > 1,
        "multiclass": np.digitize(signal, np.quantile(signal, np.arange(1, n_classes) / n_classes)),
    }.get(objective, signal)
    params = {"objective": objective, "verbosity": -1, "min_data_in_leaf": 5, "num_threads": 1, **params}
    if objective == "multiclass":
        params["num_class"] = n_classes
    data = lgb.Dataset(x, label, categorical_feature=[2], params={"verbosity": -1, "min_data_per_group": 5})
    return str(lgb.train(params, data, 6).model_to_string())


@pytest.fixture(scope="module")
def model() -> str:
    return fit("multiclass", 3)


@pytest.mark.parametrize(
    ("objective", "n_classes", "params"),
    [
        ("regression", 1, {}),
        ("quantile", 1, {"alpha": 0.3}),
        ("binary", 1, {}),
        ("multiclass", 3, {}),
        ("regression", 1, {"min_data_in_leaf": 400}),  # trees of one leaf
        ("multiclass", 3, {"min_data_in_leaf": 400}),
        ("regression", 1, {"monotone_constraints": [1, 0, 0, 0]}),
        ("regression", 1, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
        ("regression", 1, {"boosting": "dart"}),
        ("regression", 1, {"num_leaves": 400, "min_data_in_leaf": 1}),
    ],
)
def test_what_lightgbm_writes_is_accepted(objective, n_classes, params):
    text = fit(objective, n_classes, **params)
    check_model_text(text, N_FEATURES, objective, n_classes)
    check_model_text(lgb.Booster(model_str=text).model_to_string(), N_FEATURES, objective, n_classes)


def test_what_r_writes_is_accepted(shared):
    """All models in the archives of fusionModel 2.4.0; 200 kB of text take some 6 ms on a quiet machine."""
    took, size = 0.0, 0
    for path in sorted((shared / "reference/models").glob("*.fsn")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".txt"):
                    text = archive.read(name).decode()
                    n_features = int(re.search(r"max_feature_idx=(\d+)", text)[1]) + 1
                    n_classes = int(re.search(r"num_class=(\d+)", text)[1])
                    objective = re.search(r"objective=(\w+)", text)[1]
                    began = time.process_time()
                    check_model_text(text, n_features, objective, n_classes)
                    took, size = took + time.process_time() - began, size + len(text)
    assert took / size * 200_000 < 0.05  # seconds; a generous bound on a busy machine


LINE = r"(?<=\n{}=)[^\n]*"
DAMAGE = {
    "nothing at all": (r"(?s).*", "", "header"),
    "another first line": (r"^tree", "forest", "header"),
    "later version": ("version=v4", "version=v9", "header"),
    "a null character": ("feature_names=Column_0", "feature_names=Column\x000", "header"),
    "a hidden line": ("feature_names=Column_0", "feature_names=a\rmax_feature_idx=900", "header"),
    "other digits": ("num_class=3", "num_class=٣", "header"),
    "fewer classes": ("num_class=3", "num_class=2", "classes"),
    "fewer trees a round": ("num_tree_per_iteration=3", "num_tree_per_iteration=1", "classes"),
    "more classes in the objective": ("multiclass num_class:3", "multiclass num_class:9", "fitted for"),
    "custom objective": ("objective=multiclass num_class:3", "objective=custom", "fitted for"),
    "fewer names": (" Column_3", "", "predictors"),
    "fewer infos": (r"(feature_infos=\S+ )\S+ ", r"\1", "predictors"),
    "more features": ("max_feature_idx=3", "max_feature_idx=8", "predictors"),
    "sizes": (r"tree_sizes=\d+ ", "tree_sizes=99999999 ", "announces"),
    "a size less": (r"(tree_sizes=\d+ )\d+ ", r"\1", "announces"),
    "no trees": (r"(?s)tree_sizes=[\d ]*\n\n.*(?=end of trees)", "tree_sizes=\n\n", "0 trees"),
    "a tree less": (r"(?s)Tree=0\n.*?(?=Tree=1)", "", "announces"),
    "another number": ("Tree=1\n", "Tree=7\n", "announces"),
    "cut off": (r"(?s)end of trees.*", "", "cut off"),
    "cut in the parameters": (r"(?s)\[num_leaves: .*", "", "cut off"),
    "a strange parameter": (r"\[num_leaves: 31\]", "[num_leaves]", "cut off"),
    "another pandas line": ("pandas_categorical:null", 'pandas_categorical:[["a"]]', "cut off"),
    "leaves": (LINE.format("num_leaves"), "2000000000", "impossible number"),
    "no leaves": (LINE.format("num_leaves"), "0", "impossible number"),
    "leaves not a number": (LINE.format("num_leaves"), "many", "not numbers"),
    "sets": (LINE.format("num_cat"), "2000000000", "impossible number"),
    "a leaf less": (r"(\nleaf_value=)\S+ ", r"\1", "as many"),
    "a leaf not a number": (r"(\nleaf_value=)\S+", r"\1nan", "finite"),
    "a leaf infinite": (r"(\nleaf_value=)\S+", r"\1inf", "finite"),
    "a leaf huge": (r"(\nleaf_value=)\S+", r"\g<1>1e300", "finite"),
    "a leaf of letters": (r"(\nleaf_value=)\S+", r"\1x", "not numbers"),
    "a leaf in other digits": (r"(\nleaf_value=)\S+", r"\1٣", "not numbers"),
    "a leaf with an underscore": (r"(\nleaf_value=)\S+", r"\g<1>1_000", "not numbers"),
    "two spaces": (r"(\nsplit_gain=\S+) ", r"\1  ", "not numbers"),
    "a space at the end": (r"(\nsplit_gain=[^\n]*)\n", r"\1 \n", "not numbers"),
    "a gain of letters": (r"(\nsplit_gain=)\S+", r"\1x", "not numbers"),
    "a count in parts": (r"(\nleaf_count=)\S+", r"\g<1>1.5", "not numbers"),
    "a weight of letters": (r"(\ninternal_weight=)\S+", r"\1e", "not numbers"),
    "a threshold not a number": (r"(\nthreshold=)\S+", r"\1nan", "finite"),
    "a feature too large": (r"(\nsplit_feature=)\d+", r"\g<1>4", "predictor"),
    "a feature negative": (r"(\nsplit_feature=)\d+", r"\1-1", "predictor"),
    "a feature less": (r"(\nsplit_feature=)\d+ ", r"\1", "as many"),
    "a feature beyond all bounds": (r"(\nsplit_feature=)\d+", r"\g<1>" + "9" * 30, "not numbers"),
    "an unknown kind of split": (r"(\ndecision_type=)\d+", r"\g<1>12", "kind of split"),
    "a circle": (r"(\nleft_child=)-?\d+", r"\g<1>0", "form a tree"),
    "a child too large": (r"(\nleft_child=)-?\d+", r"\g<1>9999", "form a tree"),
    "a leaf too large": (r"(\nright_child=)-?\d+", r"\1-9999", "form a tree"),
    "a child twice": (r"(\nright_child=)-?\d+ -?\d+", r"\g<1>2 2", "form a tree"),
    "linear leaves": ("is_linear=0", "is_linear=1", "linear"),
    "sets less": (r"(\ncat_boundaries=0) \d+", r"\1", "as many"),
    "sets from elsewhere": (r"(\ncat_boundaries=)0", r"\g<1>1", "damaged"),
    "sets turned round": (r"(\ncat_boundaries=0 )\d+", r"\g<1>0", "damaged"),
    "sets without their ends": (r"\ncat_boundaries=[^\n]*", "", "as many"),
    "a word less": (r"(\ncat_threshold=)\d+ ", r"\1", "as many"),
    "a word negative": (r"(\ncat_threshold=)\d+", r"\1-1", "damaged"),
    "a word too long": (r"(\ncat_threshold=)\d+", r"\g<1>4294967296", "damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(name, model):
    pattern, new, reason = DAMAGE[name]
    damaged, count = re.subn(pattern, new, model, count=1)
    assert count == 1
    with pytest.raises(ValueError, match=reason):
        check_model_text(
            right_sizes(damaged) if reason != "announces" else damaged, N_FEATURES, "multiclass", 3
        )


def test_splits_must_name_a_set_of_their_own_tree(model):
    """The first split by category is pointed to a set that its tree does not have."""
    for tree in re.findall(r"Tree=\d+\n.*?\n\n\n", model, flags=re.DOTALL):
        kinds = re.search(r"\ndecision_type=([^\n]*)", tree)[1].split()
        by_set = [i for i, kind in enumerate(kinds) if int(kind) % 2]
        if by_set:
            values = re.search(r"\nthreshold=([^\n]*)", tree)[1].split()
            for wrong in ("57", "-1", "0.5"):
                values[by_set[0]] = wrong
                changed = re.sub(r"\nthreshold=[^\n]*", f"\nthreshold={' '.join(values)}", tree)
                with pytest.raises(ValueError, match="set of categories that there is not"):
                    check_model_text(right_sizes(model.replace(tree, changed)), N_FEATURES, "multiclass", 3)
            return
    pytest.fail("no split by category")


def right_sizes(text: str) -> str:
    """Announce the trees' sizes as they are: whoever forges a model would do that too."""
    sizes = [len(tree) for tree in re.findall(r"Tree=\d+\n.*?\n\n\n", text, flags=re.DOTALL)]
    return re.sub(r"tree_sizes=[\d ]*", f"tree_sizes={' '.join(map(str, sizes))}", text, count=1)


FUZZ = r"""
import random, re, sys
import numpy as np
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.model_text import check_model_text

sys.path[:0] = sys.argv[3:]
from test_model_text import right_sizes

text = open(sys.argv[1], encoding="utf-8").read()
random.seed(int(sys.argv[2]))
matrix = np.random.default_rng(0).normal(size=(50, 4)) * 20
matrix[::7] = np.nan
NUMBERS = ["-1", "0", "1", "3", "7", "9999", "-9999", "1e9", "nan", "inf", "2147483648", "-2147483649"]
NUMBERS += ["", "x", "1 1"]


def corrupt(text):
    kind = random.randrange(7)
    place = random.randrange(len(text))
    if kind == 0:
        return text[:place]
    if kind == 1:
        return text[:place] + chr(random.randrange(1, 255)) + text[place + 1 :]
    if kind == 2:
        return text[:place] + text[place + random.randrange(1, 40) :]
    numbers = [*re.finditer(r"(?<=[ =:])-?[0-9][0-9.e+-]*", text)]
    if kind == 3:
        found = random.choice(numbers)
        return text[: found.start()] + random.choice(NUMBERS) + text[found.end() :]
    lines = text.split("\n")
    a, b = sorted(random.sample(range(len(lines)), 2))
    if kind == 4:
        lines[a], lines[b] = lines[b], lines[a]
    elif kind == 5:
        key, _, values = lines[a].partition("=")
        values = values.split(" ")
        random.shuffle(values)
        lines[a] = key + "=" + " ".join(values)
    else:
        lines.insert(b, lines[a])
    return "\n".join(lines)


accepted = 0
for round in range(300):
    damaged = right_sizes(corrupt(text))
    try:
        check_model_text(damaged, 4, "multiclass", 3)
        booster = boosting.parse(damaged)
    except ValueError:
        continue
    boosting.predict(booster, matrix)
    accepted += 1
print(accepted)
"""


@pytest.mark.parametrize("seed", [slow(1), slow(2)])
def test_no_corruption_crashes_the_process(seed, model, tmp_path):
    """Corruptions, sizes put right: each is refused, or LightGBM reads it and predicts with it."""
    path = tmp_path / "model.txt"
    path.write_text(model, encoding="utf-8")
    folders = map(str, tmp_path.joinpath(__file__).parents[:3])  # up to tests/, where `patience` is
    command = [sys.executable, "-c", FUZZ, str(path), str(seed), *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout.split()[-1]) < 150
