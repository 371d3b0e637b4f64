"""`mailrun test`: sends proofs of a campaign to its authors, through the real transport; they belong to no run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.account.client import Endpoint
from engine.addresses.mailbox import check_address
from engine.campaign.headers import OWN_TAGS, PROOF_TAG
from engine.campaign.message import Message
from engine.campaign.render_error import RenderError
from engine.clock import Clock, SystemClock
from engine.delivery.outbound import open_outbound
from engine.delivery.pacing.rate_share import find_rate
from engine.delivery.replies import ReplyMeaning
from engine.errors import DataError, UsageError
from engine.run.manifest import Manifest
from engine.run.prepare.planning import PlanRequest
from engine.run.prepare.preflight import check_account_or_wait
from engine.run.prepare.preview import find_recipient, make_job
from engine.run.prepare.rendered import Pick
from engine.run.prepare.rendering import LeaseRenderer
from engine.settings import Settings

MARK = "[TEST] "


class Proof(Struct, frozen=True):
    """The result of one proof.

    Attributes:
        to: where it went.
        subject: as it was sent.
        outcome: the outcome that SES's answer means.
        message_id: SES's, where it was sent.
        detail: code and text of an error.
    """

    to: str
    subject: str
    outcome: ReplyMeaning
    message_id: str | None
    detail: str

    @property
    def sent(self) -> bool:
        """Return whether SES accepted it."""
        return self.outcome is ReplyMeaning.SENT

    def to_json(self) -> dict[str, Any]:
        """Return its keys in --json."""
        return {
            "to": self.to,
            "subject": self.subject,
            "outcome": self.outcome,
            "message_id": self.message_id,
            "detail": self.detail or None,
        }


async def send_proofs(  # noqa: PLR0913 - what a proof is of, named one by one
    request: PlanRequest,
    manifest: Manifest,
    folder: Path,
    read_keys: Callable[[], tuple[bytes, ...]],
    *,
    endpoint: Endpoint | None,
    settings: Settings,
    to: Sequence[str],
    as_address: str | None,
    clock: Clock | None = None,
) -> list[Proof]:
    """Send one recipient's message to other addresses, marked as a test.

    The unsubscribe link in it is the reader's own: trying the link does not unsubscribe the recipient.

    Args:
        request: what was planned; it does not become a run.
        manifest: of the plan.
        folder: with the plan, as `replan` leaves it.
        read_keys: reads the keys that sign the unsubscribe links, where the campaign has links of its own.
        endpoint: the embedded sandbox; None for what botocore resolves.
        settings: with the SMTP server, where one is named.
        to: where the proofs go.
        as_address: the recipient whose message it is; None for the first of the plan.
        clock: waits between two proofs, so that they stay within the account's rate.

    Raises:
        UsageError: `as_address` is not a recipient.
        DataError: the templates are wrong, or this recipient's message cannot be rendered.
        ServiceError: the account may not send.
    """
    clock = clock or SystemClock()
    if not manifest.leases:
        raise DataError(
            "the plan has no recipients, so there is no message to send",
            where=str(folder),
            remedy="see why the rows were excluded: mailrun plan CAMPAIGN",
        )
    pick = find_recipient(folder, manifest, as_address, key="--as") if as_address else Pick(0, 0, 0)
    renderer = LeaseRenderer(make_job(request, manifest, folder, read_keys))
    recipient = renderer.pick(manifest.leases[pick.lease], pick.index)
    proofs = []
    spec, sender = request.campaign.spec, request.campaign.spec.sender_address
    async with (
        open_outbound(spec, settings, endpoint, f"{request.name} proofs") as outbound,
        outbound.open_transport(renderer.envelope, sender_address=sender, folder=folder, worker="proof") as transport,
    ):
        quota = await check_account_or_wait(outbound, sender)
        for number, address in enumerate(to):
            if number:
                await clock.sleep(1 / find_rate(quota.max_send_rate, spec.delivery))
            (made,) = renderer.make([recipient], reader=address)
            if isinstance(made, RenderError):
                where = f"row {recipient.row} of the audience"
                raise DataError(str(made), where=where, remedy="correct the template, or choose another --as") from made
            message = _mark(made, address, request.campaign.name)
            (reply,) = await transport.send([transport.prepare(message)])
            proofs.append(Proof(address, message.subject, reply.meaning, reply.message_id, reply.detail))
    return proofs


def _mark(message: Message, to: str, campaign: str) -> Message:
    tags = [tag for tag in message.tags if tag[0] not in OWN_TAGS]
    return replace(message, address=to, subject=f"{MARK}{message.subject}", tags=((PROOF_TAG, campaign), *tags))


def check_readers(addresses: Sequence[str]) -> None:
    """Check where proofs go, before anything is planned.

    Raises:
        UsageError: one is not an address.
    """
    for address in addresses:
        try:
            check_address(address)
        except ValueError as error:
            what, remedy = error.args
            raise UsageError(f"--to {what}: {address}", where="--to", remedy=remedy) from None
