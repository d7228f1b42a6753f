"""Break the code on purpose, a place at a time, and see whether the tests notice.

    python validation/mutation/run.py [--seed 1] [--mutants 12] [--minutes 5] [--only rubin,urns] [--again]

Cosmic Ray says where a module can be broken and how; of those mutants a sample is drawn, keyed by seed and
module, so that more of them are those of before and others. One that changes nothing but annotations,
docstrings or numba's decorators is none. `tests.toml` says which tests are for which folder. They are run
once as the code is; and then, in a copy of the tree, for each mutant those that execute its lines, the
quickest first, until one fails: nothing else could notice it. Tests run in forks of a process that has
imported the libraries, so that a mutant costs its tests and little more; those of kernels run without
numba's compiler and tests marked `compiled`, but for kernels that would be too slow. Python 3.12 or later,
on a system that forks.

What was tried is kept in `tried.json`; `--minutes` ends a run early, and the next goes on from there. A
mutant is known by its module, its place and the text of its line: of a line that changes it is tried anew.
`--again` tries survivors again, after new tests. Then `table.csv` and `survivors.csv` are made, and the
table of README.md is printed. Why a survivor may survive is said in `explained.toml`, by hand.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import csv
import datetime
import difflib
import functools
import hashlib
import importlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path(tempfile.gettempdir()) / f"fusionpy-mutation-{os.getuid()}"  # the copy, and what tests execute
FOLDERS = ("kernels", "drawing", "analysis", "evaluation")
_COMPARISONS = "Lt_LtE LtE_Lt Gt_GtE GtE_Gt Lt_Gt Gt_Lt LtE_GtE GtE_LtE Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is"
_ARITHMETIC = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Div Mod_FloorDiv Pow_Mul BitAnd_BitOr BitOr_BitAnd"
_UNARY = "Delete_USub Delete_Invert Delete_Not"
_OTHERS = (
    "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd "
    "ReplaceBreakWithContinue ReplaceContinueWithBreak NumberReplacer ZeroIterationForLoop"
)
OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in _COMPARISONS.split()),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in _ARITHMETIC.split()),
    *(f"core/ReplaceUnaryOperator_{name}" for name in _UNARY.split()),
    *(f"core/{name}" for name in _OTHERS.split()),
)
SECONDS, TIMES = 60, 8  # of a core a mutant may take so many, or so many times what its tests take without it
WAITED = 20  # and so many times as long in all, as others may use the machine, too
LIBRARIES = (
    "hypothesis lightgbm narwhals numba numpy pandas pyarrow.parquet pytest scipy.optimize scipy.special "
    "scipy.stats sklearn typer xxhash"
)

Mutant = dict[str, Any]


# --- Mutants


class _Bare(ast.NodeTransformer):
    """Takes away what does not change what a function computes."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = [each for each in node.decorator_list if "njit" not in ast.unparse(each)]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(0)
        return self.generic_visit(node)


@functools.lru_cache(maxsize=4)
def bare(code: str) -> str:
    """Dump the code without annotations and numba's decorators."""
    return ast.dump(_Bare().visit(ast.parse(code)))


def mutants(code: str) -> Iterator[tuple[str, int, int]]:
    """Find every place and way to break a module: operator, occurrence, line."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    nodes = list(ast_nodes(get_ast(code)))
    for name in OPERATORS:
        operator = get_operator(name)()
        places = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            yield name, occurrence, start[0]


def mutated(code: str, operator: str, occurrence: int) -> str | None:
    """Break the code; None if that changes nothing."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    changed = mutate_code(code, get_operator(operator)(), occurrence)
    with contextlib.suppress(SyntaxError):
        if changed is not None and bare(changed) != bare(code):
            return str(changed)
    return None


