"""The repeated queries of a worker cost the same with 5,000 runs as with 5."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert
from support.clock import START

from engine.campaign.spec import parse_spec
from engine.ledger import facts
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.facts import RunFacts
from engine.ledger.schema import RunState, feedback_domain_table, lease_table, run_table
from engine.run.facts import complete_facts
from engine.run.guard.evidence import read_account, read_evidence
from engine.run.send.warmup import WarmupDay, read_warmup

SPEC = parse_spec(
    'from = "news@acme.example"\nsubject = "s"\nkind = "transactional"\n'
    '[audience]\nsource = "x.csv"\n[content]\ntext = "t"\n[warmup]\ncaps = [20000, 30000]\n',
    file="campaign.toml",
)
FACTS = RunFacts("acme.example", "ses", trial=False, kind="transactional", topic="a", warmup="{}")
CAME_BACK = {"proven": 2, "delivered": 2, "bounced": 1, "soft_bounced": 0, "provider_suppressed": 0}


class NoStore:
    """A store that fails at every call."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the store is read: {name}")


def add_runs(ledger: Ledger, count: int) -> None:
    """Add finished runs of today with one settled lease of two recipients each."""
    names = [f"a/{number}" for number in range(count)]
    of_run = {
        "state": RunState.FINISHED,
        "sandbox": False,
        "folder": "f",
        "manifest_digest": "d",
        "rows_read": 2,
        "accepted": 2,
        "excluded": "{}",
        "created_at": START,
        "started_at": START,
        "finished_at": START,
        **facts.to_fact_columns(FACTS),
    }
    of_lease = {"ordinal": 0, "rows": 2, "epoch": 1, "settled_at": START, "sent": 2, "refused": 0, "failed": 0}
    with ledger.write() as tx:
        tx.execute(insert(run_table), [{"name": name, **of_run} for name in names])
        tx.execute(insert(lease_table), [{"run": name, "in_doubt": 0, **of_lease} for name in names])
        came_back = {"domain": "x.example", "complained": 0, "rejected": 0, **CAME_BACK}
        tx.execute(insert(feedback_domain_table), [{"run": name, **came_back} for name in names])


@contextmanager
def counting(ledger: Ledger) -> Iterator[list[str]]:
    """Collect the statements, with their parameters: as long for many runs as for few."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            statements.append(f"{arguments[2]} {arguments[3]}")

    event.listen(ledger._engine, "before_cursor_execute", note)
    yield statements
    event.remove(ledger._engine, "before_cursor_execute", note)


@pytest.fixture(params=[5, 5_000])
def ledger(ledger_url: str, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    add_runs(opened, request.param)
    yield opened
    opened.close()


def test_warmup_reads_two_statements_and_no_file(ledger: Ledger, request: pytest.FixtureRequest):
    count: int = request.node.callspec.params["ledger"]
    no_store: Any = NoStore()
    complete_facts(ledger, no_store)
    now = START + timedelta(hours=1)
    with ledger.read() as tx, counting(ledger) as statements:
        assert read_warmup(tx, SPEC, now, run="a/0") == WarmupDay(1, 20_000, 2 * count)
    assert len(statements) == 2
    assert sum(map(len, statements)) < 4_000


def test_guard_reads_as_many_statements_and_no_file(ledger: Ledger, request: pytest.FixtureRequest):
    count: int = request.node.callspec.params["ledger"]
    now = START + timedelta(hours=1)
    with ledger.read() as tx, counting(ledger) as statements:
        account = read_account(tx, "a/0", now, sandbox=False)
        found = read_evidence(tx, "a/0", now, account)
    assert account.totals is not None
    assert (account.totals.bounced, found.run.bounced) == (count, 1)
    assert len(statements) == 4
    assert sum(map(len, statements)) < 4_000
