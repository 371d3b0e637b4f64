"""For any audience at all: every row has its place, and only what can be mailed is a recipient."""

import csv
import io
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from support.paths import TESTS
from support.plans import all_excluded, plan, read_file, recipients

from engine.addresses.parse import judge_addresses
from engine.audience.lists.list_entries import read_entries
from engine.audience.planning.plan import Plan
from engine.audience.planning.plan_files import read_lease
from engine.errors import DataError
from engine.ledger.suppressed.suppressions import list_keys

# Every example writes and flushes files; how long the disk takes is not what is tested.
thorough = settings(max_examples=80, deadline=None)

pieces = st.sampled_from(
    ["ann", "Bob", "eve", "a.b", "..", ".", "é", "例", "\uff41", "\u200b", " ", '"', "<", ">", ",", "-", "xn--", "7"]
)
domains = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.com",
        "mail.example",
        "b\u00e4r.example",
        "xn--br-via.example",
        "\uff45.example",
        "x",
        "1.2",
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
near_addresses = st.builds(
    lambda local, at, domain, frame: frame.format("".join(local) + at + domain),
    st.lists(pieces, max_size=3),
    st.sampled_from(["@", "@", "@", "@", "\uff20", "", "@@"]),
    domains | texts,
    st.sampled_from(["{}", "{}", " {} ", "Ann <{}>", "<{}", "{}\n"]).filter(bool),
).filter(lambda text: "{" not in text)
addresses = st.none() | near_addresses | texts