def difference(code: str, changed: str) -> list[str]:
    """Show the lines that differ, before and after."""
    lines = [line for line in difflib.ndiff(code.splitlines(), changed.splitlines()) if line[0] in "-+"]
    return [" ".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+"]


def sample(module: str, code: str, seed: int, number: int) -> tuple[int, list[Mutant]]:
    """Draw mutants of a module; how many there are, about, and those drawn."""
    everything = list(mutants(code))
    random.Random(f"{seed}/{module}").shuffle(everything)
    drawn: list[Mutant] = []
    seen = 0
    for operator, occurrence, line in everything:
        if len(drawn) == number:
            break
        seen += 1
        changed = mutated(code, operator, occurrence)
        if changed is not None:
            before, after = difference(code, changed)
            name = {"operator": operator, "occurrence": occurrence, "before": before, "after": after}
            drawn.append({"module": module, "line": line, **name})
    return round(len(everything) * len(drawn) / max(seen, 1)), drawn


# --- What tests execute


def statement(code: str, line: int) -> range:
    """Lines of the statement that a line is in; of one with a body, its head."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            lines = range(node.lineno, (body[0].lineno if body else (node.end_lineno or line) + 1))
            found += [lines] if line in lines else []
    return min(found, key=len, default=range(line, line + 1))


class _Executed:
    """A plugin of pytest that records how long each test takes, and which lines it executes.

    What a fixture executes counts for all tests of its file, as they may share it; what importing executes,
    for all tests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.context = ""
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []

    def start(self) -> None:
        watch = sys.monitoring
        watch.use_tool_id(watch.PROFILER_ID, "mutation")
        watch.register_callback(watch.PROFILER_ID, watch.events.LINE, self._line)
        watch.set_events(watch.PROFILER_ID, watch.events.LINE)

    def _line(self, code: Any, line: int) -> Any:
        if code.co_filename.startswith(self.folder):
            self.lines[code.co_filename][line].add(self.context)
        return sys.monitoring.DISABLE  # once is enough, in each test

    def _switch(self, context: str) -> None:
        self.context = context
        sys.monitoring.restart_events()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._switch(nodeid.split("::")[0])

    def pytest_runtest_call(self, item: Any) -> None:
        self._switch(item.nodeid)

    def pytest_runtest_teardown(self, item: Any) -> None:
        self._switch(item.nodeid.split("::")[0])

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def result(self) -> dict[str, Any]:
        lines = {name: {n: sorted(found) for n, found in mine.items()} for name, mine in self.lines.items()}
        return {"seconds": self.seconds, "lines": lines, "failed": self.failed}


class _Chosen:
    """A plugin of pytest that runs some tests in a given order, and keeps the name of the first to fail."""

    def __init__(self, order: list[str] | None, file: int) -> None:
        self.order = None if order is None else {name: place for place, name in enumerate(order)}
        self.file = file

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if self.order is not None:
            items[:] = [item for item in items if item.nodeid in self.order]
            items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self.file, report.nodeid.encode() + b"\n")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            os.write(self.file, f"{report.nodeid}, collecting\n".encode())


def in_order(names: Iterable[str], seconds: dict[str, float]) -> list[str]:
    """Put the quickest first, those of a file together, as they may share what is slow."""
    files: dict[str, list[str]] = defaultdict(list)
    for name in names:
        files[name.split("::")[0]].append(name)
    total = {file: sum(seconds[name] for name in mine) for file, mine in files.items()}
    return [
        name
        for file in sorted(files, key=total.__getitem__)
        for name in sorted(files[file], key=seconds.__getitem__)
    ]


def tests_of(mutant: Mutant, code: str, path: str, executed: dict[str, Any]) -> list[str]:
    """Find the tests that execute a mutant's lines."""
    seconds, lines = executed["seconds"], executed["lines"].get(path, {})
    contexts = {name for line in statement(code, mutant["line"]) for name in lines.get(str(line), ())}
    if "" in contexts:
        return in_order(seconds, seconds)
    return in_order(
        (name for name in seconds if name in contexts or name.split("::")[0] in contexts), seconds
    )


# --- Trying


