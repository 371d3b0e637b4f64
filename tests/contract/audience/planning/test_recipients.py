"""Who gets it: duplicates, hold-out, limit, order, caps, and what is explained of one address."""

import csv
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from support.plans import all_excluded, excluded, plan, recipients

from engine.audience.explain import explain_address
from engine.audience.export import export_excluded_rows
from engine.audience.planning.plan import Lists, Plan
from engine.audience.providers import mailbox_of
from engine.audience.spec import AudienceSpec, CapSpec, Dedupe
from engine.errors import DataError, PausedError, UsageError
from engine.store.folder import FolderStore
from engine.store.history import write_history

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def write_many(folder: Path, number: int) -> None:
    lines = "".join(
        f"user{n}@mail{n % 5}.example.com,{n * 7 % 101},{'' if n % 11 == 0 else n % 13}\n" for n in range(number)
    )
    (folder / "list.csv").write_text("email,points,opens\n" + lines)


@pytest.mark.parametrize(
    ("key", "mailbox"),
    [
        ("ann.lee@gmail.com", "annlee@gmail.com"),
        ("ann.lee+news@googlemail.com", "annlee@gmail.com"),
        ("ann.lee+news@outlook.com", "ann.lee@outlook.com"),
        ("ann.lee+news@example.com", "ann.lee+news@example.com"),
        ("+tag@gmail.com", "+tag@gmail.com"),
        ("a+b+c@proton.me", "a@proton.me"),
    ],
)
def test_a_mailbox_is_the_address_without_what_its_provider_ignores(key: str, mailbox: str) -> None:
    assert mailbox_of(pl.Series([key])).item() == mailbox