def is_mailable(address: str) -> bool:
    """The grammar again, written independently of the engine."""
    local, _, domain = address.partition("@")
    labels = domain.split(".")
    return (
        len(address) <= 254
        and 1 <= len(local) <= 64
        and all(re.fullmatch(r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]+", atom) for atom in local.split("."))
        and len(labels) >= 2
        and all(re.fullmatch(r"[a-z0-9-]{1,63}", label) for label in labels)
        and not any(label.startswith("-") or label.endswith("-") for label in labels)
        and not labels[-1].isdigit()
    )


@contextmanager
def planned(
    table: pl.DataFrame,
    suppressed: list[str],
    *,
    limit: int | None = None,
    as_csv: bool,
    skip_invalid: bool = True,
    **audience: Any,
) -> Iterator[tuple[Plan, Path]]:
    """A plan of the table, in its own folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = "list.csv" if as_csv else "list.parquet"
        if as_csv:
            table.write_csv(folder / source, quote_style="always")
        else:
            table.write_parquet(folder / source)
        pl.DataFrame({"email": suppressed}, schema={"email": pl.String}).write_parquet(folder / "gone.parquet")
        found = plan(
            folder,
            source=source,
            suppressed=["gone.parquet"],
            skip_invalid=skip_invalid,
            limit=limit,
            where="n IS NULL OR n < 90",
            required=["name"],
            **audience,
        )
        yield found, folder


@thorough
@given(
    rows=st.lists(st.tuples(addresses, texts | st.none(), st.integers(0, 99) | st.none()), max_size=25),
    suppressed=st.lists(near_addresses, max_size=4),
    limit=st.none() | st.integers(0, 12),
    as_csv=st.booleans(),
    skip_invalid=st.booleans(),
)
@example(
    rows=[("a@b\u00e4r.example", "x", 1), ("A@xn--br-via.example", "y", 2)],
    suppressed=[],
    limit=None,
    as_csv=False,
    skip_invalid=False,
)
@example(rows=[], suppressed=["ann@example.com", "ann@@x"], limit=None, as_csv=False, skip_invalid=False)
def test_every_row_of_any_table_is_a_recipient_or_excluded_for_one_reason(
    rows: list[tuple[str | None, str | None, int | None]],
    suppressed: list[str],
    limit: int | None,
    *,
    as_csv: bool,
    skip_invalid: bool,
) -> None:
    """Or, by default, an entry of the suppression file that matches no address stops the plan."""
    table = pl.DataFrame(rows, schema={"email": pl.String, "name": pl.String, "n": pl.Int64}, orient="row")
    if as_csv:  # NUL and a carriage return are other tests' matter
        table = table.with_columns(pl.col(pl.String).str.replace_all("[\0\r]", ""))
    entries = read_entries(pl.Series(suppressed, dtype=pl.String))
    if entries["fault"].null_count() < entries.height and not skip_invalid:
        with (
            pytest.raises(DataError, match="match no address"),
            planned(table, suppressed, limit=limit, as_csv=as_csv, skip_invalid=False),
        ):
            pass
        return
    with planned(table, suppressed, limit=limit, as_csv=as_csv, skip_invalid=skip_invalid) as (found, folder):
        kept, out = recipients(folder), all_excluded(folder)
        assert found.rows_read == len(rows)
        assert sorted([*kept["row"], *out["row"]]) == list(range(1, len(rows) + 1))
        assert out["row"].is_sorted()
        assert found.excluded == dict(Counter(out["reason"]))
        assert out["detail"].null_count() == 0
        assert all(is_mailable(address) for address in kept["address"])
        assert kept["key"].to_list() == [address.lower() for address in kept["address"]]
        assert kept["key"].is_unique().all()
        gone = set(entries["key"].drop_nulls())
        assert all(gone.isdisjoint(list_keys(key)) for key in kept["key"])
        assert all((name or "").strip() for name in kept["name"])
        assert limit is None or found.accepted <= limit
        leases = [read_lease(folder, lease) for lease in found.leases]
        assert pl.concat([kept.clear(), *leases]).equals(kept)


@given(st.lists(addresses, max_size=20))
def test_a_judged_address_is_mailable_or_has_a_fault_or_is_blank(raw: list[str | None]) -> None:
    for address, key, fault in judge_addresses(pl.Series(raw, dtype=pl.String)).iter_rows():
        assert (address is None) == (key is None)
        assert address is None or (fault is None and is_mailable(address) and key == address.lower())


@given(st.lists(addresses, max_size=20))
def test_judging_an_accepted_address_again_changes_nothing(raw: list[str | None]) -> None:
    once = judge_addresses(pl.Series(raw, dtype=pl.String)).drop_nulls("address")
    assert judge_addresses(once["address"]).equals(once)
    assert judge_addresses(once["key"])["key"].equals(once["key"])


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6) | st.text(
    'a,;"\n ', max_size=6
)


@given(
    table=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=12),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quote_all=st.booleans(),
)
@example(table=[['"', "\ufdd0"]], line_end="\n", quote_all=False)
def test_what_pythons_csv_writes_is_read_back(table: list[list[str]], line_end: str, *, quote_all: bool) -> None:
    text = io.StringIO()
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)
    writer.writerow(["a", "b"])
    lines = []
    for row in table:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    with TemporaryDirectory() as name:
        (Path(name) / "list.csv").write_bytes(text.getvalue().encode())
        places, found = read_file(Path(name) / "list.csv", delimiter=",", encoding="utf-8")
    assert places["malformed"].null_count() == len(table)
    assert places["line"].to_list() == lines
    assert [[cell or "" for cell in row] for row in found.iter_rows()] == table


@settings(max_examples=500)
@given(st.text('ab,"\n\r ', max_size=40))
@example('a"b,"c\nx"y,z\n')
@example("a,b\ra,b\n")
@example('a,"\r\n"\r\r\n\n')
def test_any_text_is_refused_or_each_of_its_lines_is_in_a_row(body: str) -> None:
    text = "h1,h2\n" + body
    with TemporaryDirectory() as name:
        (Path(name) / "list.csv").write_bytes(text.encode())
        try:
            places, cells = read_file(Path(name) / "list.csv", delimiter=",")
        except DataError as error:
            event(error.what)
            return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    starts = places["line"].to_list()
    assert all(line.strip(" ") == "" for line in lines[1 : starts[0] - 1 if starts else None])
    ends = [*starts[1:], len(lines) + 1][: len(starts)]
    for start, end, malformed, found in zip(starts, ends, places["malformed"], cells.iter_rows(), strict=True):
        own = lines[start - 1 : end - 1]
        while not own[-1].strip(" "):
            own.pop()  # blank lines after the row
        chunk = "\n".join(own)
        parsed = list(csv.reader(io.StringIO(chunk, newline="\n"), strict=True)) if malformed is None else []
        assert malformed or [[cell or "" for cell in found]] == parsed


damages = st.tuples(
    st.integers(0, 400),
    st.integers(0, 3),
    st.sampled_from(
        [b"", b'"', b"\0", b"\xff", b"\xe9", b"\xc3", b"\r", b"\n", b",", b",,", b'"\n"', b";", b"\xef\xbb\xbf"]
    ),
)


@thorough
@given(
    people=st.lists(st.tuples(near_addresses, st.text('ab," é', max_size=4)), min_size=1, max_size=12),
    hurt=st.lists(damages, max_size=6),
    cut=st.none() | st.integers(1, 60),
    block_bytes=st.sampled_from([48, 1 << 20]),
)
def test_any_mixture_of_damage_is_refused_or_balances(
    people: list[tuple[str, str]], hurt: list[tuple[int, int, bytes]], cut: int | None, block_bytes: int
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(people)
    body = text.getvalue().encode()
    for place, length, inserted in hurt:
        body = body[:place] + inserted + body[place + length :]
    body = body[:-cut] if cut else body
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", block_bytes)
        patch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", block_bytes)
        folder = Path(name)
        (folder / "list.csv").write_bytes(b"email,name\n" + body)
        strictly: pl.DataFrame | None = None
        for lenient in (False, True):
            try:
                found = plan(folder, lenient=lenient, delimiter=",", encoding="utf-8")
            except DataError as error:
                if lenient:
                    raise
                event(error.what)
                continue
            kept, out = recipients(folder), all_excluded(folder)
            assert strictly is None or kept.equals(strictly)  # leniently, what is read strictly is read as well
            strictly = kept
            assert sorted([*kept["row"], *out["row"]]) == list(range(1, found.rows_read + 1))
            assert all(is_mailable(address) for address in kept["address"])
            assert kept["key"].is_unique().all()
            starts = sorted([*kept["line"], *out["line"]])
            lines = re.split(rb"\r\n|\r|\n", b"email,name\n" + body)
            before_the_first = lines[1 : starts[0] - 1] if starts else lines[1:]
            assert not any(line.strip(b" ") for line in before_the_first)


line_ends = st.sampled_from(["\n", "\r\n", "\r"])


@thorough
@given(
    names=st.lists(st.text('ab," é', max_size=4), min_size=1, max_size=12),
    header_end=line_ends,
    row_ends=st.lists(line_ends, min_size=1, max_size=4),
    in_quotes=line_ends,
    last=st.sampled_from(["", "\n", "\r", "\r\n\n"]),
    encoding=st.sampled_from(["utf-8-sig", "windows-1252", "utf-16"]),
    block_bytes=st.sampled_from([97, 1 << 20]),
    lenient=st.booleans(),
)
def test_every_row_is_read_whatever_ends_the_lines(
    *,
    names: list[str],
    header_end: str,
    row_ends: list[str],
    in_quotes: str,
    last: str,
    encoding: str,
    block_bytes: int,
    lenient: bool,
) -> None:
    rows = [f'user{n}@example.com,"{name.replace(chr(34), chr(34) * 2)}{in_quotes}"' for n, name in enumerate(names)]
    ends = [*(row_ends * len(rows))[: len(rows) - 1], last]
    text = "email,name" + header_end + "".join(row + end for row, end in zip(rows, ends, strict=True))
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", block_bytes)
        patch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", block_bytes)
        (Path(name) / "list.csv").write_bytes(text.encode(encoding))
        declared = "windows-1252" if encoding == "windows-1252" else None
        places, found = read_file(Path(name) / "list.csv", delimiter=",", encoding=declared, lenient=lenient)
    assert places["malformed"].null_count() == len(names)
    assert found.rows() == [(f"user{n}@example.com", f"{name}\n") for n, name in enumerate(names)]


rows_of_anything = st.lists(st.tuples(addresses, texts | st.none(), st.integers(0, 99) | st.none()), max_size=40)


@pytest.mark.timeout(300)  # two plans for each example, one in parts of five rows
@thorough
@given(
    rows=rows_of_anything,
    suppressed=st.lists(near_addresses, max_size=4),
    limit=st.none() | st.integers(0, 12),
    hold_out=st.sampled_from([0, 30]),
    order_by=st.none() | st.sampled_from(["n desc", "name, n"]),
)
def test_the_plan_does_not_depend_on_how_the_audience_is_divided(
    rows: list[tuple[str | None, str | None, int | None]],
    suppressed: list[str],
    limit: int | None,
    hold_out: float,
    order_by: str | None,
) -> None:
    table = pl.DataFrame(rows, schema={"email": pl.String, "name": pl.String, "n": pl.Int64}, orient="row")
    found = []
    for rows_at_once, partition_bytes in ((10**6, 1 << 30), (5, 64)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("engine.audience.reading.binary.binary_rows.BATCH_ROWS", rows_at_once)
            patch.setattr("engine.audience.planning.partitions._PARTITION_BYTES", partition_bytes)
            patch.setattr("engine.audience.planning.first_pass.SAMPLE_ONE_IN", 2)
            patch.setattr("engine.audience.planning.excluded_rows._ROWS_ON_A_SHELF", rows_at_once)
            options: dict[str, Any] = {"hold_out": hold_out, "order_by": order_by}
            with planned(table, suppressed, limit=limit, as_csv=False, **options) as (_, folder):
                found.append((recipients(folder), all_excluded(folder)))
    assert found[0][0].equals(found[1][0])
    assert found[0][1].equals(found[1][1])


PLAN_IN_A_PROCESS = """
import sys, pathlib
sys.path.insert(0, sys.argv[3])
from engine.audience.planning import partitions
from engine.audience.reading.text_files import text_blocks, text_encoding
from support.plans import plan
text_blocks.BLOCK_BYTES = text_encoding.READ_BYTES = 1 << 16
partitions._PARTITION_BYTES = 1 << 18
workspace, folder = map(pathlib.Path, sys.argv[1:3])
order_by = "n desc" if folder.name[0] == "o" else None
plan(workspace, where="n > 3", limit=19_000, hold_out=1, order_by=order_by, into=folder)
"""


@pytest.mark.parametrize("order", ["hash", "order_by"])
def test_the_plan_does_not_depend_on_the_number_of_threads(order: str, tmp_path: Path) -> None:
    lines = [f'"user{n % 19_990}@mail{n % 7}.example.com",{n % 100},"x\n{n}"' for n in range(20_000)]
    (tmp_path / "list.csv").write_text("email,n,t\n" + "\n".join(lines) + "\n")
    plans = []
    for threads in ("1", "5"):
        folder = tmp_path / f"{order}{threads}"
        folder.mkdir()
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        command = [sys.executable, "-c", PLAN_IN_A_PROCESS, str(tmp_path), str(folder), str(TESTS)]
        subprocess.run(command, env=environment, check=True)
        plans.append((recipients(folder), all_excluded(folder), sorted(path.name for path in folder.iterdir())))
    assert plans[0][0].equals(plans[1][0])
    assert plans[0][1].equals(plans[1][1])
    assert plans[0][2] == plans[1][2]
