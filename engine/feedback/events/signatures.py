"""SNS signatures: the sender of a notification, proved by a certificate of SNS.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
A certificate is fetched from SNS's own hosts alone, over HTTPS; for any other URL nothing is fetched at all.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from engine.feedback.events.envelopes import ForgedError

FetchCertificate = Callable[[str], bytes]
"""Fetches a certificate (PEM) from a URL that was found to be SNS's; raises ForgedError where there is
none, ServiceError where it cannot be fetched now."""

_PATH = re.compile(r"/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):([0-9]{12}):[A-Za-z0-9_-]{1,256}")
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")  # in this order, those that are there
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_QUEUE = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([0-9]{12})/[^/]+")
_CERTIFICATES_KEPT = 16
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}  # by the prefix of the region; all others are aws


class SnsVerifier:
    """Verifies notifications of the topics that are ours.

    Args:
        topics: their ARNs; a name may be left out (`arn:aws:sns:REGION:ACCOUNT:*`).
        fetch: fetches certificates.
    """

    def __init__(self, topics: tuple[str, ...], fetch: FetchCertificate) -> None:
        self._topics = topics
        self._fetch = fetch
        self._keys: dict[str, rsa.RSAPublicKey] = {}

    def __call__(self, notification: Mapping[str, Any]) -> None:
        """Verify one.

        Raises:
            ForgedError: it is of another topic, or not signed by SNS.
            ServiceError: the certificate cannot be fetched now.
        """
        region = self._check_topic(notification.get("TopicArn"))
        url = _check_url(notification.get("SigningCertURL"), region)
        make_hash = _HASHES.get(str(notification.get("SignatureVersion")))
        if make_hash is None:
            raise ForgedError("its signature version is unknown")
        try:
            signature = base64.b64decode(str(notification.get("Signature")), validate=True)
        except (binascii.Error, ValueError):
            raise ForgedError("its signature is not base64") from None
        key = self._keys.get(url) or self._read_key(url)
        try:
            key.verify(signature, _signed_text(notification), padding.PKCS1v15(), make_hash())
        except InvalidSignature:
            raise ForgedError("its signature does not match its text") from None

    def _check_topic(self, topic: Any) -> str:
        found = _TOPIC.fullmatch(topic) if isinstance(topic, str) else None
        if found is None:
            raise ForgedError("it has no topic")
        if found[0] not in self._topics and f"{found[0].rpartition(':')[0]}:*" not in self._topics:
            raise ForgedError(f"its topic {found[0]} is not among [events] topics")
        return found[1]

    def _read_key(self, url: str) -> rsa.RSAPublicKey:
        try:
            key = x509.load_pem_x509_certificate(self._fetch(url)).public_key()
        except ValueError:
            raise ForgedError("its certificate URL does not lead to a certificate") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise ForgedError("its certificate has no RSA key")
        if len(self._keys) >= _CERTIFICATES_KEPT:
            self._keys.clear()
        self._keys[url] = key
        return key


def _check_url(url: Any, region: str) -> str:
    """Return a certificate's URL if it is SNS's own, of the topic's region.

    Raises:
        ForgedError: it is not.
    """
    # One host alone: one that does not exist, such as the other form, fails forever and keeps the whole queue waiting.
    host = f"sns.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isascii() and url.isprintable() else None
    except ValueError:
        parts = None
    # netloc: no port, no user before an @
    if parts is None or parts.netloc != host or parts.scheme != "https" or parts.query or parts.fragment:
        raise ForgedError("its certificate is not on a host of SNS in its topic's region")
    if not _PATH.fullmatch(parts.path):
        raise ForgedError("its certificate is not where SNS keeps them")
    return str(url)


def _signed_text(notification: Mapping[str, Any]) -> bytes:
    named = ((name, notification.get(name)) for name in _SIGNED)
    return "".join(f"{name}\n{value}\n" for name, value in named if isinstance(value, str)).encode("utf-8", "replace")


def own_account_topics(queue: str) -> tuple[str, ...]:
    """Name the topics of a queue's own account and region, which are trusted where none is named.

    >>> own_account_topics("https://sqs.eu-west-1.amazonaws.com/123456789012/events")
    ('arn:aws:sns:eu-west-1:123456789012:*',)
    >>> own_account_topics("https://sqs.us-gov-west-1.amazonaws.com/123456789012/events")
    ('arn:aws-us-gov:sns:us-gov-west-1:123456789012:*',)
    >>> own_account_topics("http://127.0.0.1:4566/000000000000/events")
    ()
    """
    found = _QUEUE.fullmatch(queue)
    if found is None:
        return ()
    partition = next((name for start, name in _PARTITIONS.items() if found[1].startswith(start)), "aws")
    return (f"arn:{partition}:sns:{found[1]}:{found[2]}:*",)
