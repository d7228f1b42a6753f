"""Files that are built to harm are refused before they do, and files that only look like them are read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import bombs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import fuzz_parquet
from pacing import slow

import fusionpy
from fusionpy.cli.surveys import open_survey
from fusionpy.errors import ArgumentError, FusionError
from fusionpy.formats.notes import read_json
from fusionpy.formats.pages import open_scale
from fusionpy.formats.stored import open_stored

ROOT = Path(bombs.__file__).parents[1]
MOST_MB = 200
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks of memory: on Linux only"
)


@pytest.mark.slow
@linux
def test_bombs_do_not_go_off():
    """In a process of its own: each is refused, by an error of ours, in little memory and time."""
    places = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    told = subprocess.run(
        [sys.executable, bombs.__file__, "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    outcomes = [bombs.Outcome(**json.loads(line)) for line in told.stdout.splitlines()]
    assert len(outcomes) > 80
    assert [each for each in outcomes if not each.error or each.error.startswith("!")] == []
    assert [each for each in outcomes if each.megabytes > MOST_MB] == []
    assert [each for each in outcomes if each.seconds > 10] == []  # some 10 times what they take


# Files that only look like bombs


def write(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


def constant(value: object, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value]))


@pytest.mark.parametrize("options", [{}, {"row_group_size": 2**22}, {"data_page_version": "2.0"}])
@pytest.mark.parametrize(
    "text",
    [
        "a level of some length, as codebooks have them",
        pytest.param("a whole question? " * 7, marks=pytest.mark.slow),
    ],
)
def test_columns_of_one_value_are_read(tmp_path, options, text):
    n, M = 400_000, 5
    table = pa.table(
        {
            "M": pa.array(np.repeat(np.arange(1, M + 1, dtype=np.int32), n)),
            "level": constant(text, n * M),
            "one": np.tile(np.repeat([1.0, 2.0], n // 2), M),
        }
    )
    path = write(tmp_path / "fused.parquet", table, compression="zstd", **options)
    assert path.stat().st_size < 2**17
    found = fusionpy.read_fsd(path, M=None, kind="pyarrow")
    assert found.num_rows == n * M
    assert found["level"].cast(pa.string()).unique().to_pylist() == [table["level"][0].as_py()]
    assert fusionpy.analyze("mean(one)", path, quiet=True)["est"].tolist() == [1.5]


def odd_survey(n: int) -> pa.Table:
    """What users' own files may hold."""
    rng = np.random.default_rng(1)
    words = pa.array([f"{i} " + "long answer " * rng.integers(1, 9) for i in range(n // 4)])
    return pa.table(
        {
            "id": [f"hh-{i:09d}" for i in range(n)],
            "answer": words.take(pa.array(rng.integers(0, len(words), n))),
            "level": words[:9].take(pa.array(rng.integers(0, 9, n))).dictionary_encode(),
            "list": pa.array([list(range(i % 7)) for i in range(n)]),
            "texts": pa.array([["a", "b" * 40] * (i % 3) for i in range(n)]),
            "record": pa.array([{"a": i, "b": "x" * 30, "c": [i]} for i in range(n)]),
            "map": pa.array([[("k" * 30, i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
            "bytes": pa.array([b"0123456789abcdef"] * n, pa.binary(16)),
            "decimal": pa.array(range(n)).cast(pa.decimal128(30, 2)),
            "null": pa.nulls(n),
            "flag": rng.random(n) < 0.5,
            "a.b": rng.normal(size=n),
            "M": pa.array(np.ones(n, np.int32)),
        }
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none", "use_dictionary": False},
        {"compression": "gzip", "data_page_version": "2.0", "row_group_size": 700},
        {
            "use_dictionary": False,
            "column_encoding": {"answer": "DELTA_BYTE_ARRAY", "id": "DELTA_LENGTH_BYTE_ARRAY"},
        },
        {"dictionary_pagesize_limit": 2000, "data_page_size": 500, "write_page_index": True},
    ],
    ids=["usual", "plain", "small groups", "deltas", "small pages"],
)
def test_columns_of_any_kind_are_read(tmp_path, options):
    table = odd_survey(3_000)
    path = write(tmp_path / "survey.parquet", table, **options)
    stored = open_stored(path)
    assert stored.read(0, 3_000, stored.names).equals(table)
    assert stored.read(1_000, 9, ["texts", "a.b"]).equals(table.slice(1_000, 9).select(["texts", "a.b"]))


def test_repeated_texts_are_weighed_to_the_byte(tmp_path):
    """Where the longest text times the rows would be too much, the texts themselves count."""
    n = 60_000
    values = pa.array(["x" * 50_000, *[f"{i % 50}" for i in range(n - 1)]])
    path = write(tmp_path / "a.parquet", pa.table({"M": pa.array(np.ones(n, np.int32)), "t": values}))
    assert path.stat().st_size * 2**9 < n * 50_000 - 2**25
    assert len(fusionpy.read_fsd(path)) == n


def test_many_row_groups_count_together(tmp_path):
    """What one row group may hold, all of them together may not."""
    text = constant("x" * 2**20, 28)
    table = pa.table({"M": pa.array([1] * 28 * 20, pa.int32()), "t": pa.chunked_array([text] * 20)})
    path = write(
        tmp_path / "a.parquet",
        table.replace_schema_metadata(),
        row_group_size=28,
        store_schema=False,
        compression="zstd",
    )
    metadata = pq.read_metadata(path)
    scale = open_scale(path, metadata)
    scale.weigh([3], ["t"])
    assert path.stat().st_size < 20_000
    with pytest.raises(OSError, match="column `t` takes memory out of all proportion"):
        scale.weigh(range(20), ["t"])
    scale.weigh([4], ["t"])


@pytest.mark.filterwarnings("ignore::fusionpy.errors.FusionWarning")  # of margins: two records say little
def test_notes_that_pandas_cannot_follow_are_passed_over(tmp_path):
    table = pa.table({"M": pa.array([1, 1, 2, 2], pa.int32()), "x": [1.0, 2.0, 1.0, 2.0]})
    column = {
        "name": "x",
        "field_name": "x",
        "pandas_type": "float64",
        "numpy_type": "float64",
        "metadata": None,
    }
    for notes in (
        b"[" * 100_000,
        b"5",
        b"{}",
        json.dumps({"columns": [column], "index_columns": ["gone"], "column_indexes": []}).encode(),
        json.dumps({"columns": [{"name": "x"}], "index_columns": [], "column_indexes": [5]}).encode(),
    ):
        path = write(
            tmp_path / "a.parquet", table.replace_schema_metadata({"pandas": notes, "fusionpy": notes})
        )
        assert fusionpy.read_fsd(path)["x"].tolist() == [1, 2]
        assert fusionpy.analyze("mean(x)", path, quiet=True)["est"].tolist() == [1.5]
        assert open_survey(str(path)).read(["x"]).to_pandas()["x"].tolist() == [1, 2, 1, 2]


def test_notes_of_pandas_are_kept(tmp_path):
    frame = pd.DataFrame({"M": np.ones(3, np.int32), "x": pd.array([1, None, 2**53 + 1], "Int64")})
    frame.to_parquet(tmp_path / "a.parquet")
    assert open_stored(tmp_path / "a.parquet").read(0, 3, ["M", "x"]).to_pandas()["x"].dtype == "Int64"


def test_json_is_read_under_a_limit():
    values = [{}, [], "a, [b] {c}", 1.5, None] * 50_000
    content = json.dumps(values).encode()
    assert read_json(content) == values
    for content, size in (
        (b"[" + b"[]," * 2**19 + b"1]", 10_000),
        (b"[" * 10**6, None),
        (b'{"a":' * 10**5, None),
    ):
        with pytest.raises(ValueError, match=r"too many|too deep|more values"):
            read_json(content, size)


@pytest.mark.parametrize("seed", [0, slow(1), slow(2)])
def test_random_parquet_files(tmp_path, seed):
    assert fuzz_parquet(tmp_path, 120, seed).wrong == []


def test_a_folder_is_refused_by_its_record_alone(tmp_path):
    for name, path in bombs.folder_bombs(tmp_path).items():
        with pytest.raises(FusionError, match=r"not complete|damaged"):
            fusionpy.read_fsd(path)
        assert name


def test_csv_of_many_columns_is_read_if_the_file_is_as_large(tmp_path):
    n = 3_000
    names = ",".join(f"c{j}" for j in range(n))
    (tmp_path / "a.csv").write_text(f"{names}\n" + ",".join(["1"] * n) + "\n")
    assert len(open_survey(str(tmp_path / "a.csv")).names) == n
    rng = random.Random(1)
    (tmp_path / "wide.csv").write_text(",".join(f"c{rng.random()}" for _ in range(25_000)) + "\n")
    with pytest.raises(ArgumentError, match="25,000 columns"):
        open_survey(str(tmp_path / "wide.csv"))