def test_dedupe_by_provider_keeps_the_first_row_of_a_mailbox(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\nann.lee@gmail.com\nannlee+x@googlemail.com\nAnnLee@gmail.com\n")
    assert plan(tmp_path).accepted == 3
    found = plan(tmp_path, dedupe="provider")
    assert found.excluded == {"duplicate": 2}
    assert recipients(tmp_path)["address"].to_list() == ["ann.lee@gmail.com"]
    assert excluded(tmp_path)[0] == (3, "duplicate", "the same address as in list.csv line 2")


def test_a_duplicate_names_the_first_row_whatever_its_capitals(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\nAnn@example.com\nbob@example.com\nann@EXAMPLE.com\nANN@example.com\n")
    assert plan(tmp_path).accepted == 2
    detail = "the same address as in list.csv line 2"
    assert excluded(tmp_path) == [(4, "duplicate", detail), (5, "duplicate", detail)]


def test_different_addresses_with_equal_hashes_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "engine.audience.planning.partitions.hash_addresses",
        lambda keys, _: (keys.str.len_bytes().cast(pl.UInt64), True),
    )
    (tmp_path / "list.csv").write_text("email\nann@example.com\nbob@example.com\nAnn@example.com\nbob@example.com\n")
    (tmp_path / "gone.csv").write_text("email\neve@example.com\n")
    assert plan(tmp_path, suppressed=["gone.csv"]).accepted == 2
    assert excluded(tmp_path) == [
        (4, "duplicate", "the same address as in list.csv line 2"),
        (5, "duplicate", "the same address as in list.csv line 3"),
    ]


def test_with_dedupe_by_provider_a_suppression_is_of_the_mailbox(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("annlee+shop@gmail.com\n")
    (tmp_path / "list.csv").write_text("email\nann.lee@gmail.com\n")
    assert plan(tmp_path, suppressed=["gone.csv"]).accepted == 1
    assert plan(tmp_path, suppressed=["gone.csv"], dedupe="provider").excluded == {"suppressed": 1}


def test_held_out_recipients_stay_so_when_others_come_and_go(tmp_path: Path) -> None:
    write_many(tmp_path, 4000)
    found = plan(tmp_path, hold_out=10)
    assert 320 < found.excluded["held_out"] < 480
    assert set(all_excluded(tmp_path)["detail"]) == {"it is among the 10 % that are held out"}
    held = set(all_excluded(tmp_path)["address"])
    write_many(tmp_path, 2000)
    plan(tmp_path, hold_out=10)
    assert set(all_excluded(tmp_path)["address"]) == {a for a in held if int(a[4 : a.index("@")]) < 2000}
    plan(tmp_path, hold_out=20)
    assert set(all_excluded(tmp_path)["address"]) > {a for a in held if int(a[4 : a.index("@")]) < 2000}


@pytest.mark.parametrize(("percent", "accepted"), [(0, 300), (100, 0)])
def test_nobody_or_everybody_may_be_held_out(percent: float, accepted: int, tmp_path: Path) -> None:
    write_many(tmp_path, 300)
    assert plan(tmp_path, hold_out=percent).accepted == accepted


def test_another_campaign_holds_out_others(tmp_path: Path) -> None:
    write_many(tmp_path, 1000)
    held = []
    for campaign in ("welcome", "farewell"):
        plan(tmp_path, hold_out=50, order_key=campaign)
        held.append(set(all_excluded(tmp_path)["address"]))
    assert 150 < len(held[0] & held[1]) < 350


def test_the_held_out_are_a_fair_share_of_the_limited(tmp_path: Path) -> None:
    write_many(tmp_path, 4000)
    plan(tmp_path)
    first = set(recipients(tmp_path)["key"].head(1000))
    plan(tmp_path, hold_out=10)
    assert 70 < len(first & set(all_excluded(tmp_path)["address"])) < 130


@pytest.mark.parametrize("partition_bytes", [1 << 30, 4096])
def test_a_limit_keeps_the_first_by_their_hash_whatever_the_order(
    partition_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.planning.partitions._PARTITION_BYTES", partition_bytes)
    write_many(tmp_path, 2000)
    plan(tmp_path)
    fair = recipients(tmp_path)["key"].head(300).to_list()
    found = plan(tmp_path, limit=300)
    assert recipients(tmp_path)["key"].to_list() == fair
    assert found.excluded == {"held_out": 1700}
    plan(tmp_path, limit=300, order_by="points desc")
    assert sorted(recipients(tmp_path)["key"]) == sorted(fair)
    assert recipients(tmp_path)["points"].cast(pl.Int64).is_sorted(descending=True)


@pytest.mark.parametrize("partition_bytes", [1 << 30, 4096])
@pytest.mark.parametrize("order_by", ["points desc", "points", "opens desc, points ASC", "opens"])
def test_the_plan_is_in_the_order_asked_for_with_blanks_last(
    order_by: str, partition_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.planning.partitions._PARTITION_BYTES", partition_bytes)
    monkeypatch.setattr("engine.audience.planning.first_pass.SAMPLE_ONE_IN", 16)
    write_many(tmp_path, 3000)
    found = plan(tmp_path, order_by=order_by)
    rows = recipients(tmp_path).cast({"points": pl.Int64, "opens": pl.Int64})
    items = [item.split() for item in order_by.split(",")]
    columns, descending = [i[0] for i in items], [i[-1].lower() == "desc" for i in items]
    assert rows.select(columns).equals(rows.select(columns).sort(columns, descending=descending, nulls_last=True))
    assert found.accepted == rows.height == 3000
    assert (len([f for f in found.files if "recipients" in f]) > 1) == (partition_bytes == 4096)


def test_values_that_are_blank_in_the_first_rows_are_ordered_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", 256)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", 256)
    rows = [f"user{n}@x.example,{'' if n < 40 else n}" for n in range(80)]
    (tmp_path / "list.csv").write_text("email,n\n" + "\n".join(rows) + "\n")
    plan(tmp_path, order_by="n desc")
    assert recipients(tmp_path)["n"].to_list() == [*(str(n) for n in range(79, 39, -1)), *[None] * 40]


def test_equal_values_are_in_the_order_of_the_hash(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,n\n" + "".join(f"user{n}@x.example,1\n" for n in range(500)))
    plan(tmp_path)
    fair = recipients(tmp_path)["key"].to_list()
    plan(tmp_path, order_by="n desc")
    assert recipients(tmp_path)["key"].to_list() == fair


@pytest.mark.parametrize("order_by", ["points sideways", "", "points desc,", "a b c"])
def test_invalid_order_is_refused(order_by: str) -> None:
    with pytest.raises(ValueError, match="is not a column to order by"):
        AudienceSpec(source=("x.csv",), order_by=order_by)


def test_the_column_to_order_by_has_to_be_there(tmp_path: Path) -> None:
    write_many(tmp_path, 1)
    with pytest.raises(DataError, match=r"\[audience\] order_by names the column pionts, .*did you mean points\?"):
        plan(tmp_path, order_by="pionts desc")


def test_a_header_that_has_a_used_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,n,n\na@x.example,1,2\n")
    with pytest.raises(DataError, match="the header has the column n twice, and the campaign uses it"):
        plan(tmp_path)
    found = plan(tmp_path, columns=frozenset())
    assert found.notes == ("list.csv: the header repeats names: n; the later columns are numbered",)


@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_types_are_those_of_all_rows_however_they_are_divided(
    block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", block_bytes)
    rows = [f"user{n}@x.example,{n}" for n in range(50)]
    (tmp_path / "list.csv").write_text("email,n\n" + "\n".join(rows) + "\n")
    assert plan(tmp_path, where="n > 9").accepted == 40
    assert plan(tmp_path, where="CAST(n AS VARCHAR) = '2'").accepted == 1
    (tmp_path / "list.csv").write_text("email,n\n" + "\n".join([*rows, "last@x.example,2.5"]) + "\n")
    assert plan(tmp_path, where="CAST(n AS VARCHAR) = '2'").accepted == 0  # they are decimals: 2.0
    (tmp_path / "list.csv").write_text("email,n\n" + "\n".join([*rows, "last@x.example,x"]) + "\n")
    with pytest.raises(DataError, match=r"does not fit the audience: n > 9"):
        plan(tmp_path, where="n > 9")
    assert plan(tmp_path, where="n = '7' OR n = 'x'").accepted == 2


def had(folder: Path, run: str, keys: list[str], at: datetime, lease: int = 0) -> None:
    write_history(FolderStore(folder), run, lease, pl.DataFrame({"key": keys, "at": [at] * len(keys)}), at.date())


def plan_capped(folder: Path, messages: int = 2, days: float = 7, **options: object) -> Plan:
    lists = Lists(cap=CapSpec(messages=messages, days=days), store=folder, now=NOW)
    return plan(folder, lists=lists, **options)  # type: ignore[arg-type]


def test_recipient_with_enough_messages_is_capped(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\na@x.example\nB@x.example\nc@x.example\n")
    had(tmp_path, "welcome/1", ["a@x.example", "b@x.example"], NOW - timedelta(days=6))
    had(tmp_path, "weekly/1", ["b@x.example"], NOW - timedelta(hours=1))
    had(tmp_path, "weekly/0", ["a@x.example"], NOW - timedelta(days=7, seconds=1))
    assert plan_capped(tmp_path).excluded == {"capped": 1}
    assert excluded(tmp_path) == [(3, "capped", "2 messages in the last 7 days, and the cap is 2")]
    assert plan_capped(tmp_path, messages=1).excluded == {"capped": 2}
    assert plan_capped(tmp_path, days=8).excluded == {"capped": 2}
    assert plan(tmp_path).excluded == {}


def test_message_listed_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\na@x.example\n")
    for day in (date(2026, 11, 23), date(2026, 11, 24)):
        write_history(FolderStore(tmp_path), "welcome/1", 0, pl.DataFrame({"key": ["a@x.example"], "at": [NOW]}), day)
    assert plan_capped(tmp_path).excluded == {}


def test_cap_counts_by_mailbox_when_duplicates_do(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\nann.lee@gmail.com\n")
    had(tmp_path, "welcome/1", ["annlee@gmail.com"], NOW)
    assert plan_capped(tmp_path, messages=1).excluded == {}
    assert plan_capped(tmp_path, messages=1, dedupe="provider").excluded == {"capped": 1}


def test_a_damaged_history_stops_the_plan(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\na@x.example\n")
    had(tmp_path, "welcome/1", ["a@x.example"], NOW)
    (path,) = (tmp_path / "history").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="the history cannot be read"):
        plan_capped(tmp_path)


def test_explained_address_names_the_rule_that_decides(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "email,n\nAnn <ann@example.com>,1\nANN@example.com,2\nbob@,3\neve@example.com,4\n"
    )
    found = plan(tmp_path, where="n < 4")
    ann = explain_address("ａnn@Example.com", tmp_path, found.leases, Dedupe.ADDRESS)  # noqa: RUF001 - full width
    assert ann.key == "ann@example.com"
    assert ann.to_lines()[1:] == [
        "  list.csv line 2: a recipient, number 1 of the plan (lease 0)",
        (
            "  list.csv line 3: excluded as duplicate: the same address as in list.csv line 2; "
            "decided by [audience] dedupe"
        ),
    ]
    bob = explain_address("bob@", tmp_path, found.leases, Dedupe.ADDRESS)
    assert bob.to_lines() == [
        "bob@ is not an address: there is nothing after the @",
        (
            "  list.csv line 4: excluded as invalid_address: there is nothing after the @; "
            "decided by the grammar of addresses, or [audience.checks]"
        ),
    ]
    (row,) = explain_address("eve@example.com", tmp_path, found.leases, Dedupe.ADDRESS).to_json()["rows"]
    assert (row["verdict"], row["reason"], row["rule"]) == ("excluded", "filtered", "[audience] where")
    nobody = explain_address("zoe@example.com", tmp_path, found.leases, Dedupe.ADDRESS)
    assert nobody.to_lines() == ["zoe@example.com:", "  no row of the audience has this address"]


def test_an_exported_file_has_all_exclusions_and_no_formulas(tmp_path: Path) -> None:
    evil = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", " =1", "\u200b=1", "＝1", "plain"]  # noqa: RUF001 - full width
    pl.DataFrame({"email": [*evil, "ok@x.example", "\t=2\n"]}).write_parquet(tmp_path / "list.parquet")
    plan(tmp_path, source="list.parquet")
    path = tmp_path / "out.csv"
    assert export_excluded_rows(tmp_path, path) == 9
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["address"] for row in rows] == [*("'" + text for text in evil[:-1]), "plain", "'\t=2\n"]
    assert list(rows[0]) == ["row", "file", "line", "address", "reason", "detail"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_export_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.csv cannot be written: No such file .*--export-excluded"):
        export_excluded_rows(tmp_path, tmp_path / "no" / "out.csv")


def test_a_full_disk_pauses_with_the_place_and_leaves_no_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pl.DataFrame.write_ipc_stream

    def write_to_a_full_disk(frame: pl.DataFrame, *_: object, **__: object) -> None:
        with Path("/dev/full").open("r+b", buffering=0) as full:
            write(frame, full)

    write_many(tmp_path, 500)
    monkeypatch.setattr(pl.DataFrame, "write_ipc_stream", write_to_a_full_disk)
    with pytest.raises(PausedError, match="the disk with the store is full"):
        plan(tmp_path)
    assert [path.name for path in tmp_path.parent.glob(f".{tmp_path.name}.*.scratch")] == []
