"""Try an installed fusionpy, without network and away from its repository.

    python -I smoke.py VERSION [--demo]

Stands alone: `.ci/release.py` copies it to an empty folder and runs it by the Python that has the package.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CALLS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Stop whoever looks up or calls another machine."""
    if event in CALLS:
        raise RuntimeError(f"fusionpy opened a connection: {event} {arguments[1:]}")


def call(*arguments: str) -> str:
    """Run the command line as a user does."""
    command = Path(sys.executable).with_name("fusionpy")
    return subprocess.run([command, *arguments], check=True, capture_output=True, text=True).stdout


def fuse_a_little() -> None:
    """Train, fuse, analyse and report."""
    import fusionpy
    from fusionpy import datasets

    donor, recipient = datasets.load_donor().head(600), datasets.load_recipient().head(500)
    fusionpy.train(
        donor,
        ["insulation", ["electricity", "food_share"]],
        datasets.PREDICTORS[:6],
        weight="weight",
        refits=2,
        fsn="model.fsn",
        seed=1,
        quiet=True,
    )
    fused = fusionpy.fuse(recipient, "model.fsn", "fused.parquet", M=4, retain="hid", seed=1, quiet=True)
    estimates = fusionpy.analyze(
        ["mean(electricity)", "mean(insulation)"], fused, static=recipient, weight="weight", by="tenure"
    )
    assert len(estimates) > 4, estimates
    assert (estimates["moe"] > 0).all(), estimates
    low, high = donor["electricity"].min(), donor["electricity"].max()
    means = estimates.loc[estimates["y"] == "electricity", "est"]
    assert means.between(low, high).all(), estimates
    fusionpy.report(
        "report.html",
        model="model.fsn",
        donor=donor,
        recipient=recipient,
        estimates={"Electricity by tenure": estimates},
        weight="weight",
    )
    page = Path("report.html").read_text("utf-8")
    assert "Electricity by tenure" in page
    assert page.rstrip().endswith("</html>")


def main() -> None:
    """Import without network, then use the package and its command."""
    version, *options = sys.argv[1:]
    sys.addaudithook(refuse_network)
    import fusionpy

    home = Path(fusionpy.__file__).resolve()
    assert home.is_relative_to(Path(sys.prefix).resolve()), f"{home} is not in {sys.prefix}"
    assert not any(Path(folder, "pyproject.toml").exists() for folder in sys.path), sys.path
    assert fusionpy.__version__ == version, fusionpy.__version__
    fuse_a_little()
    assert call("--version").strip() == f"fusionpy {version}"
    assert "train" in call("--help")
    if "--demo" in options:
        assert "All households" in call("demo")
    print(f"fusionpy {version} works from {home.parent.parent}")


if __name__ == "__main__":
    main()
