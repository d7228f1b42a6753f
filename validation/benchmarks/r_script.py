"""What a whole script costs in R instead of in Python: from start to end, of all its processes.

    python validation/benchmarks/r_script.py [--repeats 5] [--out FOLDER]

Trains by ``method="fusionModel"`` on RECS 2015's example (five fusion variables, 13 predictors, 2,843 donors)
and fuses ten implicates of the other 2,843 households; with `--small`, or without ../shared, on the package's
samples. Needs R with reticulate and data.table; r/fusionpy is installed in a folder that is deleted then.
The row "R alone" is what it costs in R to load reticulate and start Python, before fusionpy is imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import SHARED, asked, command, save, shown, summary
from r_bridge import install

RECS = SHARED / "recs2015.fst"
PYTHON = """
import sys
import fusionpy

recs, fsn = sys.argv[1:]
if recs == "samples":
    donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    y, x = ["insulation", "electricity"], ["region", "rooms", "income"]
else:
    survey = fusionpy.read_fsd(recs)
    donor, recipient = (survey.iloc[first::2].reset_index(drop=True) for first in (0, 1))
    y = ["insulation", "aircon", "square_feet", "electricity", "natural_gas"]
    x = list(survey.columns[1:14])
fusionpy.train(donor, y, x, fsn=fsn, method="fusionModel", seed=1, quiet=True)
fusionpy.fuse(recipient, fsn, M=10, seed=1, quiet=True)
"""
R = """
library(fusionpy)
given <- commandArgs(TRUE)
if (given[1] == "samples") {
  donor <- load_donor()
  recipient <- load_recipient()
  y <- c("insulation", "electricity")
  x <- c("region", "rooms", "income")
} else {
  survey <- read_fsd(given[1])
  is_donor <- seq_len(nrow(survey)) %% 2 == 1
  donor <- survey[is_donor]
  recipient <- survey[!is_donor]
  y <- c("insulation", "aircon", "square_feet", "electricity", "natural_gas")
  x <- names(survey)[2:14]
}
fsn <- suppressMessages(train(donor, y, x, given[2], method = "fusionModel", seed = 1))
fused <- suppressMessages(fuse(recipient, fsn, M = 10, seed = 1))
"""
R_ALONE = "reticulate::import_builtins()"


def main() -> None:
    """Run all in turn, and save the table."""
    given = asked(__doc__, repeats=5)
    if given.small:
        given.repeats = 1
    recs = RECS if RECS.exists() and not given.small else "samples"
    runs = []
    with TemporaryDirectory() as folder:
        install(folder)
        environment = {**os.environ, "RETICULATE_PYTHON": sys.executable, "R_LIBS": folder}
        scripts = [Path(folder, name) for name in ("script.py", "script.R", "alone.R")]
        for path, code in zip(scripts, (PYTHON, R, R_ALONE), strict=True):
            path.write_text(code, encoding="utf-8")
        in_r = ["Rscript", "--vanilla"]
        ways = {
            "from_python": [sys.executable, scripts[0], recs, f"{folder}/python.fsn"],
            "from_r": [*in_r, scripts[1], recs, f"{folder}/r.fsn"],
            "R alone": [*in_r, scripts[2]],
        }
        for way in ways.values():  # bytecode and kernels are compiled, files are in the system's cache
            command(way, env=environment)
        for turn in range(given.repeats):
            for name, way in list(ways.items())[:: 1 if turn % 2 == 0 else -1]:
                found = {
                    key: value for key, value in command(way, env=environment).items() if key != "printed"
                }
                runs.append({"piece": name, "survey": Path(recs).name, **found, "round": turn})
                shown(runs[-1])
    save("r_script", summary(runs, baseline="from_python", by=["survey"]), given)


if __name__ == "__main__":
    main()
