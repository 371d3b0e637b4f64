"""What `mailrun ses setup` prints."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.account.setup.dns.dns_records import DnsRecord, write_zone
from engine.account.setup.dns.hosted_zones import Presence, RecordState
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.whole.overall import SetupResult
from engine.errors import escape_controls

_DONE = {Action.CREATE: "created", Action.CHANGE: "changed", Action.KEEP: "as it is"}
_PRODUCTION_ACCESS = "https://docs.aws.amazon.com/ses/latest/dg/request-production-access.html"
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
        + (f"; {len(result.to_create)} DNS records to create in Route 53" if result.to_create else "")
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
    is_complete = all(step.action is Action.KEEP for step in result.steps) and not result.to_create
    if not result.applied and not is_complete:
        yield "Nothing was changed. To carry the plan out, run the same command with --apply."
        return
    yield "The account is as wanted." if is_complete and not result.conflicts else "The account is set up."
    yield "What remains:"
    for number, (first, *more) in enumerate(_list_remaining(result), 1):
        yield escape_controls(f"  {number}. {first}")
        yield from (escape_controls(f"     {line}") for line in more)


def _list_remaining(result: SetupResult) -> Iterator[list[str]]:
    """List what a person has to do: a sentence, then lines to copy."""
    if result.to_publish:
        records = [f"{record.name} {record.type}" for record in result.to_publish]
        yield ["Publish these DNS records (`--zone` prints them as a zone file):", *records]
    if result.production is False:
        yield ["Request production access. Until then, SES sends to verified recipients only:", _PRODUCTION_ACCESS]
    if result.settings:
        yield ["Add to mailrun.toml, in sections that it has already or in new ones:", *write_settings(result.settings)]
    campaign = [f'from = "News <news@{result.domain}>"', *write_settings(list_campaign_keys(result))]
    yield ["Set in campaign.toml of each campaign:", *campaign]
    yield [f"When the DNS records are published, check them: mailrun ses verify {result.domain}"]


def list_campaign_keys(result: SetupResult) -> dict[str, dict[str, Any]]:
    """List the sections and keys of campaign.toml with which a campaign uses a set-up."""
    return {"delivery": {"configuration_set": result.configuration_set}}


def write_settings(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Write settings as lines of TOML.

    >>> list(write_settings({"inbound": {"buckets": ["a"]}}))
    ['[inbound]', 'buckets = ["a"]']
    """
    for section, values in settings.items():
        yield f"[{section}]"
        yield from (f"{key} = {json.dumps(value)}" for key, value in values.items())


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
        "production_access": result.production,
        "mailrun_toml": result.settings,
        "campaign_toml": list_campaign_keys(result),
        "zone": write_zone(result.records),
    }
