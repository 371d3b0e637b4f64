"""Facts of a run: settings of its campaign that other commands need, as columns of the run.

A run's campaign is frozen, so its facts never change. They are written when the run is registered. A run of an earlier
version has none until a command reads them once from the run's frozen campaign (`engine.run.facts`).
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import fields
from sqlalchemy import Connection, update
from sqlalchemy.engine import RowMapping

from engine.ledger.schema import run_table


class RunFacts(Struct, frozen=True):
    """The settings of a run's frozen campaign.

    Attributes:
        sender_domain: of `from`, in lower case; empty where the campaign cannot be read.
        transport: `ses`, `smtp` or `outbox`, as launched.
        trial: SES does not count what the run sends: it goes to the sandbox inside the launch, or to files.
        kind: `marketing` or `transactional`.
        topic: whose opt-outs apply.
        configuration_set: of SES; None where the campaign names none.
        warmup: `[warmup]` as JSON; None where the campaign has none.
        guard: `[guard]` as JSON.
        canary: `[canary]` as JSON; None where the campaign has none.
        notify: `[notify]` as JSON; None where the campaign has none.
    """

    sender_domain: str
    transport: str
    trial: bool
    kind: str
    topic: str
    configuration_set: str | None = None
    warmup: str | None = None
    guard: str = "{}"
    canary: str | None = None
    notify: str | None = None


FACT_COLUMNS = tuple(field.name for field in fields(RunFacts))


def to_fact_columns(facts: RunFacts | None) -> dict[str, Any]:
    """Return the values of the columns; none where the facts are not known."""
    return {} if facts is None else {name: getattr(facts, name) for name in FACT_COLUMNS}


def from_fact_columns(row: RowMapping) -> RunFacts | None:
    """Read the facts of a row of the run table; None where they are not known."""
    if row["sender_domain"] is None:
        return None
    return RunFacts(**{name: row[name] for name in FACT_COLUMNS})


def set_facts(tx: Connection, run: str, facts: RunFacts) -> None:
    """Write the facts of a run, unless they are known."""
    table = run_table.c
    tx.execute(update(run_table).where(table.name == run, table.sender_domain.is_(None)).values(to_fact_columns(facts)))