def forked(
    tests: list[str], limit: float, plugin: Any = None, order: list[str] | None = None
) -> tuple[float, str | None, Any]:
    """Run tests in a fork: seconds, the test that failed, and what the plugin found."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        _child(tests, writing, plugin, order)
    os.close(writing)
    status = None
    while status is None and time.monotonic() - began < WAITED * limit:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
        else:
            time.sleep(0.02)
    took = time.monotonic() - began
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    is_endless = status is None or status == -signal.SIGXCPU
    with os.fdopen(reading) as stream:
        first = stream.readline().strip()
    if plugin is not None:
        return took, None, json.loads((WORK / "found.json").read_text())
    return took, "no end" if is_endless else None if status == 0 else first or f"status {status}", None


def _child(tests: list[str], writing: int, plugin: Any, order: list[str] | None) -> None:
    import pytest

    os.setsid()
    output = os.open(WORK / "output.txt", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in (0, 1, 2):
        os.dup2(output, stream)
    status = 1
    try:
        if plugin is None and order is None:  # compiled: what has a broken constant in it is not to be kept
            shutil.rmtree(WORK / "fresh", ignore_errors=True)
            importlib.import_module("numba").config.CACHE_DIR = str(WORK / "fresh")
        if plugin is not None:
            plugin.start()
        how = ["-q", "--assert=plain", "-n", "0", "-p", "no:cacheprovider", *([] if plugin else ["-x"])]
        if os.environ["NUMBA_DISABLE_JIT"] == "1":
            how += ["-m", "not (r or slow or browser or docs or compiled)"]
        status = int(pytest.main([*how, *tests], plugins=[plugin or _Chosen(order, writing)]))
        if plugin is not None:
            (WORK / "found.json").write_text(json.dumps(plugin.result()))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def spent_by(mutants: list[Mutant]) -> dict[str, float]:
    """Run the tests of compiled kernels as the code is: they must pass, and so take some seconds."""
    spent = {}
    for tests in {tuple(mutant["tests"]) for mutant in mutants if "tests" in mutant}:
        took, failed, _ = forked(list(tests), 900)
        if failed:
            raise SystemExit(f"As the code is, this fails: {failed}")
        spent[" ".join(tests)] = took
    return spent


def work(folder: str, is_compiled: bool) -> None:
    """In a process of its own: try a folder's mutants; a line of JSON for each."""
    copy, told = WORK / "tree", json.loads((WORK / "order.json").read_text())
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    for name in LIBRARIES.split():
        importlib.import_module(name)
    from hypothesis import Phase, settings

    phases = [Phase.explicit, Phase.generate]
    how = {"deadline": None, "derandomize": True, "database": None}
    settings.register_profile("mutation", max_examples=25, phases=phases, **how)

    kept = WORK / f"executed-{folder}-{is_compiled}-{digest(folder, told['tests'])}.json"
    if not told["tests"]:
        kept.write_text(json.dumps({"seconds": {}, "lines": {}}))
    elif not kept.exists():
        _, _, executed = forked(told["tests"], 900, _Executed(copy / "fusionpy" / folder))
        for name in executed.pop("failed"):
            print(f"Left out, as it fails already: {name}", file=sys.stderr)
            executed["seconds"].pop(name, None)
        kept.write_text(json.dumps(executed))
    executed = json.loads(kept.read_text())
    sys.dont_write_bytecode = True
    spent = spent_by(told["mutants"])
    for mutant in told["mutants"]:
        path = copy / mutant["module"]
        code = path.read_text()
        changed = mutated(code, mutant["operator"], mutant["occurrence"])
        assert changed is not None
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
        tests, order = mutant.pop("tests", None), None
        if tests is None:
            order = tests_of(mutant, code, str(path), executed)
            tests = list(dict.fromkeys(name.split("::")[0] for name in order))
        needed = spent[" ".join(tests)] if order is None else sum(executed["seconds"][name] for name in order)
        limit = max(SECONDS, TIMES * needed)
        took, noticed = 0.0, None
        if tests:
            path.write_text(changed)
            try:
                took, noticed, _ = forked(tests, limit, None, order)
            finally:
                path.write_text(code)
        print(
            json.dumps(
                {**mutant, "noticed": noticed, "tests": len(order or tests), "seconds": round(took, 1)}
            ),
            flush=True,
        )
        if time.time() > told["until"]:
            break


def copied() -> None:
    """Bring the copy of what tests need up to date, the shared material beside it."""
    names = ("fusionpy", "tests", "docs", "validation", "data-raw", "README.md", "pyproject.toml", ".ci")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *names], cwd=ROOT, capture_output=True, text=True
    )
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    copy = WORK / "tree"
    for old in [path for path in copy.rglob("*") if path.is_file() and path.suffix != ".pyc"]:
        if old.relative_to(copy).as_posix() not in wanted:
            old.unlink()
    for name in wanted:
        if not (copy / name).exists() or (copy / name).read_bytes() != (ROOT / name).read_bytes():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    if (ROOT.parent / "shared").exists() and not (WORK / "shared").exists():
        (WORK / "shared").symlink_to((ROOT.parent / "shared").resolve())


