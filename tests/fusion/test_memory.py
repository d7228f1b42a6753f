"""How much memory there is."""

import subprocess
import sys

import pytest
from pacing import slow

from fusionpy.errors import ArgumentError, Problems
from fusionpy.fusion import memory


def take(given):
    problems = Problems(ArgumentError, "No.")
    found = memory.take_memory(given, problems)
    problems.stop()
    return found


@pytest.mark.parametrize(
    ("given", "size"),
    [(1, 1), (2.0, 2), ("7", 7), ("3 kB", 3_000), ("2mb", 2_000_000), (" 0.5 GiB ", 2**29), ("1T", 10**12)],
)
def test_amounts(given, size):
    assert take(given) == size


@pytest.mark.parametrize("given", ["", "GB", "-1GB", "1 PB", "two GB", 0, -1, 1.5, True, "1e99999", 2**63])
def test_what_is_no_amount(given):
    with pytest.raises(ArgumentError, match="`memory` must be a number of bytes"):
        take(given)


def test_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1_001)
    assert take(None) == 500


def lay_out(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("version", [1, 2])
def test_containers(version, tmp_path, monkeypatch):
    inner, outer = "user/job", "user"
    if version == 2:
        names, controllers, root = ("memory.max", "memory.current", "inactive_file"), "0::", tmp_path
    else:
        names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        controllers, root = "4:cpu,memory:", tmp_path / "memory"
    lay_out(
        root,
        {
            f"{inner}/{names[0]}": "max\n" if version == 2 else f"{2**63 - 4096}\n",
            f"{inner}/{names[1]}": "500\n",
            f"{outer}/{names[0]}": "1000\n",
            f"{outer}/{names[1]}": "700\n",
            f"{outer}/memory.stat": f"anon 5\n{names[2]} 50\n",
        },
    )
    texts = {
        "/proc/self/cgroup": f"9:name=systemd:/\n{controllers}/{inner}\n",
        "/proc/meminfo": "MemAvailable: 9 kB\n",
    }
    original = memory._text
    monkeypatch.setattr(memory, "_text", lambda path: texts.get(str(path)) or original(path))
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_limits", lambda: iter(()))
    assert memory.free_memory() == 1000 - 700 + 50
    texts["/proc/meminfo"] = "MemFree: 1 kB\nMemAvailable: 0 kB\n"
    assert memory.free_memory() == 0


def test_where_nothing_is_known(monkeypatch):
    for name in ("_system", "_containers", "_limits"):
        monkeypatch.setattr(memory, name, lambda: iter(()))
    assert memory.free_memory() == 2**30


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process are read from /proc")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", slow("RLIMIT_DATA")])
def test_limits_of_the_process(limit):
    code = f"""if True:
        import resource
        from fusionpy.fusion.memory import free_memory
        resource.setrlimit(resource.{limit}, (3 * 2**30, resource.RLIM_INFINITY))
        print(free_memory())
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) < 3 * 2**30
