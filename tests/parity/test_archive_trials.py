"""The original's answers to doctored archives: our simulator gives them, and our reader no others in silence.

`archive_trials.json` has what `fuse()` and `importance()` of fusionModel 2.4.0 did with archives that were
changed in one way each. The same is done here to archives of ours. Where the original draws the same as
before, so must we, or refuse by an error; where it stops, we may read what it cannot, but nothing else.
"""

# ruff: noqa: PD011 (values of an RValue)

from __future__ import annotations

import functools
import gzip
import io
import json
import lzma
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import original
import pandas as pd
import pyarrow as pa
import pytest
from archived import FAST, X
from pacing import quick
from stripped import BLOCK, MANY, RECIPIENTS, TINY, as_text, strip

import fusionpy
from fusionpy.errors import ArchiveError, FusionError
from fusionpy.formats.fst import pack_fst, read_fst
from fusionpy.formats.rds import read_rds
from fusionpy.formats.rds.values import NA_INTEGER, RValue, call, character, double, integer, r_list
from fusionpy.formats.rds.writer import write_rds

Members = list[tuple[str, bytes]]
TRIALS = Path(__file__).resolve().parents[3] / "shared/reference/original/archive_trials.json"
Y = ["grade", "owns.car", BLOCK, "income", "rent"]  # what the trials' archive of five steps has, in its order
LEVELS, LOGICAL, BLOCKED, SOLO, ZERO = range(5)
STEPS = {
    "base5": Y,
    "base11": [f"y{j}" for j in range(9)] + ["grade", "owns.car"],
    "base101": [f"z{j}" for j in range(101)],
}
FRAME = pd.concat(
    [MANY, pd.DataFrame({f"z{j}": MANY[f"y{j}"] > MANY[f"y{j}"].median() for j in range(101)})], axis=1
)
JUNK = b"This is no model.\n"


class Base:
    """An untouched archive, ours or stripped to what R reads, and what is drawn from it."""

    def __init__(self, path: Path, kind: str) -> None:
        with zipfile.ZipFile(path) as archive:
            self.members = [(name, archive.read(name)) for name in archive.namelist()]
        self.recipients = RECIPIENTS.head(1) if "101" in path.name else RECIPIENTS
        self.fuse = outcome(original.fuse, path, self.recipients)
        self.importance = outcome(original.importance, path)
        self.ours = ours(path, kind, self.recipients)

    def donors(self) -> pa.Table:
        return read_fst(dict(self.members)["donor.fst"])


def outcome(verb: Callable[..., object], *arguments: object) -> object:
    try:
        return verb(*arguments)
    except original.Fails:
        return None


def ours(path: Path, kind: str, recipients: pd.DataFrame) -> object:
    """What our own reader draws; None if it refuses. R has levels as text."""
    if kind == "stripped":
        recipients = recipients.assign(**{name: as_text(recipients[name]) for name in ("region", "size")})
    try:
        fused = fusionpy.fuse(recipients, path, M=5, seed=1, quiet=True)
    except FusionError:
        return None
    return fused.to_dict("list"), fused.dtypes.astype(str).to_dict()


@pytest.fixture(scope="module")
def paths(shared, tmp_path_factory):
    """Give the paths of an archive, which is trained when it is first asked for."""
    assert shared
    folder = tmp_path_factory.mktemp("trials")

    @functools.cache
    def train(name):
        arguments = {**FAST, "refits": 1, "nclusters": 40, "krange": (5, 40)}
        arguments |= {} if name == "base5" else {**TINY, "refits": 0, "nfolds": 0.7}
        path = folder / f"{name}.fsn"
        fusionpy.train(FRAME, STEPS[name], X, weight="w", **arguments, fsn=path)
        return {"whole": path, "stripped": strip(path, folder / f"{name}-r.fsn")}

    return train


@pytest.fixture(scope="module")
def bases(paths):
    made: dict[tuple[str, str], Base] = {}

    def get(name: str, kind: str) -> Base:
        if (name, kind) not in made:
            made[name, kind] = Base(paths(name)[kind], kind)
        return made[name, kind]

    return get


