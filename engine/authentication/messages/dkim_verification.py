"""Verifies the DKIM signatures and the ARC chain of a message with dkimpy.

dkimpy reads hostile text with expressions whose time grows with its square: what it reads is bounded here, before it is
called. It asks no DNS: the keys are asked for before. Everything here computes, so call it in a thread.

Sources: RFC 6376 6.1 (verifying), RFC 8301 (rsa-sha1 and keys under 1024 bits count for nothing), RFC 8617 5.2 (ARC).
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import dkim
from msgspec import Struct

from engine.authentication.alignment import clean_domain
from engine.authentication.messages.dkim_signatures import DkimSignature
from engine.authentication.messages.fields import MessageFields
from engine.authentication.messages.signature_keys import KeyLookup, KeyState, SignatureKey
from engine.authentication.tag_list import read_tags
from engine.errors import escape_controls

MOST_ARC_SETS = 50  # RFC 8617 5.1.1.1
_ARC_FIELDS = ("arc-seal", "arc-message-signature", "arc-authentication-results")
_DIGITS = 2  # of the number of a set
_LARGEST_ARC_FIELD = 8192
_MOST_STEPS = 2_000_000_000  # of an expression over white space: seconds
_SPACES = re.compile(rb"[ \t]{2,}+")
_ALGORITHMS = ("rsa-sha256", "ed25519-sha256")


class SignatureState(StrEnum):
    """Whether a signature is valid. Values are stable: `--json` has them."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"  # its key could not be asked for, or it cannot be verified here


class VerifiedSignature(Struct, frozen=True):
    """A signature, and whether it is valid.

    Attributes:
        signature: what it says.
        state: whether it is valid.
        reason: why it is not valid, or why that is unknown; empty for a valid one.
        key_bits: the length of its RSA key; 256 for Ed25519; 0 where it is not known.
        is_test: its key says that it is only being tested.
    """

    signature: DkimSignature
    state: SignatureState
    reason: str = ""
    key_bits: int = 0
    is_test: bool = False


class ArcChain(Struct, frozen=True):
    """The ARC chain of a message.

    Attributes:
        state: none, pass, fail or unknown.
        reason: in a sentence.
        sealers: the domains that sealed it, the first first.
    """

    state: str
    reason: str = ""
    sealers: tuple[str, ...] = ()


def verify_signatures(
    raw: bytes, signatures: tuple[DkimSignature, ...], keys: Mapping[str, SignatureKey], now: datetime
) -> list[VerifiedSignature]:
    """Verify the signatures of a message.

    Args:
        raw: the message.
        signatures: of it.
        keys: by DNS name.
        now: the time, with a zone.
    """
    problem = _find_slow_text(raw)
    message, reason = (None, problem) if problem or not signatures else _parse(raw)
    return [_verify(message, one, keys, now, reason) for one in signatures]


def _verify(
    message: dkim.DKIM | None, one: DkimSignature, keys: Mapping[str, SignatureKey], now: datetime, reason: str
) -> VerifiedSignature:
    key = keys.get(one.key_name.lower(), SignatureKey(KeyState.UNKNOWN))
    if problem := _find_own_problem(one):
        return VerifiedSignature(one, SignatureState.INVALID, problem)
    if key.state is KeyState.UNKNOWN:
        return VerifiedSignature(one, SignatureState.UNKNOWN, key.problem)
    if key.state is KeyState.UNUSABLE:
        return VerifiedSignature(one, SignatureState.INVALID, key.problem)
    if message is None:
        return VerifiedSignature(one, SignatureState.UNKNOWN, reason)
    is_valid, why = _ask_dkimpy(message, one.index, KeyLookup(keys))
    if is_valid and one.expires_at is not None and one.expires_at <= now:
        is_valid, why = False, f"it expired at {one.expires_at:%Y-%m-%d %H:%M} UTC"
    state = SignatureState.VALID if is_valid else SignatureState.INVALID
    return VerifiedSignature(one, state, "" if is_valid else why, message.keysize or 0, key.is_testing)


