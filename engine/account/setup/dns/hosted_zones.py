"""Records in the public hosted zones of the account (Route 53): what is missing is created, nothing is replaced.

Source: https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.dns.dns_records import DnsRecord

_PAGE = "100"  # zones or record sets a call
_MOST_ZONES = 10_000
_SETS = "20"  # record sets of one name that are read: one for each type
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(\d{3}|.)")


class Presence(StrEnum):
    """What Route 53 has of a record."""

    MISSING = "missing"
    PRESENT = "present"
    CONFLICT = "conflict"
    NO_ZONE = "no zone"


class HostedZone(Struct, frozen=True):
    """A public hosted zone.

    Attributes:
        id: such as /hostedzone/Z1.
        name: without the final dot.
    """

    id: str
    name: str


class RecordState(Struct, frozen=True):
    """A record to publish, and what Route 53 has of it.

    Attributes:
        record: the record.
        presence: missing, present, conflict or no zone.
        zone: where it belongs; None where the account has no such zone.
        found: values that are in the way, or already right.
    """

    record: DnsRecord
    presence: Presence
    zone: HostedZone | None = None
    found: tuple[str, ...] = ()


async def look_up_records(services: AwsServices, records: Sequence[DnsRecord]) -> tuple[RecordState, ...]:
    """Look up what Route 53 has of records; changes nothing."""
    client = await services.open("route53")
    zones = await _list_zones(client)
    states = []
    for record in records:
        zone = find_zone(zones, record.name)
        if zone is None:
            states.append(RecordState(record, Presence.NO_ZONE))
            continue
        sets = await client.list_resource_record_sets(
            HostedZoneId=zone.id, StartRecordName=f"{record.name}.", MaxItems=_SETS
        )
        states.append(compare_record(record, zone, sets.get("ResourceRecordSets", ())))
    return tuple(states)


async def create_records(services: AwsServices, states: Iterable[RecordState]) -> None:
    """Create the records that are missing, those of a zone in one step.

    Route 53 refuses the step if a record has appeared since: nothing is replaced.
    """
    client = await services.open("route53")
    missing: dict[str, list[DnsRecord]] = {}
    for state in states:
        if state.presence is Presence.MISSING and state.zone is not None:
            missing.setdefault(state.zone.id, []).append(state.record)
    for zone, records in missing.items():
        changes = [{"Action": "CREATE", "ResourceRecordSet": _make_set(record)} for record in records]
        await client.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Comment": "mailrun ses setup", "Changes": changes}
        )


def find_zone(zones: Iterable[HostedZone], name: str) -> HostedZone | None:
    """Find the zone that a name belongs to: the longest one that ends it."""
    fitting = [zone for zone in zones if name == zone.name or name.endswith(f".{zone.name}")]
    return max(fitting, key=lambda zone: len(zone.name), default=None)


def compare_record(record: DnsRecord, zone: HostedZone, sets: Iterable[Mapping[str, Any]]) -> RecordState:
    """Compare a record with the record sets of its zone.

    Args:
        record: to publish.
        zone: where it belongs.
        sets: of the name, and what follows it in the zone, as ListResourceRecordSets returns them.
    """
    same_name = [one for one in sets if _read_name(one["Name"]) == record.name]
    rivals = [one for one in same_name if _excludes(str(one["Type"]), record.type)]
    if not rivals:
        return RecordState(record, Presence.MISSING, zone)
    found = tuple(value for one in rivals for value in _list_values(one))
    wanted = normalize(record.type, record.format_value())
    is_same = all(one["Type"] == record.type and not one.get("SetIdentifier") for one in rivals) and [
        normalize(record.type, value) for value in found
    ] == [wanted]
    if is_same or (record.is_advice and any(one["Type"] == record.type for one in rivals)):
        return RecordState(record, Presence.PRESENT, zone, found)
    return RecordState(record, Presence.CONFLICT, zone, found)


def _excludes(found: str, wanted: str) -> bool:
    """Return whether two types cannot stand at one name: a CNAME stands alone (RFC 1034, section 3.6.2)."""
    return found == wanted or "CNAME" in (found, wanted)


def normalize(kind: str, value: str) -> str:
    """Return the value of a record so that equal ones are equal text.

    >>> normalize("MX", "10  Feedback-SMTP.example.")
    '10 feedback-smtp.example'
    >>> normalize("TXT", '"v=spf1 " "-all"')
    'v=spf1 -all'
    """
    if kind == "TXT":
        return "".join(_ESCAPED.sub(_unescape, part) for part in _STRING.findall(value))
    return " ".join(value.lower().rstrip(".").split())


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found[1], 8)) if len(found[1]) > 1 else found[1]


async def _list_zones(client: Any) -> list[HostedZone]:
    zones: list[HostedZone] = []
    marker: dict[str, str] = {}
    while len(zones) < _MOST_ZONES:
        page = await client.list_hosted_zones(MaxItems=_PAGE, **marker)
        zones += [
            HostedZone(one["Id"], _read_name(one["Name"]))
            for one in page.get("HostedZones", ())
            if not (one.get("Config") or {}).get("PrivateZone")
        ]
        if not page.get("IsTruncated"):
            break
        marker = {"Marker": page["NextMarker"]}
    return zones


def _read_name(name: str) -> str:
    return _ESCAPED.sub(_unescape, name).rstrip(".").lower()


def _list_values(found: Mapping[str, Any]) -> list[str]:
    if found.get("AliasTarget"):
        return [f"alias of {found['AliasTarget'].get('DNSName', '')}"]
    return [str(one["Value"]) for one in found.get("ResourceRecords", ())]


def _make_set(record: DnsRecord) -> dict[str, Any]:
    return {
        "Name": f"{record.name}.",
        "Type": record.type,
        "TTL": record.ttl,
        "ResourceRecords": [{"Value": record.format_value()}],
    }
