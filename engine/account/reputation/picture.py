"""The account's reputation as SES sees it, part by part: what cannot be read says so, and the rest is still shown."""

from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from botocore.parsers import ResponseParserError
from msgspec import Struct, field

from engine.account.overview import list_pages
from engine.account.reputation.findings import (
    Recommendation,
    ReputationEntity,
    SuppressionGrowth,
    list_entities,
    list_recommendations,
    read_growth,
)
from engine.account.reputation.rates import RateSeries, list_sets, read_rates
from engine.account.reputation.vdm import TURN_ON, VdmReading, list_groups, read_vdm
from engine.account.services import AwsServices
from engine.clock import Clock
from engine.errors import ServiceError

T = TypeVar("T")


class MissingPart(Struct, frozen=True):
    """A part that could not be read: which, why, and what to do."""

    part: str
    what: str
    remedy: str


class SesReputation(Struct, frozen=True, kw_only=True):
    """The reputation as SES sees it.

    Attributes:
        region: of the account.
        at: when it was read.
        days: how far back.
        enforcement: HEALTHY, PROBATION or SHUTDOWN; None where it is unknown.
        sending_enabled: False while sending is paused; None where it is unknown.
        rates: of the account and of configuration sets.
        vdm: metrics of VDM; None where it is off.
        recommendations: open ones.
        entities: resources whose reputation SES tracks.
        suppressed: growth of the suppression list.
        missing: what could not be read.
    """

    region: str
    at: datetime
    days: int
    enforcement: str | None
    sending_enabled: bool | None
    rates: tuple[RateSeries, ...]
    vdm: VdmReading | None
    recommendations: tuple[Recommendation, ...]
    entities: tuple[ReputationEntity, ...]
    suppressed: SuppressionGrowth | None
    missing: tuple[MissingPart, ...]


class _Parts(Struct):
    """Collects what could not be read.

    Attributes:
        missing: parts.
        errors: of those that failed.
        read: number of the parts that were read.
    """

    missing: list[MissingPart] = field(default_factory=list)
    errors: list[ServiceError] = field(default_factory=list)
    read: int = 0

    async def get(self, part: str, work: Awaitable[T], default: T) -> T:
        """Wait for a part; return the default where it cannot be read."""
        try:
            found = await work
        except (ValueError, TypeError, ResponseParserError) as problem:  # of botocore, about an answer in another form
            error = ServiceError(
                f"the answer of AWS cannot be read: {problem}", remedy="check the endpoints in AWS_ENDPOINT_URL*"
            )
            self.missing.append(MissingPart(part, error.what, error.remedy))
            self.errors.append(error)
            return default
        except ServiceError as error:
            self.missing.append(MissingPart(part, error.what, error.remedy))
            self.errors.append(error)
            return default
        self.read += 1
        return found


async def read_reputation(services: AwsServices, *, days: int, clock: Clock) -> SesReputation:
    """Read it.

    Args:
        services: clients of SES and CloudWatch.
        days: 1 to 60.
        clock: both of its times.

    Raises:
        ServiceError: no part could be read: SES cannot be reached, or refuses the credentials.
        ConfigurationError: there are no credentials or no region.
    """
    now, parts = clock.now(), _Parts()
    ses, cloudwatch = await services.open("sesv2"), await services.open("cloudwatch")
    account = await parts.get("account", ses.get_account(), {})
    sets = await parts.get("rates of configuration sets", list_sets(cloudwatch), [])
    rates = await parts.get("rates", read_rates(cloudwatch, sets, now=now, days=days), ())
    vdm = await _read_vdm(ses, parts, account, days=days, clock=clock)
    found = SesReputation(
        region=ses.meta.region_name,
        at=now,
        days=days,
        enforcement=account.get("EnforcementStatus"),
        sending_enabled=account.get("SendingEnabled"),
        rates=rates,
        vdm=vdm,
        recommendations=await parts.get("recommendations", list_recommendations(ses), ()),
        entities=await parts.get("reputation entities", list_entities(ses), ()),
        suppressed=await parts.get("suppression list", _read_growth(ses, now - timedelta(days=days)), None),
        missing=(),
    )
    if not parts.read:
        raise parts.errors[0]
    return _with_missing(found, parts.missing)


def _with_missing(found: SesReputation, missing: Sequence[MissingPart]) -> SesReputation:
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    return SesReputation(**values | {"missing": tuple(missing)})


async def _read_vdm(ses: Any, parts: _Parts, account: dict[str, Any], *, days: int, clock: Clock) -> VdmReading | None:
    if not account:
        return None
    if (account.get("VdmAttributes") or {}).get("VdmEnabled") != "ENABLED":
        parts.missing.append(
            MissingPart("metrics by receiver", "the Virtual Deliverability Manager (VDM) is off", TURN_ON)
        )
        return None
    identities = await parts.get("identities", list_pages(ses, "list_email_identities", "EmailIdentities"), [])
    sets = await parts.get("configuration sets", list_pages(ses, "list_configuration_sets", "ConfigurationSets"), [])
    groups = list_groups([one["IdentityName"] for one in identities], sets)
    reading = read_vdm(ses, groups, now=clock.now(), days=days, clock=clock)
    return await parts.get("metrics by receiver", reading, None)


async def _read_growth(ses: Any, since: datetime) -> SuppressionGrowth | None:
    return await read_growth(ses, since)
