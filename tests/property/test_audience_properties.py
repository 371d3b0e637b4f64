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
from typing import Literal

import polars as pl
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from engine.audience.addresses import judge_addresses
from engine.audience.csv_rows import read_csv_rows
from engine.audience.plan import Plan, plan_audience, read_lease
from engine.audience.sources import find_sources
from engine.audience.spec import AudienceSpec, SuppressionSpec
from engine.errors import DataError

# Every example writes and flushes files; how long the disk takes is not what is tested.
thorough = settings(max_examples=150, deadline=None)

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
    """The grammar once more, in other words than the engine's."""
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
    table: pl.DataFrame, suppressed: list[str], *, limit: int | None = None, as_csv: bool
) -> Iterator[tuple[Plan, Path]]:
    """A plan of the table, in a folder of its own."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = "list.csv" if as_csv else "list.parquet"
        if as_csv:
            table.write_csv(folder / source, quote_style="always")
        else:
            table.write_parquet(folder / source)
        pl.DataFrame({"email": suppressed}, schema={"email": pl.String}).write_parquet(folder / "gone.parquet")
        plan = plan_audience(
            audience=AudienceSpec(source=source, where="n IS NULL OR n < 90", required=("name",)),
            suppression=SuppressionSpec(files=("gone.parquet",)),
            workspace=folder,
            sources=find_sources(source, folder),
            columns=None,
            folder=folder,
            order_key="run",
            limit=limit,
        )
        yield plan, folder


@thorough
@given(
    rows=st.lists(st.tuples(addresses, texts | st.none(), st.integers(0, 99) | st.none()), max_size=25),
    suppressed=st.lists(near_addresses, max_size=4),
    limit=st.none() | st.integers(0, 12),
    as_csv=st.booleans(),
)
@example(
    rows=[("a@b\u00e4r.example", "x", 1), ("A@xn--br-via.example", "y", 2)], suppressed=[], limit=None, as_csv=False
)
def test_every_row_of_any_table_is_a_recipient_or_excluded_for_one_reason(
    rows: list[tuple[str | None, str | None, int | None]], suppressed: list[str], limit: int | None, *, as_csv: bool
) -> None:
    table = pl.DataFrame(rows, schema={"email": pl.String, "name": pl.String, "n": pl.Int64}, orient="row")
    if as_csv:  # NUL and a carriage return are other tests' matter
        table = table.with_columns(pl.col(pl.String).str.replace_all("[\0\r]", ""))
    with planned(table, suppressed, limit=limit, as_csv=as_csv) as (plan, folder):
        recipients = pl.read_parquet(folder / plan.files[0])
        excluded = pl.read_parquet(folder / plan.files[1])
        assert plan.rows_read == len(rows)
        assert sorted([*recipients["row"], *excluded["row"]]) == list(range(1, len(rows) + 1))
        assert excluded["row"].is_sorted()
        assert plan.excluded == dict(Counter(excluded["reason"]))
        assert excluded["detail"].null_count() == 0
        assert all(is_mailable(address) for address in recipients["address"])
        assert recipients["key"].to_list() == [address.lower() for address in recipients["address"]]
        assert recipients["key"].is_unique().all()
        assert not set(recipients["key"]) & set(judge_addresses(pl.Series(suppressed, dtype=pl.String))["key"])
        assert all((name or "").strip() for name in recipients["name"])
        assert limit is None or plan.accepted <= limit
        leases = [read_lease(folder, lease) for lease in plan.leases]
        assert pl.concat([recipients.clear(), *leases]).equals(recipients)


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
def test_what_pythons_csv_writes_is_read_back(table: list[list[str]], line_end: str, *, quote_all: bool) -> None:
    text = io.StringIO()
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)
    writer.writerow(["a", "b"])
    lines = []
    for row in table:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    rows = read_csv_rows(text.getvalue().encode(), name="list.csv", delimiter=",")
    assert rows.places["malformed"].null_count() == len(table)
    assert rows.places["line"].to_list() == lines
    assert [[cell or "" for cell in row] for row in rows.cells.iter_rows()] == table


@settings(max_examples=500)
@given(st.text('ab,"\n\r ', max_size=40))
@example('a"b,"c\nx"y,z\n')
def test_any_text_is_refused_or_each_of_its_lines_is_in_a_row(body: str) -> None:
    text = "h1,h2\n" + body
    try:
        rows = read_csv_rows(text.encode(), name="list.csv", delimiter=",")
    except DataError as error:
        event(error.what)
        return
    lines = text.split("\n")
    starts = rows.places["line"].to_list()
    assert all(line.strip(" \r") == "" for line in lines[1 : starts[0] - 1 if starts else None])
    ends = [*starts[1:], len(lines) + 1][: len(starts)]
    for start, end, malformed, found in zip(
        starts, ends, rows.places["malformed"], rows.cells.iter_rows(), strict=True
    ):
        own = lines[start - 1 : end - 1]
        while not own[-1].strip(" \r"):
            own.pop()  # blank lines after the row
        chunk = "\n".join(line.removesuffix("\r") for line in own)
        parsed = list(csv.reader(io.StringIO(chunk, newline="\n"), strict=True)) if malformed is None else []
        assert malformed or [[cell or "" for cell in found]] == parsed


PLAN_IN_A_PROCESS = """
import sys, pathlib
from engine.audience.plan import plan_audience
from engine.audience.sources import find_sources
from engine.audience.spec import AudienceSpec, SuppressionSpec
workspace, folder = map(pathlib.Path, sys.argv[1:])
plan_audience(
    audience=AudienceSpec(source="list.csv", where="n > 3"), suppression=SuppressionSpec(), workspace=workspace,
    sources=find_sources("list.csv", workspace), columns=None, folder=folder, order_key="run", limit=19_000,
)
"""


def test_the_plan_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    lines = [f'"user{n % 19_990}@mail{n % 7}.example.com",{n % 100},"x\n{n}"' for n in range(20_000)]
    (tmp_path / "list.csv").write_text("email,n,t\n" + "\n".join(lines) + "\n")
    plans = []
    for threads in ("1", "5"):
        folder = tmp_path / threads
        folder.mkdir()
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", PLAN_IN_A_PROCESS, str(tmp_path), str(folder)], env=environment, check=True
        )
        plans.append([pl.read_parquet(folder / f"{kind}-0000.parquet") for kind in ("recipients", "excluded")])
    assert plans[0][0].equals(plans[1][0])
    assert plans[0][1].equals(plans[1][1])
