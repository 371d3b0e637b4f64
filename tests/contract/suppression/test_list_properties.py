"""However a list is written, exactly its addresses are suppressed, or the list is refused."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.audience.lists.list_entries import read_entries
from engine.errors import DataError
from engine.suppression.lists import ImportOptions, read_suppression_list

OPTIONS = ImportOptions(topic="", reason=None, source=None, at=datetime(2026, 11, 24, tzinfo=UTC))
names = st.sampled_from(["ann", "Bob", "c.d", "e+f", "o'neil", "7"])
domains = st.sampled_from(["x.example", "Y.example", "sub.z.example", "bücher.example"])
addresses = st.builds("{}@{}".format, names, domains)
forms = st.sampled_from(["{}", " {} ", "Lee <{}>", '"Lee, Ann" <{}>', "<{}>", "{} (Ann Lee)"])
entries = st.builds(lambda address, form: (address, form.format(address)), addresses, forms)
domain_entries = st.builds(
    lambda domain, form: (f"@{domain}", form.format(domain)), domains, st.sampled_from(["@{}", "*@{}"])
)
cells = st.lists(entries | domain_entries, min_size=1, max_size=3)
garbage = st.sampled_from(["nobody", "x@y@z", "ann*@x.example", "0a" * 16, "n/a", "@", "ann@x"])


def keys_of(texts: list[str]) -> set[str]:
    """The keys of plain addresses and domains."""
    return set(read_entries(pl.Series(texts, dtype=pl.String)).get_column("key"))


def read(data: bytes) -> tuple[set[str], int]:
    """Whom a list suppresses, and how many of its entries match no address."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_bytes(data)
        blocks = list(read_suppression_list(str(path), path.parent, OPTIONS))
    return {one.key for block in blocks for one in block.entries}, sum(len(block.invalid) for block in blocks)


@settings(max_examples=30)
@given(
    rows=st.lists(cells, min_size=1, max_size=6),
    separator=st.sampled_from([", ", ";", " ; "]),
    end=st.sampled_from("\n\r"),
)
def test_list_of_lines_suppresses_every_address_in_it(
    rows: list[list[tuple[str, str]]], separator: str, end: str
) -> None:
    lines = [separator.join(text for _, text in row) for row in rows]
    found, invalid = read((end.join(lines) + end).encode())
    assert (found, invalid) == (keys_of([whom for row in rows for whom, _ in row]), 0)


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(cells, addresses, st.sampled_from(["", "asked", "see bob@x.example"])), min_size=1, max_size=6
    ),
    header=st.sampled_from(["email", "E-Mail", "Contact e-mail", "Email Address"]),
    delimiter=st.sampled_from(",;\t|"),
    place=st.integers(0, 2),
)
def test_a_list_with_a_header_suppresses_its_column_of_addresses_alone(
    rows: list[tuple[list[tuple[str, str]], str, str]], header: str, delimiter: str, place: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    for record in [
        (header, "Added by", "Remark"),
        *((", ".join(t for _, t in row), by, note) for row, by, note in rows),
    ]:
        writer.writerow([*record[place:], *record[:place]])
    wanted = keys_of([whom for row, _, _ in rows for whom, _ in row])
    try:
        found = read(text.getvalue().encode())
    except DataError as error:  # too few of the cells are addresses to be sure
        event(error.what)
        return
    assert found == (wanted, 0)


named = st.sampled_from(["email", "E-Mail-Adresse", "Contact e-mail", "Recipient", "user.email", "Kunden-Mail"])
beside = st.sampled_from(["Added by", "owner", "mail_from", "sender", "user", "Bearbeiter", "colleague", "who"])
unreadable = st.sampled_from(
    ["", "a(at)x.example", "n/a", "mailto:a%2Bb@x.example", "YTFA", "ann", "call ann@x.example"]
)


@settings(max_examples=60)
@given(
    header=named,
    other=beside,
    rows=st.lists(
        st.tuples(entries | domain_entries | unreadable.map(lambda text: (None, text)), st.sampled_from("st")),
        min_size=1,
        max_size=6,
    ),
    is_first=st.booleans(),
)
def test_a_column_beside_the_named_one_is_never_read_in_its_place(
    header: str, other: str, rows: list[tuple[tuple[str | None, str], str]], *, is_first: bool
) -> None:
    text = io.StringIO()
    records = [(header, other), *((cell, f"{staff}@acme.example") for (_, cell), staff in rows)]
    csv.writer(text, lineterminator="\n").writerows(record if is_first else record[::-1] for record in records)
    try:
        found, invalid = read(text.getvalue().encode())
    except DataError as error:
        event(error.what)
        return
    wanted = [whom for (whom, _), _ in rows if whom is not None]
    assert (found, invalid) == (keys_of(wanted), len(rows) - len(wanted))


@settings(max_examples=30)
@given(good=st.lists(addresses, min_size=1, max_size=5), bad=st.lists(garbage, min_size=1, max_size=4))
def test_what_cannot_match_is_counted_and_hides_nobody(good: list[str], bad: list[str]) -> None:
    lines = [*good[:1], *bad, *good[1:]]
    found, invalid = read("\n".join(["email", *lines, ""]).encode())
    assert (found, invalid) == (keys_of(good), len(bad))
    assert read("\n".join([*lines, ""]).encode()) == (keys_of(good), len(bad))
