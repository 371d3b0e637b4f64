"""Access to the sandbox: for clients with its credentials, and people with the token of its pages.

The server is on loopback, which every user of the machine reaches. Calls of the API and of SQS are signed with the
credentials; the inbox is under a path that starts with the token, and the control endpoint requires it as a bearer
token (RFC 6750). Credentials and token are random at each start unless they are configured.
"""

import hmac
import re
import secrets
from collections.abc import Mapping

from aiohttp import web

from engine.errors import ConfigurationError

_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_KEY_ID = re.compile(r"\w{1,128}", re.ASCII)  # as AWS allows
_SECRET = re.compile(r"[!-~]{1,128}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")  # safe in a path, and too long to guess


def make_access_key_id() -> str:
    """Return a random access key id, of the length of AWS's."""
    return "AKIDSANDBOX" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(9))


def make_secret() -> str:
    """Return a random secret access key, of the length of AWS's."""
    return secrets.token_hex(20)


def make_credentials() -> Mapping[str, str]:
    """Return a random access key id with its secret."""
    return {make_access_key_id(): make_secret()}


def make_token() -> str:
    """Return a random token: 128 bits."""
    return secrets.token_hex(16)


def check_access(credentials: Mapping[str, str], token: str) -> None:
    """Check configured credentials and token.

    Raises:
        ConfigurationError: a client could not use it, or it can be guessed.
    """
    for key_id, secret in credentials.items():
        if _KEY_ID.fullmatch(key_id) is None or _SECRET.fullmatch(secret) is None:
            raise ConfigurationError(
                "the sandbox's credentials are invalid",
                where="the settings of the sandbox, access_key and secret",
                remedy="write an access key of letters and digits, and a secret of printable ASCII without spaces;"
                " or set neither: both are random at each start then",
            )
    if _TOKEN.fullmatch(token) is None:
        raise ConfigurationError(
            "the sandbox's token is invalid",
            where="the settings of the sandbox, token",
            remedy="write 16 or more of A-Z a-z 0-9 - and _, or leave it out: it is random at each start then",
        )


def is_bearer(request: web.BaseRequest, token: str) -> bool:
    """Return whether a request has the token in its Authorization header."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and is_token(given.strip(), token)


def is_token(given: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
