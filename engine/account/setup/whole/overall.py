"""A whole set-up: what the resources need, and the records to publish; planned, or carried out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.account.quota import find_production_access
from engine.account.services import AwsServices
from engine.account.setup.dns.dns_records import DnsRecord, list_records
from engine.account.setup.dns.hosted_zones import Presence, RecordState, create_records, look_up_records
from engine.account.setup.resource import Resource, SetupStep
from engine.account.setup.sending.dkim_key import find_key
from engine.account.setup.sending.identity import read_identity
from engine.account.setup.wanted import WantedState
from engine.account.setup.whole.carry_out import apply_all, compare_all
from engine.account.setup.whole.composition import list_notes, list_settings


class SetupResult(Struct, frozen=True, kw_only=True):
    """What a set-up needs, or has done.

    Attributes:
        domain: of the set-up.
        region: of the account.
        applied: whether it was carried out.
        steps: of the resources.
        records: to publish.
        has_dkim: whether the records of DKIM are known.
        notes: what a person should know, a sentence each.
        configuration_set: its name, which campaigns give.
        settings: that mailrun.toml needs, by section and key.
        production: whether the account may send to anyone; None where SES does not say.
        in_route53: what Route 53 has of the records; None where it was not asked. After a set-up was carried out, what
            was missing is present.
    """

    domain: str
    region: str
    applied: bool
    steps: tuple[SetupStep, ...]
    records: tuple[DnsRecord, ...]
    has_dkim: bool
    notes: tuple[str, ...] = ()
    configuration_set: str = ""
    settings: dict[str, dict[str, Any]] = {}
    production: bool | None = None
    in_route53: tuple[RecordState, ...] | None = None

    @property
    def to_publish(self) -> tuple[DnsRecord, ...]:
        """The records that are still to be published by hand, as far as is known."""
        if self.in_route53 is None:
            return self.records
        done = (Presence.PRESENT,) if self.applied else (Presence.PRESENT, Presence.MISSING)
        return tuple(state.record for state in self.in_route53 if state.presence not in done)

    @property
    def to_create(self) -> tuple[DnsRecord, ...]:
        """The records that the same set-up with --apply would create in Route 53."""
        return tuple(state.record for state in self.in_route53 or () if state.presence is Presence.MISSING)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """What is in the way, a sentence each."""
        of_records = [explain_conflict(state) for state in self.in_route53 or () if state.presence is Presence.CONFLICT]
        return (*(step.conflict for step in self.steps if step.conflict), *of_records)


class Setup(Struct, frozen=True, kw_only=True):
    """A set-up.

    Attributes:
        wanted: the wanted state.
        resources: of it, in the order in which they are created.
        key_file: of the DKIM key.
        route53: whether Route 53 is asked for the records.
    """

    wanted: WantedState
    resources: tuple[Resource, ...]
    key_file: Path
    route53: bool = False

    async def plan(self, services: AwsServices) -> SetupResult:
        """Compare the wanted state with the account; changes nothing.

        Raises:
            MailrunError: AWS refuses or cannot be reached, or the wanted state is not possible.
        """
        found = await self._find_records(services, await compare_all(services, self.resources), applied=False)
        if not self.route53:
            return found
        return replace(found, in_route53=await look_up_records(services, found.records))

    async def carry_out(self, services: AwsServices, report: Callable[[SetupStep], None]) -> SetupResult:
        """Create and change what differs, and create the records that are missing in Route 53; errors as `plan`.

        Args:
            services: of the account.
            report: called with each step when it is done.
        """
        steps = await apply_all(services, self.resources, report)
        found = await self._find_records(services, steps, applied=True)
        if not self.route53:
            return found
        await create_records(services, await look_up_records(services, found.records))
        return replace(found, in_route53=await look_up_records(services, found.records))

    async def _find_records(self, services: AwsServices, steps: tuple[SetupStep, ...], *, applied: bool) -> SetupResult:
        wanted = self.wanted
        identity = await read_identity(services, wanted.domain) or {}
        dkim = identity.get("DkimAttributes") or {}
        key = find_key(self.key_file) if wanted.dkim_selector else None
        client = await services.open("sesv2")
        region = client.meta.region_name
        records = list_records(wanted, region, dkim, key.public if key else "")
        is_own = not wanted.dkim_selector and dkim.get("SigningAttributesOrigin") == "EXTERNAL"
        return SetupResult(
            domain=wanted.domain,
            region=region,
            applied=applied,
            steps=steps,
            records=records,
            has_dkim=is_own or any(record.purpose == "DKIM" for record in records),
            notes=list_notes(wanted, self.resources),
            configuration_set=wanted.configuration_set,
            settings=list_settings(wanted, self.resources),
            production=await find_production_access(client),
        )


def explain_conflict(state: RecordState) -> str:
    """Say what is in the way of a record, and what to do."""
    record, values = state.record, ", ".join(state.found)
    if record.type == "TXT":
        do = f"add {record.format_value()} to it by hand, unless that makes a second {record.purpose} record"
    else:
        do = f"replace it by hand with {record.format_value()} if nothing needs it"
    return f"{record.name} {record.type} exists with another value, {values}: {do}"