def _find_own_problem(one: DkimSignature) -> str:
    if one.problem or not one.key_name:
        return one.problem or "it names no valid domain or selector"
    return "" if one.algorithm in _ALGORITHMS else f"its algorithm {escape_controls(one.algorithm)} is not trusted"


def _parse(raw: bytes) -> tuple[dkim.DKIM | None, str]:
    try:
        return dkim.DKIM(raw, logger=_make_silent_logger()), ""
    except (dkim.DKIMException, LookupError, ValueError, TypeError) as error:
        return None, f"the message cannot be read ({_show(error)})"


def _ask_dkimpy(message: dkim.DKIM, index: int, lookup: KeyLookup) -> tuple[bool, str]:
    message.keysize = 0
    try:
        is_valid = message.verify(index, dnsfunc=lookup)
    except (dkim.DKIMException, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return False, _explain(error)
    return bool(is_valid), "the header was changed after it was signed, or the key is not the one that signed it"


def _explain(error: Exception) -> str:
    text = _show(error)
    return "the body was changed after it was signed" if text.startswith("body hash mismatch") else text


def verify_arc(raw: bytes, message: MessageFields, keys: Mapping[str, SignatureKey]) -> ArcChain:
    """Verify the ARC chain of a message."""
    fields = [field for field in message.fields if field.name in _ARC_FIELDS]
    if not fields:
        return ArcChain("none", "no server has sealed the message")
    sealers = list_sealers(message)
    if len(fields) > 3 * MOST_ARC_SETS or any(field.size > _LARGEST_ARC_FIELD for field in fields):
        return ArcChain("fail", "the chain is longer than RFC 8617 allows, or a field is too large", sealers)
    if problem := _find_slow_text(raw):
        return ArcChain("unknown", problem, sealers)
    lookup = KeyLookup(keys)
    try:
        state, _, reason = dkim.ARC(raw, logger=_make_silent_logger()).verify(dnsfunc=lookup)
    except (dkim.DKIMException, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        state, reason = dkim.CV_Fail, str(error)
    if state == dkim.CV_Pass:
        return ArcChain("pass", "every seal is valid", sealers)
    if lookup.has_unknown:
        return ArcChain("unknown", "DNS did not answer about a key of the chain", sealers)
    return ArcChain("fail", _show(reason), sealers)


def list_sealers(message: MessageFields) -> tuple[str, ...]:
    """List the domains of the ARC seals, the first first."""
    seals = [read_tags(value) or {} for value in message.all("arc-seal")[:MOST_ARC_SETS]]
    numbered = sorted(
        (int(i), clean_domain(tags.get("d", "")))
        for tags in seals
        if (i := tags.get("i", "")).isdecimal() and len(i) < 4
    )
    return tuple(domain for _, domain in numbered)


def list_arc_keys(message: MessageFields) -> list[str]:
    """List the DNS names of the keys of the ARC chain."""
    values = [*message.all("arc-seal")[:MOST_ARC_SETS], *message.all("arc-message-signature")[:MOST_ARC_SETS]]
    tags = [read_tags(value) or {} for value in values]
    return [f"{one['s']}._domainkey.{one['d']}".lower() for one in tags if one.get("s") and one.get("d")]


def _find_slow_text(raw: bytes) -> str:
    """Return why a message would take too long to verify; empty where it does not."""
    steps = sum((found.end() - found.start()) ** 2 for found in _SPACES.finditer(raw))
    return "the message has lines with so much white space that it cannot be verified" if steps > _MOST_STEPS else ""


def _show(problem: object) -> str:
    return escape_controls(str(problem))[:200]


def _make_silent_logger() -> logging.Logger:
    return logging.Logger("dkimpy", logging.CRITICAL + 1)  # noqa: LOG001 - a silent one: its messages quote the mail
