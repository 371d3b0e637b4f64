"""Examines a received message: signatures, alignment, ARC, what the receiver states, and header fields.

DNS is asked, and nothing else: for the keys of the signatures and for the DMARC record.
"""

import asyncio
from datetime import datetime

from msgspec import Struct

from engine.authentication.alignment import is_aligned
from engine.authentication.dkim_keys import DkimKey, ask_for_keys
from engine.authentication.dkim_signatures import MOST_SIGNATURES, DkimSignature, read_signatures
from engine.authentication.dkim_verification import (
    ArcChain,
    VerifiedSignature,
    list_arc_keys,
    verify_arc,
    verify_signatures,
)
from engine.authentication.dmarc_policy import DmarcPolicy, ask_for_policy
from engine.authentication.message_fields import MessageFields, read_message
from engine.authentication.message_headers import find_sender_domain, judge_headers
from engine.authentication.message_rules import judge_arc, judge_dmarc, judge_signatures, judge_stated
from engine.authentication.resolver import Resolver
from engine.authentication.results import RuleResult, Verdict
from engine.authentication.stated_results import StatedResult, StatedResults, read_stated_results, read_stated_spf


class MessageExamination(Struct, frozen=True):
    """What was found in a message.

    Attributes:
        sender_domain: the domain in From; empty where that is unclear.
        size: bytes of the message.
        signatures: verified, the topmost first.
        unread_signatures: how many more there are.
        policy: of DMARC; None where the sender's domain is unclear.
        arc: the ARC chain.
        stated: what the topmost Authentication-Results states.
        spf: the receiver's SPF result; None where it states none.
        results: the judgement by rule.
    """

    sender_domain: str
    size: int
    signatures: tuple[VerifiedSignature, ...]
    unread_signatures: int
    policy: DmarcPolicy | None
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
        strict = self.policy is not None and self.policy.strict_dkim
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
    keys, policy = await asyncio.gather(ask_for_keys(names, resolver), _ask_for_policy(domain, resolver))
    verified, arc = await asyncio.to_thread(_verify, raw, message, signatures, keys, now)
    stated = read_stated_results(message)
    spf = read_stated_spf(message, stated)
    results = (
        *judge_signatures(verified, domain, policy, message),
        *judge_dmarc(verified, spf, domain, policy),
        judge_arc(arc),
        judge_stated(stated),
        *judge_headers(message),
    )
    more = max(0, message.count("dkim-signature") - MOST_SIGNATURES)
    return MessageExamination(domain, message.size, tuple(verified), more, policy, arc, stated, spf, results)


async def _ask_for_policy(domain: str, resolver: Resolver) -> DmarcPolicy | None:
    return await ask_for_policy(domain, resolver) if domain else None


def _verify(
    raw: bytes,
    message: MessageFields,
    signatures: tuple[DkimSignature, ...],
    keys: dict[str, DkimKey],
    now: datetime,
) -> tuple[list[VerifiedSignature], ArcChain]:
    return verify_signatures(raw, signatures, keys, now), verify_arc(raw, message, keys)
