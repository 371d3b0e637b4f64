"""What commands print on stdout: one JSON document, or tables and plain sentences."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from engine.ledger.journal import Outcome
from engine.report.accounts import Accounts
from engine.report.tables import render_accounts
from engine.run.preview import Preview

LOSSES = (Outcome.REFUSED, Outcome.FAILED, Outcome.IN_DOUBT)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_lines(*lines: str) -> None:
    """Print sentences."""
    for line in lines:
        click.echo(line)


def print_accounts(accounts: Accounts) -> None:
    """Print the table of accounts."""
    click.echo(render_accounts(accounts))


def print_runs(all_accounts: Sequence[Accounts]) -> None:
    """Print a line for every run."""
    width = max(len(accounts.run) for accounts in all_accounts)
    for accounts in all_accounts:
        losses = format_outcomes({o: accounts.count(o) for o in LOSSES}, only_losses=True)
        sent = f"{accounts.count(Outcome.SENT):,} of {accounts.accepted:,} sent"
        parts = (f"{accounts.run:<{width}}", f"{accounts.state:<9}", sent, losses, accounts.reason)
        click.echo("  ".join(part for part in parts if part))


def print_preview(found: Preview, campaign: str) -> None:
    """Print what a dry run found beside the accounts."""
    print_lines(f"rendered: {found.rendered:,} messages, the largest HTML {found.html_bytes_largest / 1024:,.1f} KB")
    for reason, rows in found.failures.most_common(10):
        print_lines(f"  {rows:,} cannot be made: {reason}")
    for row, reason in found.examples[:5]:
        print_lines(f"  row {row}: {reason}")
    if found.samples:
        print_lines(f"to look at: {found.samples[0].parent}/*.eml")
    mend, go_on = "mend the templates or set [audience] defaults", f"mailrun launch {campaign} --sandbox"
    print_lines(f"next: {mend if found.failed else go_on}")


def format_outcomes(outcomes: Mapping[Outcome, int], *, only_losses: bool) -> str:
    """Write counts in words: `12 refused, 1 in doubt`."""
    shown = [o for o in outcomes if outcomes[o] and (o in LOSSES or not only_losses)]
    return ", ".join(f"{outcomes[o]:,} {o.replace('_', ' ')}" for o in shown)


def format_vitals(vitals: Mapping[str, float]) -> str:
    """Write what a worker told of itself."""
    return (
        f"worker: {vitals['rate_limit']:,.4g} recipients a second at most, {vitals['in_flight']:,.0f} calls in flight"
        f" of {vitals['concurrency']:,.0f}, {vitals['latency_ms']:,.0f} ms a call, event loop late by"
        f" {vitals['lag_p99_ms']:,.1f} ms (p99), {vitals['throttles']:,.0f} throttles"
    )


def format_seconds(seconds: float) -> str:
    """Write a duration for people.

    >>> [format_seconds(s) for s in (0.4, 75, 3 * 3600 + 120)]
    ['1 s', '1 min 15 s', '3 h 2 min']
    """
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
