"""What `mailrun ses setup` prints."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.account.setup.dns.dns_records import DnsRecord, write_zone
from engine.account.setup.dns.hosted_zones import Presence, RecordState
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.whole.overall import SetupResult
from engine.errors import escape_controls

_DONE = {Action.CREATE: "created", Action.CHANGE: "changed", Action.KEEP: "as it is"}
_ROUTE_53 = {
    Presence.MISSING: "Route 53: to create",
    Presence.PRESENT: "Route 53: present",
    Presence.CONFLICT: "Route 53: conflict",
    Presence.NO_ZONE: "no hosted zone in this account",
}


def describe_step(step: SetupStep, *, done: bool) -> Iterator[str]:
    """Describe a step, a line each.

    Args:
        step: of a resource.
        done: whether it was carried out.
    """
    word = _DONE[step.action] if done else step.action.value
    yield escape_controls(f"  {word:<8} {step.kind} {step.name}")
    for detail in step.details:
        yield escape_controls(f"           {detail}")
    if step.conflict:
        yield escape_controls(f"           conflict: {step.conflict}")


def describe_progress(step: SetupStep) -> str:
    """Describe a step that is done in one line."""
    return escape_controls(f"{_DONE[step.action]}: {step.kind} {step.name}")


def write_zone_file(result: SetupResult) -> str:
    """Write the records as a zone file, with a comment where some are not known."""
    return write_zone(result.records) + ("" if result.has_dkim else f"; {_explain_unknown_dkim(result)}\n")


def describe_result(result: SetupResult) -> Iterator[str]:
    """Describe a set-up for a person, a line each."""
    counts = [sum(step.action is action for step in result.steps) for action in (Action.CREATE, Action.CHANGE)]
    words = ("created", "changed") if result.applied else ("to create", "to change")
    kept = len(result.steps) - sum(counts)
    yield (
        f"SES set-up of {result.domain} in {result.region}: "
        f"{counts[0]} {words[0]}, {counts[1]} {words[1]}, {kept} as wanted"
    )
    for step in result.steps:
        yield from describe_step(step, done=result.applied)
    yield ""
    yield "DNS records:"
    yield from _describe_records(result)
    if not result.has_dkim:
        when = (
            "the DKIM records are known after --apply" if not result.applied else "SES has not given DKIM records yet"
        )
        yield f"  {when}"
    yield ""
    yield from (escape_controls(f"conflict: {conflict}") for conflict in result.conflicts)
    yield from map(escape_controls, result.notes)
    yield from _list_next(result)


def _describe_records(result: SetupResult) -> Iterator[str]:
    states: Sequence[RecordState | None] = result.in_route53 or [None] * len(result.records)
    width = max((len(record.name) for record in result.records), default=0)
    for record, state in zip(result.records, states, strict=True):
        note = " (or one of your own)" if record.is_advice else ""
        place = f"  [{_ROUTE_53[state.presence]}]" if state is not None else ""
        yield escape_controls(f"  {record.name:<{width}}  {record.type:<5}  {_shorten(record)}{note}{place}")


def _explain_unknown_dkim(result: SetupResult) -> str:
    return "SES has not given DKIM records yet" if result.applied else "the DKIM records are known after --apply"


def _shorten(record: DnsRecord) -> str:
    """Return the value of a record; a key is longer than a line, and only the zone and --json have it whole."""
    value = record.value if record.type == "TXT" else record.format_value()
    return value if len(value) <= 120 else f"{value[:60]}... ({len(value)} characters: see --zone)"


def _list_next(result: SetupResult) -> Iterator[str]:
    is_complete = all(step.action is Action.KEEP for step in result.steps)
    if not result.applied and not is_complete:
        yield "Nothing was changed. To carry the plan out, run the same command with --apply."
        return
    if is_complete:
        yield "The account is as wanted."
    if result.to_publish:
        yield "Publish these DNS records (`--zone` prints them as a zone file):"
        yield from (f"  {record.name} {record.type}" for record in result.to_publish)
    yield f"Then check them: mailrun ses verify {result.domain}"


def to_json(result: SetupResult) -> dict[str, Any]:
    """Return a set-up as a JSON document."""
    states = result.in_route53 or [None] * len(result.records)
    return {
        "domain": result.domain,
        "region": result.region,
        "applied": result.applied,
        "steps": msgspec.to_builtins(result.steps),
        "records": [
            {
                **msgspec.to_builtins(record),
                "zone_value": record.format_value(),
                "route53": None if state is None else state.presence.value,
                "found": [] if state is None else list(state.found),
            }
            for record, state in zip(result.records, states, strict=True)
        ],
        "dkim_records_known": result.has_dkim,
        "to_publish": [f"{record.name} {record.type}" for record in result.to_publish],
        "conflicts": list(result.conflicts),
        "notes": list(result.notes),
        "zone": write_zone(result.records),
    }
