"""Notifications, signed as SNS signs them."""

import base64
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def sign(version: str = "2", key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, Any]:
    """Make a notification as SNS does; `changes` apply before it is signed."""
    fields = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": '{"eventType": "Send"}',
        "Timestamp": "2026-11-24T09:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": URL,
        **changes,
    }
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1() if version == "1" else hashes.SHA256())  # noqa: S303 - SNS's version 1
    return fields | {"Signature": base64.b64encode(signature).decode()}
