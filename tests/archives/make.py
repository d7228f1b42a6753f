"""How the archives in this folder were made; run once per format version, and never again for the same one.

`python tests/archives/make.py` writes ``format-<version>.fsn`` and what it draws, if they are not there yet.
"""

from pathlib import Path

import fusionpy
from fusionpy.model.archive import FORMAT_VERSION

HERE = Path(__file__).parent
X = ["region", "urban", "tenure", "hh_size", "rooms"]
Y = ["heating_fuel", "gas_bill", ["electricity", "solar"]]


def main() -> None:
    path = HERE / f"format-{FORMAT_VERSION}.fsn"
    if path.exists():
        raise SystemExit(f"{path} is there already.")
    donor = fusionpy.datasets.load_donor().head(300)
    fusionpy.train(
        donor,
        Y,
        X,
        weight="weight",
        nfolds=2,
        nquantiles=2,
        nclusters=20,
        krange=(5, 20),
        refits=2,
        hyper={"num_iterations": 4, "num_leaves": 5, "min_data_in_leaf": 20},
        seed=1,
        quiet=True,
        fsn=path,
    )
    recipient = fusionpy.datasets.load_recipient().head(40)
    fused = fusionpy.fuse(recipient, path, M=2, seed=2, quiet=True)
    fused.to_csv(path.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
