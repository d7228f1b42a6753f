"""Every message that a bad input gives, as a reviewed snapshot in ``snapshots/errors.txt``.

``UPDATE_SNAPSHOTS=1 pytest tests/package/test_errors.py`` writes the snapshots anew: read the
difference before committing it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fusionpy
from fusionpy.errors import FusionError, Problems, few, is_whole, settle_seed, shown
from fusionpy.formats.fst import pack_fst
from fusionpy.formats.rds import read_rds
from fusionpy.formats.rds.values import character, integer, matrix, r_list
from fusionpy.formats.rds.writer import write_rds

SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "errors.txt"
UPDATE = bool(os.environ.get("UPDATE_SNAPSHOTS"))
N = 240
X = ["age", "region", "size", "owner", "town"]
Y = ["kind", "income", ["rent", "heat"]]
TINY = {"refits": 0, "nfolds": 2, "nquantiles": 2, "seed": 1, "quiet": True}
HYPER = {"num_iterations": 4, "min_data_in_leaf": 10, "min_data_per_group": 5}


def make_donor(n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "age": rng.integers(18, 95, n),
            "region": pd.Categorical(rng.choice(["north", "south", "east", "west"], n)),
            "size": pd.Categorical(rng.choice(["small", "medium", "large"], n)),
            "owner": rng.random(n) < 0.6,
            "town": rng.choice(["Ayr", "Bath", "Cork", "Dover"], n),
            "income": rng.gamma(2, 20_000, n).round(),
            "rent": np.where(rng.random(n) < 0.4, 0.0, rng.gamma(3, 300, n).round()),
            "kind": pd.Categorical(rng.choice(["flat", "house", "other"], n)),
            "heat": pd.Categorical(rng.choice(["gas", "oil"], n)),
            "w": rng.uniform(0.5, 2, n),
            "w1": rng.uniform(0.5, 2, n),
            "w2": rng.uniform(0.5, 2, n),
        }
    )
    frame["size"] = frame["size"].cat.set_categories(["small", "medium", "large"], ordered=True)
    frame["region"] = frame["region"].cat.set_categories(["north", "south", "east", "west"])
    return frame


DONOR = make_donor()
RECIPIENT = DONOR[["id", *X]].head(30)


@dataclass
class Bench:
    """What a case may use: an empty folder, a trained model, and its archive's members."""

    folder: Path
    patch: pytest.MonkeyPatch
    model: Any
    members: dict[str, bytes]

    def train(self, data: Any = None, /, **changed: Any) -> None:
        arguments = {"y": "income", "x": ["age", "region"], **TINY, "hyper": HYPER, **changed}
        fusionpy.train(DONOR if data is None else data, **arguments)

    def fuse(self, data: Any = None, /, **changed: Any) -> None:
        arguments = {"fsn": self.model, "seed": 1, "quiet": True, **changed}
        fusionpy.fuse(RECIPIENT if data is None else data, **arguments)

    def kept(self, name: str) -> Path:
        """Write the recipient to a file."""
        path = self.folder.parent / name
        path.parent.mkdir(exist_ok=True)
        RECIPIENT.to_parquet(path)
        return path

    def pipe(self, name: str) -> Path:
        os.mkfifo(self.folder.parent / name)
        return self.folder.parent / name

    def donor(self, **columns: Any) -> pd.DataFrame:
        return DONOR.assign(**columns)

    def recipient(self, **columns: Any) -> pd.DataFrame:
        return RECIPIENT.assign(**columns)

    def read(self, **edited: bytes | None) -> None:
        """Read the archive with some members replaced, or taken out."""
        members = {**self.members, **edited}
        self.open(zip_of([(name, content) for name, content in members.items() if content is not None]))

    def open(self, content: bytes) -> None:
        path = self.folder.parent / "given.fsn"
        path.write_bytes(content)
        fusionpy.read_fsn(path)

    def manifest(self, edit: Callable[[Any], None]) -> None:
        """Read the archive with an edited manifest."""
        content = json.loads(self.members["manifest.json"])
        edit(content)
        self.read(**{"manifest.json": json.dumps(content).encode()})

    def r_archive(self, edit: Any = dict, content: bytes | None = None, **edited: bytes | None) -> None:
        """Read the archive as R would have written it, with edited metadata."""
        about = read_rds(self.members["metadata.rds"]).entries()
        content = content or write_rds(r_list(edit(about)))
        ours = {name: None for name in self.members if name.startswith(("fusionpy~", "manifest"))}
        self.read(**{**ours, "metadata.rds": content, **edited})

    def table(self, name: str, **columns: Any) -> None:
        """Read the archive with some columns of a table replaced."""
        table = pq.read_table(io.BytesIO(self.members[name]))
        for column, values in columns.items():
            place = table.column_names.index(column)
            table = table.set_column(place, column, pa.array(values(table.column(column).to_numpy().copy())))
        self.read(**{name: parquet_of(table)})

    def read_fsd(self, content: bytes | None = None, name: str = "given.fsd", **arguments: Any) -> None:
        """Read a file of implicates."""
        path = self.folder.parent / name
        path.write_bytes(content or pack_fst(pa.Table.from_pandas(RECIPIENT.assign(M=1))))
        fusionpy.read_fsd(path, **arguments)

    def text(self, name: str, pattern: str, new: str) -> None:
        """Read the archive with something replaced in a model's text."""
        content, count = re.subn(pattern, new, self.members[name].decode(), count=1)
        assert count == 1
        self.read(**{name: content.encode()})


