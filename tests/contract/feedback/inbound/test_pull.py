"""What happens to a message of the queue, and how much of its mails is in memory, with a simulated S3."""

import io
import itertools
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

import botocore.exceptions
import orjson
import pytest
from support.clock import VirtualClock

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError, ExitCode
from engine.feedback.inbound.authority import MailTrust
from engine.feedback.inbound.intake import InboundIntake
from engine.feedback.inbound.mail_parts import MOST_BYTES
from engine.feedback.inbound.objects import FAILURES_IN_A_ROW, LARGEST_MAIL_BYTES, ByteBudget, ObjectReader
from engine.feedback.inbound.pull import MOST_REASONS, InboundPull
from engine.ledger.database import open_ledger
from engine.ledger.suppressed.suppressions import iterate_suppressions
from engine.store.folder import FolderStore

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
WISH = b"From: ann@b.example\r\nSubject: unsubscribe\r\n\r\n"


class Body(io.BytesIO):
    """What GetObject answers; counts what is read of it."""

    def __init__(self, s3: "FakeS3", content: bytes) -> None:
        super().__init__(content)
        self.s3 = s3

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        with self.s3.lock:
            self.s3.bytes_read += len(found)
        return found


class FakeS3:
    """Objects by bucket and key: bytes, a size without bytes, an error's code, or an exception."""

    def __init__(self, objects: dict[tuple[str, str], Any], *, has_bucket: Any = True) -> None:
        self.objects = objects
        self.has_bucket = has_bucket
        self.asked: Counter[str] = Counter()
        self.bytes_read = 0
        self.lock = Lock()

    def get_object(self, **of: str) -> dict[str, Any]:
        with self.lock:
            self.asked[of["Bucket"]] += 1
        found = self.objects.get((of["Bucket"], of["Key"]), "NoSuchKey")
        if isinstance(found, Exception):
            raise found
        if isinstance(found, str):
            raise answer(found, 404 if found == "NoSuchKey" else 403)
        if isinstance(found, int):
            return {"ContentLength": found, "Body": Body(self, b"x")}
        return {"ContentLength": len(found), "Body": Body(self, found)}

    def head_bucket(self, **_: str) -> None:
        if self.has_bucket is not True:
            raise self.has_bucket

    def close(self) -> None:
        """Hold nothing."""


def answer(code: str, status: int) -> Exception:
    reply: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = botocore.exceptions.ClientError(reply, "GetObject")
    return error


TIMEOUT = botocore.exceptions.ReadTimeoutError(endpoint_url="https://s3.example")


