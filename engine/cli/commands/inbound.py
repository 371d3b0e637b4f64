"""`mailrun inbound`: reads mail from a queue or from files, and suppresses the people who request it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.errors import DataError, ExitCode, docs_page
from engine.feedback.events.certificates import fetch_certificate
from engine.feedback.events.queue import choose_poll, open_sqs, pull
from engine.feedback.events.signatures import SnsVerifier, own_account_topics
from engine.feedback.inbound.authority import MailTrust, ReceivedMail, Unproven
from engine.feedback.inbound.dmarc_rows import keep_report
from engine.feedback.inbound.intake import REFUSED, InboundIntake, InboundTally, JudgedMail, judge
from engine.feedback.inbound.mail_files import read_mails
from engine.feedback.inbound.objects import ATTEMPTS, ByteBudget, ObjectReader
from engine.feedback.inbound.pull import MESSAGES_AT_ONCE, InboundPull
from engine.feedback.unsubscribe.opt_out import is_forgotten
from engine.logs import get_logger
from engine.metrics.meter import Meter
from engine.metrics.monitoring import Monitored, monitor
from engine.metrics.queue_depth import watched
from engine.progress import step
from engine.quantities import format_count
from engine.report.run_report.report_refresh import refresh_reports
from engine.run.history import find_mailed
from engine.setting_sections import InboundSettings
from engine.stopping.signals import stop_on_signals
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.store.s3_client import open_s3
from engine.workspace import Workspace

MAILS_AT_ONCE = 200

_READ_THEM = "not processed; read them yourself"
_UNPROVEN = {
    Unproven.FORGED_TOKEN: "with a forged token; no address is suppressed",
    Unproven.NO_RESULTS: f"without a token, and without proof of the sender: {_READ_THEM}. Set [inbound] authserv_id "
    "to the name that your mail server writes into Authentication-Results, or pull them with the receipts of SES",
    Unproven.UNSIGNED: f"without a token, in a notification that SNS did not sign: {_READ_THEM}. Switch raw message "
    "delivery off, or set [inbound] raw_delivery if only the topic can write to the queue",
    Unproven.SENDER_UNCLEAR: f"without a token, and not from exactly one sender: {_READ_THEM}",
    Unproven.NOT_ALIGNED: f"without a token, and the named sender is not proven: {_READ_THEM}",
    Unproven.NOT_A_SOURCE: f"reports without a token, not signed by one of [inbound] feedback_sources: {_READ_THEM}",
}

log = get_logger()


@with_common
def import_mails(place: str, common: Common) -> int:
    """Import; print what was processed; return the exit code."""
    with open_chosen(common) as workspace:
        intake = _open_intake(workspace, workspace.find_unsubscribe_keys().all)
        trust = _read_trust(workspace.settings.inbound)
        some: list[tuple[str, JudgedMail]] = []
        with step("importing mail", "mails") as importing:
            try:
                for name, raw in read_mails(place, partial(_refuse_file, intake), workspace.settings.limits):
                    some.append((name, judge(ReceivedMail(raw), trust)))  # only a small part of a mail is kept
                    importing.advance()
                    if len(some) >= MAILS_AT_ONCE:
                        _record_files(intake, some)
                        some = []
            except DataError:  # the mails before damaged data are processed
                _record_files(intake, some)
                raise
            _record_files(intake, some)
        code = _print(intake.tally, common, aside="rejected mails stay where they are; the log names them")
        refresh_reports(workspace.ledger, workspace.store, workspace.clock, ())  # those with an opt-out
    return code


@with_common
def pull_mails(queue: str, common: Common, *, topics: tuple[str, ...], follow: bool, metrics_listen: str | None) -> int:
    """Pull; print what was processed; return the exit code."""
    with open_chosen(common) as workspace:
        # A message that was read is deleted from the queue, so its token must be verifiable.
        intake = _open_intake(workspace, workspace.read_verifying_keys().all)
        allowed = topics or workspace.settings.events.topics or own_account_topics(queue)
        settings = workspace.settings.inbound
        with closing(ObjectReader(settings.buckets, partial(open_s3, attempts=ATTEMPTS), ByteBudget())) as reader:
            pulled = InboundPull(
                intake=intake,
                trust=_read_trust(settings),
                verify=SnsVerifier(allowed, fetch_certificate),
                reader=reader,
                store=workspace.store,
                trusts_unsigned=settings.raw_delivery,
            )
            meter = Meter(queue="inbound")
            monitored = Monitored(workspace=workspace, command="inbound pull", meter=meter, listen=metrics_listen)
            with monitor(monitored):
                asyncio.run(_pull(queue, pulled, meter, follow=follow))
        code = _print(intake.tally, common, pulled.exit_code, aside=f"quarantined in: {REFUSED}/ in the store")
        refresh_reports(workspace.ledger, workspace.store, workspace.clock, ())  # those with an opt-out
    return code


def _record_files(intake: InboundIntake, mails: Sequence[tuple[str, JudgedMail]]) -> None:
    """Process mails from files; one that cannot be read stays where it is, and is logged."""
    for number, reason in intake.record(judged for _, judged in mails).items():
        log.warning("inbound.unreadable", mail=mails[number][0], reason=reason)


def _refuse_file(intake: InboundIntake, error: DataError) -> None:
    intake.tally.refused[error.what] += 1
    log.warning("inbound.unreadable", mail=error.where, reason=error.what)


async def _pull(queue: str, pulled: InboundPull, meter: Meter, *, follow: bool) -> None:
    stop = Stop()
    pulled.is_ending = lambda: stop.requested

    async def take(bodies: Sequence[str]) -> set[int]:
        kept = await asyncio.to_thread(pulled.process, bodies)
        meter.mails += len(bodies)
        if pulled.is_stuck and not follow:
            stop.request(
                StopReason(
                    StopCause.ERROR,
                    "a bucket cannot be read",
                    "see the printed reasons, fix them, then run the same command again",
                )
            )
        return kept

    with stop_on_signals(stop):
        async with open_sqs(queue) as client:
            poll = choose_poll(follow=follow)
            most = MESSAGES_AT_ONCE
            async with watched(client, queue, meter, stop):
                await pull(client, queue, take, follow=follow, stop=stop, poll_seconds=poll, most_messages=most)


def _read_trust(settings: InboundSettings) -> MailTrust:
    return MailTrust(settings.authserv_id, settings.feedback_sources)


def _open_intake(workspace: Workspace, keys: tuple[bytes, ...]) -> InboundIntake:
    if not keys:
        note = "There are no unsubscribe keys: a mail with a token counts as forged. Import it again with the keys."
        log.warning("inbound.no_keys", note=note)
    return InboundIntake(
        ledger=workspace.ledger,
        signer=TokenSigner(keys) if keys else None,
        was_mailed=partial(find_mailed, workspace.ledger, workspace.store),
        is_forgotten=partial(is_forgotten, workspace),
        keep_report=partial(keep_report, workspace.store),
        clock=workspace.clock,
    )


def _print(tally: InboundTally, common: Common, code: ExitCode = ExitCode.FINISHED, *, aside: str) -> int:
    if common.json:
        print_json(tally.to_json())
    else:
        print_lines(*_describe(tally, aside))
    return code or (ExitCode.DATA if tally.refused else ExitCode.FINISHED)


def _describe(tally: InboundTally, aside: str) -> Iterator[str]:
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in tally.kinds.most_common())
    yield f"{format_count(tally.kinds.total(), 'mail')}" + (f": {kinds}" if kinds else "")
    yield f"{tally.suppressed:,} suppressed, {tally.known:,} already suppressed"
    if tally.never_mailed:
        yield f"{tally.never_mailed:,} from addresses that were never mailed; no address is suppressed"
    for why, count in tally.unproven.most_common():
        yield f"{count:,} {_UNPROVEN[Unproven(why)]}"
    for reason, count in tally.refused.most_common(10):
        yield f"REJECTED: {count:,}: {reason}"
    if tally.refused:
        yield aside
    for reason, count in tally.kept.most_common(10):
        yield f"LEFT in the queue: {count:,}: {reason}"
    if tally.kept:
        yield f"fix the cause, then pull again; see {docs_page('guides/process-inbound-mail.md')}"
