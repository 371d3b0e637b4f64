"""`mailrun status RUN`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.cli import run_output
from engine.cli.advice import advise_on_in_doubt, advise_on_workers
from engine.cli.console import print_json, print_lines
from engine.ledger.decisions import Decision, list_decisions
from engine.ledger.notices.outbox import NotificationRecord, list_notifications
from engine.ledger.runs import OVER
from engine.ledger.suppressed.opt_outs import UnsubscribeCounts, count_unsubscribes
from engine.ledger.workers import read_vitals
from engine.on_demand import OnDemand
from engine.progress import step
from engine.report.accounts import Accounts
from engine.report.outgoing_addresses import OutgoingAddress, describe_outgoing
from engine.report.run_accounts import require_accounts, require_run
from engine.report.tables import render_accounts
from engine.run.facts import read_canary_spec, read_facts, read_guard_spec
from engine.run.guard.canary import describe_canary
from engine.run.guard.evidence import judge_now
from engine.run.guard.judge import GuardFinding
from engine.run.prepare.changes import list_changes
from engine.workspace import Workspace

_count_outgoing = OnDemand("engine.report.outgoing_counts:count_outgoing")  # Polars is slow to import


class _RunStatus(Struct, frozen=True):
    """Everything that `status RUN` shows."""

    accounts: Accounts
    unsubscribes: UnsubscribeCounts
    vitals: Sequence[Mapping[str, Any]]
    findings: Sequence[GuardFinding]
    canary: Mapping[str, Any] | None
    changes: Sequence[str]
    decisions: Sequence[Decision]
    outgoing: Sequence[OutgoingAddress] | None
    notifications: Sequence[NotificationRecord]

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        return self.accounts.to_json() | {
            "unsubscribes": msgspec.to_builtins(self.unsubscribes),
            "vitals": self.vitals,
            "guard": [finding.to_json() for finding in self.findings],
            "canary": self.canary,
            "changes": self.changes,
            "decisions": [{"at": d.at.isoformat(), "who": d.who, "what": d.what, **d.detail} for d in self.decisions],
            "outgoing_addresses": msgspec.to_builtins(self.outgoing),
            "notifications": [msgspec.to_builtins(one) | {"state": one.state} for one in self.notifications],
        }

    def to_lines(self) -> Iterator[str]:
        """Write the lines below the table of accounts."""
        if self.accounts.reason:
            yield self.accounts.reason
        yield from advise_on_workers(self.accounts)
        yield from advise_on_in_doubt(self.accounts)
        if (counts := self.unsubscribes).total:
            ways = (f"SES {counts.ses:,}", f"one click {counts.one_click:,}", f"page {counts.page:,}")
            yield f"unsubscribed: {counts.total:,} ({', '.join(ways)}, mail {counts.mailto:,})"
        if self.canary:
            yield run_output.format_canary(self.canary)
        yield from (f"guard, {finding.level}: {finding.describe()}" for finding in self.findings)
        yield from map(run_output.format_vitals, self.vitals)
        yield from run_output.format_regions_away(self.vitals)
        yield from (f"changed since the launch, and not sent: {change}" for change in self.changes)
        yield from (f"{d.at:%Y-%m-%d %H:%M:%S} {d.what} by {d.who}" for d in self.decisions)
        yield from (_describe_notification(one) for one in self.notifications if one.delivered_at is None)
        if self.outgoing is not None:
            yield from describe_outgoing(self.outgoing) if self.outgoing else ("outgoing addresses: no events yet",)


def _describe_notification(one: NotificationRecord) -> str:
    if one.given_up_at is not None:
        return f"notification {one.event} to {one.target}: given up after {one.attempts} attempts: {one.last_error}"
    if one.last_error is None:
        return f"notification {one.event} to {one.target}: not sent yet"
    return f"notification {one.event} to {one.target}: not accepted yet, {one.attempts} attempts: {one.last_error}"


def print_run(workspace: Workspace, name: str, *, as_json: bool, with_outgoing: bool = False) -> None:
    """Print the state of one run.

    Args:
        workspace: has the run.
        name: of the run.
        as_json: print one JSON document.
        with_outgoing: count by outgoing IP address, too, which reads all events of the run.

    Raises:
        UsageError: there is no such run.
    """
    found = _read_run(workspace, name, with_outgoing=with_outgoing)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(*_list_lines(found))


def list_run(workspace: Workspace, name: str) -> tuple[Accounts, list[str]]:
    """Read a run; return its accounts, and what `status RUN` prints."""
    found = _read_run(workspace, name, with_outgoing=False)
    return found.accounts, list(_list_lines(found))


def _list_lines(found: _RunStatus) -> Iterator[str]:
    yield render_accounts(found.accounts)
    yield from found.to_lines()


def _read_run(workspace: Workspace, name: str, *, with_outgoing: bool) -> _RunStatus:
    ledger, now = workspace.ledger, workspace.clock.now()
    known, accounts = require_run(ledger, name), require_accounts(ledger, name, workspace.store, now)
    facts = read_facts(known, workspace.store)
    with ledger.read() as tx:
        vitals, decisions = read_vitals(tx, name, now), list_decisions(tx, name)
        notifications = list_notifications(tx, name)
        unsubscribes = count_unsubscribes(tx, name)
        findings = [] if known.state in OVER else judge_now(tx, known, read_guard_spec(facts), now, vitals)
        canary = describe_canary(tx, known, read_canary_spec(facts))
    changes = list_changes(known, workspace.store, workspace.settings.workspace)
    outgoing = None
    if with_outgoing:
        with step("reading events"):
            outgoing = _count_outgoing(workspace.store, name, known.created_at)
    return _RunStatus(accounts, unsubscribes, vitals, findings, canary, changes, decisions, outgoing, notifications)