def digest(folder: str, tests: list[str]) -> str:
    """Tell whether what tests execute may have changed."""
    copy = WORK / "tree"
    parts = [copy / "fusionpy" / folder, *(copy / test.split("::")[0] for test in tests if test[0] != "-")]
    files = [file for part in parts for file in (sorted(part.rglob("*.py")) if part.is_dir() else [part])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def tried_now(
    folder: str, is_compiled: bool, mutants: list[Mutant], tests: list[str], until: float
) -> Iterator[Mutant]:
    """Try mutants, one after another."""
    if not mutants or time.time() > until:
        return
    (WORK / "order.json").write_text(json.dumps({"tests": tests, "mutants": mutants, "until": until}))
    environment = {
        **os.environ,
        "HYPOTHESIS_PROFILE": "mutation",
        "NUMBA_DISABLE_JIT": "0" if is_compiled else "1",
        "NUMBA_CACHE_DIR": str(WORK / "numba"),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(WORK / "tree"),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of forking
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--work", folder, str(int(is_compiled))]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)


# --- Tables


def key(mutant: Mutant) -> str:
    """Name a mutant so that it is known again after other lines of its module have changed."""
    return f"{mutant['operator']} {mutant['before']} -> {mutant['after']} {mutant['occurrence']}"


def tables(tried: dict[str, Any], told: str) -> str:
    """Write the tables; return that of the folders."""
    reasons = tomllib.loads((HERE / "explained.toml").read_text())
    rows: list[list[Any]] = []
    survivors: list[list[Any]] = []
    for module, found in sorted(tried.items()):
        lost = [each for each in found["mutants"] if not each["noticed"]]
        n, short = len(found["mutants"]), module.removeprefix("fusionpy/")
        rows.append([short, found["n"], n, n - len(lost), len(lost), f"{1 - len(lost) / n:.3f}"])
        for each in sorted(lost, key=lambda each: each["line"]):
            why = reasons.get(short, {}).get(f"{each['before']} -> {each['after']}", "")
            survivors.append([short, each["line"], each["before"], each["after"], why])
    whole = []
    for folder in (*FOLDERS, "all"):
        mine = [row for row in rows if folder == "all" or row[0].startswith(f"{folder}/")]
        sums = [sum(row[i] for row in mine) for i in range(1, 5)]
        whole.append([folder, *sums, f"{sums[2] / max(sums[1], 1):.3f}"])
    head = ["module", "mutants", "tried", "noticed", "survivors", "share"]
    for name, columns, lines in (
        ("table.csv", head, [*rows, *whole]),
        ("survivors.csv", ["module", "line", "before", "after", "why"], survivors),
    ):
        with (HERE / name).open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([columns, *lines])
    shown = [head, ["---"] * 6, *whole]
    return "\n".join([told, "", *("| " + " | ".join(map(str, line)) + " |" for line in shown), ""])


class Trial:
    """What was tried so far, in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def keep(self) -> None:
        self.file.write_text(json.dumps(self.found, indent=1, sort_keys=True) + "\n")

    def draw(self, module: str, seed: int, number: int) -> list[Mutant]:
        """Draw mutants of a module; of those tried before only these stay."""
        n, drawn = sample(module, (ROOT / module).read_text(), seed, number)
        old = {key(each): each for each in self.found.get(module, {}).get("mutants", [])}
        mine = [{**old[key(each)], "line": each["line"]} for each in drawn if key(each) in old]
        self.found[module] = {"n": n, "mutants": mine}
        return drawn

    def new(self, drawn: list[Mutant], again: bool) -> list[Mutant]:
        """Tell those that are to be tried: never tried, or again, as nothing noticed them."""
        done = {key(each) for each in self.of(drawn) if each["noticed"] or not again}
        return [each for each in drawn if key(each) not in done]

    def of(self, drawn: list[Mutant]) -> list[Mutant]:
        return [
            each for module in {each["module"] for each in drawn} for each in self.found[module]["mutants"]
        ]

    def note(self, mutant: Mutant) -> None:
        mine = self.found[mutant["module"]]
        others = [each for each in mine["mutants"] if key(each) != key(mutant)]
        mine["mutants"] = sorted([*others, mutant], key=lambda each: int(each["line"]))
        self.keep()
        told = "{module}:{line} {before} -> {after} ({tests} tests, {seconds} s)".format(**mutant)
        print("   " if mutant["noticed"] else "***", told, flush=True)


def main() -> None:
    """Go through the folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=12, help="of each module, at most")
    parser.add_argument("--minutes", type=float, default=1e6, help="after which no other mutant is begun")
    parser.add_argument("--only", default="", help="modules or folders, parts of paths, separated by commas")
    parser.add_argument("--again", action="store_true", help="try those again that nothing noticed")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work[0], given.work[1] == "1")
        return
    until = time.time() + 60 * given.minutes
    config = tomllib.loads((HERE / "tests.toml").read_text())
    trial = Trial(HERE / "tried.json")
    WORK.mkdir(exist_ok=True)
    copied()
    for folder in FOLDERS:
        modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "fusionpy" / folder).rglob("*.py")]
        for module in [name for name in trial.found if name.split("/")[1] == folder and name not in modules]:
            del trial.found[module]
        wanted = [name for name in sorted(modules) if any(part in name for part in given.only.split(","))]
        drawn = [each for name in wanted for each in trial.draw(name, given.seed, given.mutants)]
        chosen = trial.new(drawn, given.again)
        special = config["compiled"]
        plain = [each for each in chosen if each["module"] not in special]
        others = [{**each, "tests": special[each["module"]]} for each in chosen if each not in plain]
        groups = defaultdict(list)
        for each in plain:
            groups[tuple(config["narrower"].get(each["module"], config["tests"][folder]))].append(each)
        for each in itertools.chain(
            *(tried_now(folder, folder != "kernels", mine, [*of], until) for of, mine in groups.items()),
            tried_now(folder, True, others, [], until),
        ):
            trial.note(each)
    trial.keep()
    told = f"Seed {given.seed}; {datetime.date.today()}."
    print(tables({module: mine for module, mine in trial.found.items() if mine["mutants"]}, told))


if __name__ == "__main__":
    main()
