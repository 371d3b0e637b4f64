"""Runs in a workspace as launches leave them, made without sending: for tests of what reads them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import engine
from engine.audience.planning.plan import Lists
from engine.audience.planning.plan_files import read_lease
from engine.feedback.events.effects import SoftRule
from engine.feedback.events.envelopes import open_body
from engine.feedback.events.intake import Intake
from engine.feedback.events.matching import Matcher
from engine.ledger import leases, runs
from engine.ledger.journal import Intent, Outcome, Result, encode_entries
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.ledger.suppressed.suppressions import iterate_suppressions
from engine.run.frozen import FrozenRun
from engine.run.history import write_lease_history
from engine.run.manifest import FrozenSource, Manifest, digest_tree, write_manifest
from engine.run.outcomes import end_change, stage_outcomes
from engine.run.settle.event_proof import make_open_plan
from engine.workspace import Workspace, open_workspace
from support.events import make_event, make_mail
from support.plans import plan

SENT_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
PEOPLE = "email\n" + "".join(f"person{number}@x.example\n" for number in range(30))

CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello"
kind = "transactional"
[audience]
source = "audiences/people.csv"
[content]
text = "body.txt.j2"
"""


@contextmanager
def open_new_workspace(folder: Path) -> Iterator[Workspace]:
    """Open a new workspace."""
    (folder / "campaigns").mkdir(parents=True)
    with open_workspace(folder) as workspace:
        yield workspace


def add_run(
    workspace: Workspace,
    name: str,
    rows: str = PEOPLE,
    *,
    at: datetime = SENT_AT,
    outcomes: Mapping[str, Result | None] | None = None,
    settled: bool = True,
    **options: Any,
) -> Run:
    """Add a run that was sent.

    Args:
        workspace: gets it.
        name: CAMPAIGN/KEY.
        rows: its audience as CSV.
        at: when it was planned and sent.
        outcomes: address -> its result instead of a sent message; None for an open intent (of an open lease).
        settled: False leaves its leases open, with their journals.
        **options: of `support.plans.plan`.
    """
    folder = workspace.store.local_folder / "runs" / name
    (folder / "campaign").mkdir(parents=True)
    (folder / "plan").mkdir()
    (folder / "campaign" / "campaign.toml").write_text(CAMPAIGN, encoding="utf-8")
    source = workspace.settings.workspace / f"{name.replace('/', '-')}.csv"
    source.write_text(rows, encoding="utf-8")
    lists = Lists(suppressions=iterate_suppressions(workspace.ledger))
    campaign = name.partition("/")[0]
    given: dict[str, Any] = {"lists": lists, "address": "email", "order_key": campaign} | options
    planned = plan(source.parent, source=source.name, into=folder / "plan", **given)
    manifest = Manifest(
        run=name, mailrun=engine.__version__, created_at=at, sandbox=False, limit=None,
        sources=(FrozenSource(name=source.name, size_bytes=1, mtime_ns=1),), columns=planned.columns,
        audience_columns=("email",), rows_read=planned.rows_read, accepted=planned.accepted,
        excluded=planned.excluded, campaign_files={}, plan_files=digest_tree(folder / "plan"),
        leases=planned.leases, notes=(),
    )  # fmt: skip
    digest = write_manifest(folder, manifest)
    run = Run(
        name=name, state=RunState.PLANNED, reason=None, sandbox=False, folder=f"runs/{name}", manifest_digest=digest,
        rows_read=planned.rows_read, accepted=planned.accepted, excluded=planned.excluded, created_at=at,
        started_at=None, finished_at=None,
    )  # fmt: skip
    with workspace.ledger.write() as tx:
        runs.insert_run(tx, run, lease_rows=[lease.rows for lease in planned.leases])
        runs.start_run(tx, name, at)
    frozen = FrozenRun(run, manifest, folder, workspace.store)
    for _ in planned.leases:
        _send_lease(workspace, frozen, at, outcomes or {}, settled=settled)
    if settled:
        with workspace.ledger.write() as tx:
            assert runs.finish_run(tx, name, at + timedelta(minutes=1))
    return run


def _send_lease(
    workspace: Workspace, frozen: FrozenRun, at: datetime, outcomes: Mapping[str, Result | None], *, settled: bool
) -> None:
    name = frozen.run.name
    with workspace.ledger.write() as tx:
        lease = leases.take_lease(tx, name, worker="w", live=["w"])
    assert lease is not None
    recipients = read_lease(frozen.folder / "plan", frozen.manifest.leases[lease.ordinal])
    results: dict[int, Result] = {}
    for row, address in recipients.select("row", "address").iter_rows():
        sent = Result(row, Outcome.SENT, f"0100-{name.replace('/', '-')}-{row}", None, at.timestamp(), 1)
        result = outcomes.get(address, sent)
        if result is not None:
            results[row] = result._replace(row=row)
    if settled:
        settlement = stage_outcomes(frozen, lease, recipients, results)
        with workspace.ledger.write() as tx:
            assert leases.settle_lease(tx, lease, settlement, at)
        end_change(frozen, lease, settlement, recorded=True)
        write_lease_history(frozen, lease.ordinal, recipients, results, at.date())
        return
    waiting = [Intent(row) for row in recipients["row"] if row not in results]
    with workspace.ledger.write() as tx:
        entries = encode_entries([*waiting, *results.values()])
        assert leases.append_journal(tx, lease, sequence=1, entries=entries)


def add_events(workspace: Workspace, events: Sequence[dict[str, Any]]) -> None:
    """Process events."""
    matcher = Matcher(workspace.ledger, workspace.store, make_open_plan(workspace.store))
    rule = SoftRule(bounces=2, days=7)
    intake = Intake(workspace.ledger, workspace.store, matcher, soft_rule=rule, clock=workspace.clock)
    intake.take([open_body(json.dumps(event), lambda _: None) for event in events], "a test")
    matcher.close()


def make_event_of_row(
    kind: str, run: str, row: int, address: str, *, at: datetime = SENT_AT, **details: Any
) -> dict[str, Any]:
    """Make an event of a row of a run."""
    campaign, _, key = run.partition("/")
    tags = {"mailrun-campaign": campaign, "mailrun-key": key, "mailrun-row": str(row)}
    sent = f"{at:%Y-%m-%dT%H:%M:%S.000Z}"
    later = {} if kind == "Send" else {"timestamp": f"{at + timedelta(seconds=30):%Y-%m-%dT%H:%M:%S.000Z}"}
    mail = make_mail(f"0100-{run.replace('/', '-')}-{row}", address, tags, at=sent)
    return make_event(kind, mail, **later | details)
