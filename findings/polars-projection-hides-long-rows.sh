#!/usr/bin/env bash
# Polars: whether a CSV row with too many fields is an error depends on which columns are asked for.
#
# Guess before the run: a row that is longer than the header is refused whatever columns are read, since
#   `truncate_ragged_lines` is off by default; at most a later column makes a difference.
# Behaviour: all columns together, in any way, raise ComputeError. Any smaller set, also one with the last column, reads the
#   file without a word, and the surplus field is dropped. `scan_csv` and `read_csv` agree. So a lazy query raises or not
#   by what its optimiser happens to project: `select(pl.len())` counts the row as a good one.
#   A comma in an unquoted name ("Rome, Italy") is how such rows come into lists of recipients.
# Versions: Polars 2.1.0, Python 3.11.
# Output seen:
#   all columns: ComputeError
#   email and city: 3 rows
#   email: 3 rows
#   count of rows: 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check polars==2.1.0
cat > read.py <<'PY'
from pathlib import Path

import polars as pl

Path("list.csv").write_text("email,name,city\na@x.example,Ann,Oslo\nb@x.example,Bob,Rome, Italy\nc@x.example,Cyd,Bonn\n")


def describe(make) -> str:
    try:
        return f"{make().height} rows"
    except pl.exceptions.PolarsError as error:
        return type(error).__name__


scan = pl.scan_csv("list.csv")
seen = {
    "all columns": describe(lambda: scan.collect()),
    "email and city": describe(lambda: scan.select("email", "city").collect()),
    "email": describe(lambda: pl.read_csv("list.csv", columns=["email"])),
    "count of rows": str(scan.select(pl.len()).collect().item()),
}
for what, found in seen.items():
    print(f"{what}: {found}")
raise SystemExit(list(seen.values()) != ["ComputeError", "3 rows", "3 rows", "3"])
PY
venv/bin/python read.py
