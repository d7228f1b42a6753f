"""Archives that R wrote: with its boosters, centres and donors we must come to its scaling and its pools.

R searches neighbours within 10 % of the nearest distance and breaks ties its own way, so pools of solo steps
agree in nearly all centres, not in all; where no centre is a cluster (every donor its own), they agree
exactly.
"""

import json
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from fusionpy.engines.lightgbm import boosting
from fusionpy.kernels.clusters import nearest
from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.integer_weights import integerize_weights
from fusionpy.kernels.pools import choose_pool_sizes
from fusionpy.kernels.scaling import columns_scale, scale_columns, unscale_columns

rdata = pytest.importorskip("rdata")


def encoded_recs(shared):
    kinds = json.loads((shared / "data/recs2015_schema.json").read_text())
    recs = pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""])
    donor = recs.iloc[::2].reset_index(drop=True)
    out = {}
    for name, entry in kinds.items():
        if entry["kind"] in ("ordered", "nominal"):
            out[name] = pd.Categorical(donor[name], entry["levels"]).codes.astype(float)
        elif entry["kind"] in ("continuous", "logical"):
            out[name] = donor[name].astype(float).to_numpy()
    return out


@pytest.fixture(scope="module")
def donors(shared):
    return encoded_recs(shared)


class Archive:
    """The parts of an R archive that these tests need."""

    def __init__(self, shared, name, tmp_path_factory):
        self.name = name
        self.about = json.loads((shared / f"reference/models/{name}.json").read_text())
        self.zip = zipfile.ZipFile(shared / f"reference/models/{name}.fsn")
        rds = tmp_path_factory.mktemp(name) / "metadata.rds"
        rds.write_bytes(self.zip.read("metadata.rds"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rdata knows no constructor for versions and time spans
            self.metadata = rdata.read_rds(rds)

    def steps(self):
        for i, names in enumerate(self.about["ylist"]):
            if self.metadata["kcenters"][i] is not None:
                yield i, [names] if isinstance(names, str) else names

    def expectations(self, i, columns, donors, rows):
        x = np.column_stack([donors[name] for name in self.about["xpreds"][i]])
        found = []
        for column in columns:
            variable, _, kind = column.rpartition("_")
            member = f"{i + 1}/{variable}_{kind[0] if kind.startswith('m') else kind}.txt"
            booster = boosting.parse(self.zip.read(member).decode())
            found.append(boosting.predict(booster, x[rows])[:, 0])
        return np.column_stack(found)

    def numbers(self, key, i):
        return np.array([np.nan if v is None else v for v in self.about[key][i].values()])


@pytest.fixture(scope="module", params=["readme", "block"])
def archive(shared, request, tmp_path_factory):
    return Archive(shared, request.param, tmp_path_factory)


def rows_fitted(archive, i, names, donors):
    if len(names) == 1 and f"{i + 1}/{names[0]}_z.txt" in archive.zip.namelist():
        return np.flatnonzero(donors[names[0]])
    return np.arange(len(donors[names[0]]))


def test_zero_models_are_where_we_find_inflation(archive, donors):
    for i, names in archive.steps():
        for name in names:
            assert is_inflated(donors[name]) == (f"{i + 1}/{name}_z.txt" in archive.zip.namelist())


def test_scales(archive, donors):
    """R's centres and scales of its boosters' expectations, to 1e-12."""
    seen = 0
    for i, names in archive.steps():
        columns = list(archive.about["ycenter"][i])
        values = archive.expectations(i, columns, donors, rows_fitted(archive, i, names, donors))
        centre, scale = columns_scale(values)
        assert centre == pytest.approx(archive.numbers("ycenter", i), rel=1e-12, nan_ok=True)
        assert scale == pytest.approx(archive.numbers("yscale", i), rel=1e-12, nan_ok=True)
        seen += len(columns)
    assert seen >= 9


def test_pools(archive, donors):
    """Sizes equal in at least 90 % of centres, mean size within 1 %; the same donors in 99.98 % of places."""
    weights = np.ones(len(donors["weight"]))
    if archive.name == "block":
        weights = integerize_weights(donors["weight"]).astype(float)
    most = {"readme": 500, "block": 300}[archive.name]
    for i, names in archive.steps():
        columns = list(archive.about["ycenter"][i])
        rows = rows_fitted(archive, i, names, donors)
        centre, scale = archive.numbers("ycenter", i), archive.numbers("yscale", i)
        scaled = scale_columns(archive.expectations(i, columns, donors, rows), centre, scale)
        centres = np.asarray(archive.metadata["kcenters"][i])
        theirs = np.ma.asarray(archive.metadata["kneighbors"][i])
        size = (~np.ma.getmaskarray(theirs)).sum(axis=1)
        pools = [theirs[c, :k].astype(int) - 1 for c, k in enumerate(size)]
        near = nearest(centres, scaled, min(most, len(rows)) if len(names) == 1 else 30)
        shared_part = [len(np.intersect1d(rows[near[c, :k]], pools[c])) / k for c, k in enumerate(size)]
        assert np.mean(shared_part) > 0.9998
        if len(names) > 1:
            continue
        unscaled = unscale_columns(centres, centre, scale)
        y = donors[names[0]]
        ptiles = np.array(archive.about["ptiles"])
        mine = choose_pool_sizes(
            near, y[rows], weights[rows], unscaled[:, 0], unscaled[:, 1:], ptiles, 10, True
        )
        if names == ["propane"]:  # no clusters, no ties: nothing left to differ in
            assert np.array_equal(mine, size)
        assert (mine == size).mean() >= 0.90
        assert mine.mean() == pytest.approx(archive.about["pool_size_mean"][i], rel=0.01)
        assert r_squared(unscaled[:, 0], pools, y, weights) == pytest.approx(
            archive.about["cluster_mean_r2"][i], rel=1e-12
        )


def r_squared(expected, pools, y, weights):
    found = np.array([np.average(y[pool], weights=weights[pool]) for pool in pools])
    return 1 - ((expected - found) ** 2).sum() / ((expected - expected.mean()) ** 2).sum()
