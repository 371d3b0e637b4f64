"""SNS signatures: versions 1 and 2 of our topics are trusted; nothing is fetched for a forged one."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from support.sns import KEY, TOPIC, URL, sign

from engine.errors import ServiceError
from engine.feedback.events.envelopes import ForgedError, Quarantined, open_body
from engine.feedback.events.signatures import SnsVerifier, own_account_topics

OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    signed = made.not_valid_after(datetime(2027, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


CERTIFICATE = make_certificate(KEY)


class Fetcher:
    def __init__(self, data: bytes = CERTIFICATE) -> None:
        self.data = data
        self.fetched: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.fetched.append(url)
        return self.data


@pytest.mark.parametrize("version", ["1", "2"])
def test_message_signed_by_sns_is_trusted_with_one_certificate_fetch(version: str):
    fetch = Fetcher()
    verify = SnsVerifier((TOPIC,), fetch)
    verify(sign(version))
    verify(sign(version, Message="another"))
    assert fetch.fetched == [URL]


def test_a_notification_without_a_subject_is_signed_without_it():
    fields = sign()
    del fields["Subject"]
    with pytest.raises(ForgedError):
        SnsVerifier((TOPIC,), Fetcher())(fields)
    text = "".join(f"{n}\n{fields[n]}\n" for n in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
    fields["Signature"] = base64.b64encode(KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    SnsVerifier((TOPIC,), Fetcher())(fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": '{"eventType": "Complaint"}'},
        {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:ses-events2"},
        {"Timestamp": "2026-11-25T09:00:00.000Z"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Signature": None},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
        {"SignatureVersion": "1"},
    ],
)
def test_message_changed_after_signing_is_refused(changes: dict[str, Any]):
    verify = SnsVerifier(("arn:aws:sns:eu-west-1:123456789012:*",), Fetcher())
    with pytest.raises(ForgedError):
        verify(sign() | changes)


def test_message_signed_by_another_key_is_refused():
    with pytest.raises(ForgedError, match="signature"):
        SnsVerifier((TOPIC,), Fetcher())(sign(key=OTHER_KEY))


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("https", "http"),
        URL.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.example"),
        URL.replace("sns.eu-west-1.amazonaws.com", "evil.example"),
        URL.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com@evil.example"),
        URL.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com:8443"),
        URL.replace("sns.eu-west-1.amazonaws.com", "xsns.eu-west-1.amazonaws.com"),
        URL.replace("sns.eu-west-1", "s3.eu-west-1"),
        URL.replace("amazonaws.com", "amazonaws.com.cn"),  # there is no such host: to fetch from it fails forever
        URL.replace("eu-west-1", "us-east-1"),
        URL.replace("/Simple", "/bucket/Simple"),
        URL + "?x=https://evil.example/",
        URL + "#x",
        URL.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com\\@evil.example"),
        URL + "\n",
        "https://[::1/x.pem",
        "file:///etc/passwd",
        "",
        None,
        {"a": 1},
    ],
)
def test_certificate_on_another_host_is_not_fetched(url: Any):
    fetch = Fetcher()
    with pytest.raises(ForgedError):
        SnsVerifier((TOPIC,), fetch)(sign() | {"SigningCertURL": url})
    assert fetch.fetched == []


@pytest.mark.parametrize("topic", ["arn:aws:sns:eu-west-1:999999999999:ses-events", TOPIC + "-x", "x", "", None, 7])
def test_nothing_is_fetched_for_another_topic(topic: Any):
    fetch = Fetcher()
    with pytest.raises(ForgedError, match="topic"):
        SnsVerifier((TOPIC,), fetch)(sign(TopicArn=topic))
    with pytest.raises(ForgedError):
        SnsVerifier((), fetch)(sign())
    assert fetch.fetched == []


def test_china_has_its_own_host():
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:ses"
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    fetch = Fetcher()
    SnsVerifier((topic,), fetch)(sign(TopicArn=topic, SigningCertURL=url))
    assert fetch.fetched == [url]


@pytest.mark.parametrize("data", [b"", b"<html>", make_certificate(ec.generate_private_key(ec.SECP256R1()))])
def test_foreign_certificate_verifies_nothing(data: bytes):
    with pytest.raises(ForgedError, match="certificate"):
        SnsVerifier((TOPIC,), Fetcher(data))(sign())


def test_forged_notification_is_set_aside_and_an_unverifiable_one_kept():
    verify = SnsVerifier((TOPIC,), Fetcher())
    body = str(sign(key=OTHER_KEY)).replace("'", '"').replace('"{"eventType": "Send"}"', '"{}"')
    opened = open_body(body, verify)
    assert isinstance(opened, Quarantined)
    assert opened.is_forged

    def fail(url: str) -> bytes:
        raise ServiceError("away", where=url, remedy="wait")

    with pytest.raises(ServiceError):
        open_body(body, SnsVerifier((TOPIC,), fail))


def test_queue_trusts_the_topics_of_its_own_account():
    (topics,) = own_account_topics("https://sqs.eu-west-1.amazonaws.com/123456789012/events")
    SnsVerifier((topics,), Fetcher())(sign())
    assert own_account_topics("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/e")[0].startswith("arn:aws-cn:")
    gov = own_account_topics("https://sqs.us-gov-west-1.amazonaws.com/123456789012/e")
    assert gov == ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:*",)
    assert own_account_topics("http://127.0.0.1:9324/000000000000/events") == ()
