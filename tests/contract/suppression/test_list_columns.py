"""Whatever a list's columns are, the opted-out are suppressed, or the list is refused: never others beside them."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from support.plans import excluded, plan

from engine.errors import DataError
from engine.ledger.suppressed.suppressions import list_keys
from engine.suppression.lists import ImportOptions, read_suppression_list

OPTED_OUT = ["a1@x.example", "a2@x.example", "a3@x.example"]
STAFF = ["s1@acme.example", "s2@acme.example"]
OPTIONS = ImportOptions(topic="", reason=None, source=None, at=datetime(2026, 11, 24, tzinfo=UTC))
OWNERS = [STAFF[0], STAFF[1], STAFF[0]]
ODD = [one.replace("@", "(at)") for one in OPTED_OUT]
Write = Callable[[Path], Path]
Command = Callable[[Path], set[str]]


def suppressed_by_plan(file: Path) -> set[str]:
    """Who of the opted-out and the staff gets no mail."""
    people = [*OPTED_OUT, *STAFF]
    (file.parent / "list.csv").write_text("\n".join(["email", *people, ""]))
    plan(file.parent, suppressed=[file.name])
    return {people[line - 2] for line, reason, _ in excluded(file.parent) if reason == "suppressed"}


def suppressed_by_import(file: Path) -> set[str]:
    blocks = list(read_suppression_list(str(file), file.parent, OPTIONS))
    if faults := [one.what for block in blocks for one in block.invalid]:
        raise DataError(faults[0], where=file.name, remedy="exit code 65, as the command does")
    keys = {one.key for block in blocks for one in block.entries}
    return {one for one in (*OPTED_OUT, *STAFF) if not keys.isdisjoint(list_keys(one))}


def text(header: str, cells: Iterable[str], owners: Iterable[str] = tuple(OWNERS), *, delimiter: str = ",") -> Write:
    def write(folder: Path) -> Path:
        rows = [header, *(f"{one}{delimiter}{owner}" for one, owner in zip(cells, owners, strict=True))]
        (folder / "gone.csv").write_text("\n".join([*rows, ""]))
        return folder / "gone.csv"

    return write


def objects(shape: Callable[[str, str], object]) -> Write:
    def write(folder: Path) -> Path:
        rows = [json.dumps(shape(one, owner)) for one, owner in zip(OPTED_OUT, OWNERS, strict=True)]
        (folder / "gone.ndjson").write_text("\n".join([*rows, ""]))
        return folder / "gone.ndjson"

    return write


def parquet(name: str, cells: pl.Series, owner: str = "owner") -> Write:
    def write(folder: Path) -> Path:
        pl.DataFrame([cells.alias(name), pl.Series(owner, OWNERS)]).write_parquet(folder / "gone.parquet")
        return folder / "gone.parquet"

    return write


LATE = 10_500  # rows, more than are looked at
READ = {
    "mailto in a named column": text("E-Mail-Adresse,owner", [f"mailto:{one}" for one in OPTED_OUT]),
    "mailto": text("email,owner", [f"mailto:{one}" for one in OPTED_OUT]),
    "a named column beside an actor's": text("Contact e-mail,Added by", OPTED_OUT),
    "a domain": text("domain,added_by", ["x.example"] * 3),
    "a domain, divided otherwise": text("domain;blocked by", ["x.example"] * 3, delimiter=";"),
    "a domain in a column for mail": text("Contact e-mail,Added by", ["x.example"] * 3),
    "bytes": parquet("email", pl.Series(OPTED_OUT).cast(pl.Binary)),
    "a list of bytes": parquet("emails", pl.Series([[one.encode()] for one in OPTED_OUT])),
    "a list": parquet("emails", pl.Series([[OPTED_OUT[0]], OPTED_OUT[1:], OPTED_OUT[:1]])),
    "an array": parquet("emails", pl.Series([[one, None] for one in OPTED_OUT], dtype=pl.Array(pl.String, 2))),
    "a struct": parquet("contact", pl.Series([{"email": one, "name": "Ann"} for one in OPTED_OUT])),
    "a category": parquet("email", pl.Series(OPTED_OUT, dtype=pl.Categorical)),
    "an object": objects(lambda one, owner: {"contact": {"email": one}, "owner": owner}),
    "two objects": objects(lambda one, owner: {"owner": {"email": owner}, "contact": {"email": one}}),
    "a destination": objects(lambda one, owner: {"destination": {"emailAddress": one}, "mail_from": owner}),
    "recipients": objects(lambda one, owner: {"bouncedRecipients": [{"emailAddress": one}], "source": owner}),
    "deep recipients": objects(lambda one, owner: {"source": owner, "b": {"r": [{"to": [{"email": one}]}]}}),
    "empty objects": objects(lambda one, owner: {"email": one, "none": {}, "some": [{}], "owner": [owner]}),
    "no name for it": text("who,date", OPTED_OUT, ["2026-11-01"] * 3),
}
READ_NONE = {  # name of the columns that the error has
    ("Contact e-mail", "Added by"): text("Contact e-mail,Added by", ODD),
    ("Contact e-mail", "reviewer"): text("Contact e-mail,reviewer", ODD),
    ("Contact e-mail", "who"): text("Contact e-mail,who", [ODD[0], ODD[1], OPTED_OUT[2]]),
    ("email", "owner"): text("email,owner", [""] * 3),
    ("email", "name"): text("email,name", [""] * 3),
    ("email", "added_by"): text("email,added_by", [*[""] * LATE, *OPTED_OUT], STAFF[:1] * (LATE + 3)),
    ("contact", "user"): text("contact,user", [*[""] * LATE, *OPTED_OUT], STAFF[:1] * (LATE + 3)),
    ("email_b64", "added_by"): text("email_b64,added_by", ["YTFA", "YTJA", "YTNA"]),
    ("address", "user"): text("address,user", ["1 Elm Street", "", ""]),
    ("Recipient", "user"): text("Recipient,user", ["Ann", "Bob", "Eve"]),
    ("domain", "user"): text("domain,user", ["", "", ""]),
    ("Empfänger", "Benutzer"): text("Empfänger,Benutzer", ODD),
    ("Kunden-Mail", "Vertreter-Mail"): text("Kunden-Mail,Vertreter-Mail", ODD),
    ("Recipient", "Mail sent by"): text("Recipient,Mail sent by", OPTED_OUT),
    ("domain", "colleague"): text("domain,colleague", ["other.example"] * 3),
    ("Added by",): text("Contact,Added by", ["Ann", "Bob", "Eve"]),
    ("addedBy",): text("Contact,addedBy", ["Ann", "Bob", "Eve"]),
    ("mail_from",): text("Contact,mail_from", ["Ann", "Bob", "Eve"]),
    ("Sender",): text("Contact,Sender", ["Ann", "Bob", "Eve"]),
    ("Contact", "Vertreter"): text("Contact,Vertreter", [f"phone {one}" for one in OPTED_OUT]),
    ("email_id", "user"): parquet("email_id", pl.Series([1, 2, 3]), "user"),
    ("email", "user"): parquet("email", pl.Series([None] * 3, dtype=pl.Null), "user"),
    ("contact.email", "user"): parquet("contact", pl.Series([{"email": one} for one in ODD]), "user"),
    ("contact", "user", "3 of 3"): parquet("contact", pl.Series([[one] for one in OPTED_OUT]), "user"),
    ("colleague.email", "contact.email"): objects(
        lambda one, owner: {"colleague": {"email": owner}, "contact": {"email": one}}
    ),
    ("contact", "owner"): objects(
        lambda one, owner: {"contact": one if one == OPTED_OUT[0] else {"is": [one]}, "owner": owner}
    ),
    ("column name is an address",): objects(lambda one, owner: {one: {"owner": owner}}),
}


@pytest.fixture(params=[suppressed_by_plan, suppressed_by_import], ids=["plan", "import"])
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.param
    return found


@pytest.mark.parametrize("write", READ.values(), ids=READ.keys())
def test_list_suppresses_the_opted_out_and_no_others(write: Write, command: Command, tmp_path: Path) -> None:
    assert command(write(tmp_path)) == set(OPTED_OUT)


@pytest.mark.parametrize(("named", "write"), READ_NONE.items(), ids=map(", ".join, READ_NONE))
def test_list_is_refused_when_a_named_column_cannot_be_read(
    named: tuple[str, ...], write: Write, command: Command, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        command(write(tmp_path))
    assert all(name in caught.value.what for name in named)


def test_list_column_without_a_telling_name_is_noted(tmp_path: Path) -> None:
    file = READ["no name for it"](tmp_path)
    (block, *_) = read_suppression_list(str(file), tmp_path, OPTIONS)
    assert block.notes == ("gone.csv: the addresses in who were read: no other column has addresses",)


def test_list_row_is_reported_when_only_other_columns_are_filled(command: Command, tmp_path: Path) -> None:
    rows = [{"email": OPTED_OUT[0]}, {"contact": OPTED_OUT[1], "owner": STAFF[0]}]
    (tmp_path / "gone.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="it has no address"):
        command(tmp_path / "gone.ndjson")


def test_list_is_read_whatever_the_types_beside_its_addresses(command: Command, tmp_path: Path) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    columns = {"id": [1, 2, 3], "at": [at] * 3, "day": [at.date()] * 3, "time": [at.time()] * 3, "took": [at - at] * 3}
    others = pl.DataFrame(columns | {"took_each": [[at - at]] * 3, "is_new": [True] * 3})
    others.with_columns(email=pl.Series(OPTED_OUT)).write_parquet(tmp_path / "gone.parquet")
    assert command(tmp_path / "gone.parquet") == set(OPTED_OUT)


def test_digest_of_bytes_is_seen_to_be_a_hash(command: Command, tmp_path: Path) -> None:
    pl.DataFrame({"email": [bytes([200, 255] * 8), None, b"a1@x.example"]}).write_parquet(tmp_path / "gone.parquet")
    with pytest.raises(DataError, match="it is a hash"):
        command(tmp_path / "gone.parquet")
