"""R opens our archives by the description of the format: types and shapes of all entries, and a draw by hand.

The same script, ``fsn.R``, looks at archives that R wrote, so it demands no more than they have.
"""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from archived import FAST, METHODS, SURVEY, X, Y

import fusionpy
from fusionpy.engines.lightgbm import boosting
from fusionpy.formats.fst import read_fst
from fusionpy.kernels.clusters import nearest
from fusionpy.kernels.draws import draw_donors
from fusionpy.kernels.scaling import scale_columns

pytestmark = pytest.mark.r
SCRIPT = Path(__file__).with_name("fsn.R")
N = 200


def look(path, folder, number):
    """Let R check the archive and draw from one step; return its draws and ours."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "fsn")
    donor = read_fst(folder / "fsn/donor.fst").to_pandas()
    donor.to_csv(folder / "donor.csv", index=False)
    model = fusionpy.read_fsn(path)
    step = model.steps[number]
    pools = step.pools
    rng = np.random.default_rng(8)
    lowest, highest = -0.2 + pools.centres.min(axis=0), 0.2 + pools.centres.max(axis=0)
    scaled = rng.uniform(lowest, highest, (N, len(pools.columns)))
    edge = 3.090232306167813  # minus the normal quantile of .001
    spread = np.where(np.isnan(pools.scale), 1, pools.scale)
    unscaled = np.where(
        np.isnan(pools.scale), scaled, np.nan_to_num(pools.centre) + spread * (2 * edge * scaled - edge)
    )
    pd.DataFrame(unscaled, columns=list(pools.columns)).to_csv(folder / "expectations.csv", index=False)
    u = rng.random(N)
    np.savetxt(folder / "uniforms.txt", u, fmt="%.17g")
    (folder / "step.txt").write_text(str(number + 1))
    done = subprocess.run(
        ["Rscript", str(SCRIPT), str(folder / "fsn"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    drawn = pd.read_csv(folder / "drawn.csv", dtype=float)
    centre = nearest(scale_columns(unscaled, pools.centre, pools.scale), pools.centres, 1)[:, 0]
    size = 10 if step.is_block else None
    start, member = pools.start, pools.member
    if size:
        member = np.ascontiguousarray(member.reshape(len(pools.centres), -1)[:, :size]).ravel()
        start = np.arange(len(pools.centres) + 1) * size
    rows = draw_donors(centre, start, member, donor["W"].to_numpy(dtype=float), u)
    return drawn, donor.loc[rows, list(step.variables)].astype(float).reset_index(drop=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [2, 3])
def test_our_archives(method, number, tmp_path):
    path = tmp_path / "model.fsn"
    fusionpy.train(SURVEY, Y, X, weight="w", **{**FAST, **METHODS[method]}, fsn=path)
    theirs, mine = look(path, tmp_path, number)
    pd.testing.assert_frame_equal(theirs, mine, check_exact=False, rtol=1e-12)
    assert theirs.iloc[:, 0].nunique() > 10


def test_folders_of_many_steps(tmp_path):
    """Ten folders and more sort as text in the order of their numbers."""
    path = tmp_path / "model.fsn"
    frame = pd.concat(
        [SURVEY, SURVEY[["income"] * 11].set_axis([f"y{j}" for j in range(11)], axis=1)], axis=1
    )
    fusionpy.train(frame, [f"y{j}" for j in range(11)], X, **{**FAST, "nfolds": 0.7}, refits=0, fsn=path)
    theirs, mine = look(path, tmp_path, 9)
    pd.testing.assert_frame_equal(theirs, mine, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize(("name", "number"), [("readme", 3), ("block", 3)])
def test_archives_of_r(shared, name, number, tmp_path):
    theirs, mine = look(shared / f"reference/models/{name}.fsn", tmp_path, number)
    pd.testing.assert_frame_equal(theirs, mine, check_exact=False, rtol=1e-12)


def test_production_code_finds_the_steps(tmp_path):
    """As fusionData does: unzip the archive, and read `ylist`."""
    path = tmp_path / "model.fsn"
    fusionpy.train(SURVEY, Y, X, **FAST, refits=0, fsn=path)
    code = (
        f"f <- tempdir(); zip::unzip('{path}', exdir = f); y <- readRDS(file.path(f, 'metadata.rds'))$ylist"
    )
    code += "; cat(sapply(y, paste, collapse = '+'))"
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kind", "owns.car", "income", "rent+heat+rooms", "grade"]


def test_boosters_are_where_r_looks(tmp_path):
    path = tmp_path / "model.fsn"
    model = fusionpy.train(SURVEY, Y, X, **FAST, refits=0, fsn=path)
    with zipfile.ZipFile(path) as archive:
        for number, step in enumerate(model.steps, 1):
            for target in step.targets:
                booster = boosting.parse(archive.read(f"{number}/{target.name}.txt").decode())
                assert tuple(booster.feature_name()) == step.predictors
