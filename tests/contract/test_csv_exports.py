"""Every CSV file that the engine writes goes through the one function that defuses formulas."""

from pathlib import Path

import engine

SOURCES = {path: path.read_text(encoding="utf-8") for path in Path(engine.__path__[0]).rglob("*.py")}


def test_no_module_writes_csv_without_defusing_it() -> None:
    writers = {path.name for path, text in SOURCES.items() if ".write_csv(" in text or "csv.writer" in text}
    defusing = {path.name for path, text in SOURCES.items() if "defuse_formulas" in text} - {"csv_formulas.py"}
    assert writers == defusing == {"export.py", "lists.py", "resolve.py"}
