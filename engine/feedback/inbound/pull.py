"""Messages of a queue of received mail: each is processed, set aside with its reason, or left in the queue."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from msgspec import Struct

from engine.errors import ExitCode
from engine.feedback.events.envelopes import ForgedError, Verify
from engine.feedback.inbound.authority import SES_AUTHSERV_ID, MailTrust, ReceivedMail
from engine.feedback.inbound.intake import REFUSED, InboundIntake, JudgedMail, judge
from engine.feedback.inbound.notifications import NoMailError, Notification, Refusal, open_notification
from engine.feedback.inbound.objects import BucketNotSetError, ObjectReader, ObjectUnreadableError
from engine.logs import get_logger
from engine.store.files import digest_bytes
from engine.store.port import Store

MESSAGES_AT_ONCE = 200  # the largest mails are read within SQS's visibility timeout
MOST_REASONS = 100  # counted by text: the writer of a message chooses the names in it
_OTHER_REASONS = "for other reasons; see the log"
_READERS = 8  # objects that are read at one time; each takes S3 tens of milliseconds

log = get_logger()


class _Unread(Struct, frozen=True):
    """A message that was not read, because the pull is stopping."""


_Result = JudgedMail | NoMailError | ObjectUnreadableError | BucketNotSetError | _Unread | None


@dataclass(slots=True)
class InboundPull:
    """Processes the bodies of messages.

    Attributes:
        intake: records the suppressions that mails request.
        trust: which servers and feedback sources count.
        verify: checks SNS envelopes.
        reader: reads objects.
        store: where messages are set aside.
        trusts_unsigned: verdicts count without SNS's signature.
        is_ending: called before each message; once it returns True, further messages stay in the queue.
        exit_code: FINISHED, or what is wrong with this machine's settings or with S3.
        is_stuck: nothing of a bucket can be read, so that more messages would fail too.
    """

    intake: InboundIntake
    trust: MailTrust
    verify: Verify
    reader: ObjectReader
    store: Store
    trusts_unsigned: bool = False
    is_ending: Callable[[], bool] = lambda: False
    exit_code: ExitCode = field(default=ExitCode.FINISHED, init=False)
    is_stuck: bool = field(default=False, init=False)

    def process(self, bodies: Sequence[str]) -> set[int]:
        """Process messages; those that are not returned are recorded durably and may leave the queue.

        Returns:
            The numbers of those that must stay in the queue.

        Raises:
            MailrunError: nothing can be recorded now; all messages must stay.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            results = list(pool.map(self._judge, bodies))
        mails = [(body, result) for body, result in zip(bodies, results, strict=True) if isinstance(result, JudgedMail)]
        for number, why in self.intake.record(judged for _, judged in mails).items():
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
            log.warning("inbound.kept", messages=len(kept), note="they stay in the queue, and are delivered again")
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
        """Return the trusted parts of a notification: without SNS's signature, only an object of a configured bucket.

        SES received each of these mails. It passes on fields of other servers as the sender wrote them.
        """
        counts = notification.is_signed or self.trusts_unsigned
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
