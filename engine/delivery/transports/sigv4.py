"""Signature Version 4 for one kind of request, with the derived key kept.

Source: AWS General Reference, "Create a signed AWS API request". Deriving a key takes four HMACs; it depends on secret,
date, region and service alone, so one derivation serves a day. What is signed begins the same for every request of a
second, so the hash states of those beginnings are kept. What is left for a message is the hash of its body, and a block
or two of the canonical request and of one HMAC. Tests compare every byte with botocore's own signer.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from time import gmtime, strftime
from typing import TYPE_CHECKING

from msgspec import Struct

from engine.keyed_hash import KeyedHash

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"


class Keys(Struct, frozen=True):
    """Credentials as they are at one moment; `token` is None for long-term ones."""

    access_key: str
    secret_key: str
    token: str | None = None


def derive_key(secret_key: str, *, date: str, region: str, service: str) -> bytes:
    """Derive the signing key of a day (`YYYYMMDD`), a region and a service."""
    key = b"AWS4" + secret_key.encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class CanonicalRequests:
    """The canonical requests of POSTs without a query that differ in path and body alone.

    Args:
        signed: names in lower case and values of the signed headers, in the order of the names.

    Attributes:
        names: of the signed headers, as the Authorization header lists them.
    """

    def __init__(self, signed: Mapping[str, str]) -> None:
        self.names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        self._after_path = f"\n\n{lines}\n{self.names}\n"
        self._begun: dict[str, _Hash] = {}  # by path: the hash state before the body's hash

    def hash(self, path: str, body: bytes) -> bytes:
        """Return the hash of a request, in hexadecimal."""
        begun = self._begun.get(path)
        if begun is None:
            begun = self._begun[path] = sha256(f"POST\n{path}{self._after_path}".encode())
        canonical = begun.copy()
        canonical.update(sha256(body).hexdigest().encode())
        return canonical.hexdigest().encode()


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
        self._derived_for: tuple[str, Keys] | None = None
        self._key = b""
        self._made_for: tuple[int, Keys | None] = (-1, None)
        self._to_sign = KeyedHash(b"")
        self._requests = CanonicalRequests({})
        self._lines = b""

    def sign(self, path: str, body: bytes, keys: Keys, now: float) -> bytes:
        """Return the header lines that this request needs for its signature, each ended by CR LF.

        Args:
            path: as in the request line; nothing in it may need percent-encoding.
            body: what is sent.
            keys: the credentials of this moment.
            now: Unix time.
        """
        second, made_for = int(now), self._made_for
        if made_for[0] != second or made_for[1] is not keys:
            self._prepare(second, keys)
        signature = self._to_sign.digest(self._requests.hash(path, body))
        return b"%b%b\r\n" % (self._lines, signature.hex().encode())

    def _prepare(self, second: int, keys: Keys) -> None:
        """Make what the requests of one second have in common."""
        stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(second))
        date = stamp[:8]
        if self._derived_for != (date, keys):
            self._key = derive_key(keys.secret_key, date=date, region=self._region, service=self._service)
            self._derived_for = (date, keys)
        scope = f"{date}/{self._region}/{self._service}/{TERMINATOR}"
        signed = {"content-type": self._content_type, "host": self._host, "x-amz-date": stamp}
        if keys.token is not None:
            signed["x-amz-security-token"] = keys.token
        self._requests = CanonicalRequests(signed)
        self._to_sign = KeyedHash(self._key, f"{ALGORITHM}\n{stamp}\n{scope}\n".encode())
        line = "" if keys.token is None else f"X-Amz-Security-Token: {keys.token}\r\n"
        self._lines = (
            f"X-Amz-Date: {stamp}\r\n{line}Authorization: {ALGORITHM} Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={self._requests.names}, Signature="
        ).encode()
        self._made_for = (second, keys)
