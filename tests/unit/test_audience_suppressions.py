"""Suppression files: what they hold is held, and what cannot be read stops the plan."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from engine.audience.partitions import Partitions
from engine.audience.scratch import Scratch
from engine.audience.spec import Dedupe, SuppressionSpec
from engine.audience.suppressions import set_aside_suppressions
from engine.errors import DataError
from engine.ledger.suppressions import Suppression

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def read(
    folder: Path,
    *,
    topic: str | None = None,
    ignore_topics: bool = False,
    files: Sequence[str] = ("s*.*",),
    listed: Sequence[Suppression] = (),
    bits: int = 0,
) -> tuple[dict[str, str], list[str]]:
    """What is suppressed, and why, by the files `s*` of a folder and the ledger's list; and the notes."""
    shelves: Scratch[str]
    with Scratch(folder / "shelves") as shelves:
        found = set_aside_suppressions(
            SuppressionSpec(files=tuple(files), topic=topic),
            [listed],
            workspace=folder,
            downloads=None,
            partitions=Partitions("k", Dedupe.ADDRESS, bits),
            shelves=shelves,
            ignore_topics=ignore_topics,
        )
        entries = pl.concat([found.take(part) for part in range(1 << bits)])
    first = entries.unique("key", keep="first", maintain_order=True)
    return dict(first.select("key", "source").iter_rows()), list(found.notes)


def test_an_entry_is_normalised_like_the_audience_and_says_where_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("Email,Reason\n ANN@Example.com ,bounced\nBob <bob@example.com>,\n")
    assert read(tmp_path) == (
        {"ann@example.com": "s.csv line 2: bounced", "bob@example.com": "s.csv line 3"},
        [],
    )


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com\n",
        "ann@example.com",
        "\n\nann@example.com\n",
        "address\nann@example.com\n",
        "EMAIL\nann@example.com\n",
        "id,who\n1,ann@example.com\n",
        "1,ann@example.com\n",
        "id;email;other\n1;ann@example.com;eve@example.com\n",
        "name,address,email\nAnn,12 Elm Street,ann@example.com\n",
    ],
)
def test_the_column_of_the_addresses_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    assert list(read(tmp_path)[0]) == ["ann@example.com"]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "email": ["ann@example.com"], "reason": ["bounced"]}).write_parquet(tmp_path / "s.parquet")
    assert read(tmp_path)[0] == {"ann@example.com": "s.parquet line 1: bounced"}


def test_an_entry_with_a_topic_applies_to_that_topic_alone(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email,topic\na@x.example,\nb@x.example,Newsletter\nc@x.example,surveys\n")
    assert set(read(tmp_path, topic="newsletter")[0]) == {"a@x.example", "b@x.example"}
    assert set(read(tmp_path)[0]) == {"a@x.example"}
    assert set(read(tmp_path, topic="newsletter", ignore_topics=True)[0]) == {"a@x.example"}


def test_the_first_entry_of_an_address_that_applies_is_the_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "s1.csv").write_text("email,topic,reason\na@x.example,other,no\nA@x.example,,yes\n")
    (tmp_path / "s2.csv").write_text("a@x.example\n")
    assert read(tmp_path)[0] == {"a@x.example": "s1.csv line 3: yes"}


def test_entries_that_are_no_addresses_are_counted_in_a_note(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email\na@x.example\nnobody\nx@y@z\n")
    assert read(tmp_path) == (
        {"a@x.example": "s.csv line 2"},
        ["s.csv: 2 of 3 entries hold no address and were passed over, the first in line 3"],
    )


def test_a_list_of_nobody_suppresses_nobody(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email,reason\n")
    assert read(tmp_path) == ({}, [])


def test_no_files_suppress_nobody(tmp_path: Path) -> None:
    assert read(tmp_path, files=()) == ({}, [])


def test_a_bounce_applies_whatever_its_topic(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "email,topic,reason\n"
        "a@x.example,surveys,hard bounce\nb@x.example,surveys,Complaint\nc@x.example,surveys,opt-out\n"
    )
    for options in ({"topic": "newsletter"}, {}, {"topic": "newsletter", "ignore_topics": True}):
        assert set(read(tmp_path, **options)[0]) == {"a@x.example", "b@x.example"}


def test_the_ledgers_own_list_applies_like_a_file(tmp_path: Path) -> None:
    listed = [
        Suppression("a@x.example", "", "bounce", "event 17", NOW),
        Suppression("b@x.example", "newsletter", "unsubscribe", "link", NOW),
        Suppression("c@x.example", "surveys", "unsubscribe", "link", NOW),
    ]
    assert read(tmp_path, files=(), topic="newsletter", listed=listed)[0] == {
        "a@x.example": "the ledger: bounce, event 17",
        "b@x.example": "the ledger: unsubscribe, link",
    }
    assert set(read(tmp_path, files=(), ignore_topics=True, listed=listed)[0]) == {"a@x.example"}


def test_entries_are_the_same_however_they_are_divided(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email\n" + "".join(f"user{n}@x.example\n" for n in range(500)))
    assert read(tmp_path, bits=4)[0] == read(tmp_path, bits=0)[0]


@pytest.mark.parametrize(
    "write",
    [
        lambda frame, path: frame.write_parquet(path.with_suffix(".parquet")),
        lambda frame, path: frame.write_ipc(path.with_suffix(".arrow")),
        lambda frame, path: frame.write_ndjson(path.with_suffix(".ndjson")),
        lambda frame, path: frame.write_csv(path.with_suffix(".txt"), separator="|"),
        lambda frame, path: frame.write_excel(path.with_suffix(".xlsx")),
        lambda frame, path: path.with_suffix(".csv").write_bytes(frame.write_csv().encode("utf-16")),
    ],
)
def test_a_file_is_of_any_format_that_an_audience_may_have(write: object, tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": [1], "Email": ["Ann@x.example"], "reason": ["bounced"], "topic": [None]})
    write(frame.cast({"topic": pl.String}), tmp_path / "s")  # type: ignore[operator]
    ((key, source),) = read(tmp_path)[0].items()
    assert (key, source.endswith(": bounced")) == ("ann@x.example", True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"name,city\nAnn,Bath\n", "has no column of addresses"),
        (b"email,reason\na@x.example,bounced\nb@x.example\n", r"the row has 1 fields.*\(s\.csv, line 3\)"),
        (b'email\n"a@x.example\n', "a quote is opened and not closed"),
        (b"email,n\na@x.example,\xc3\xbc\nb@x.example,\xc3\xbc\nc@x.example,\xff\n", r"no character .*line 4"),
    ],
)
def test_a_file_that_cannot_be_read_with_certainty_stops_the_plan(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read(tmp_path)


def test_a_damaged_parquet_file_stops_the_plan(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="the file cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["gone.csv", "gone*.csv"])
def test_a_missing_file_stops_the_plan(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(there is no file|no file matches) gone"):
        read(tmp_path, files=(name,))
