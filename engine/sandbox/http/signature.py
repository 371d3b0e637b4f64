"""Signature Version 4 and 4A of incoming calls, verified.

Source: "AWS Signature Version 4 for API requests", AWS IAM user guide.
"""

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from functools import lru_cache
from posixpath import normpath
from time import strptime
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec import Struct
from multidict import CIMultiDictProxy

from engine.clock import Clock
from engine.sandbox.http.asymmetric_key import ALGORITHM as ASYMMETRIC
from engine.sandbox.http.asymmetric_key import derive_public_key, is_signed
from engine.sandbox.http.replies import ApiError

MAX_SKEW_SECONDS = 15 * 60  # AWS refuses a request that is older, or newer, than this
EVERY_REGION = "*"  # the region set of Signature Version 4A
MAX_DERIVED_KEYS = 64  # a day's keys of a few regions; more only under attack or in a very long run

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,"
    r"\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)
_ASYMMETRIC = re.compile(
    r"AWS4-ECDSA-P256-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/aws4_request,"
    r"\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{2,160})"
)
_SPACES = re.compile(r" {2,}")


class _Claim(Struct, frozen=True):
    """What an Authorization header says; `region` is EVERY_REGION for Signature Version 4A, whose scope names none."""

    algorithm: str
    access_key: str
    date: str
    region: str
    names: str
    signature: str