def zip_of(members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def parquet_of(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def patched(content: bytes, offset: int, form: str, value: int) -> bytes:
    """Overwrite a field of the first entry of a ZIP's directory."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + struct.pack(form, value) + content[place + struct.calcsize(form) :]


def gaps(name: str, number: int = 3) -> pd.Series:
    """A donor column with values missing."""
    return DONOR[name].mask(DONOR.index < number)


def deny(*_: Any, **__: Any) -> None:
    raise PermissionError(13, "Permission denied")


def set_in(content: Any, *path: Any) -> None:
    """Set an entry of nested lists and dictionaries: the last of `path` is the value."""
    *keys, last, value = path
    for key in keys:
        content = content[key]
    if value is None:
        del content[last]
    else:
        content[last] = value


Case = Callable[[Bench], Any]
MANY = {f"v{i}": np.r_[np.nan, np.arange(N - 1.0)] for i in range(12)}

TRAIN: dict[str, Case] = {
    # The donor survey itself
    "a list": lambda b: b.train([1, 2, 3]),
    "a dictionary": lambda b: b.train({"age": [1, 2]}),
    "a numpy array": lambda b: b.train(np.eye(3)),
    "a pandas Series": lambda b: b.train(DONOR["age"]),
    "a polars LazyFrame": lambda b: b.train(pl.LazyFrame({"age": [1]})),
    "no data": lambda b: fusionpy.train(None, "income", "age"),
    "duplicate columns": lambda b: b.train(pd.concat([DONOR, DONOR[["age", "town"]]], axis=1)),
    "duplicate columns in arrow": lambda b: b.train(pa.table([[1.0], [2.0]], names=["age", "age"])),
    "numbered columns": lambda b: b.train(pd.DataFrame(np.eye(60, 7))),
    "column names in levels": lambda b: b.train(pd.concat({"survey": DONOR}, axis=1)),
    "zero rows": lambda b: b.train(DONOR.head(0)),
    "one row": lambda b: b.train(DONOR.head(1)),
    "thirty rows": lambda b: b.train(DONOR.head(30)),
    # y and x
    "y unknown": lambda b: b.train(y=["income", "incme", "rnt"]),
    "x unknown": lambda b: b.train(x=["age", "regionn"]),
    "y and x unknown, many": lambda b: b.train(y=list("abcdefgh"), x=list("ABCDEFGHI")),
    "y empty": lambda b: b.train(y=[]),
    "x empty": lambda b: b.train(x=[]),
    "y missing": lambda b: b.train(y=None, x=3),
    "y numbers": lambda b: b.train(y=[1, 2]),
    "x numbers": lambda b: b.train(x=[1, 2]),
    "y empty block": lambda b: b.train(y=["income", []]),
    "y nested too deep": lambda b: b.train(y=[["income", ["rent"]]]),
    "y named twice": lambda b: b.train(y=["income", "rent", "income"]),
    "y named twice, in a block": lambda b: b.train(y=["income", ["rent", "income"], "rent"]),
    "x named twice": lambda b: b.train(x=["age", "age", "region"]),
    "x and y overlap": lambda b: b.train(x=["age", "income", "rent"], y=["rent", "income"]),
    "x per step, too few": lambda b: b.train(y=["income", "rent"], x=[["age"]]),
    "x per step, a later y": lambda b: b.train(y=["income", "rent"], x=[["age", "rent"], ["age", "income"]]),
    "x per step, its own y": lambda b: b.train(y=["income", "rent"], x=[["age", "income"], ["age"]]),
    "x per step, unknown": lambda b: b.train(y=["income", "rent"], x=[["age"], ["age", "regionn"]]),
    "x per step, mixed": lambda b: b.train(y=["income", "rent"], x=[["age"], "age"]),
    "x per step, an empty list": lambda b: b.train(y=["income", "rent"], x=[["age"], []]),
    "x only of y": lambda b: b.train(y=["income", "rent"], x=[["income"], ["income"]]),
    # Columns
    "y missing values": lambda b: b.train(
        b.donor(income=gaps("income"), rent=gaps("rent"), kind=gaps("kind", 1)), y=["income", "rent", "kind"]
    ),
    "y missing values, many": lambda b: b.train(b.donor(**MANY), y=list(MANY)),
    "many things wrong": lambda b: b.train(
        b.donor(**{f"c{i}": DONOR["income"].mask(DONOR.index < 2) for i in range(12)}),
        y=[f"c{i}" for i in range(12)],
    ),
    "y infinite": lambda b: b.train(b.donor(income=DONOR["income"].replace(DONOR["income"].max(), np.inf))),
    "y beyond all bounds": lambda b: b.train(b.donor(income=DONOR["income"] * 1e120)),
    "y one level": lambda b: b.train(b.donor(kind=pd.Categorical(["flat"] * N)), y="kind"),
    "few donors where weighted": lambda b: b.train(
        b.donor(w=np.where(DONOR.index < 20, 1.0, 0.0)), weight="w"
    ),
    "y nearly all zero": lambda b: b.train(b.donor(rent=np.where(DONOR.index < 3, 5.0, 0.0)), y="rent"),
    "x dates": lambda b: b.train(b.donor(age=pd.Timestamp("2020-01-01"), region=date(2020, 1, 1))),
    "x mixed types": lambda b: b.train(b.donor(age=["1", 2] * (N // 2))),
    "x lists": lambda b: b.train(b.donor(age=[[1, 2]] * N)),
    "x objects": lambda b: b.train(b.donor(age=[object() for _ in range(N)])),
    "x objects in polars": lambda b: b.train(
        pl.from_pandas(DONOR).with_columns(pl.Series("age", [object()] * N, dtype=pl.Object))
    ),
    "x complex numbers": lambda b: b.train(b.donor(age=1j)),
    "x decimals": lambda b: b.train(b.donor(age=[Decimal("1.5")] * N)),
    "x intervals": lambda b: b.train(b.donor(age=pd.cut(DONOR["age"], 4))),
    "x dates as levels": lambda b: b.train(b.donor(age=pd.Categorical([date(2020, 1, 1)] * N))),
    "x missing level": lambda b: b.train(
        pa.table(
            {
                "income": DONOR["income"],
                "region": pa.DictionaryArray.from_arrays(pa.array([0, 1] * (N // 2)), pa.array(["a", None])),
            }
        ),
        x="region",
    ),
    "x repeated level": lambda b: b.train(
        pa.table(
            {
                "income": DONOR["income"],
                "region": pa.DictionaryArray.from_arrays(pa.array([0, 1] * (N // 2)), pa.array(["a", "a"])),
            }
        ),
        x="region",
    ),
    "x all missing": lambda b: b.train(
        b.donor(age=np.nan, region=None, town=None), x=["age", "region", "town"]
    ),
    "x all NaN in polars": lambda b: b.train(pl.from_pandas(DONOR).with_columns(age=pl.lit(float("nan")))),
    "x identifier": lambda b: b.train(b.donor(age=DONOR["id"] + 2**53)),
    "x much text": lambda b: b.train(
        make_donor(1200).assign(town=[f"Town {i}" for i in range(1200)]), x="town"
    ),
    "y many levels": lambda b: b.train(
        make_donor(1200).assign(kind=pd.Categorical([f"Kind {i}" for i in range(1200)])), y="kind"
    ),
    "y reserved names": lambda b: b.train(
        DONOR.rename(columns={"income": "M", "rent": "W..", "w": "R.."}), y=["M", "W..", "R.."]
    ),
    "names that R does not take": lambda b: b.train(
        DONOR.rename(columns={"income": "2nd income", "rent": "rent ($)", "age": "for", "region": "_region"}),
        y=["2nd income", "rent ($)"],
        x=["for", "_region", "Alter in Jahren, wie es im Fragebogen steht (Frage 17, ohne Rundung)"],
    ),
    # Weights
    "weight unknown": lambda b: b.train(weight="wgt"),
    "weight not a name": lambda b: b.train(weight=DONOR["w"]),
    "weight in x": lambda b: b.train(x=["age", "w"], weight="w"),
    "weight in y": lambda b: b.train(y=["income", "w"], weight="w"),
    "weight missing": lambda b: b.train(b.donor(w=gaps("w")), weight="w"),
    "weight infinite": lambda b: b.train(b.donor(w=DONOR["w"].mask(DONOR.index < 2, np.inf)), weight="w"),
    "weight all zero": lambda b: b.train(b.donor(w=0.0), weight="w"),
    "weight all negative": lambda b: b.train(b.donor(w=-1.0), weight="w"),
    "weight text": lambda b: b.train(b.donor(w="1.5"), weight="w"),
    "weight categories": lambda b: b.train(b.donor(w=pd.Categorical(["1", "2"] * (N // 2))), weight="w"),
    "weight mixed types": lambda b: b.train(b.donor(w=["1", 2] * (N // 2)), weight="w"),
    "replicates without weight": lambda b: b.train(replicate_weights=["w1", "w2"]),
    "replicates one name": lambda b: b.train(weight="w", replicate_weights="w1"),
    "replicates unknown": lambda b: b.train(
        weight="w", replicate_weights=["w1", *(f"r{i}" for i in range(20))]
    ),
    "replicates empty": lambda b: b.train(weight="w", replicate_weights=[]),
    "replicates with the weight": lambda b: b.train(weight="w", replicate_weights=["w", "w1", "w1"]),
    "replicates in x": lambda b: b.train(weight="w", replicate_weights=["w1", "age"]),
    "replicates equal to the weight": lambda b: b.train(
        b.donor(w1=DONOR["w"], w2=DONOR["w"]), weight="w", replicate_weights=["w1", "w2"]
    ),
    "areas with much else": lambda b: b.train(
        weight="w", areas=["w", "income", "income", "town"], effects=False, method="2024", refits=0
    ),
    "areas not names": lambda b: b.train(areas=[1]),
    "areas that cannot be": lambda b: b.train(
        b.donor(half=0.5, one=1, day=date(2020, 1, 1)),
        areas=["half", "one", "day", "owner", "towns"],
        refits=1,
    ),
    "weights and columns wrong": lambda b: b.train(
        b.donor(w=gaps("w"), income=gaps("income"), age=np.nan), y=["income", "rnt"], weight="w"
    ),
    # Options
    "nfolds 1": lambda b: b.train(nfolds=1),
    "nfolds 0": lambda b: b.train(nfolds=0),
    "nfolds negative": lambda b: b.train(nfolds=-1),
    "nfolds text": lambda b: b.train(nfolds="5"),
    "nfolds 1.5": lambda b: b.train(nfolds=1.5),
    "nfolds True": lambda b: b.train(nfolds=True),
    "nclusters negative": lambda b: b.train(nclusters=-1),
    "krange one number": lambda b: b.train(krange=(10,)),
    "krange zero": lambda b: b.train(krange=(0, 5)),
    "krange a number": lambda b: b.train(krange=10),
    "cores 0": lambda b: b.train(cores=0),
    "seed negative": lambda b: b.train(seed=-1),
    "seed 1.5": lambda b: b.train(seed=1.5),
    "seed too large": lambda b: b.train(seed=2**64),
    "rank_scale": lambda b: b.train(rank_scale=False),
    "method unknown": lambda b: b.train(method="fusionmodel"),
    "method not text": lambda b: b.train(method=["default"]),
    "krange fractions below 1": lambda b: b.train(krange=(0.5, 20)),
    "krange below 5": lambda b: b.train(krange=(4, 10), method="fusionModel"),
    "hyper early stopping": lambda b: b.train(hyper={"early_stopping_rounds": 5}),
    "hyper unknown, no plain values": lambda b: b.train(hyper={"num_leafs": [31, [3]], "eta": None}),
    "hyper rf without sampling": lambda b: b.train(hyper={"boosting": "rf", "feature_fraction": 1}),
    "hyper bagging and the method's goss": lambda b: b.train(
        hyper={"bagging_fraction": 0.6, "bagging_freq": 1}, method="fusionModel"
    ),
    "hyper empty": lambda b: b.train(hyper={"num_leaves": []}),
    "hyper not a mapping": lambda b: b.train(hyper=[("num_leaves", 31)]),
    "hyper impossible": lambda b: b.train(
        hyper={
            "num_leaves": 1,
            "learning_rate": -0.1,
            "feature_fraction": [0.5, 1.5],
            "boosting": "boosted",
            "extra_trees": "yes",
            "max_bin": "many",
            "top_rate": float("nan"),
            "lambda_l1": None,
        }
    ),
    "hyper at odds": lambda b: b.train(
        hyper={
            "boosting": ["gbdt", "rf"],
            "data_sample_strategy": "goss",
            "bagging_freq": 1,
            "bagging_fraction": 0.5,
            "top_rate": 0.8,
            "other_rate": [0.1, 0.3],
        }
    ),
    "refits negative": lambda b: b.train(refits=-1),
    "flags not flags": lambda b: b.train(crossfit=1, redraw="yes", tolerant=0.5),
    "everything wrong": lambda b: b.train(
        y=["income", "income"],
        x=["income"],
        weight=3,
        nfolds=1,
        cores=0,
        seed="a",
        hyper=3,
        method=None,
        refits=-1,
    ),
    # The archive to write
    "fsn wrong ending": lambda b: b.train(fsn=b.folder / "model.rds"),
    "fsn no ending": lambda b: b.train(fsn=b.folder / "model"),
    "fsn folder under a file": lambda b: b.train(fsn="/dev/null/new/model.fsn"),
    "fsn a folder": lambda b: (
        (b.folder.parent / "kept.fsn").mkdir(),
        b.train(fsn=b.folder.parent / "kept.fsn"),
    ),
    "fsn under a file": lambda b: b.train(fsn="/dev/null/model.fsn"),
    "fsn folder not writable": lambda b: (
        b.patch.setattr(os, "open", deny),
        b.train(fsn=b.folder / "model.fsn"),
    ),
    "fsn cannot be written in the end": lambda b: (
        b.patch.setattr("fusionpy.model.archive.put_model", deny),
        b.train(fsn=b.folder / "model.fsn"),
    ),
    "fsn name too long": lambda b: b.train(fsn=b.folder / ("m" * 300 + ".fsn")),
    "fsn not a path": lambda b: b.train(fsn=3),
    "fsn empty": lambda b: b.train(fsn=""),
    "fsn null character": lambda b: b.train(fsn="model\0.fsn"),
    "fsn no such user": lambda b: b.train(fsn="~nobody-of-that-name/model.fsn"),
}

FUSE: dict[str, Case] = {
    "not a data frame": lambda b: b.fuse([1, 2]),
    "columns missing": lambda b: b.fuse(RECIPIENT[["id", "age"]]),
    "numeric as text": lambda b: b.fuse(b.recipient(age=RECIPIENT["age"].astype(str))),
    "numeric as logical": lambda b: b.fuse(b.recipient(age=True)),
    "logical as numeric": lambda b: b.fuse(b.recipient(owner=RECIPIENT["owner"].astype(int))),
    "logical as text": lambda b: b.fuse(b.recipient(owner="yes")),
    "categories as text": lambda b: b.fuse(b.recipient(size=RECIPIENT["size"].astype(str))),
    "categories as numbers": lambda b: b.fuse(b.recipient(region=1, size=2)),
    "text as numbers": lambda b: b.fuse(b.recipient(town=3)),
    "levels of numbers": lambda b: b.fuse(b.recipient(region=pd.Categorical([1, 2, 3] * 10))),
    "levels unseen": lambda b: b.fuse(
        b.recipient(region=RECIPIENT["region"].cat.add_categories(["centre", "abroad"]))
    ),
    "levels unseen, many": lambda b: b.fuse(
        b.recipient(region=pd.Categorical([f"a very long name of the region number {i}" for i in range(30)]))
    ),
    "levels reordered": lambda b: b.fuse(
        b.recipient(region=RECIPIENT["region"].cat.reorder_categories(["west", "east", "south", "north"]))
    ),
    "levels dropped": lambda b: b.fuse(
        b.recipient(region=pd.Categorical(["north", "south"] * 15, categories=["north", "south"]))
    ),
    "ordered as unordered": lambda b: b.fuse(b.recipient(size=RECIPIENT["size"].cat.as_unordered())),
    "unordered as ordered": lambda b: b.fuse(b.recipient(region=RECIPIENT["region"].cat.as_ordered())),
    "text unseen": lambda b: b.fuse(b.recipient(town=["Ely", "Bath", "Rye"] * 10)),
    "polars levels unseen": lambda b: b.fuse(
        pl.from_pandas(RECIPIENT).with_columns(region=pl.lit("moon").cast(pl.Categorical))
    ),
    "all missing": lambda b: b.fuse(b.recipient(age=np.nan, town=None)),
    "all NaN in polars": lambda b: b.fuse(pl.from_pandas(RECIPIENT).with_columns(age=pl.lit(float("nan")))),
    "identifier": lambda b: b.fuse(b.recipient(age=RECIPIENT["id"] + 2**60)),
    "mixed types": lambda b: b.fuse(b.recipient(age=["1", 2] * 15)),
    "dates": lambda b: b.fuse(b.recipient(age=pd.Timestamp("2020-01-01"))),
    "intervals": lambda b: b.fuse(b.recipient(region=pd.cut(RECIPIENT["age"], 3))),
    "many things wrong": lambda b: b.fuse(
        b.recipient(age="old", size=RECIPIENT["size"].cat.as_unordered(), owner=1).drop(
            columns=["region", "town"]
        ),
        retain=["key", "M"],
    ),
    "M 0": lambda b: b.fuse(M=0),
    "M 1.5": lambda b: b.fuse(M=1.5),
    "M True": lambda b: b.fuse(M=True),
    "M huge": lambda b: b.fuse(M=10**12),
    "kblock 4": lambda b: b.fuse(kblock=4),
    "kblock 31": lambda b: b.fuse(kblock=31),
    "kblock None": lambda b: b.fuse(kblock=None),
    "margin 0": lambda b: b.fuse(margin=0),
    "margin not a number": lambda b: b.fuse(margin=float("nan")),
    "margin -1.5": lambda b: b.fuse(margin=-1.5),
    "margin text": lambda b: b.fuse(margin="2"),
    "offset negative": lambda b: b.fuse(offset=-1),
    "offset huge": lambda b: b.fuse(offset=2**70),
    "chunk 0": lambda b: b.fuse(chunk=0),
    "seed text": lambda b: b.fuse(seed="one"),
    "everything wrong": lambda b: b.fuse(
        M=0, kblock=3, margin=0, cores=-1, offset=0.5, chunk=0, seed=-1, retain=[1]
    ),
    "retain unknown": lambda b: b.fuse(retain=["id", "hid", "pid"]),
    "retain twice": lambda b: b.fuse(retain=["id", "age", "id"]),
    "retain like a result": lambda b: b.fuse(b.recipient(income=1, M=2), retain=["income", "M", "id"]),
    "retain not names": lambda b: b.fuse(retain=5),
    "retain mixed types in a file": lambda b: b.fuse(
        b.recipient(note=["1", 2] * 15), retain="note", fsd=b.folder / "out.parquet"
    ),
    "fsd .fsd, too many rows": lambda b: (
        b.patch.setattr("fusionpy.fusion.MOST_ROWS", 10**7),
        b.fuse(fsd=b.folder / "out.fsd", M=10**6),
    ),
    "fsd .fsd, retain lists": lambda b: b.fuse(
        b.recipient(note=[[1]] * 30), retain="note", fsd=b.folder / "out.fsd"
    ),
    "fsd .fsd, retain what is NA to R": lambda b: b.fuse(
        b.recipient(note=np.int32(-(2**31))), retain="note", fsd=b.folder / "out.fsd"
    ),
    "fsd csv": lambda b: b.fuse(fsd=b.folder / "out.csv"),
    "fsd folder under a file": lambda b: b.fuse(fsd="/dev/null/new/out.parquet"),
    "fsd a folder": lambda b: b.fuse(fsd=b.folder),
    "fsd is data": lambda b: b.fuse(b.kept("given.parquet"), fsd=b.folder / ".." / "given.parquet"),
    "fsd in the folder of data": lambda b: b.fuse(
        b.kept("parts/given.parquet").parent, fsd=b.folder.parent / "parts" / "out.parquet"
    ),
    "fsd a pipe": lambda b: b.fuse(fsd=b.pipe("pipe.parquet")),
    "fsd no UTF-8": lambda b: b.fuse(fsd=b.folder / "b\udce9.parquet"),
    "fsn a number": lambda b: b.fuse(fsn=5),
    "fsn None": lambda b: b.fuse(fsn=None),
    "fsn no such file": lambda b: b.fuse(fsn=b.folder / "model.fsn"),
    "fsn a folder": lambda b: b.fuse(fsn=b.folder),
}

BLOCK = "fusionpy~3~pools.parquet"
MODEL = "1/kind_m.txt"

ARCHIVE: dict[str, Case] = {
    "no such file": lambda b: fusionpy.read_fsn(b.folder / "none.fsn"),
    "no path": lambda b: fusionpy.read_fsn(None),
    "written from no model": lambda b: fusionpy.write_fsn("model", b.folder / "m.fsn"),
    "written with another ending": lambda b: fusionpy.write_fsn(b.model, b.folder / "m.zip"),
    "anything else": lambda b: (b.patch.setattr(json, "loads", lambda _: 1 / 0), b.read()),
    "empty file": lambda b: b.open(b""),
    "not a zip": lambda b: b.open(b"This is no archive at all." * 50),
    "truncated": lambda b: b.open(zip_of([*b.members.items()])[:-2000]),
    "not readable": lambda b: (
        b.patch.setattr("fusionpy.model.archive.zipfile.ZipFile.__init__", deny),
        fusionpy.read_fsn(b.folder / "model.fsn"),
    ),
    "an empty zip": lambda b: b.open(zip_of([])),
    "R metadata of something else": lambda b: b.r_archive(lambda m: {"a": character(["b"])}),
    "R metadata with a function": lambda b: b.r_archive(content=b"X\n" + struct.pack(">4i", 2, 0, 0, 3)),
    "R metadata cut off": lambda b: b.r_archive(content=b.members["metadata.rds"][:-200]),
    "R metadata larger than can be": lambda b: b.r_archive(content=gzip.compress(bytes(10**7))),
    "R class unknown": lambda b: b.r_archive(
        lambda m: m | {"xclass": r_list({"age": character(["Date"]), "region": character(["factor"])})}
    ),
    "R type at odds": lambda b: b.r_archive(
        lambda m: m | {"ytype": character(["binary"] * 4, m["ytype"].names)}
    ),
    "R rows at odds": lambda b: b.r_archive(lambda m: m | {"nobs": integer([700])}),
    "R folders too many": lambda b: b.r_archive(**{"ours/x.json": b""}),
    "R folders named alike": lambda b: b.r_archive(
        **{
            "9/kind_m.txt": b.members["1/kind_m.txt"],
            "2/income_m.txt": None,
            "2/income_q1.txt": None,
            "2/income_q2.txt": None,
            "2/income_q3.txt": None,
        }
    ),
    "R model missing": lambda b: b.r_archive(**{"1/kind_m.txt": None, "1/kind_x.txt": b""}),
    "R model of zeros missing": lambda b: b.r_archive(**{"3/rent_z.txt": None}),
    "R model of zeros too many": lambda b: b.r_archive(**{"2/income_z.txt": b.members["3/rent_z.txt"]}),
    "R steps in one more folder": lambda b: b.open(
        zip_of([(f"m/{name}", content) for name, content in b.members.items()])
    ),
    "R steps too few": lambda b: b.r_archive(lambda m: m | {"kcenters": r_list([])}),
    "R neighbours too large": lambda b: b.r_archive(
        lambda m: m | {"kneighbors": r_list([None, matrix(np.full((3, 2), 10**6, np.int32)), None])}
    ),
    "R donors missing": lambda b: b.r_archive(**{"donor.fst": None}),
    "R donors garbled": lambda b: b.r_archive(**{"donor.fst": b"fst" * 100}),
    "member outside": lambda b: b.read(**{"../../evil.txt": b"x"}),
    "member absolute": lambda b: b.read(**{"/etc/evil.txt": b"x"}),
    "member on a drive": lambda b: b.read(**{"C:\\evil.txt": b"x"}),
    "member with a bad name": lambda b: b.read(**{"a\nb" * 60 + "/..": b"x"}),
    "zip bomb": lambda b: b.read(**{"1/kind_q9.txt": bytes(3_000_000)}),
    "declared size": lambda b: b.open(patched(zip_of([*b.members.items()]), 24, "<I", 2**31)),
    "wrong size": lambda b: b.open(patched(zip_of([*b.members.items()]), 24, "<I", 10)),
    "many bytes": lambda b: (
        b.patch.setattr("fusionpy.model.archive.files.MOST_BYTES", 20_000),
        b.patch.setattr("fusionpy.model.archive.files.BYTES_PER_BYTE", 0),
        b.read(),
    ),
    "many members": lambda b: (
        b.patch.setattr("fusionpy.model.archive.files.MOST_MEMBERS", 5),
        b.open(zip_of([(f"{i}.txt", b"") for i in range(6)])),
    ),
    "member twice": lambda b: b.open(twice_of(b.members)),
    "member a link": lambda b: b.open(zip_of([*b.members.items(), (link(), b"/etc/passwd")])),
    "member encrypted": lambda b: b.open(patched(zip_of([*b.members.items()]), 8, "<H", 1)),
    "member squeezed otherwise": lambda b: b.open(patched(zip_of([*b.members.items()]), 10, "<H", 14)),
    "member garbled": lambda b: b.open(garbled(zip_of([*b.members.items()]))),
    "manifest missing": lambda b: b.read(**{"manifest.json": None}),
    "manifest not JSON": lambda b: b.read(**{"manifest.json": b"{not json"}),
    "manifest nested": lambda b: b.read(**{"manifest.json": b"[" * 100_000}),
    "manifest a list": lambda b: b.read(**{"manifest.json": b"[1, 2]"}),
    "manifest of something else": lambda b: b.manifest(lambda m: set_in(m, "format", "pickle")),
    "format version": lambda b: b.manifest(lambda m: set_in(m, "format_version", 99)),
    "format version missing": lambda b: b.manifest(lambda m: set_in(m, "format_version", None)),
    "steps missing": lambda b: b.manifest(lambda m: set_in(m, "steps", None)),
    "steps a number": lambda b: b.manifest(lambda m: set_in(m, "steps", 5)),
    "steps of numbers": lambda b: b.manifest(lambda m: set_in(m, "steps", [5])),
    "steps too few": lambda b: b.manifest(lambda m: set_in(m, "steps", m["steps"][:2])),
    "steps twice": lambda b: b.manifest(lambda m: set_in(m, "steps", m["steps"][:2] + m["steps"])),
    "steps before their predictors": lambda b: b.manifest(lambda m: set_in(m, "steps", m["steps"][::-1])),
    "step without variables": lambda b: b.manifest(lambda m: set_in(m, "steps", 0, "variables", [])),
    "levels a number": lambda b: b.manifest(lambda m: set_in(m, "x", 1, "levels", 4)),
    "levels of another type": lambda b: b.manifest(lambda m: set_in(m, "x", 1, "levels", [1, 2])),
    "levels too large": lambda b: b.manifest(lambda m: m["x"][1].update(levels=[1, 2**70], storage="int8")),
    "levels of a number": lambda b: b.manifest(lambda m: set_in(m, "x", 0, "levels", ["a"])),
    "kind unknown": lambda b: b.manifest(lambda m: set_in(m, "x", 0, "kind", "secret")),
    "storage unknown": lambda b: b.manifest(lambda m: set_in(m, "x", 0, "storage", "object")),
    "name twice": lambda b: b.manifest(lambda m: set_in(m, "x", 0, "name", "income")),
    "name a number": lambda b: b.manifest(lambda m: set_in(m, "x", 0, "name", 7)),
    "refits too many": lambda b: b.manifest(lambda m: set_in(m, "n_refits", 10**12)),
    "refits at odds": lambda b: b.manifest(lambda m: set_in(m, "options", "refits", 7)),
    "members too many": lambda b: b.manifest(lambda m: set_in(m, "steps", 0, "n_members", 10**12)),
    "members at odds": lambda b: b.manifest(lambda m: set_in(m, "steps", 0, "n_members", 1)),
    "members missing": lambda b: b.manifest(
        lambda m: [set_in(m, "steps", i, "n_members", 4) for i in range(3)]
    ),
    "option unknown": lambda b: b.manifest(lambda m: set_in(m, "options", "magic", 1)),
    "option missing": lambda b: b.manifest(lambda m: set_in(m, "options", "redraw", None)),
    "option of another type": lambda b: b.manifest(lambda m: set_in(m, "options", "redraw", "yes")),
    "option krange": lambda b: b.manifest(lambda m: set_in(m, "options", "krange", [1])),
    "option nfolds": lambda b: b.manifest(lambda m: set_in(m, "options", "nfolds", 0)),
    "option hyper": lambda b: b.manifest(lambda m: set_in(m, "options", "hyper", {"a": {"b": 1}})),
    "seed": lambda b: b.manifest(lambda m: set_in(m, "seed", -5)),
    "seconds": lambda b: b.manifest(lambda m: set_in(m, "seconds", "long")),
    "versions": lambda b: b.manifest(lambda m: set_in(m, "versions", {"python": "3"})),
    "model missing": lambda b: b.manifest(lambda m: m["steps"][0]["targets"].clear()),
    "model too many": lambda b: b.manifest(
        lambda m: m["steps"][0]["targets"].append({**m["steps"][0]["targets"][0], "variable": "age"})
    ),
    "model of other classes": lambda b: b.manifest(
        lambda m: set_in(m, "steps", 0, "targets", 0, "n_classes", 9)
    ),
    "model unknown objective": lambda b: b.manifest(
        lambda m: set_in(m, "steps", 0, "targets", 0, "objective", "custom")
    ),
    "calibration of nothing": lambda b: b.manifest(
        lambda m: set_in(m, "steps", 1, "calibrations", {"income_m": [1, 0, 0]})
    ),
    "calibration too short": lambda b: b.manifest(
        lambda m: set_in(m, "steps", 0, "calibrations", {"kind_m": [1, 0]})
    ),
    "pools not wanted": lambda b: b.manifest(
        lambda m: set_in(m, "steps", 0, "pools", m["steps"][1]["pools"])
    ),
    "pools wanted": lambda b: b.manifest(lambda m: set_in(m, "steps", 1, "pools", False)),
    "pools of other columns": lambda b: b.manifest(lambda m: m["steps"][1]["pools"]["columns"].pop()),
    "scale zero": lambda b: b.manifest(lambda m: set_in(m, "steps", 1, "pools", "scale", 0, 0.0)),
    "scales too few": lambda b: b.manifest(lambda m: m["steps"][1]["pools"]["scale"].pop()),
    "donors missing": lambda b: b.manifest(lambda m: m["donor_columns"].pop()),
    "donors' table missing": lambda b: b.read(**{"fusionpy~donor.parquet": None}),
    "donors' table garbled": lambda b: b.read(
        **{"fusionpy~donor.parquet": b"PAR1" + bytes(range(256)) + b"PAR1"}
    ),
    "donors' table cut off": lambda b: b.read(
        **{"fusionpy~donor.parquet": b.members["fusionpy~donor.parquet"][:-40]}
    ),
    "donors' table of other columns": lambda b: b.read(
        **{"fusionpy~donor.parquet": b.members["fusionpy~counts.parquet"]}
    ),
    "donors' table of text": lambda b: b.table("fusionpy~donor.parquet", rent=lambda v: v.astype(str)),
    "donors' table with gaps": lambda b: b.table(
        "fusionpy~donor.parquet", rent=lambda v: np.where(v > 0, v, np.nan)
    ),
    "donors' table huge": lambda b: (
        b.patch.setattr("fusionpy.model.archive.files.MOST_CELLS", 100),
        b.patch.setattr("fusionpy.model.archive.files.CELLS_PER_BYTE", 0),
        b.read(),
    ),
    "donors' classes": lambda b: b.table("fusionpy~donor.parquet", heat=lambda v: v + 5),
    "donors' weights": lambda b: b.table("fusionpy~donor.parquet", **{"W..": lambda v: v * 0}),
    "pools negative": lambda b: b.table(BLOCK, donor=lambda v: np.where(v == v[0], -1, v).astype(np.int32)),
    "pools too large": lambda b: b.table(BLOCK, donor=lambda v: v + np.int32(N)),
    "pools of other sizes": lambda b: b.table(
        "fusionpy~3~centres.parquet", **{"N..": lambda v: (v + np.eye(1, len(v))[0]).astype(np.int32)}
    ),
    "pools uneven": lambda b: b.table("fusionpy~3~centres.parquet", **{"N..": uneven}),
    "centres not numbers": lambda b: b.table("fusionpy~2~centres.parquet", income_m1=lambda v: v * np.nan),
    "centres huge": lambda b: b.table("fusionpy~2~centres.parquet", income_m1=lambda v: v * 0 + 1e200),
    "booster garbage": lambda b: b.read(**{MODEL: bytes(range(256)) * 4}),
    "booster text": lambda b: b.read(**{MODEL: b"I am no model.\n" * 20}),
    "booster cut off": lambda b: b.read(**{MODEL: b.members[MODEL][:1500]}),
    "booster without an end": lambda b: b.read(**{MODEL: b.members[MODEL].split(b"end of parameters")[0]}),
    "booster missing": lambda b: b.read(**{MODEL: None}),
    "booster of another step": lambda b: b.read(**{MODEL: b.members["2/income_m.txt"]}),
    "booster of other predictors": lambda b: b.read(**{"2/income_m.txt": b.members["3/rent_m.txt"]}),
    "booster of other classes": lambda b: b.text(MODEL, "num_class=3", "num_class=5"),
    "booster leaves": lambda b: b.text(MODEL, r"num_leaves=\d+", "num_leaves=2000000000"),
    "booster feature": lambda b: b.text(MODEL, r"split_feature=\d", "split_feature=9"),
    "booster child": lambda b: b.text(MODEL, r"left_child=-?\d+", "left_child=0"),
    "booster sizes": lambda b: b.text(MODEL, r"tree_sizes=\d", "tree_sizes=9"),
}


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("1/link.txt")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def twice_of(members: dict[str, bytes]) -> bytes:
    """A ZIP with one member under the name of another: zipfile itself would warn of it."""
    content = zip_of([*members.items(), ("manifest.jsoM", b"{}")])
    return content.replace(b"manifest.jsoM", b"manifest.json")


def garbled(content: bytes) -> bytes:
    """A ZIP whose first member's packed bytes are noise."""
    return content[:60] + bytes([255]) * 200 + content[260:]


def uneven(sizes: np.ndarray) -> np.ndarray:
    return (sizes + np.r_[1, -1, np.zeros(len(sizes) - 2)]).astype(np.int32)


READ: dict[str, Case] = {
    "everything wrong": lambda b: fusionpy.read_fsd(5, columns=[1], M=0, cores=0, kind="table"),
    "no such file": lambda b: fusionpy.read_fsd(b.folder / "out.fsd"),
    "a CSV file": lambda b: fusionpy.read_fsd(b.folder / "out.csv"),
    "no fst file": lambda b: b.read_fsd(b"no fst file, though it is long enough to be one", "given.fsd"),
    "no Parquet file": lambda b: b.read_fsd(b"no Parquet file", "given.parquet"),
    "a fst file cut off": lambda b: b.read_fsd(pack_fst(pa.table({"M": [1.0] * 90}), 0)[:-8]),
    "no such columns": lambda b: b.read_fsd(columns=["incme", "id"], where={"ag": 1}),
    "no columns": lambda b: b.read_fsd(columns=[]),
    "M is text": lambda b: b.read_fsd(pack_fst(pa.table({"M": ["one"]}))),
    "where a number": lambda b: b.read_fsd(where=5),
    "where of other types": lambda b: b.read_fsd(where={"age": "old", "size": [1, 2], "M": True}),
    "where of mixed types": lambda b: b.read_fsd(where={"age": [1, "old"]}),
}
CASES: dict[str, Case] = {
    f"{verb}: {name}": case
    for verb, cases in (("train", TRAIN), ("fuse", FUSE), ("archive", ARCHIVE), ("read_fsd", READ))
    for name, case in cases.items()
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, bytes]]:
    """One model for all cases: three steps, no refits, two folds."""
    path = tmp_path_factory.mktemp("trained") / "model.fsn"
    with pytest.warns(fusionpy.FusionWarning, match="`town`"):
        model = fusionpy.train(DONOR, Y, X, weight="w", fsn=path, hyper=HYPER, **TINY)
    with zipfile.ZipFile(path) as archive:
        return model, {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def snapshots() -> Iterator[dict[str, str]]:
    found = read_snapshots()
    yield found
    if UPDATE:
        text = "".join(f"== {name}\n{found[name]}\n\n" for name in CASES if name in found)
        SNAPSHOTS.write_text(text, encoding="utf-8")


def read_snapshots() -> dict[str, str]:
    text = SNAPSHOTS.read_text(encoding="utf-8") if SNAPSHOTS.exists() else ""
    sections = [section.split("\n", 1) for section in re.split(r"^== ", text, flags=re.MULTILINE)[1:]]
    return {name: content.strip("\n") for name, content in sections}


@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
@pytest.mark.parametrize("name", CASES)
def test_message(name, trained, snapshots, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with monkeypatch.context() as patch, pytest.raises(FusionError) as caught:
        CASES[name](Bench(folder, patch, *trained))
    error = caught.value
    message = str(error).replace(str(folder), "<folder>").replace(str(tmp_path), "<tmp>")
    message = re.sub(r"'[^']*/shared/", "'<shared>/", message)
    message = re.sub(r"written: \S*\.\.\.\S*", "written: <a long path>", message)
    message = re.sub(r"claims to unpack to [\d,]+ bytes", "claims to unpack to <n> bytes", message)
    assert type(error) is not FusionError
    assert list(folder.iterdir()) == []  # nothing half-written
    assert error.__cause__ is None  # a reader needs no library's traceback
    assert error.__suppress_context__ or error.__context__ is None
    lines = message.split("\n")
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 200
    assert all(line.isprintable() for line in lines)
    told = f"{type(error).__name__}: {message}"
    if UPDATE:
        snapshots[name] = told
    assert told == snapshots.get(name, "")


def test_snapshots_are_of_these_cases():
    if not UPDATE:
        assert list(read_snapshots()) == list(CASES)


def test_problems_are_kept_as_data():
    error = FusionError("No.", [f"Problem {i}." for i in range(20)], "Mend them.")
    assert len(error.problems) == 20
    assert error.headline == "No."
    assert str(error).splitlines()[-2:] == ["  x ... and 12 more.", "  i Mend them."]
    problems = Problems(FusionError, "No.")
    problems.add("Twice.")
    problems.add("Twice.")
    assert problems.found == ["Twice."]


def test_warnings_name_what_was_changed(trained, tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, *trained)
    with pytest.warns(fusionpy.FusionWarning, match=r"^2 negative weights in `w`: taken as 0\.$"):
        bench.train(bench.donor(w=DONOR["w"].mask(DONOR.index < 2, -1)), weight="w")
    with pytest.warns(
        fusionpy.FusionWarning, match=r"^`hyper` entry 'max_bin' takes one value only: .* 15, is"
    ):
        bench.train(hyper={**HYPER, "max_bin": [15, 31]})
    for hyper, told in (
        (
            {"num_leafs": 31},
            r"^`hyper` entry 'num_leafs' has no effect: no such .* \(is 'num_leaves' meant\?\)",
        ),
        (
            {"n_estimators": 7},
            r"'n_estimators' has no effect: 'num_iterations', which means the same, is set",
        ),
        ({"random_state": 7}, r"'random_state' has no effect: `seed` of `train\(\)` is the one that counts"),
        ({"n_jobs": 2}, r"'n_jobs' has no effect: `cores` of `train\(\)` says it"),
        ({"objective": "huber"}, r"'objective' has no effect: every model keeps the objective"),
        ({"lambda_l2": 2, "reg_lambda": 3}, r"'reg_lambda' has no effect: 'lambda_l2', which means the same"),
    ):
        with pytest.warns(fusionpy.FusionWarning, match=told) as caught:
            bench.train(hyper={**HYPER, **hyper})
        assert [Path(each.filename) for each in caught] == [Path(__file__)]
    with pytest.warns(fusionpy.FusionWarning, match=r"^`nfolds`: \d+ folds, as a model has no more donors"):
        bench.train(bench.donor().head(60), nfolds=10**4, hyper={"num_iterations": 2})
    with pytest.warns(fusionpy.FusionWarning, match=r"^`krange` is taken as \(6, 20\)"):
        bench.train(krange=[20.5, 5.5])
    with pytest.warns(
        fusionpy.FusionWarning, match=r"^`income`: all donors of positive weight have the same"
    ):
        bench.train(bench.donor(income=1.5))
    with pytest.warns(fusionpy.FusionWarning, match=r"nominal, their levels sorted: `town`\.$") as caught:
        bench.train(x=["age", "town"])
    assert Path(caught[0].filename) == Path(__file__)  # the user's line, not ours


WARNING = {  # calls that warn, the deepest last
    "monotonic": lambda model: fusionpy.monotonic(
        [1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, 5], w=[1, 1, np.nan, 1, 1]
    ),
    "train": lambda model: fusionpy.train(DONOR.assign(income=1.5), Y, X, hyper=HYPER, **TINY),
    "train, a listener's line": lambda model: fusionpy.train(
        DONOR, Y, X, krange=[20.5, 5.5], hyper=HYPER, **TINY
    ),
    "fuse": lambda model: fusionpy.fuse(RECIPIENT.assign(age=10**6), model, seed=1, quiet=True),
    "impute": lambda model: fusionpy.impute(
        DONOR[["age", "rent", "w"]].assign(w=DONOR["w"].mask(DONOR.index < 2, -1), rent=gaps("rent")),
        weight="w",
        seed=1,
        quiet=True,
    ),
    "prep_xy": lambda model: fusionpy.prep_xy(DONOR, ["income", "rent"], ["age", "town"], seed=1, quiet=True),
    "analyze": lambda model: fusionpy.analyze({"mean": "rent"}, DONOR.assign(M=1)),
    "analyze, a table's margins": lambda model: fusionpy.analyze(
        {"mean": "rent"}, pd.concat([DONOR.assign(M=m, rent=1.0) for m in (1, 2)]), quiet=True
    ),
}


@pytest.mark.parametrize("call", WARNING)
def test_warnings_name_the_line_that_called(call, trained):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WARNING[call](trained[0])
    assert caught
    assert {Path(each.filename) for each in caught} == {Path(__file__)}


def test_warnings_find_their_line_in_one_place():
    package = Path(fusionpy.__file__).parent
    texts = {file.relative_to(package).as_posix(): file.read_text() for file in package.rglob("*.py")}
    assert [name for name, text in texts.items() if re.search(r"warnings\.warn|stacklevel", text)] == [
        "errors.py"
    ]


def test_numbers_of_every_make_are_taken(trained, tmp_path, monkeypatch):
    """numpy's, and R's, which has 5.0 for 5; all of them can be written to an archive."""
    bench = Bench(tmp_path, monkeypatch, *trained)
    bench.train(
        y=np.array(["income"]),
        x=pd.Index(["age", "region"]),
        nfolds=np.int64(2),
        nquantiles=2.0,
        nclusters=float("inf"),
        krange=np.array([5, 20]),
        seed=3.0,
        hyper={
            **HYPER,
            "num_leaves": np.array([4, 8]),
            "learning_rate": np.float64(0.2),
            "min_data_in_leaf": None,
        },
        fsn=tmp_path / "model.fsn",
    )
    options = fusionpy.read_fsn(tmp_path / "model.fsn").options
    assert (options.nfolds, options.nquantiles, options.nclusters, options.krange) == (2, 2, 0, (5, 20))
    assert options.hyper["num_leaves"] == [4, 8]
    assert options.hyper["min_data_in_leaf"] == 20
    bench.fuse(M=2.0, kblock=np.int32(7), offset=3.0, chunk=np.int64(10), margin=-3, retain=np.array(["id"]))


def test_names_and_values_are_shown_briefly():
    assert few(["a" * 50]) == f"'{'a' * 19}...'"
    assert few(["two\nlines"]) == "'two\\nlines'"
    assert shown(np.float64(1.5)) == "1.5"
    assert shown(pd.DataFrame({"a": range(1000)})) == "DataFrame"
    assert shown(np.arange(1000)) == "ndarray"
    assert len(shown({str(i): list(range(50)) for i in range(50)})) < 150
    assert len(shown("x" * 1000)) < 40
    assert shown(None) == "None"
    assert len(shown(10**100)) < 40


def test_whole_numbers_and_seeds():
    assert is_whole(np.int32(5), 5)
    assert not is_whole(None, 0)
    assert not is_whole(float("nan"), 0)
    assert settle_seed(5.0) == 5
    assert 0 <= settle_seed(None) < 2**31
    with pytest.raises(fusionpy.ArgumentError, match="`seed`"):
        settle_seed("x")


def test_nothing_is_wrong_with_the_bench(trained, tmp_path, monkeypatch):
    """What the cases change is right to begin with."""
    bench = Bench(tmp_path / "work", monkeypatch, *trained)
    bench.folder.mkdir()
    bench.train()
    bench.fuse()
    bench.read()
    bench.manifest(lambda m: None)
    bench.table("fusionpy~donor.parquet")