def pack(members: Members, path: Path, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(name, content)


# What was done to the archive


def added(*extra: tuple[str, bytes], first: bool = False) -> Callable[[Members], Members]:
    return lambda members: [*extra, *members] if first else [*members, *extra]


def renamed(*folders: str) -> Callable[[Members], Members]:
    """Give the steps' folders other names, in their order."""

    def do(members: Members) -> Members:
        old = original.folders_of([name for name, _ in members])
        new = dict(zip(old, folders or old, strict=True))
        return [
            (f"{new[name.split('/')[0]]}/{name.split('/')[1]}" if "/" in name else name, content)
            for name, content in members
        ]

    return do


def numbered(width: int) -> Callable[[Members], Members]:
    def do(members: Members) -> Members:
        n_steps = len(original.folders_of([name for name, _ in members]))
        return renamed(*(f"{n:0{width}d}" for n in range(1, n_steps + 1)))(members)

    return do


def copied(old: str, new: str) -> Callable[[Members], Members]:
    return lambda members: [*members, (new, dict(members)[old])]


def without(*wanted: str) -> Callable[[Members], Members]:
    return lambda members: [(name, content) for name, content in members if not name.startswith(wanted)]


def without_one_of_many(members: Members) -> Members:
    """Leave out a model whose predictors other models of its variable have, too."""
    uses = {
        name: {x for x, gain in zip(m.feature_name(), m.feature_importance("gain"), strict=True) if gain > 0}
        for name, content in members
        if name.startswith(("4/", "5/"))
        for m in [original.load(content)]
    }
    name = next(
        name
        for name, used in uses.items()
        if "_q" in name
        and used <= set().union(*(u for n, u in uses.items() if n[:2] == name[:2] and n != name))
    )
    return without(name)(members)


def shuffled(members: Members) -> Members:
    return [members[j] for j in np.random.default_rng(1).permutation(len(members))]


NOISE = np.random.default_rng(2).bytes(300_000)
ARCHIVE: dict[str, Callable[[Members], Members]] = {
    **dict.fromkeys(("a_bzip2", "a_comment", "a_deflate", "a_lzma", "a_stored", "a_stream", "a_zip64"), list),
    "a_dirs": lambda m: [*((f"{folder}/", b"") for folder in original.folders_of([n for n, _ in m])), *m],
    "a_reversed": lambda m: m[::-1],
    "a_shuffled": shuffled,
    "b_big": added(("noise.bin", NOISE)),
    "b_hidden": added((".hidden", b"x")),
    "b_manifest": added(("theirs.json", b"{}")),
    "b_manifest_first": added(("theirs.json", b"{}"), first=True),
    "b_many": added(("a_m.txt", JUNK), ("insulation_m.txt", JUNK), ("zzz.rds", b"x"), ("extra", b"x")),
    "b_nested_zip": added(("nested.zip", b"PK\3\4" + NOISE[:999])),
    "b_noext": added(("extra", b"x")),
    "b_number": added(("6", b"x")),
    "c_dir": added(("ours/x.json", b"{}")),
    "c_dir_deep": added(("ours/1/0/grade_m.txt", JUNK)),
    "c_dir_txt": added(("ours/x.txt", JUNK)),
    "c_empty_dir_after": added(("zzz/", b"")),
    "c_empty_dir_before": added(("000/", b""), first=True),
    "c_empty_dir_only_after_99": added(("99/", b"")),
    "c_hidden_dir": added((".ours/x.json", b"{}")),
    "d_step_aaa_json_block": added(("3/aaa.json", b"{}"), first=True),
    "d_step_bin": added(("4/centres.parquet", NOISE[:99])),
    "d_step_hidden": added(("1/.hidden", b"x")),
    "d_step_json": added(("1/extra.json", b"{}")),
    "d_step_json_block": added(("3/extra.json", b"{}")),
    "d_step_json_last": added(("5/extra.json", b"{}")),
    "d_step_other_kind": copied("4/income_m.txt", "4/income_b.txt"),
    "d_step_sub": added(("1/sub/x.bin", b"x")),
    "d_step_txt_junk": added(("4/junk.txt", JUNK)),
    "d_step_txt_model": copied("1/grade_m.txt", "1/foo_m.txt"),
    "d_step_txt_q9": copied("4/income_m.txt", "4/income_q9.txt"),
    "e_02": numbered(2),
    "e_case": renamed("a", "B", "c", "D", "e"),
    "e_dot": lambda m: [(f"./{name}", content) for name, content in m],
    "e_flat_models": lambda m: [(name.replace("/", "_"), content) for name, content in m],
    "e_gap": renamed("1", "3", "5", "7", "9"),
    "e_letters": renamed(*"abcde"),
    "e_missing_model": without_one_of_many,
    "e_missing_step": without("1/"),
    "e_mixed_width": renamed("1", "2", "03", "4", "5"),
    "e_nested": lambda m: [(f"m/{name}", content) for name, content in m],
    "e_reversed_names": renamed("5", "4", "3", "2", "1"),
    "e_space": renamed(*(f"step {n}" for n in range(5))),
    "e_step": renamed(*(f"step{n}" for n in range(1, 6))),
    "e_zero_based": renamed(*"01234"),
    "f_1_10_2": renamed("1", "10", "11", "12", "2"),
    "f_1_2_10": renamed("1", "2", "10", "11", "12"),
    "f_dir_rds": copied("metadata.rds", "meta/metadata.rds"),
    "f_dup_member": copied("4/income_m.txt", "4/income_m.txt"),
    "f_minus": renamed("-1", "-2", "0", "1", "2"),
    "f_perm": renamed(*"caebd"),
    "f_perm_shuffled": lambda m: shuffled(renamed(*"caebd")(m)),
    "f_step_readme_fst": copied("donor.fst", "2/donor.fst"),
    "f_two_y_folders": copied("4/income_m.txt", "6/income_m.txt"),
    "f_upper_first": renamed(*"ABcde"),
    **{f"base{n}_same": list for n in (11, 101)},
    **{f"base{n}_unpadded": numbered(1) for n in (11, 101)},
    **{f"base{n}_wide": numbered(6) for n in (11, 101)},
    "base101_width2": numbered(2),
}


def write(case: str, members: Members, path: Path) -> None:
    """Write the members into a container as the case wants it."""
    methods = {"a_bzip2": zipfile.ZIP_BZIP2, "a_lzma": zipfile.ZIP_LZMA, "a_stored": zipfile.ZIP_STORED}
    pack(members, path, methods.get(case, zipfile.ZIP_DEFLATED))
    if case == "a_comment":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"a comment"
    if case in ("a_stream", "a_zip64"):

        class Stream(io.BytesIO):
            def seekable(self) -> bool:
                return case != "a_stream"

            def seek(self, *place: int) -> int:
                if case == "a_stream":
                    raise io.UnsupportedOperation
                return super().seek(*place)

        stream = Stream()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                with archive.open(name, "w", force_zip64=case == "a_zip64") as member:
                    member.write(content)
        path.write_bytes(stream.getvalue())


def trials(part: str) -> list[str]:
    return sorted(json.loads(TRIALS.read_text())[part]) if TRIALS.exists() else []


def answers(part: str, case: str) -> dict[str, object]:
    return json.loads(TRIALS.read_text())[part][case]


def told(found: object, before: object) -> str:
    return "fails" if found is None else "same" if found == before else "runs, differs"


# What we refuse though the original reads it: for safety, or since nobody could tell what was meant.
REFUSED = {
    "f_dup_member": "of two members of one name nobody knows which is meant",
    "without_xlevels": "levels could not be compared, so codes would be taken for others in silence",
    "kneighbors_ragged_na_only_row": "a centre without donors",
}
# What the simulator cannot show.
NOT_SHOWN = {"rds_ascii": "numbers lose their last digits, by which hardly any draw changes"}


@pytest.mark.parametrize(
    "case",
    quick(
        trials("archive"),
        (
            "a_reversed a_stream b_many b_manifest_first c_dir_txt c_empty_dir_before d_step_json_block "
            "d_step_txt_model e_gap e_missing_model e_reversed_names f_1_10_2 f_dup_member base11_unpadded"
        ).split(),
    )
    or ["(no ../shared)"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive(bases, case, tmp_path):
    """The simulator on a whole archive of ours; our reader on that and on what R reads of it."""
    name = case.split("_")[0] if case.startswith("base") else "base5"
    whole, stripped = bases(name, "whole"), bases(name, "stripped")
    path = tmp_path / "trial.fsn"
    write(case, ARCHIVE[case](whole.members), path)
    answer = answers("archive", case)
    assert told(outcome(original.fuse, path, whole.recipients), whole.fuse) == answer["fuse"]
    listed = outcome(original.importance, path)
    assert told(listed, whole.importance) == answer["importance"]
    assert whole.ours is not None
    assert ours(path, "whole", whole.recipients) in (
        None,
        whole.ours,
    )  # by our manifest: as before, or not at all
    write(case, ARCHIVE[case](stripped.members), path)
    if "importance_rows" in answer:
        listed, rows = outcome(original.importance, path), answer["importance_rows"]
        for count, part in ((len, "detailed"), (lambda each: len(original.summary(each)), "summary")):
            change = np.sign(rows[part] - rows[f"untouched_{part}"])
            assert np.sign(count(listed) - count(stripped.importance)) == change, part
    check_ours(case, answer["fuse"], ours(path, "stripped", stripped.recipients), stripped.ours)


def test_a_model_of_zeros_more_or_less_is_told(bases, tmp_path):
    """The file alone says whether zeros are drawn, so R's list of what was tried is asked as well."""
    members = bases("base5", "stripped").members
    path = tmp_path / "trial.fsn"
    for edited in (without("5/rent_z.txt")(members), copied("5/rent_z.txt", "4/income_z.txt")(members)):
        pack(edited, path)
        with pytest.raises(ArchiveError, match=r"_z\.txt' is"):
            fusionpy.read_fsn(path)


def check_ours(case: str, answer: str, found: object, before: object) -> None:
    """Our reader: what R takes for the same is the same; nothing else is read in silence."""
    assert before is not None
    if answer == "same":
        assert (found is None) if case in REFUSED else (found == before)
    elif answer == "runs, differs":
        assert found != before
    else:
        assert found in (None, before)


def test_all_archives_were_tried(shared):
    assert shared
    assert set(ARCHIVE) == set(trials("archive"))
    assert set(METADATA) | set(NOT_SHOWN) == set(trials("metadata_donor_models"))


# What was done to metadata, donors and models

Entries = dict[str, RValue | None]


def entries(edit: Callable[[Entries], Entries]) -> Callable[[Base], dict[str, bytes]]:
    """Edit the entries of the metadata."""

    def do(base: Base) -> dict[str, bytes]:
        about = read_rds(dict(base.members)["metadata.rds"]).entries()
        return {"metadata.rds": write_rds(r_list(edit(dict(about))))}

    return do


def entry(key: str, edit: Callable[[RValue], RValue | None]) -> Callable[[Base], dict[str, bytes]]:
    return entries(lambda about: about | {key: edit(about[key])})


def at_step(key: str, step: int, edit: Callable[[RValue], RValue]) -> Callable[[Base], dict[str, bytes]]:
    def do(value: RValue) -> RValue:
        values = list(value.values)
        values[step] = edit(values[step])
        return replace(value, values=tuple(values))

    return entry(key, do)


def reversed_value(value: RValue) -> RValue:
    """Elements and their names the other way round."""
    values = value.values[::-1].copy() if isinstance(value.values, np.ndarray) else value.values[::-1]
    attributes = dict(value.attributes)
    if value.names is not None:
        attributes["names"] = character(value.names[::-1])
    return replace(value, values=values, attributes=attributes)


def narrowed(n: int) -> Callable[[RValue], RValue]:
    def do(value: RValue) -> RValue:
        table = value.values.reshape(value.dim, order="F")[:, :n]
        return matrix_of(table)

    return do


def matrix_of(table: np.ndarray) -> RValue:
    make = double if table.dtype.kind == "f" else integer
    return RValue(make([1]).kind, table.ravel(order="F"), {"dim": integer(table.shape)})


def as_double(value: RValue) -> RValue:
    table = value.values.reshape(value.dim, order="F")
    return matrix_of(np.where(table == NA_INTEGER, np.nan, table.astype(float)))


def zero_padded(value: RValue) -> RValue:
    table = value.values.reshape(value.dim, order="F")
    return matrix_of(np.where(table == NA_INTEGER, 0, table).astype(np.int32))


def with_a_row_of_nothing(value: RValue) -> RValue:
    """A further centre's donors are missing; the centre is far from all recipients (see `far`)."""
    table = value.values.reshape(value.dim, order="F")
    return matrix_of(np.vstack([table, np.full((1, table.shape[1]), NA_INTEGER, np.int32)]))


def far(value: RValue) -> RValue:
    table = value.values.reshape(value.dim, order="F")
    names = {"dimnames": r_list([None, character(original.column_names(value))])}
    made = matrix_of(np.vstack([table, np.full((1, table.shape[1]), 1e6)]))
    return replace(made, attributes=made.attributes | names)


def ragged(base: Base) -> dict[str, bytes]:
    def edit(about: Entries) -> Entries:
        def at(key: str, change: Callable[[RValue], RValue]) -> RValue:
            values = list(about[key].values)
            values[SOLO] = change(values[SOLO])
            return replace(about[key], values=tuple(values))

        return about | {
            "kcenters": at("kcenters", far),
            "kneighbors": at("kneighbors", with_a_row_of_nothing),
        }

    return entries(edit)(base)


def donors(edit: Callable[[pa.Table], pa.Table], compress: int = 50) -> Callable[[Base], dict[str, bytes]]:
    return lambda base: {"donor.fst": pack_fst(edit(base.donors()), compress)}


def weights(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Base], dict[str, bytes]]:
    def do(table: pa.Table) -> pa.Table:
        place = table.column_names.index("W")
        return table.set_column(place, "W", pa.array(edit(table["W"].to_numpy())))

    return donors(do)


def models(edit: Callable[[bytes], bytes]) -> Callable[[Base], dict[str, bytes]]:
    """Edit the text of every model that R reads."""
    return lambda base: {n: edit(content) for n, content in base.members if "/" in n}


def positional(content: bytes) -> bytes:
    head, names, tail = (content.partition(b"feature_names=")[j] for j in range(3))
    old, _, rest = tail.partition(b"\n")
    new = b" ".join(b"Column_%d" % j for j in range(len(old.split(b" "))))
    return head + names + new + b"\n" + rest


def rds(change: Callable[[bytes], bytes]) -> Callable[[Base], dict[str, bytes]]:
    return lambda base: {"metadata.rds": change(gzip.decompress(dict(base.members)["metadata.rds"]))}


def version_2(data: bytes) -> bytes:
    """Take away what version 3 tells of the encoding."""
    assert data[:2] == b"X\n"
    version, *versions = struct.unpack_from(">3i", data, 2)
    if version == 2:
        return (
            data[:2]
            + struct.pack(">3i", 3, versions[0], 0x30500)
            + struct.pack(">i", 5)
            + b"UTF-8"
            + data[14:]
        )
    size = struct.unpack_from(">i", data, 14)[0]
    return data[:2] + struct.pack(">3i", 2, *versions) + data[18 + size :]


def named_list(value: RValue) -> RValue:
    return replace(value, attributes={"names": character([f"n{j}" for j in range(len(value))])})


def other_levels(value: RValue) -> RValue:
    first, *others = value.values
    return replace(value, values=(character([*first.values[:-1], "another"]), *others))


def cut(content: bytes, mark: bytes, keep: bytes = b"") -> bytes:
    return content[: content.index(mark)] + keep


ABSENT = (
    *(
        "xclass",
        "xlevels",
        "yclass",
        "ylevels",
        "ylist",
        "ytype",
        "ptiles",
        "dnames",
        "nobs",
        "timing",
        "version",
    ),
    *("call", "xpreds", "ycenter", "yscale", "kcenters", "kneighbors", "cluster_mean_r2", "hyper_results"),
)
LISTS = ("ylist", "xpreds", "ycenter", "yscale", "kcenters", "kneighbors")
METADATA: dict[str, Callable[[Base], dict[str, bytes]]] = {
    "repacked": entries(dict),
    **{
        f"without_{key}": entries(lambda m, key=key: {k: v for k, v in m.items() if k != key})
        for key in ABSENT
    },
    "extra_field": entries(lambda m: {"more": character(["x"]), **m, "another": None}),
    "reversed_fields": entries(lambda m: dict(reversed(m.items()))),
    "nobs_wrong": entry("nobs", lambda _: integer([1])),
    "version_text": entry(
        "version", lambda _: r_list({"fusionModel": character(["2.4.0"]), "R": character(["4.2"])})
    ),
    "version_higher": entry(
        "version", lambda v: r_list({"fusionModel": r_list([integer([9, 9])]), "R": v.entries()["R"]})
    ),
    "call_minimal": entry("call", lambda _: call("train")),
    "r2_null": entry("cluster_mean_r2", lambda v: r_list([None] * len(v))),
    "rds_uncompressed": rds(bytes),
    "rds_xz": rds(lzma.compress),
    "rds_v2": rds(lambda data: gzip.compress(version_2(data))),
    "donor_extra_column": donors(lambda t: t.append_column("more", pa.array(np.arange(float(len(t)))))),
    "donor_reversed_columns": donors(lambda t: t.select(t.column_names[::-1])),
    "donor_without_W": donors(lambda t: t.drop_columns(["W"])),
    "donor_without_electricity": donors(lambda t: t.drop_columns(["income"])),
    "donor_uncompressed": donors(lambda t: t, 0),
    "donor_compress100": donors(lambda t: t, 100),
    "donor_W_double": weights(lambda w: w.astype(float)),
    "donor_y_double": donors(lambda t: t.set_column(0, t.column_names[0], t.column(0).cast(pa.float64()))),
    "donor_W_zero_some": weights(lambda w: np.where(np.arange(len(w)) % 3, w, 0)),
    "donor_W_fraction": weights(lambda w: w * (0.3 + np.arange(len(w)) % 5)),
    "donor_two_more_rows": donors(lambda t: pa.concat_tables([t, t.slice(0, 2)])),
    "kcenters_unnamed": at_step(
        "kcenters", SOLO, lambda v: replace(v, attributes={"dim": v.attributes["dim"]})
    ),
    "lists_named": entries(lambda m: m | {key: named_list(m[key]) for key in LISTS}),
    "block_pool_10_columns": at_step("kneighbors", BLOCKED, narrowed(10)),
    "block_pool_5_columns": at_step("kneighbors", BLOCKED, narrowed(5)),
    "ycenter_order": at_step("ycenter", SOLO, reversed_value),
    "xpreds_order": at_step("xpreds", SOLO, reversed_value),
    "ptiles_changed": entry("ptiles", lambda v: replace(v, values=v.values * 0.9)),
    "dnames_order": entry("dnames", reversed_value),
    "neigh_double": at_step("kneighbors", SOLO, as_double),
    "model_without_importances_and_parameters": models(lambda t: cut(t, b"\nfeature_importances:")),
    "model_without_parameters": models(lambda t: cut(t, b"\nparameters:")),
    "model_feature_names_positional": models(positional),
    "xclass_order": entry("xclass", reversed_value),
    "xlevels_differ": entry("xlevels", other_levels),
    "ytype_unnamed_order": entry("ytype", reversed_value),
    "yclass_order": entry("yclass", reversed_value),
    "ylevels_order": entry("ylevels", reversed_value),
    "yclass_integer_double": entries(
        lambda m: m | {"yclass": r_list(m["yclass"].entries() | {"income": character(["integer"])})}
    ),
    "kneighbors_as_zero_padded": at_step("kneighbors", SOLO, zero_padded),
    "kneighbors_ragged_na_only_row": ragged,
    "ylist_block_order": at_step("ylist", BLOCKED, reversed_value),
    "model_crlf": models(lambda t: t.replace(b"\n", b"\r\n")),
}


@pytest.mark.parametrize(
    "case",
    quick(
        sorted(set(trials("metadata_donor_models")) - set(NOT_SHOWN)),
        (
            "repacked without_nobs without_xlevels without_kneighbors reversed_fields rds_v2 rds_xz "
            "lists_named donor_without_W donor_y_double donor_W_fraction donor_two_more_rows "
            "block_pool_10_columns kcenters_unnamed kneighbors_ragged_na_only_row ptiles_changed "
            "xlevels_differ model_crlf model_without_parameters model_feature_names_positional ylevels_order"
        ).split(),
    )
    or ["(no ../shared)"],
)
def test_metadata_donors_and_models(bases, case, tmp_path):
    base = bases("base5", "stripped")
    edited = METADATA[case](base)
    path = tmp_path / "trial.fsn"
    members = [(name, edited.get(name, content)) for name, content in base.members]
    assert members != base.members or case in ("repacked", "call_minimal", "donor_y_double")
    pack(members, path)
    answer = answers("metadata_donor_models", case)
    fuses = "fails" if answer["fuse"] == "R aborts" else answer["fuse"]
    assert told(outcome(original.fuse, path, RECIPIENTS), base.fuse) == fuses
    if answer["importance"] != "not tried":
        assert told(outcome(original.importance, path), base.importance) == answer["importance"]
    check_ours(case, fuses, ours(path, "stripped", RECIPIENTS), base.ours)
