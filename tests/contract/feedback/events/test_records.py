"""Records of every type and envelope, ours and others', and the rules that they meet."""

import gzip
import json
from pathlib import Path

import pytest
from support.events import OBJECTS, make_event, make_mail

from engine.errors import DataError
from engine.feedback.events.envelopes import Opened, Quarantined
from engine.feedback.events.files import find_files, read_file
from engine.feedback.events.records import read_record

TAGS = {"mailrun-campaign": "hello", "mailrun-key": "test", "mailrun-row": "17"}
MAIL = make_mail("0100-a", "Ann@example.com", TAGS)


def trust(_: object) -> None:
    """Believe it."""


RECORD = make_event("Delivery", MAIL)


def read_all(path: Path) -> list[Opened]:
    return [item for some in read_file(path, "f", trust) for item in some]


@pytest.mark.parametrize("between", ["\n", "", "\r\n", " ", "\n\n"])
@pytest.mark.parametrize("is_gzip", [False, True])
def test_files_of_firehose_are_read_with_line_ends_or_without(tmp_path: Path, between: str, is_gzip: bool):  # noqa: FBT001 - a case
    data = between.join(json.dumps(make_event(kind, MAIL)) for kind in sorted(OBJECTS)).encode()
    (tmp_path / "f").write_bytes(gzip.compress(data) if is_gzip else data)
    assert read_all(tmp_path / "f") == [read_record(make_event(kind, MAIL)) for kind in sorted(OBJECTS)]


def test_json_as_people_keep_it_is_read_too(tmp_path: Path):
    records = [make_event(kind, MAIL) for kind in sorted(OBJECTS)]
    (tmp_path / "list").write_text("\ufeff" + json.dumps(records, indent=2), encoding="utf-8")
    (tmp_path / "many").write_text("\n".join(json.dumps(record, indent=2) for record in records))
    expected = [read_record(record) for record in records]
    assert read_all(tmp_path / "list") == read_all(tmp_path / "many") == expected


def test_garbage_between_records_costs_nothing_but_itself(tmp_path: Path):
    line = json.dumps(RECORD)
    (tmp_path / "f").write_text(f"{line}\nnonsense {{\n{line}\n{line[:50]}\n{line}{line}\n\x00\n{line}")
    opened = read_all(tmp_path / "f")
    assert opened.count(read_record(RECORD)) == 5
    assert sum(isinstance(item, Quarantined) for item in opened) == 3


def test_a_file_whose_compression_is_cut_is_named_after_what_could_be_read(tmp_path: Path):
    lines = "".join(json.dumps(make_event("Open", make_mail(f"0100-{n}", "a@x.example"))) + "\n" for n in range(3000))
    (tmp_path / "f.gz").write_bytes(gzip.compress(lines.encode())[:-2000])
    found: list[Opened] = []
    reading = read_file(tmp_path / "f.gz", "f.gz", trust)
    with pytest.raises(DataError, match="end"):
        found.extend(item for some in reading for item in some)
    assert found


def test_folders_are_read_at_any_depth_in_order_without_hidden_files(tmp_path: Path):
    for name in ("2026/11/24/b", "2026/11/23/a", ".hidden", "x/.git/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [str(path.relative_to(tmp_path)) for path in find_files(tmp_path)] == ["2026/11/23/a", "2026/11/24/b"]
    for missing in (tmp_path / "none", tmp_path / "x"):
        with pytest.raises(DataError):
            find_files(missing)
