"""Signatures of JSON webhooks: HMAC-SHA256 over the time, a full stop and the body."""

import hashlib
import hmac
from collections.abc import Mapping

ID_HEADER = "Idempotency-Key"
TIME_HEADER = "Mailrun-Timestamp"
SIGNATURE_HEADER = "Mailrun-Signature"


def sign(body: bytes, secret: bytes, seconds: int) -> Mapping[str, str]:
    """Return the headers that prove who sent a body, and when.

    Args:
        body: as it is posted.
        secret: shared with the receiver.
        seconds: Unix time of this attempt.
    """
    signed = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {TIME_HEADER: str(seconds), SIGNATURE_HEADER: f"v1={signed}"}
