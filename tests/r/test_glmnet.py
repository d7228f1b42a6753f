"""Agreement with R's glmnet on weighted data: `pytest -m r`; needs Rscript with glmnet and jsonlite."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from patience import PATIENCE

from fusionpy.kernels.grams import glmnet_gram, weighted_gram
from fusionpy.kernels.lasso import lasso_path

pytestmark = pytest.mark.r
HERE = Path(__file__).parent
CALLS = {
    "default": (1e-7, None),
    "tight": (1e-14, None),
    "few": (1e-7, 10),
    "few, tight": (1e-14, 10),
}


def survey(n, p):
    """Correlated predictors of all scales, dummies among them, a target, weights."""
    rng = np.random.default_rng(n + p)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * rng.uniform(0.01, 100, p)
    X[:, : p // 4] = X[:, : p // 4] > 0.5
    y = X / X.std(axis=0) @ (rng.normal(size=p) * (rng.random(p) < 0.5)) + 3 * rng.normal(size=n)
    return X.round(6), (40 * y).round(6), rng.gamma(2, 1, n).round(6)


@pytest.fixture(scope="module", params=[(3000, 40), (60, 80)], ids=["many rows", "few rows"])
def both(request, tmp_path_factory):
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    folder = tmp_path_factory.mktemp("glmnet")
    X, y, w = survey(*request.param)
    pd.DataFrame(np.column_stack([X, y, w])).to_csv(folder / "data.csv", index=False)
    command = [
        "Rscript",
        "--vanilla",
        str(HERE / "glmnet.R"),
        str(folder / "data.csv"),
        str(folder / "out.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode and "there is no package called" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    return weighted_gram(np.column_stack([X, y]), w), json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("call", CALLS)
def test_paths_are_those_of_r(both, call):
    gram, theirs = both[0], both[1][call]
    p = len(gram.sd) - 1
    tolerance, most = CALLS[call]
    path = lasso_path(gram, p, np.arange(p), tolerance=tolerance, most=most)
    assert path.full == theirs["full"]
    assert len(path.penalty) == len(theirs["lambda"])
    assert path.penalty * gram.sd[p] == pytest.approx(theirs["lambda"], rel=1e-9)
    # The steps of both are the same, so only rounding parts them.
    assert path.deviance == pytest.approx(np.array(theirs["deviance"]), abs=1e-9)
    beta = np.array(theirs["beta"]) * gram.sd[:p] / gram.sd[p]
    assert path.coefficient == pytest.approx(beta, abs=1e-8)
    assert ((path.coefficient != 0) == (beta != 0)).all()


def test_of_two_columns_that_say_the_same_the_second_comes_in_when_it_does_in_r(tmp_path):
    """Rounding decides, so it must be the same to the last bit. Numbers are sixty-fourths."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    data = []
    for k in range(30):
        rng = np.random.default_rng(k)
        n = int(rng.integers(300, 1500))
        u, z = rng.random(n) < rng.uniform(0.1, 0.9), np.round(rng.normal(size=(n, 6)) * 64) / 64
        y = np.round((u + z[:, 0] + rng.normal(size=n)) * 64) / 64
        w = rng.integers(1000, 30_000, n) if k % 3 else np.ones(n)
        data.append(np.column_stack([z[:, :3], u, 1 - u, z[:, 3:], y, w]).astype(float))
        np.savetxt(tmp_path / f"{k}.csv", data[-1], delimiter=",", fmt="%.17g")
    code = f"""
        suppressPackageStartupMessages(library(glmnet))
        for (k in 0:29) {{
          d <- as.matrix(read.csv(file.path("{tmp_path}", paste0(k, ".csv")), header = FALSE))
          fit <- glmnet(d[, 1:8], d[, 9], weights = d[, 10])
          write.table(t(as.matrix(fit$beta) != 0) * 1, file.path("{tmp_path}", paste0(k, ".out")),
                      row.names = FALSE, col.names = FALSE)
        }}"""
    done = subprocess.run(["Rscript", "--vanilla", "-e", code], capture_output=True, text=True, check=False)
    if done.returncode and "there is no package called" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    together = 0
    for k, each in enumerate(data):
        theirs = np.loadtxt(tmp_path / f"{k}.out") != 0
        path = lasso_path(glmnet_gram(each[:, :9], each[:, 9]), 8, np.arange(8))
        assert ((path.coefficient != 0) == theirs).all(), k
        together += theirs[:, 4].any()
    assert 3 < together < 27  # of either kind there are some
