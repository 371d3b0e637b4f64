"""`mailrun plan --explain`: how the plan treats one address, and which rule decides."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct

from engine.addresses.parse import judge_addresses
from engine.audience.exclusions import RULES, ExclusionReason
from engine.audience.planning.lease_range import LeaseRange
from engine.audience.providers import mailbox_of
from engine.audience.spec import Dedupe


class ExplainedRow(Struct, frozen=True):
    """The outcome of a row in the plan.

    Attributes:
        file, line, row: the row's place.
        address: as the plan has it.
        position: its position in the plan, from 1; None where it is excluded.
        lease: the lease that it is in; None where it is excluded.
        reason, detail: why it is excluded; None for a recipient.
    """

    file: str
    line: int
    row: int
    address: str | None
    position: int | None = None
    lease: int | None = None
    reason: ExclusionReason | None = None
    detail: str | None = None

    def to_line(self) -> str:
        """Return the row as a sentence."""
        place = f"{self.file} line {self.line}"
        if self.reason is None:
            return f"{place}: a recipient, number {self.position:,} of the plan (lease {self.lease})"
        return f"{place}: excluded as {self.reason}: {self.detail}; decided by {RULES[self.reason]}"

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `explained.rows`."""
        return {
            "file": self.file,
            "line": self.line,
            "row": self.row,
            "address": self.address,
            "verdict": "recipient" if self.reason is None else "excluded",
            "position": self.position,
            "lease": self.lease,
            "reason": self.reason,
            "detail": self.detail,
            "rule": None if self.reason is None else RULES[self.reason],
        }


class Explanation(Struct, frozen=True):
    """How the plan treats an address.

    Attributes:
        asked: the address as given to --explain.
        key: the key that addresses are compared by; None where it is not an address.
        fault: why it is not an address; None where it is one.
        rows: every row of the audience with the same address, in the order of the sources.
    """

    asked: str
    key: str | None
    fault: str | None
    rows: tuple[ExplainedRow, ...]

    def to_lines(self) -> list[str]:
        """Return the explanation as sentences."""
        title = f"{self.asked}:" if self.fault is None else f"{self.asked} is not an address: {self.fault}"
        nothing = [] if self.rows else ["  no row of the audience has this address"]
        return [title, *nothing, *(f"  {row.to_line()}" for row in self.rows)]

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `explained`."""
        return {
            "address": self.asked,
            "key": self.key,
            "fault": self.fault,
            "rows": [row.to_json() for row in self.rows],
        }


def explain_address(address: str, plan: Path, leases: Sequence[LeaseRange], dedupe: Dedupe) -> Explanation:
    """Find the rows of a plan that have an address, in any spelling.

    Args:
        address: in any spelling; text that is not an address is searched as it is.
        plan: the plan's folder.
        leases: of the plan.
        dedupe: the rule that decides whether two addresses are the same.
    """
    (_, key, fault) = judge_addresses(pl.Series([address])).row(0)
    wanted = None if key is None else _same(pl.Series([key]), dedupe).item()
    found = [*_find_recipients(wanted, plan, leases, dedupe), *_find_excluded(address, wanted, plan, dedupe)]
    return Explanation(address, key, fault, tuple(sorted(found, key=lambda row: row.row)))


def _same(keys: pl.Series, dedupe: Dedupe) -> pl.Series:
    return mailbox_of(keys) if dedupe is Dedupe.PROVIDER else keys


def _find_recipients(
    wanted: str | None, plan: Path, leases: Sequence[LeaseRange], dedupe: Dedupe
) -> Iterator[ExplainedRow]:
    before = 0
    for file in dict.fromkeys(lease.file for lease in leases) if wanted else ():
        keys = pl.read_parquet(plan / file, columns=["key"], glob=False).get_column("key")
        at = (_same(keys, dedupe) == wanted).arg_true()
        if at.len():
            places = pl.read_parquet(plan / file, columns=["row", "file", "line", "address"], glob=False)
            for place, (row, name, line, address) in zip(
                at, places.select(pl.all().gather(at)).iter_rows(), strict=True
            ):
                lease = next(
                    o.ordinal for o in leases if o.file == file and o.first_row <= place < o.first_row + o.rows
                )
                yield ExplainedRow(name, line, row, address, before + place + 1, lease)
        before += keys.len()


def _find_excluded(asked: str, wanted: str | None, plan: Path, dedupe: Dedupe) -> Iterator[ExplainedRow]:
    for file in sorted(plan.glob("excluded-*.parquet")):
        excluded = pl.read_parquet(file, glob=False)
        addresses = excluded.get_column("address")
        is_it = addresses.str.strip_chars() == asked.strip()
        if wanted is not None:
            is_it |= _same(judge_addresses(addresses).get_column("key"), dedupe) == wanted
        for row, name, line, address, reason, detail in excluded.filter(is_it.fill_null(value=False)).iter_rows():
            yield ExplainedRow(name, line, row, address, reason=ExclusionReason(reason), detail=detail)
