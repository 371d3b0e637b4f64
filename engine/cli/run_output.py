"""Prints runs: tables and plain sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.cli.advice import advise_on_in_doubt, advise_on_workers
from engine.cli.console import print_lines
from engine.ledger.journal import Outcome
from engine.quantities import format_count, format_number
from engine.report.accounts import Accounts
from engine.report.tables import render_accounts

LOSSES = (Outcome.REFUSED, Outcome.FAILED, Outcome.IN_DOUBT)


def print_accounts(accounts: Accounts) -> None:
    """Print the table of accounts."""
    print_lines(render_accounts(accounts))


def list_runs(all_accounts: Sequence[Accounts]) -> Iterator[str]:
    """Write a line for every run, and what to do about it below; calls in flight are not shown as in doubt."""
    width = max(len(accounts.run) for accounts in all_accounts)
    for accounts in all_accounts:
        counts = {o: accounts.count(o) for o in LOSSES}
        counts[Outcome.IN_DOUBT] = max(0, counts[Outcome.IN_DOUBT] - accounts.in_flight)
        losses = format_outcomes(counts, only_losses=True)
        in_flight = f"{accounts.in_flight:,} in flight" if accounts.in_flight else ""
        sent = f"{accounts.count(Outcome.SENT):,} of {accounts.accepted:,} sent"
        parts = (f"{accounts.run:<{width}}", f"{accounts.state:<9}", sent, in_flight, losses, accounts.reason)
        yield "  ".join(part for part in parts if part)
        yield from (f"  {line}" for line in (*advise_on_workers(accounts), *advise_on_in_doubt(accounts)))


def format_outcomes(outcomes: Mapping[Outcome, int], *, only_losses: bool) -> str:
    """Write counts in words: `12 refused, 1 in doubt`."""
    shown = [o for o in outcomes if outcomes[o] and (o in LOSSES or not only_losses)]
    return ", ".join(f"{outcomes[o]:,} {o.replace('_', ' ')}" for o in shown)


def format_canary(canary: Mapping[str, Any]) -> str:
    """Write the stage of a run's canary."""
    results = (
        f"{canary['with_result']:,} with a result, {canary['bounced']:,} bounced, {canary['complained']:,} complained"
    )
    stage = {
        "sending": "are being sent",
        "waiting": f"are sent; waits for events until {canary['until']}",
        "open": f"are sent, and the rest was released by {canary['opened_by']}",
    }[canary["stage"]]
    return f"canary: the first {canary['recipients']:,} {stage}; {results}"


def format_vitals(vitals: Mapping[str, Any]) -> str:
    """Write the figures that a worker has recorded."""
    worker = f"worker in {vitals['region']}" if "region" in vitals else "worker"
    return (
        f"{worker}: at most {format_number(vitals['rate_limit'])} recipients a second, {vitals['in_flight']:,.0f}"
        f" of {vitals['concurrency']:,.0f} calls in flight, {vitals['latency_ms']:,.0f} ms a call, event loop late by"
        f" {vitals['lag_p99_ms']:,.1f} ms (p99), {format_count(round(vitals['throttles']), 'throttle')}"
    )


def format_regions_away(vitals: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Write why regions of a run do not send now, as their processes' other workers have recorded it."""
    away: dict[str, str] = {}
    for each in vitals:
        away |= each.get("regions_away", {})
    sending = {each.get("region") for each in vitals}
    return (f"not sending: {reason}" for region, reason in sorted(away.items()) if region not in sending)


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
