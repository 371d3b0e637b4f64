"""Signature Version 4 for one kind of request, with the derived key kept.

Source: AWS General Reference, "Create a signed AWS API request". Deriving a key takes four HMACs; it depends on secret,
date, region and service alone, so one derivation serves a day. What is left for a message is the hash of its body, the
hash of the canonical request and one HMAC. Tests compare every byte with botocore's own signer.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from time import gmtime, strftime

from engine.keyed_hash import KeyedHash

ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as they are at one moment; `token` is None for long-term ones."""

    access_key: str
    secret_key: str
    token: str | None = None


def derive_key(secret_key: str, *, date: str, region: str, service: str) -> bytes:
    """Derive the signing key of a day (`YYYYMMDD`), a region and a service."""
    key = b"AWS4" + secret_key.encode()
    for part in (date, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class Signer:
    """Signs POSTs of JSON to one host.

    Args:
        host: as in the Host header, with its port where that is not the scheme's own.
        region: of the credential scope.
        service: of the credential scope; SES signs as `ses`.
        content_type: of every body.
    """

    def __init__(self, host: str, *, region: str, service: str, content_type: str) -> None:
        self._host = host
        self._region = region
        self._service = service
        self._content_type = content_type
        self._made_for: tuple[str, Keys] | None = None
        self._key = KeyedHash(b"")
        self._scope = ""
        self._head = ""

    def sign(self, path: str, body: bytes, keys: Keys, now: float) -> str:
        """Return the header lines that this request needs for its signature, each ended by CR LF.

        Args:
            path: as in the request line; nothing in it may need percent-encoding.
            body: what is sent.
            keys: the credentials of this moment.
            now: Unix time.
        """
        stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(now))
        date = stamp[:8]
        if self._made_for != (date, keys):
            self._prepare(date, keys)
        token = "" if keys.token is None else f"x-amz-security-token:{keys.token}\n"
        names = "content-type;host;x-amz-date" + ("" if keys.token is None else ";x-amz-security-token")
        canonical = (
            f"POST\n{path}\n\ncontent-type:{self._content_type}\nhost:{self._host}\n"
            f"x-amz-date:{stamp}\n{token}\n{names}\n{sha256(body).hexdigest()}"
        )
        to_sign = f"{ALGORITHM}\n{stamp}\n{self._scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = self._key.digest(to_sign.encode()).hex()
        line = "" if keys.token is None else f"X-Amz-Security-Token: {keys.token}\r\n"
        return f"X-Amz-Date: {stamp}\r\n{line}{self._head}{names}, Signature={signature}\r\n"

    def _prepare(self, date: str, keys: Keys) -> None:
        self._key = KeyedHash(derive_key(keys.secret_key, date=date, region=self._region, service=self._service))
        self._scope = f"{date}/{self._region}/{self._service}/{_TERMINATOR}"
        self._head = f"Authorization: {ALGORITHM} Credential={keys.access_key}/{self._scope}, SignedHeaders="
        self._made_for = (date, keys)
