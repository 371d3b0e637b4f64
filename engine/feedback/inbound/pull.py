"""Messages of a queue of received mail: each is taken in, set aside with its reason, or left in the queue."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from engine.errors import ExitCode
from engine.feedback.events.envelopes import ForgedError, Verify
from engine.feedback.inbound.authority import SES_AUTHSERV_ID, MailTrust, ReceivedMail
from engine.feedback.inbound.intake import REFUSED, InboundIntake, JudgedMail, judge
from engine.feedback.inbound.notifications import NoMailError, Notification, Refusal, open_notification
from engine.feedback.inbound.objects import BucketNotSetError, ObjectReader, ObjectUnreadableError
from engine.store.files import digest_bytes
from engine.store.port import Store

MESSAGES_AT_ONCE = 200  # mails of the largest kind are read in less than SQS hides them
MOST_REASONS = 100  # that are counted by their words: whoever writes the messages chooses the names in them
_OTHER_REASONS = "of more reasons, which the log has"
_READERS = 8  # objects read at one time: S3 takes tens of milliseconds for each

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Unread:
    """A message that was not looked at, as the pull is to end."""


_Result = JudgedMail | NoMailError | ObjectUnreadableError | BucketNotSetError | _Unread | None


@dataclass(slots=True)
class InboundPull:
    """Takes the bodies of messages.

    Attributes:
        intake: takes the mails in.
        trust: whose word counts.
        verify: checks SNS envelopes.
        reader: reads objects.
        store: has what is set aside.
        believes_unsigned: verdicts count without SNS's signature.
        is_ending: asked before each message; once it is True, those that were not looked at stay in the queue.
        exit_code: what is wrong with this machine's settings or with S3; FINISHED for nothing.
        is_stuck: a bucket gives out nothing: to go on would only make the queue try in vain.
    """

    intake: InboundIntake
    trust: MailTrust
    verify: Verify
    reader: ObjectReader
    store: Store
    believes_unsigned: bool = False
    is_ending: Callable[[], bool] = lambda: False
    exit_code: ExitCode = field(default=ExitCode.FINISHED, init=False)
    is_stuck: bool = field(default=False, init=False)

    def take(self, bodies: Sequence[str]) -> set[int]:
        """Take messages in; those that are not returned are durable here, and need not come again.

        Returns:
            The numbers of those that must stay in the queue.

        Raises:
            MailrunError: nothing can be said now: all of them must stay.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            results = list(pool.map(self._judge, bodies))
        mails = [(body, result) for body, result in zip(bodies, results, strict=True) if isinstance(result, JudgedMail)]
        for number, why in self.intake.take(judged for _, judged in mails).items():
            self._set_aside(mails[number][0], why, Refusal.BROKEN)
        readable = {result.bucket for result in results if isinstance(result, ObjectUnreadableError)}
        readable = {bucket for bucket in readable if self.reader.is_readable(bucket)}
        kept = set()
        for number, (body, result) in enumerate(zip(bodies, results, strict=True)):
            match result:
                case NoMailError():
                    self._refuse(body, str(result), result.refusal)
                case ObjectUnreadableError(was_tried=True) if result.bucket in readable:
                    self._refuse(body, f"the object that it names cannot be read: {result.why}", Refusal.UNREADABLE)
                case ObjectUnreadableError():
                    kept.add(number)
                    self._keep(f"nothing of the bucket {result.bucket} can be read: {result.why}", ExitCode.UNAVAILABLE)
                    self.is_stuck |= result.bucket not in readable
                case _Unread():
                    kept.add(number)
                case BucketNotSetError():
                    kept.add(number)
                    self._keep("it names a bucket, and [inbound] buckets is not set", ExitCode.CONFIGURATION)
        if kept:
            log.warning("inbound.kept", messages=len(kept), note="they stay in the queue, and come again")
        return kept

    def _judge(self, body: str) -> _Result:
        if self.is_ending():
            return _Unread()
        try:
            notification = open_notification(body, self.verify)
            if notification is None:
                return None
            if notification.place is None:
                raw = notification.content or b""
                with self.reader.budget.hold(len(raw)):
                    return judge(self._receive(notification, raw), self.trust)
            with self.reader.read(*notification.place) as raw:
                return judge(self._receive(notification, raw), self.trust)
        except ForgedError as problem:
            return NoMailError(str(problem), Refusal.FORGED)
        except (NoMailError, ObjectUnreadableError, BucketNotSetError) as problem:
            return problem

    def _receive(self, notification: Notification, raw: bytes) -> ReceivedMail:
        """Say what of a notification counts: what SNS did not sign is anybody's, but for an object of our bucket.

        SES received each of these mails. Fields of another server have passed through it as the sender wrote them.
        """
        counts = notification.is_signed or self.believes_unsigned
        is_of_ses = self.trust.authserv_id.lower() == SES_AUTHSERV_ID
        return ReceivedMail(
            raw,
            notification.receipt if counts else None,
            has_own_fields=is_of_ses and (counts or notification.place is not None),
            is_unsigned=not counts,
        )

    def _refuse(self, body: str, why: str, refusal: Refusal) -> None:
        refused = self.intake.tally.refused
        refused[why if why in refused or len(refused) < MOST_REASONS else _OTHER_REASONS] += 1
        self._set_aside(body, why, refusal)

    def _set_aside(self, body: str, why: str, refusal: Refusal) -> None:
        content = body.encode("utf-8", "replace")
        name = f"{REFUSED}/{refusal}-{digest_bytes(content)}.json"
        self.store.write(name, content)
        log.warning("inbound.set_aside", reason=why, file=name)

    def _keep(self, why: str, code: ExitCode) -> None:
        self.intake.tally.kept[why] += 1
        self.exit_code = max(self.exit_code, code)
