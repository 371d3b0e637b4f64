"""Mails that are objects of S3: of configured buckets alone, each as far as it is looked at, in bounded memory.

One object that cannot be read is that object's; a bucket of which nothing can be read is not: its messages stay in the
queue. What tells them apart: an object of the bucket that was read, or S3's answer to HeadBucket.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Any

from engine.errors import MailrunError, PausedError
from engine.feedback.inbound.mail_parts import MOST_BYTES
from engine.feedback.inbound.notifications import NoMailError, Refusal
from engine.store.objects import REMOTE
from engine.store.s3_client import (
    InvalidNameError,
    ObjectMissingError,
    S3RefusedError,
    name_answer,
    translate_s3_errors,
)

LARGEST_MAIL_BYTES = 40 * 1024 * 1024  # SES takes in no larger one
MOST_HELD_BYTES = 64 * 1024 * 1024  # of mails at one time, however many there are
ATTEMPTS = 3  # of a request: a message that stays in the queue is tried again anyway
FAILURES_IN_A_ROW = 10  # of a bucket that gave nothing yet; then it is not asked for more in this batch
_MOST_KEY_BYTES = 1024  # S3's limit
_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{3,255}")  # what is printed on a terminal
_NO_OBJECT = 404


class ByteBudget:
    """Lets so many bytes be held at one time; who wants more waits.

    Attributes:
        limit: the bytes.
        held: those that are held now.
        most_held: the most that were held at one time.
    """

    def __init__(self, limit: int = MOST_HELD_BYTES) -> None:
        self.limit = limit
        self.held = self.most_held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold some bytes, once there is room; what is larger than the limit is held alone."""
        size = min(size, self.limit)
        with self._changed:
            self._changed.wait_for(lambda: self.held + size <= self.limit)
            self.held += size
            self.most_held = max(self.most_held, self.held)
        try:
            yield
        finally:
            with self._changed:
                self.held -= size
                self._changed.notify_all()


class ObjectUnreadableError(Exception):
    """S3 did not give out an object; whether that is the object's alone is not known yet.

    Attributes:
        bucket: its bucket.
        why: for people.
        was_tried: False where it was not asked for, as many before it failed.
    """

    def __init__(self, bucket: str, why: str, *, was_tried: bool = True) -> None:
        super().__init__(why)
        self.bucket = bucket
        self.why = why
        self.was_tried = was_tried


class BucketNotSetError(Exception):
    """An object is named, and no setting says which buckets may be read."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.bucket = bucket


class ObjectReader:
    """Reads mails out of buckets; usable by several threads.

    Args:
        buckets: those that may be read; None where no setting says so.
        client: of S3.
        budget: bounds the memory.
    """

    def __init__(self, buckets: Collection[str] | None, client: Callable[[], Any], budget: ByteBudget) -> None:
        self._buckets = buckets
        self._make_client = client
        self._client: Any = None
        self._lock = Lock()
        self._readable: set[str] = set()
        self._failures: Counter[str] = Counter()
        self.budget = budget

    @contextmanager
    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        """Read an object, as far as a mail is looked at; its bytes count against the budget until the context ends.

        Raises:
            NoMailError: it may not be read, is gone, or is larger than a mail.
            BucketNotSetError: no setting says which buckets may be read.
            ObjectUnreadableError: S3 did not give it out.
            ConfigurationError: no credentials.
        """
        if self._buckets is None:
            raise BucketNotSetError(bucket)
        if bucket not in self._buckets:
            named = f"the bucket {bucket}" if _BUCKET_NAME.fullmatch(bucket) else "a bucket without a valid name"
            raise NoMailError(f"it names {named}, which is not one of [inbound] buckets", Refusal.BUCKET)
        if not 0 < len(key.encode("utf-8", "replace")) <= _MOST_KEY_BYTES or "\0" in key or not _is_text(key):
            raise NoMailError("the object that it names has no valid key", Refusal.UNREADABLE)
        if self._is_given_up(bucket):
            raise ObjectUnreadableError(bucket, "it was not tried, as many before it failed", was_tried=False)
        answer = self._ask(bucket, key)
        size = answer.get("ContentLength")
        if not isinstance(size, int) or not 0 <= size <= LARGEST_MAIL_BYTES:
            answer["Body"].close()
            raise NoMailError(f"the object that it names has {size} bytes: more than a mail", Refusal.UNREADABLE)
        looked_at = min(size, MOST_BYTES)  # what says what it is stands before large attachments
        with self.budget.hold(looked_at):
            yield self._download(answer["Body"], looked_at, bucket)

    def is_readable(self, bucket: str) -> bool:
        """Tell whether objects of a bucket can be read at all: one was, or S3 says that the bucket is there for us."""
        if bucket in self._readable:
            return True
        try:
            with translate_s3_errors(f"{REMOTE}{bucket}"):
                self._open_client().head_bucket(Bucket=bucket)
        except MailrunError:
            return False
        finally:
            self._failures[bucket] = 0  # the next batch tries it again
        return True

    def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            self._client.close()

    def _is_given_up(self, bucket: str) -> bool:
        return bucket not in self._readable and self._failures[bucket] >= FAILURES_IN_A_ROW

    def _open_client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _ask(self, bucket: str, key: str) -> dict[str, Any]:
        try:
            with translate_s3_errors(f"{REMOTE}{bucket}", needs="s3:GetObject"):
                answer: dict[str, Any] = self._open_client().get_object(Bucket=bucket, Key=key)
        except ObjectMissingError:
            self._readable.add(bucket)
            raise NoMailError("the object that it names is gone", Refusal.UNREADABLE) from None
        except (S3RefusedError, PausedError) as error:
            raise self._fail(bucket, _say_why(error)) from error
        except InvalidNameError as error:
            raise NoMailError("the object that it names has no valid key", Refusal.UNREADABLE) from error
        return answer

    def _download(self, body: Any, size: int, bucket: str) -> bytes:
        """Read so much of an answer, and never more."""
        try:
            with translate_s3_errors(f"{REMOTE}{bucket}"):
                content: bytes = body.read(size)
        except (MailrunError, OSError) as error:
            raise self._fail(bucket, "S3 ended its answer in the middle") from error
        finally:
            body.close()
        if len(content) < size:
            raise self._fail(bucket, "S3 ended its answer in the middle")
        self._readable.add(bucket)
        return content

    def _fail(self, bucket: str, why: str) -> ObjectUnreadableError:
        self._failures[bucket] += 1
        return ObjectUnreadableError(bucket, why)


def _say_why(error: MailrunError) -> str:
    code = name_answer(error)
    return f"S3 answered {code}" if code else "S3 did not answer in time, or cannot be reached"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
