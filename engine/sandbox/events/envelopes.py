"""The envelope in which an event is delivered: SNS, EventBridge, or none.

Source: SNS developer guide, "Message and JSON formats" and "Verifying the signatures of Amazon SNS messages"; SES
developer guide, "Monitoring Amazon SES events using Amazon EventBridge".
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding

from engine.sandbox.events.event_records import ACCOUNT_ID, REGION, identify

TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:mailrun-events"
CERTIFICATE_PATH = "/SimpleNotificationService-5a6d62a1c0de.pem"
KEY_BITS = 2048
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_DETAIL_TYPES = {
    "Send": "Email Sent",
    "Delivery": "Email Delivered",
    "Bounce": "Email Bounced",
    "Complaint": "Email Complaint Received",
    "Reject": "Email Rejected",
    "Open": "Email Opened",
    "Click": "Email Clicked",
    "Rendering Failure": "Email Rendering Failed",
    "DeliveryDelay": "Email Delivery Delayed",
    "Subscription": "Email Subscribed",
}


class SnsSigner:
    """The server's signing key with its certificate, created when it is first needed."""

    def sign(self, document: Mapping[str, str], version: str) -> str:
        """Return the signature of an SNS message: SHA-1 in version 1, SHA-256 in version 2."""
        text = "".join(f"{name}\n{document[name]}\n" for name in _SIGNED if name in document)
        digest = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 - what SNS does
        return b64encode(self._key.sign(text.encode(), PKCS1v15(), digest)).decode()

    @cached_property
    def _key(self) -> Any:
        return generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    @cached_property
    def certificate(self) -> bytes:
        """The certificate of the key, PEM."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)  # of the certificate alone: it is verified by the machine's clock
        builder = x509.CertificateBuilder(
            issuer_name=name,
            subject_name=name,
            public_key=self._key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=3650),
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def wrap_sns(  # noqa: PLR0913 - keyword-only, one per part of the envelope
    record: bytes, *, identity: str, at: str, url: str, signer: SnsSigner, version: str
) -> bytes:
    """Return an SNS notification.

    Args:
        record: the event's document.
        identity: 32 hexadecimal digits that identify it.
        at: the time of its publication.
        url: of this server, which has the certificate.
        signer: signs it.
        version: of the signature.
    """
    document = {
        "Type": "Notification",
        "MessageId": _uuid(identity),
        "TopicArn": TOPIC_ARN,
        "Subject": "Amazon SES Email Event Notification",
        "Message": record.decode(),
        "Timestamp": at,
    }
    signed = {
        "SignatureVersion": version,
        "Signature": signer.sign(document, version),
        "SigningCertURL": url + CERTIFICATE_PATH,
        "UnsubscribeURL": f"{url}/?Action=Unsubscribe&SubscriptionArn={TOPIC_ARN}:{_uuid(identify('subscription'))}",
    }
    return orjson.dumps({**document, **signed})


def wrap_eventbridge(record: Mapping[str, Any], *, identity: str, at: str) -> bytes:
    """Return an EventBridge event."""
    return orjson.dumps(
        {
            "version": "0",
            "id": _uuid(identity),
            "detail-type": _DETAIL_TYPES[record["eventType"]],
            "source": "aws.ses",
            "account": ACCOUNT_ID,
            "time": f"{at[:19]}Z",
            "region": REGION,
            "resources": [record["mail"]["sourceArn"]],
            "detail": record,
        }
    )


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
