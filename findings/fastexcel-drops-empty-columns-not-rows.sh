#!/usr/bin/env bash
# fastexcel: without a header, empty rows before the data keep their place, and empty columns before it vanish.
#
# Guess before the run: load_sheet(header_row=None, skip_rows=0) counts rows and columns alike from A1, or both from the
#   first filled cell.
# Behaviour: data that begin in C3 come as rows 0 to 3 (two empty ones first) and as columns 0 and 1: the row of a value
#   is its row in the workbook, its column is not. Whoever turns a position into a cell reference names the wrong cell.
# Versions: fastexcel 0.21.0, XlsxWriter 3.2.9, polars 2.1.0.
# Output seen:
#   rows 4, columns 2
#   [(None, None), (None, None), ('email', 'name'), ('a@acme.example', 'Ann')]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastexcel==0.21.0 XlsxWriter==3.2.9 polars==2.1.0 2>/dev/null
"$folder/venv/bin/python" - "$folder/people.xlsx" <<'PY'
import sys

import fastexcel
import xlsxwriter

path = sys.argv[1]
workbook = xlsxwriter.Workbook(path)
sheet = workbook.add_worksheet()
sheet.write_row("C3", ["email", "name"])
sheet.write_row("C4", ["a@acme.example", "Ann"])
workbook.close()

frame = fastexcel.read_excel(path).load_sheet(0, header_row=None, skip_rows=0).to_polars()
rows = frame.rows()
print(f"rows {frame.height}, columns {frame.width}")
print(rows)
empty = (None, None)
sys.exit(0 if rows == [empty, empty, ("email", "name"), ("a@acme.example", "Ann")] else 1)
PY
