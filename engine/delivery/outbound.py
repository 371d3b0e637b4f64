"""Where a run's messages go: its transport, and the account whose limits apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from engine.account.client import CONNECTIONS, Endpoint, OpenAccount, is_of_aws, open_account
from engine.account.quota import AccountQuota, read_quota
from engine.account.unknown_operation import UnknownOperationError
from engine.campaign.message import Envelope
from engine.campaign.spec import CampaignSpec
from engine.delivery.pacing.concurrency import MOST
from engine.delivery.transport import Transport
from engine.delivery.transports.callers import open_caller
from engine.delivery.transports.ses import SesTransport
from engine.delivery.transports.ses_documents import Documents
from engine.errors import ConfigurationError, UsageError
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.delivery.transports.smtp_server import SmtpServer

log = get_logger()

# Few campaigns are sent in these ways.
_name_region = OnDemand("engine.delivery.transports.region_names:RegionTransport")
_open_outbox = OnDemand("engine.delivery.transports.outbox:Outbox")
_open_smtp = OnDemand("engine.delivery.transports.smtp:SmtpTransport")
_parse_server = OnDemand("engine.delivery.transports.smtp_server:parse_server")
_find_ses_server = OnDemand("engine.delivery.transports.smtp_server:find_ses_server")

UNBOUNDED_RATE = 1_000_000.0  # recipients a second: more than any process reaches


class Outbound(Struct, frozen=True, kw_only=True):
    """The open account or server of a run, and how to open its transport.

    Attributes:
        spec: the campaign's.
        endpoint: where messages go, for people.
        account: names the account whose rate is shared.
        region: one of the campaign's `regions`; empty where it has none.
        ses: the SES account; None where messages go elsewhere.
        server: the SMTP server; None for other transports.
        given_warnings: warnings that were logged, each once.
    """

    spec: CampaignSpec
    endpoint: str
    account: str
    ses: OpenAccount | None
    server: "SmtpServer | None" = None
    region: str = ""
    given_warnings: list[str] = field(default_factory=list)

    @property
    def client(self) -> Any:
        """The SES client for control-plane calls; None where messages go elsewhere."""
        return None if self.ses is None else self.ses.control_plane

    async def read_quota(self) -> AccountQuota:
        """Read the account's limits; without an account, the campaign's `max_rate` is the only limit.

        Raises:
            ServiceError: SES cannot be reached or refuses the credentials.
            ConfigurationError: there are no credentials.
        """
        if self.ses is not None:
            try:
                return await read_quota(self.ses.control_plane)
            except UnknownOperationError as error:
                return self._assume_quota(error)
        rate = self.spec.delivery.max_rate or UNBOUNDED_RATE
        return AccountQuota(rate, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")

    def _assume_quota(self, error: UnknownOperationError) -> AccountQuota:
        """Use `max_rate` as the limit of a server that implements only a part of the SES API.

        Raises:
            UnknownOperationError: the campaign has none.
        """
        rate = self.spec.delivery.max_rate
        if rate is None:
            raise error
        if not self.given_warnings:
            self.given_warnings.append(error.what)
            note = f"{error.what}; the limit is max_rate, {rate:g} recipients a second"
            log.warning("quota.unknown", note=note, where=error.where)
        return AccountQuota(rate, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")

    @asynccontextmanager
    async def open_transport(
        self, envelope: Envelope, *, sender_address: str, folder: Path, worker: str
    ) -> AsyncIterator[Transport]:
        """Open the transport.

        Args:
            envelope: what is the same in every message.
            sender_address: the bare address of `from`.
            folder: the run's, where an outbox is written.
            worker: names this process's own files there.

        Raises:
            ConfigurationError: credentials, CA bundle or folder cannot be used.
        """
        delivery = self.spec.delivery
        if self.server is not None:
            smtp = _open_smtp(self.server, envelope, sender_address=sender_address)
            try:
                yield smtp
            finally:
                await smtp.close()
        elif self.ses is None:
            outbox = _open_outbox(folder / "outbox", delivery.outbox, envelope, worker=worker)
            try:
                yield outbox
            finally:
                outbox.close()
        else:
            caller = await open_caller(self.ses, envelope.endpoint_id)
            try:
                documents = Documents(envelope)
                ses = SesTransport(
                    caller.caller,
                    documents,
                    sender_address=sender_address,
                    bulk=delivery.call == "bulk",
                    most_calls=MOST if caller.lean else CONNECTIONS,
                )
                yield _name_region(ses, self.region) if self.region else ses
            finally:
                caller.close()


@asynccontextmanager
async def open_outbound(
    spec: CampaignSpec, settings: Settings, endpoint: Endpoint | None, run: str
) -> AsyncIterator[Outbound]:
    """Open the account or server that a campaign names; the first one, where it names several regions.

    See open_outbounds.
    """
    async with _open_outbound(spec, settings, endpoint, run, next(iter(spec.delivery.regions), "")) as outbound:
        yield outbound


@asynccontextmanager
async def open_outbounds(
    spec: CampaignSpec, settings: Settings, endpoint: Endpoint | None, run: str
) -> AsyncIterator[Sequence[Outbound]]:
    """Open the account or server that a campaign names, or the account in each of its regions.

    Args:
        spec: the campaign's.
        settings: with the SMTP server, where one is named.
        endpoint: the embedded sandbox; None for what botocore resolves.
        run: its name.

    Raises:
        ConfigurationError: no region, no credentials, or credentials that SMTP does not accept.
        UsageError: the sandbox has no SMTP server, the outbox needs a folder, or SES's subscription management is set
            for a transport other than `ses`.
    """
    async with AsyncExitStack() as stack:
        regions = spec.delivery.regions if spec.delivery.transport == "ses" else ()
        yield [
            await stack.enter_async_context(_open_outbound(spec, settings, endpoint, run, region))
            for region in regions or ("",)
        ]


@asynccontextmanager
async def _open_outbound(
    spec: CampaignSpec, settings: Settings, endpoint: Endpoint | None, run: str, region: str
) -> AsyncIterator[Outbound]:
    """Open one of open_outbounds.

    Args:
        spec: the campaign's.
        settings: as in open_outbounds.
        endpoint: as in open_outbounds.
        run: its name.
        region: of the SES account; empty for the one that botocore resolves.
    """
    transport = spec.delivery.transport
    if transport != "ses" and spec.unsubscribe is not None and spec.unsubscribe.ses_contact_list is not None:
        raise UsageError(
            f"SES's own subscription management does not work with the transport {transport}",
            where="campaign.toml: [unsubscribe] ses_contact_list",
            remedy='use transport "ses", or set [unsubscribe] url',
        )
    if transport == "outbox" and settings.in_bucket:
        raise UsageError(
            "the outbox writes files, and this store is a bucket", where="transport", remedy="use a store in a folder"
        )
    if transport == "outbox":
        yield Outbound(spec=spec, endpoint="files of the run's folder", account=f"outbox {run}", ses=None)
        return
    if transport == "smtp" and endpoint is not None:
        raise UsageError("the sandbox has no SMTP server", where="--sandbox", remedy='use transport "ses" or "outbox"')
    if transport == "smtp" and settings.smtp_url:
        server = _parse_server(settings)
        if spec.delivery.max_rate is None:
            raise ConfigurationError(
                f"the rate limit of {server.host} is unknown",
                where="campaign.toml: [delivery] max_rate",
                remedy="set max_rate, in recipients a second",
            )
        yield Outbound(spec=spec, endpoint=server.url, account=server.url, ses=None, server=server)
        return
    async with _open_account(endpoint, transport, region or None) as account:
        url = account.control_plane.meta.endpoint_url
        server_of_ses = await _find_ses_server(account) if transport == "smtp" else None
        shown = url if server_of_ses is None else server_of_ses.url
        name = name_account(account, region)
        yield Outbound(spec=spec, endpoint=shown, account=name, ses=account, server=server_of_ses, region=region)


def name_account(account: OpenAccount, region: str) -> str:
    """Name the account whose rate is shared: the endpoint, with the region where all regions have the same.

    A campaign without `regions` shares the rate with one that names its region.
    """
    client = account.control_plane
    return f"{client.meta.endpoint_url} {region}" if region and not is_of_aws(client) else client.meta.endpoint_url


@asynccontextmanager
async def _open_account(endpoint: Endpoint | None, transport: str, region: str | None) -> AsyncIterator[OpenAccount]:
    """Open the SES account.

    Raises:
        ConfigurationError: no region or credentials; for SMTP with the settings of a server of one's own.
    """
    async with AsyncExitStack() as stack:
        try:
            account = await stack.enter_async_context(open_account(endpoint, region=region))
        except ConfigurationError as error:
            if transport != "smtp":
                raise
            raise ConfigurationError(
                f"no SMTP server is set, and the one of SES cannot be determined ({error.what})",
                where="MAILRUN_SMTP_URL",
                remedy="set MAILRUN_SMTP_URL, MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD; for SES set"
                " AWS_DEFAULT_REGION and AWS credentials",
            ) from error
        yield account
