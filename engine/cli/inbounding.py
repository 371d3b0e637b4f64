"""What `mailrun inbound` puts together: sources, intake, and what is printed."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

import structlog

from engine.account.client import translate_aws_errors
from engine.campaign.unsubscribe import TokenSigner
from engine.cli.compose import Place, find_unsubscribe_keys, open_place
from engine.cli.options import Common
from engine.cli.printing import print_json, print_lines
from engine.cli.unsubscribing import is_forgotten, read_verifying_keys
from engine.delivery.stop import Stop
from engine.errors import ExitCode
from engine.feedback.certificates import fetch_certificate
from engine.feedback.envelopes import ForgedError
from engine.feedback.inbound_intake import REFUSED, InboundIntake, Tally
from engine.feedback.inbound_sources import NoMailError, open_notification, read_mails
from engine.feedback.mail_parts import MOST_BYTES
from engine.feedback.queue import choose_poll, open_sqs, pull
from engine.feedback.signatures import SnsVerifier, own_account_topics
from engine.progress import step
from engine.quantities import format_count
from engine.run.history import find_mailed
from engine.run.signals import stop_on_signals
from engine.store.folder import Store, digest_bytes

MAILS_AT_ONCE = 200

log = structlog.get_logger()


def import_mails(place_of_mails: str, common: Common) -> int:
    """Import; print what came; return the exit code."""
    with open_place(common) as place:
        intake = _open_intake(place, find_unsubscribe_keys(place).all)
        some: list[tuple[str, bytes]] = []
        with step("importing mail", "mails") as importing:
            for found in read_mails(place_of_mails):
                some.append(found)
                importing.advance()
                if len(some) >= MAILS_AT_ONCE:
                    _take_files(intake, some)
                    some = []
            _take_files(intake, some)
    return _print(intake.tally, common)


def pull_mails(queue: str, common: Common, *, topics: tuple[str, ...], follow: bool) -> int:
    """Pull; print what came; return the exit code."""
    with open_place(common) as place:
        # A queue loses what was taken from it, so a token must be verifiable.
        intake = _open_intake(place, read_verifying_keys(place).all)
        allowed = topics or place.settings.events.topics or own_account_topics(queue)
        verifier = SnsVerifier(allowed, fetch_certificate)
        asyncio.run(_pull(queue, partial(_take_bodies, intake, verifier, place.store), follow=follow))
    return _print(intake.tally, common)


def _take_files(intake: InboundIntake, mails: Sequence[tuple[str, bytes]]) -> None:
    """Take in mails of files; one that cannot be read stays where it is, and is named."""
    for number, reason in intake.take([raw for _, raw in mails]).items():
        log.warning("inbound.unreadable", mail=mails[number][0], reason=reason)


async def _pull(queue: str, take_bodies: "partial[None]", *, follow: bool) -> None:
    async def take(bodies: Sequence[str]) -> None:
        await asyncio.to_thread(take_bodies, bodies)

    stop = Stop()
    with stop_on_signals(stop):
        async with open_sqs(queue) as client:
            await pull(client, queue, take, follow=follow, stop=stop, poll_seconds=choose_poll(follow=follow))


def _take_bodies(intake: InboundIntake, verifier: SnsVerifier, store: Store, bodies: Sequence[str]) -> None:
    """Take in what a queue gave; what holds no mail is kept aside, as the queue will have it no more."""
    mails: list[tuple[str, bytes]] = []
    for body in bodies:
        try:
            found = open_notification(body, verifier, _fetch_object)
        except (NoMailError, ForgedError) as problem:
            intake.tally.refused[str(problem)] += 1
            _keep_aside(store, body)
        else:
            mails += [(body, found[1])] if found is not None else []
    for number in intake.take([raw for _, raw in mails]):
        _keep_aside(store, mails[number][0])


def _keep_aside(store: Store, body: str) -> None:
    content = body.encode("utf-8", "replace")
    store.write(f"{REFUSED}/{digest_bytes(content)}.json", content)


def _fetch_object(bucket: str, key: str) -> bytes:
    from boto3.session import Session  # noqa: PLC0415 - slow to import, and needed for objects alone

    with translate_aws_errors("S3"), closing(Session().client("s3")) as client:
        try:
            content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read(MOST_BYTES)
        except client.exceptions.NoSuchKey:
            raise NoMailError("the object that it names is gone") from None
    return content


def _open_intake(place: Place, keys: tuple[bytes, ...]) -> InboundIntake:
    if not keys:
        note = "There are no unsubscribe keys: a mail with a token counts as forged. Import it again with the keys."
        log.warning("inbound.no_keys", note=note)
    return InboundIntake(
        ledger=place.ledger,
        signer=TokenSigner(keys) if keys else None,
        was_mailed=partial(find_mailed, place.ledger, place.store),
        is_forgotten=partial(is_forgotten, place),
        clock=place.clock,
    )


def _print(tally: Tally, common: Common) -> int:
    if common.json:
        print_json(tally.to_json())
    else:
        print_lines(*_describe(tally))
    return ExitCode.DATA if tally.refused else ExitCode.FINISHED


def _describe(tally: Tally) -> Iterator[str]:
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in tally.kinds.most_common())
    yield f"{format_count(tally.kinds.total(), 'mail')}" + (f": {kinds}" if kinds else "")
    yield f"{tally.suppressed:,} suppressed, {tally.known:,} suppressed before"
    if tally.forged:
        yield f"{tally.forged:,} with a token that is not ours; no address is suppressed"
    if tally.never_mailed:
        yield f"{tally.never_mailed:,} of addresses that we never mailed; no address is suppressed"
    for reason, count in tally.refused.most_common(10):
        yield f"REFUSED: {count:,}: {reason}"
    if tally.refused:
        yield f"kept aside: {REFUSED}/ in the store"
