"""Unsubscribe tokens in texts that anyone may write: requested links, and mails."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from engine.addresses.rules import MAX_ADDRESS_BYTES
from engine.campaign.unsubscribe_tokens import TOKEN_PATTERN, TokenContent, TokenRow, TokenSigner

MOST_TOKENS = 8  # of one text
_NOBODY = ""
_TOKEN = re.compile(TOKEN_PATTERN)
_TOKENS = re.compile(f"(?=({_TOKEN.pattern}))")  # the text before a token may look like the beginning of one


class FoundToken(NamedTuple):
    """A valid token, with the address that it unsubscribes, the topic, and the row of the run that it was made for."""

    token: str
    address: str
    topic: str
    row: TokenRow | None = None


def make_probe(signer: TokenSigner, topic: str) -> str:
    """Make the token of a probe: a test of the link that `mailrun check` sends.

    Its address is empty, which no recipient's is. It is answered as any other link, and nothing is recorded.
    """
    return signer.sign(_NOBODY, topic)


def is_probe(found: FoundToken) -> bool:
    """Return whether a valid token is that of a probe."""
    return found.address == _NOBODY


def find_token(target: str, signer: TokenSigner) -> FoundToken | None:
    """Return the token in a path or query, None where there is no valid one.

    It may stand anywhere, as `[unsubscribe] url` has it, and percent-encoded, as some programs send it.
    """
    for text in dict.fromkeys((target, unquote(target))):
        for match in _TOKENS.finditer(text):
            if found := verify_token(match[1], signer):
                return FoundToken(match[1], *found)
    return None


def find_tokens(text: str) -> list[str]:
    """Return what looks like a token in a text."""
    return _TOKEN.findall(text)[:MOST_TOKENS]


def verify_token(token: str, signer: TokenSigner | None) -> TokenContent | None:
    """Return what a token holds; None for one that we did not sign, or have no keys for."""
    if signer is None or _TOKEN.fullmatch(token) is None:
        return None
    found = signer.read(token)
    return found if found is not None and len(found.address) <= MAX_ADDRESS_BYTES else None
