"""Mails that are objects of S3: of configured buckets only, in bounded memory.

A message whose object cannot be read is set aside. Where no object of a bucket can be read, its messages stay in the
queue. A bucket can be read where one of its objects was, or where S3 answers HeadBucket.
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
from engine.locations import REMOTE
from engine.store.s3_client import (
    InvalidNameError,
    ObjectMissingError,
    S3RefusedError,
    name_answer,
    translate_s3_errors,
)

LARGEST_MAIL_BYTES = 40 * 1024 * 1024  # SES receives no larger one
MOST_HELD_BYTES = 64 * 1024 * 1024  # of mails in memory at one time
ATTEMPTS = 3  # of a request: a message that stays in the queue is tried again anyway
FAILURES_IN_A_ROW = 10  # of a bucket of which nothing was read yet; then this batch does not try it any more
_MOST_KEY_BYTES = 1024  # S3's limit
_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{3,255}")  # safe to print on a terminal


class ByteBudget:
    """Bounds the bytes that are held at one time; a thread that needs more waits.

    Attributes:
        limit: the bytes.
        held: the bytes that are held now.
        most_held: the maximum so far.
    """

    def __init__(self, limit: int = MOST_HELD_BYTES) -> None:
        self.limit = limit
        self.held = self.most_held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold some bytes, once there is room; a mail larger than the limit is held alone."""
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
    """An object could not be read; whether others of its bucket can is not known yet.

    Attributes:
        bucket: its bucket.
        why: for people.
        was_tried: False where it was not requested, because many before it failed.
    """

    def __init__(self, bucket: str, why: str, *, was_tried: bool = True) -> None:
        super().__init__(why)
        self.bucket = bucket
        self.why = why
        self.was_tried = was_tried


class BucketNotSetError(Exception):
    """A message names an object, and no setting says which buckets may be read."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.bucket = bucket


class ObjectReader:
    """Reads mails from buckets; several threads may use it.

    Args:
        buckets: those that may be read; None where the setting is missing.
        client: makes a client of S3.
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
        """Read the first `MOST_BYTES` of an object; they count against the budget until the context ends.

        Raises:
            NoMailError: it may not be read, is gone, or is larger than a mail.
            BucketNotSetError: no setting says which buckets may be read.
            ObjectUnreadableError: S3 refused it, or did not answer.
            ConfigurationError: no credentials, or another wrong AWS setting.
        """
        if self._buckets is None:
            raise BucketNotSetError(bucket)
        if bucket not in self._buckets:
            named = f"the bucket {bucket}" if _BUCKET_NAME.fullmatch(bucket) else "a bucket without a valid name"
            raise NoMailError(f"it names {named}, which is not one of [inbound] buckets", Refusal.BUCKET)
        if not 0 < len(key.encode("utf-8", "replace")) <= _MOST_KEY_BYTES or "\0" in key or not _is_text(key):
            raise NoMailError("the object that it names has no valid key", Refusal.UNREADABLE)
        if self._is_given_up(bucket):
            raise ObjectUnreadableError(bucket, "it was not tried, because many before it failed", was_tried=False)
        answer = self._ask(bucket, key)
        size = answer.get("ContentLength")
        if not isinstance(size, int) or not 0 <= size <= LARGEST_MAIL_BYTES:
            answer["Body"].close()
            raise NoMailError(
                f"the object that it names has {size} bytes, more than a mail can have", Refusal.UNREADABLE
            )
        wanted = min(size, MOST_BYTES)  # what identifies a mail stands before large attachments
        with self.budget.hold(wanted):
            yield self._download(answer["Body"], wanted, bucket)

    def is_readable(self, bucket: str) -> bool:
        """Return whether objects of a bucket can be read at all: one was, or S3 answers HeadBucket."""
        if bucket in self._readable:
            return True
        try:
            with translate_s3_errors(f"{REMOTE}{bucket}"):
                self._open_client().head_bucket(Bucket=bucket)
        except MailrunError:
            return False
        finally:
            self._failures[bucket] = 0  # the next batch tries again
        return True

    def close(self) -> None:
        """Close the client."""
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
        """Read `size` bytes of an answer, and no more."""
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
