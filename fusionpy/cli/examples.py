"""Examples of the commands, which end their help.

A paragraph that begins with the mark of a backspace keeps its lines.
"""

__all__ = [
    "ANALYZE",
    "CLEAN",
    "FUSE",
    "IMPORTANCE",
    "IMPUTE",
    "INFO",
    "PREP",
    "REPORT",
    "ROOT",
    "SCORE",
    "TRAIN",
    "VALIDATE",
]

ROOT = """\b
Examples:
  fusionpy demo
  fusionpy train donor.parquet --y fuel,bill --x income,age --weight weight --fsn model.fsn
  fusionpy info model.fsn
  fusionpy fuse recipient.parquet model.fsn --fsd fused.parquet -M 10 --retain hid,weight"""
TRAIN = """\b
Examples:
  Two steps: fuel, then a block of two shares that are taken from the same donor.
    fusionpy train donor.parquet --y fuel,heating_share+cooling_share \\
      --x income,age,region --weight weight --fsn model.fsn
  Predictors are what both files have, but not the identifier; refits follow the design.
    fusionpy train donor.parquet --y fuel --recipient recipient.parquet --drop hid \\
      --weight weight --replicate-weights 'rep_*' --fsn model.fsn --cores 4
  CSV, with the levels of an ordered column (quote them: the shell reads '<' itself).
    fusionpy train donor.csv --y fuel --x education,age --fsn model.fsn \\
      --ordered 'education=none<school<college'
  Codes are no quantities; -9 and -8 are no answers.
    fusionpy train donor.csv --y fuel --x age,region --nominal region,fuel --missing '-9,-8' --fsn model.fsn

In CSV, empty fields and NA are missing, true and false make a logical column, text a nominal one; numbers
with leading zeros stay text. What each column was taken for is shown with the model."""
FUSE = """\b
Examples:
  fusionpy fuse recipient.parquet model.fsn --fsd fused.parquet -M 10
  fusionpy fuse recipient.csv.gz model.fsn --fsd fused.fsd -M 40 --retain hid,weight --seed 1

Text columns, and those of a CSV file, take the types and levels that the model knows for them."""
INFO = "\b\nExamples:\n  fusionpy info model.fsn\n  fusionpy info model.fsn --json"
CLEAN = "\b\nExamples:\n  fusionpy clean results\n  fusionpy clean results --all"
ANALYZE = """\b
Examples:
  fusionpy analyze fused.parquet 'mean(electricity)' 'mean(insulation)'
  fusionpy analyze fused.parquet 'bill = sum(gas_bill)' 'p90(electricity)' \\
    --static recipient.parquet --weight weight --by region,tenure --out bills.csv
  By region and by tenure in one go; as fusionACS asks, and lays the table out.
    fusionpy analyze fused.parquet 'avg ~ mean(electricity)' --static recipient.parquet --weight weight \\
      --by region --by region,tenure --layout fusionacs
  Replicate weights of the American Community Survey; estimates rectified by the model's donors.
    fusionpy analyze fused.parquet 'mean(electricity)' --static acs.parquet --weight wgtp \\
      --rep-weights 'wgtp?*' --var-scale sdr --by state --rectify model.fsn

A share or a second column comes after the first: quantile(a, 0.9), ratio(a, b). {statistics}"""
VALIDATE = """\b
Examples:
  fusionpy fuse donor.parquet model.fsn --fsd back.parquet -M 40
  fusionpy validate donor.parquet back.parquet --subset-vars income,age,region --weight weight \\
    --out validation

Implicates are of the donors themselves. `--out` gets the table and the figures."""
SCORE = """\b
Examples:
  fusionpy score truth.parquet fused.parquet --x income,age,region --weight weight
  fusionpy score donor.parquet --y fuel,bill --x income,age,region --folds 5 --cores 2

With implicates: the truth is of the same records, in the same order. Without: each part of the donor
survey is fused by a model of the others."""
REPORT = """\b
Examples:
  fusionpy report report.html --model model.fsn --donor donor.parquet --recipient recipient.parquet
  Validation and the held-out scorecard too, as HTML and PDF, all tables as CSV and LaTeX.
    fusionpy report report.html report.pdf --model model.fsn --donor donor.parquet --weight weight \\
      --validate-by income,region -M 40 --folds 5 --tables tables --cores 2"""
PREP = """\b
Examples:
  fusionpy prep donor.parquet --y fuel,bill,heating_share+cooling_share --x 'age,income,c_*' --weight weight
  Predictors are what both files have; train what it proposes.
    fusionpy prep donor.parquet --y fuel,bill --recipient recipient.parquet --drop hid --weight weight

It ends with the command that trains in the order found. Predictors that no step needs are left out of it;
each step's own choice of predictors is used from Python: train(data, y=prep.y, x=prep.x)."""
IMPUTE = """\b
Examples:
  fusionpy impute survey.parquet --out complete.parquet --ignore hid --weight weight
  fusionpy impute survey.csv --out complete.parquet -M 10 --seed 1 --cores 2

With -M the result has a column M, and the survey's rows M times over: ready for `fusionpy analyze`."""
IMPORTANCE = """\b
Examples:
  fusionpy importance model.fsn
  fusionpy importance model.fsn --detailed --out importance.csv
  Increase in loss when a predictor is permuted, on donors that were held out.
    fusionpy importance model.fsn --data heldout.parquet --weight weight"""