class Verifier:
    """Verifies the signature of a call against known credentials.

    Args:
        credentials: access key id to secret access key.
        clock: its wall clock decides whether a request is too old.
    """

    def __init__(self, credentials: Mapping[str, str], clock: Clock) -> None:
        self._credentials = dict(credentials)
        self._clock = clock
        self._derived: dict[tuple[str, str, str, str], bytes] = {}
        self._public: dict[str, EllipticCurvePublicKey] = {}  # one for each of the credentials

    def verify(
        self, *, method: str, target: str, headers: CIMultiDictProxy[str], body: bytes, service: str = "ses"
    ) -> str:
        """Verify one call.

        Args:
            method: the HTTP method.
            target: path and query as in the request line.
            headers: all headers of the request.
            body: the whole body.
            service: what the call must be signed for.

        Returns:
            The region that the call is signed for; EVERY_REGION for Signature Version 4A.

        Raises:
            ApiError: 403, with the code of the error.
        """
        claim = _read_authorization(headers, service)
        secret = self._credentials.get(claim.access_key)
        if secret is None:
            raise ApiError(
                "UnrecognizedClientException", "The security token included in the request is invalid.", status=403
            )
        stamp = headers.get("X-Amz-Date", "")
        self._check_date(stamp, claim.date)
        place = service if claim.region == EVERY_REGION else f"{claim.region}/{service}"
        canonical = _canonical_request(method, target, headers, claim.names, body)
        digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        to_sign = f"{claim.algorithm}\n{stamp}\n{claim.date}/{place}/aws4_request\n{digest}".encode()
        if not self._is_signed(claim, secret, service, to_sign):
            raise _mismatch(
                "The request signature we calculated does not match the signature you provided. Check your AWS "
                "Secret Access Key and signing method. Consult the service documentation for details."
            )
        return claim.region

    def _is_signed(self, claim: _Claim, secret: str, service: str, to_sign: bytes) -> bool:
        if claim.algorithm == ASYMMETRIC:
            public = self._public.get(claim.access_key)
            if public is None:
                public = self._public[claim.access_key] = derive_public_key(claim.access_key, secret)
            return is_signed(public, to_sign, claim.signature)
        key = self._derived.get((claim.access_key, claim.date, claim.region, service))
        if key is None:
            key = self._derive(claim.access_key, secret, claim.date, claim.region, service)
        return hmac.compare_digest(hmac.digest(key, to_sign, "sha256").hex(), claim.signature)

    def _check_date(self, stamp: str, date: str) -> None:
        """Refuse a date that is missing, skewed, or not the one of the credential scope."""
        signed_at = _seconds_of(stamp)
        if signed_at is None or stamp[:8] != date:
            raise _incomplete(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
            )
        skew = signed_at - self._clock.now().timestamp()
        if skew < -MAX_SKEW_SECONDS:
            raise _mismatch(f"Signature expired: {stamp} is now earlier than 15 min. before the server's time")
        if skew > MAX_SKEW_SECONDS:
            raise _mismatch(f"Signature not yet current: {stamp} is still later than 15 min. after the server's time")

    def _derive(self, access_key: str, secret: str, *scope: str) -> bytes:
        """Return the signing key of a day, region and service, and keep it."""
        key = b"AWS4" + secret.encode()
        for part in (*scope, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        if len(self._derived) >= MAX_DERIVED_KEYS:
            self._derived.clear()
        date, region, service = scope
        self._derived[access_key, date, region, service] = key
        return key


def _read_authorization(headers: CIMultiDictProxy[str], wanted: str) -> _Claim:
    """Read the Authorization header, and check what it says of scope and signed headers."""
    value = headers.get("Authorization")
    if value is None:
        raise ApiError("MissingAuthenticationToken", "Missing Authentication Token", status=403)
    if match := _AUTHORIZATION.fullmatch(value):
        access_key, date, region, service, names, signature = match.groups()
        claim = _Claim("AWS4-HMAC-SHA256", access_key, date, region, names, signature)
    elif match := _ASYMMETRIC.fullmatch(value):
        access_key, date, service, names, signature = match.groups()
        claim = _Claim(ASYMMETRIC, access_key, date, EVERY_REGION, names, signature)
    else:
        raise _incomplete("Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' of SigV4.")
    if service != wanted:
        raise _mismatch(f"Credential should be scoped to correct service: '{wanted}'.")
    signed = names.split(";")
    if claim.algorithm == ASYMMETRIC:
        _check_region_set(headers, signed)
    if "host" not in signed or ("X-Amz-Security-Token" in headers and "x-amz-security-token" not in signed):
        raise _mismatch("'Host' and every 'X-Amz-Security-Token' must be among the signed headers.")
    return claim


def _check_region_set(headers: CIMultiDictProxy[str], signed: Sequence[str]) -> None:
    """Refuse a signature that is not for every region: the endpoints that accept it are in two of them."""
    if "x-amz-region-set" not in signed:
        raise _mismatch("'X-Amz-Region-Set' must be among the signed headers.")
    if headers.get("X-Amz-Region-Set", "").strip() != EVERY_REGION:
        raise _mismatch("The region set of the signature does not have this region.")


def _canonical_request(method: str, target: str, headers: CIMultiDictProxy[str], names: str, body: bytes) -> str:
    """Return the canonical request, as the client should have built it."""
    path, _, query = target.partition("?")
    lines = [method, _canonical_path(path), _canonical_query(query) if query else ""]
    for name in names.split(";"):
        value = ",".join(part.strip() for part in headers.getall(name, ()))
        lines.append(f"{name}:{_SPACES.sub(' ', value)}")
    lines += ("", names, hashlib.sha256(body).hexdigest())
    return "\n".join(lines)


@lru_cache(maxsize=256)
def _canonical_path(path: str) -> str:
    """Return the path normalised and percent-encoded once more, as every service but S3 requires."""
    normal = normpath(path) if path.startswith("/") else "/"
    trailing = "/" if path.endswith("/") and normal != "/" else ""
    return quote(normal.replace("//", "/") + trailing, safe="/~")


def _canonical_query(query: str) -> str:
    """Return the query with its pairs encoded and sorted."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    encoded = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, _, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


@lru_cache(maxsize=16)
def _seconds_of(stamp: str) -> int | None:
    """Return an `X-Amz-Date` as seconds since the epoch, None when it is malformed."""
    try:
        return timegm(strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignature", message, status=403)


def _mismatch(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message, status=403)
