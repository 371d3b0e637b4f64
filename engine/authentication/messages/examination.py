"""Examines a received message: signatures, alignment, ARC, what the receiver states, and header fields.

DNS is asked, and nothing else: for the keys of the signatures and for the DMARC record.
"""

import asyncio
from datetime import datetime

from msgspec import Struct

from engine.authentication.alignment import is_aligned
from engine.authentication.domains.dmarc_record import DmarcRecord, find_dmarc_record
from engine.authentication.messages.dkim_signatures import MOST_SIGNATURES, DkimSignature, read_signatures
from engine.authentication.messages.dkim_verification import (
    ArcChain,
    VerifiedSignature,
    list_arc_keys,
    verify_arc,
    verify_signatures,
)
from engine.authentication.messages.fields import MessageFields, read_message
from engine.authentication.messages.headers import find_sender_domain, judge_headers
from engine.authentication.messages.rules import judge_alignment, judge_arc, judge_signatures, judge_spf, judge_stated
from engine.authentication.messages.signature_keys import SignatureKey, ask_for_keys
from engine.authentication.messages.stated_results import (
    StatedResult,
    StatedResults,
    read_stated_results,
    read_stated_spf,
)
from engine.authentication.resolver import Resolver
from engine.authentication.results import RuleResult, Verdict


class MessageExamination(Struct, frozen=True):
    """What was found in a message.

    Attributes:
        sender_domain: the domain in From; empty where that is unclear.
        size: bytes of the message.
        signatures: verified, the topmost first.
        unread_signatures: how many more there are.
        dmarc: the DMARC record that applies; None where there is none or it is not known.
        arc: the ARC chain.
        stated: what the topmost Authentication-Results states.
        spf: the receiver's SPF result; None where it states none.
        results: the judgement by rule.
    """

    sender_domain: str
    size: int
    signatures: tuple[VerifiedSignature, ...]
    unread_signatures: int
    dmarc: DmarcRecord | None
    arc: ArcChain
    stated: StatedResults
    spf: StatedResult | None
    results: tuple[RuleResult, ...]

    @property
    def passes(self) -> bool:
        """Return whether no rule fails."""
        return all(one.verdict is not Verdict.FAIL for one in self.results)

    def is_aligned(self, signature: DkimSignature) -> bool:
        """Return whether a signature's domain is aligned with From, as the DMARC record asks."""
        strict = self.dmarc is not None and self.dmarc.is_strict("adkim")
        return is_aligned(signature.domain, self.sender_domain, strict=strict)


async def examine_message(raw: bytes, resolver: Resolver, now: datetime, where: str) -> MessageExamination:
    """Examine a message.

    Args:
        raw: as it was received.
        resolver: asks DNS.
        now: the time, with a zone, for expired signatures.
        where: the file, for errors.

    Raises:
        DataError: it is not a message, or too large.
    """
    message = await asyncio.to_thread(read_message, raw, where)
    signatures, domain = read_signatures(message), find_sender_domain(message)
    names = [*(one.key_name.lower() for one in signatures), *list_arc_keys(message)]
    keys, (dmarc, found) = await asyncio.gather(ask_for_keys(names, resolver), _find_dmarc(domain, resolver))
    verified, arc = await asyncio.to_thread(_verify, raw, message, signatures, keys, now)
    stated = read_stated_results(message)
    spf = read_stated_spf(message, stated)
    results = (
        *judge_signatures(verified, domain, dmarc, message),
        judge_spf(spf),
        *found,
        *([judge_alignment(verified, spf, domain, dmarc)] if domain else ()),
        judge_arc(arc),
        judge_stated(stated),
        *judge_headers(message),
    )
    more = max(0, message.count("dkim-signature") - MOST_SIGNATURES)
    return MessageExamination(domain, message.size, tuple(verified), more, dmarc, arc, stated, spf, results)


async def _find_dmarc(domain: str, resolver: Resolver) -> tuple[DmarcRecord | None, tuple[RuleResult, ...]]:
    if not domain:
        return None, ()
    record, result = await find_dmarc_record(resolver, domain)
    return record, (result,)


def _verify(
    raw: bytes,
    message: MessageFields,
    signatures: tuple[DkimSignature, ...],
    keys: dict[str, SignatureKey],
    now: datetime,
) -> tuple[list[VerifiedSignature], ArcChain]:
    return verify_signatures(raw, signatures, keys, now), verify_arc(raw, message, keys)
