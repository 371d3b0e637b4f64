"""A short list that is not UTF-8 is read correctly or refused, never read wrongly."""

# ruff: noqa: RUF001 - it contains letters of many languages

from pathlib import Path

import pytest
from support.plans import plan, recipients

from engine.errors import DataError

ASCII_ROWS = "".join(f"a{number}@example.com;Anna\n" for number in range(199))


@pytest.mark.parametrize(
    "names",
    [
        "Jörg",
        "François",
        "Hélène Léa",
        "Noël Jean",
        "Peña Luis",
        "Voß",
        "Schröder,Jürgen",
        "MÜLLER",
        "Straße12",
        "O’Brien",
    ],
)
@pytest.mark.parametrize("rows", ["", ASCII_ROWS])
def test_plan_reads_few_western_names_and_shows_one(names: str, rows: str, tmp_path: Path) -> None:
    cells = names.split()
    text = "email;name\n" + rows + "".join(f"p{n}@example.com;{name}\n" for n, name in enumerate(cells))
    (tmp_path / "list.csv").write_bytes(text.encode("windows-1252"))
    (note,) = plan(tmp_path).notes
    assert set(cells) <= set(recipients(tmp_path)["name"])
    shown = cells[0].split(",")[0]
    assert note == (
        f'list.csv: read as windows-1252, as its bytes suggest ("{shown}"); '
        'set encoding = "…" in [audience] if names look wrong'
    )


def test_plan_refuses_what_two_encodings_explain_and_shows_both(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("email;name\na@example.com;Şahin\n".encode("windows-1254"))
    words = r'too little .*"Þahin" in windows-1252.*"Şahin" in windows-1254.*\[audience\] encoding = .*"windows-1254"'
    with pytest.raises(DataError, match=words):
        plan(tmp_path)
    plan(tmp_path, encoding="windows-1254")
    assert recipients(tmp_path)["name"].to_list() == ["Şahin"]


def test_plan_reads_suppression_files_as_audiences(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\njorg@bücher.example\nann@example.com\n", encoding="utf-8")
    (tmp_path / "gone.csv").write_bytes("email;name\njorg@bücher.example;Jörg\n".encode("windows-1252"))
    found = plan(tmp_path, suppressed=["gone.csv"])
    assert found.excluded == {"suppressed": 1}
    assert any('gone.csv: read as windows-1252, as its bytes suggest ("Jörg")' in note for note in found.notes)
    (tmp_path / "gone.csv").write_bytes("email;name\nann@example.com;Şahin\n".encode("windows-1254"))
    with pytest.raises(DataError, match=r"too little text to detect its encoding.*gone\.csv.*save the file as UTF-8"):
        plan(tmp_path, suppressed=["gone.csv"])