class Pulling:
    """A pull with everything that it needs."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.folder, self.clock = folder, clock
        self.ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")

    def open(self, s3: FakeS3, *, buckets: tuple[str, ...] | None = ("ours",), **more: Any) -> InboundPull:
        intake = InboundIntake(self.ledger, SIGNER, set, lambda _: False, self.clock, lambda *_: None)
        reader = ObjectReader(buckets, lambda: s3, more.pop("budget", ByteBudget()))
        store = FolderStore(self.folder / "store")
        return InboundPull(intake, more.pop("trust", MailTrust()), lambda _: None, reader, store, **more)

    def suppressed(self) -> set[str]:
        return {one.key for block in iterate_suppressions(self.ledger) for one in block}

    def aside(self) -> list[str]:
        return sorted(path.name.rpartition("-")[0] for path in (self.folder / "store").glob("inbound-refused/*"))


@pytest.fixture
def pulling(tmp_path: Path, clock: VirtualClock) -> Any:
    made = Pulling(tmp_path, clock)
    yield made
    made.ledger.close()


def notice(key: str = "k", bucket: str = "ours", *, is_signed: bool = True, **more: Any) -> str:
    verdicts = {f"{name}Verdict": {"status": "PASS"} for name in ("spf", "dkim", "dmarc")}
    receipt = verdicts | {"action": {"type": "S3", "bucketName": bucket, "objectKey": key}}
    mail = {"messageId": "m", "source": "ann@b.example"}
    document = {"notificationType": "Received", "mail": mail, "receipt": receipt, **more}
    text = orjson.dumps(document).decode()
    return orjson.dumps({"Type": "Notification", "Message": text}).decode() if is_signed else text


def wish(number: int, size: int = 0) -> bytes:
    return b"From: p%d@b.example\r\nSubject: unsubscribe\r\n\r\n" % number + b"x" * size


def test_the_bytes_of_mails_in_memory_are_bounded_however_many_there_are(pulling: Pulling) -> None:
    size, limit = 10_000, 25_000
    held: Counter[int] = Counter()
    for count in (20, 80):
        budget = ByteBudget(limit)
        s3 = FakeS3({("ours", str(number)): wish(number, size) for number in range(count)})
        pull = pulling.open(s3, budget=budget)
        assert pull.process([notice(str(number)) for number in range(count)]) == set()
        assert s3.bytes_read > count * size
        assert size <= budget.most_held <= limit
        assert budget.held == 0
        held[count] = budget.most_held
        assert pull.intake.tally.kinds == {"unsubscribe": count}
    assert len(pulling.suppressed()) == 80


def test_the_content_of_notifications_counts_against_the_budget(pulling: Pulling) -> None:
    budget = ByteBudget(25_000)
    pull = pulling.open(FakeS3({}), budget=budget)
    pull.process([notice(content=wish(number, 10_000).decode()) for number in range(20)])
    assert 10_000 <= budget.most_held <= budget.limit
    assert pull.intake.tally.kinds == {"unsubscribe": 20}


def test_an_object_that_is_larger_than_a_mail_is_not_read_at_all(pulling: Pulling) -> None:
    s3 = FakeS3({("ours", "large"): LARGEST_MAIL_BYTES + 1, ("ours", "good"): WISH})
    pull = pulling.open(s3)
    assert pull.process([notice("large"), notice("good")]) == set()
    assert s3.bytes_read == len(WISH)
    assert (pulling.suppressed(), pulling.aside()) == ({"ann@b.example"}, ["unreadable"])


def test_large_mail_is_read_only_as_far_as_needed(pulling: Pulling) -> None:
    s3 = FakeS3({("ours", "k"): wish(1, 2 * MOST_BYTES)})
    pull = pulling.open(s3)
    pull.process([notice()])
    assert s3.bytes_read == pull.reader.budget.most_held == MOST_BYTES
    assert pulling.suppressed() == {"p1@b.example"}


def test_a_mail_that_cannot_be_read_is_set_aside_after_one_failure(pulling: Pulling) -> None:
    pull = pulling.open(FakeS3({("ours", "k"): b"\x00\x01", ("ours", "good"): WISH}))
    assert pull.process([notice(), notice("good")]) == set()
    assert (pulling.aside(), pulling.suppressed()) == (["broken"], {"ann@b.example"})
    assert sum(pull.intake.tally.refused.values()) == 1


def test_stopping_pull_leaves_unread_messages_in_the_queue(pulling: Pulling) -> None:
    asked = itertools.count()
    s3 = FakeS3({("ours", str(number)): wish(number) for number in range(20)})
    pull = pulling.open(s3, is_ending=lambda: next(asked) >= 3)
    kept = pull.process([notice(str(number)) for number in range(20)])
    assert (len(pulling.suppressed()), s3.asked["ours"], len(kept)) == (3, 3, 17)
    assert (pulling.aside(), pull.exit_code, pull.intake.tally.kinds.total()) == ([], ExitCode.FINISHED, 3)


def test_unconfigured_bucket_is_set_aside_by_name_and_never_read(pulling: Pulling) -> None:
    s3 = FakeS3({("theirs", "k"): WISH, ("ours", "k"): WISH})
    pull = pulling.open(s3)
    assert pull.process([notice(bucket="theirs"), notice()]) == set()
    assert s3.asked == {"ours": 1}
    assert pulling.aside() == ["bucket"]
    assert list(pull.intake.tally.refused) == ["it names the bucket theirs, which is not one of [inbound] buckets"]
    assert pull.exit_code == ExitCode.FINISHED


def test_reasons_from_senders_are_bounded_without_control_characters(
    pulling: Pulling,
) -> None:
    pull = pulling.open(FakeS3({}))
    pull.process([notice(bucket=f"b{number:03}") for number in range(MOST_REASONS + 20)] + [notice(bucket="a\x1b[2J")])
    refused = pull.intake.tally.refused
    assert (len(refused), refused.total()) == (MOST_REASONS + 1, MOST_REASONS + 21)
    assert all(reason.isprintable() for reason in refused)
    pull = pulling.open(FakeS3({}))
    pull.process([notice(bucket="a\x1b[2J")])
    assert list(pull.intake.tally.refused) == [
        "it names a bucket without a valid name, which is not one of [inbound] buckets"
    ]


def test_messages_with_a_bucket_stay_without_the_setting(pulling: Pulling) -> None:
    s3 = FakeS3({("ours", "k"): WISH})
    pull = pulling.open(s3, buckets=None)
    assert pull.process([notice(), notice(content=WISH.decode())]) == {0}
    assert (s3.asked, pulling.aside(), pulling.suppressed()) == ({}, [], {"ann@b.example"})
    assert pull.exit_code == ExitCode.CONFIGURATION
    none = pulling.open(s3, buckets=())
    assert none.process([notice()]) == set()
    assert (s3.asked, pulling.aside()) == ({}, ["bucket"])


@pytest.mark.parametrize(
    "wrong",
    [
        "NoSuchKey",
        "AccessDenied",
        TIMEOUT,
        answer("InvalidObjectState", 403),
        answer("InternalError", 500),
        botocore.exceptions.ParamValidationError(report="a key that boto does not take"),
    ],
)
@pytest.mark.parametrize("others", [0, 3])
def test_unreadable_object_is_set_aside_and_the_others_are_read(pulling: Pulling, wrong: Any, others: int) -> None:
    """Alone in its batch too, where S3 says that the bucket is there."""
    good = {("ours", str(number)): wish(number) for number in range(others)}
    pull = pulling.open(FakeS3(good | {("ours", "bad"): wrong}))
    assert pull.process([notice("bad"), *(notice(key) for _, key in good)]) == set()
    assert (pulling.aside(), len(pulling.suppressed()), pull.is_stuck) == (["unreadable"], others, False)
    (reason,) = pull.intake.tally.refused
    assert reason.startswith("the object that it names")


@pytest.mark.parametrize("key", ["", "x" * 1025, "\0", "\ud800"])
def test_impossible_object_key_is_not_requested(pulling: Pulling, key: str) -> None:
    s3 = FakeS3({})
    body = notice("KEY", is_signed=False).replace(
        '"KEY"', '"' + key.encode("unicode_escape").decode().replace("\\x00", "\\u0000") + '"'
    )
    pull = pulling.open(s3)
    assert pull.process([body]) == set()
    assert (s3.asked, pulling.aside()) == ({}, ["unreadable"])


@pytest.mark.parametrize("wrong", ["AccessDenied", TIMEOUT])
def test_where_nothing_of_a_bucket_can_be_read_all_stays_in_the_queue(pulling: Pulling, wrong: Any) -> None:
    """Only some of the objects are requested from S3."""
    count = 100
    s3 = FakeS3({("ours", str(n)): wrong for n in range(count)} | {("second", "k"): WISH}, has_bucket=TIMEOUT)
    pull = pulling.open(s3, buckets=("ours", "second"))
    kept = pull.process([*(notice(str(number)) for number in range(count)), notice(bucket="second")])
    assert kept == set(range(count))
    assert (pulling.aside(), pulling.suppressed()) == ([], {"ann@b.example"})
    assert (pull.is_stuck, pull.exit_code) == (True, ExitCode.UNAVAILABLE)
    assert s3.asked["ours"] < FAILURES_IN_A_ROW + 10


def test_a_bucket_that_once_gave_an_object_is_readable_in_later_batches(pulling: Pulling) -> None:
    s3 = FakeS3({("ours", "good"): WISH, ("ours", "bad"): "AccessDenied"}, has_bucket=TIMEOUT)
    pull = pulling.open(s3)
    assert pull.process([notice("good")]) == set()
    assert pull.process([notice("bad")]) == set()
    assert pulling.aside() == ["unreadable"]


def test_without_credentials_nothing_is_set_aside(pulling: Pulling) -> None:
    pull = pulling.open(FakeS3({("ours", "k"): botocore.exceptions.NoCredentialsError()}))
    with pytest.raises(ConfigurationError):
        pull.process([notice()])
    assert pulling.aside() == []


def test_unsigned_verdicts_count_only_when_the_setting_says_so(
    pulling: Pulling,
) -> None:
    forged = notice(
        content=("Authentication-Results: amazonses.com; dkim=pass header.d=b.example\r\n" + WISH.decode()),
        is_signed=False,
    )
    pull = pulling.open(FakeS3({}), trust=MailTrust("amazonses.com"))
    assert pull.process([forged]) == set()
    assert (pulling.suppressed(), pull.intake.tally.unproven) == (set(), {"unsigned_notification": 1})
    pulling.open(FakeS3({}), trusts_unsigned=True).process([forged])
    assert pulling.suppressed() == {"ann@b.example"}


def test_results_in_an_object_of_our_bucket_count_for_any_sender(pulling: Pulling) -> None:
    mail = b"Authentication-Results: amazonses.com; dmarc=pass header.from=b.example;\r\n" + WISH
    pull = pulling.open(FakeS3({("ours", "k"): mail}), trust=MailTrust("amazonses.com"))
    pull.process([notice(is_signed=False)])
    assert pulling.suppressed() == {"ann@b.example"}


@pytest.mark.parametrize("is_signed", [True, False])
def test_results_of_another_server_are_not_trusted(pulling: Pulling, *, is_signed: bool) -> None:
    forged = b"Authentication-Results: mx.acme.example; dmarc=pass header.from=b.example\r\n" + WISH
    pull = pulling.open(FakeS3({("ours", "k"): forged}), trust=MailTrust("mx.acme.example"))
    receipt = {"dmarcVerdict": {"status": "GRAY"}, "action": {"type": "S3", "bucketName": "ours", "objectKey": "k"}}
    pull.process([notice(is_signed=is_signed, receipt=receipt, **more) for more in ({}, {"content": forged.decode()})])
    assert pulling.suppressed() == set()
    assert pull.intake.tally.kinds == {"other": 2}
