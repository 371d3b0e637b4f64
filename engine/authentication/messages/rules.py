"""The judgement of a message's signatures, its DMARC alignment, its ARC chain and what its receiver states.

Sources: RFC 6376, RFC 8301, RFC 8058 4, RFC 7489 3.1, RFC 8601, RFC 8617.
"""

from collections.abc import Iterator, Sequence

from engine.authentication.alignment import is_aligned
from engine.authentication.domains.dmarc_record import DmarcRecord
from engine.authentication.messages.dkim_signatures import ONE_CLICK_FIELDS
from engine.authentication.messages.dkim_verification import ArcChain, SignatureState, VerifiedSignature
from engine.authentication.messages.fields import MessageFields
from engine.authentication.messages.stated_results import StatedResult, StatedResults
from engine.authentication.results import RuleResult, Verdict

EVERYBODY = ("gmail", "yahoo", "microsoft")
_GOOD_KEY_BITS = 2048
_ED25519_BITS = 256


def judge_signatures(
    verified: Sequence[VerifiedSignature], domain: str, dmarc: DmarcRecord | None, message: MessageFields
) -> Iterator[RuleResult]:
    """Judge each signature, then what the valid ones cover together."""
    if not verified:
        remedy = "turn on Easy DKIM for the identity, and publish its records: mailrun ses setup"
        what = "the message has no DKIM signature"
        yield RuleResult("dkim", Verdict.FAIL, what, "DKIM-Signature", EVERYBODY, remedy, "RFC 6376")
    for one in verified:
        yield _judge_state(one, domain, dmarc)
        yield from _judge_weaknesses(one)
    yield from _judge_one_click_cover(verified, message)


def _name(one: VerifiedSignature) -> str:
    said = one.signature
    return f"DKIM-Signature {said.index + 1}" + (f", d={said.domain} s={said.selector}" if said.domain else "")


def _judge_state(one: VerifiedSignature, domain: str, dmarc: DmarcRecord | None) -> RuleResult:
    strict = dmarc is not None and dmarc.is_strict("adkim")
    aligned = is_aligned(one.signature.domain, domain, strict=strict)
    kind = "aligned with From" if aligned else "not aligned with From"
    where, source = _name(one), "RFC 6376 6.1"
    if one.state is SignatureState.VALID:
        return RuleResult("dkim", Verdict.PASS, f"the signature is valid, and {kind}", where, source=source)
    if one.state is SignatureState.UNKNOWN:
        remedy = "try again when DNS answers"
        return RuleResult("dkim", Verdict.UNKNOWN, f"not verified: {one.reason}", where, (), remedy, source)
    what = f"the signature is not valid ({kind}): {one.reason}"
    verdict = Verdict.FAIL if aligned else Verdict.ADVICE  # another valid signature may do
    remedy = "publish the key that signs, and let nothing change the message after it is signed"
    return RuleResult("dkim", verdict, what, where, EVERYBODY if aligned else (), remedy, source)


def _judge_weaknesses(one: VerifiedSignature) -> Iterator[RuleResult]:
    said, where = one.signature, _name(one)
    if said.problem:
        return
    if "from" not in said.covered:
        remedy = "sign From: a signature without it counts for nothing"
        yield RuleResult("dkim_from", Verdict.FAIL, "From is not signed", where, EVERYBODY, remedy, "RFC 6376 5.4")
    if said.body_length is not None:
        what = f"l={said.body_length} signs only the beginning of the body: anyone can add content"
        remedy = "sign without l=; Gmail and others distrust it"
        yield RuleResult("dkim_body_length", Verdict.FAIL, what, where, ("gmail",), remedy, "RFC 6376 8.2")
    for name in said.uncovered:
        if name != "from" and name in said.signed:
            what = f"{name} occurs more often than it is signed: one field could have been added"
            remedy = "send the field once"
            yield RuleResult("dkim_duplicate", Verdict.FAIL, what, where, (), remedy, "RFC 6376 8.15")
    if one.is_test:
        remedy = "remove t=y from the key's record"
        what = "the key's record has t=y: receivers may treat the mail as unsigned"
        yield RuleResult("dkim_test_key", Verdict.ADVICE, what, where, (), remedy, "RFC 6376 3.6.1")
    if one.state is SignatureState.VALID and _ED25519_BITS < one.key_bits < _GOOD_KEY_BITS:
        remedy = "use a key of 2048 bits: for Easy DKIM, set the next signing key length to RSA_2048_BIT"
        what = f"the key has {one.key_bits} bits"
        yield RuleResult("dkim_key_length", Verdict.ADVICE, what, where, (), remedy, "RFC 8301 3.2")


def _judge_one_click_cover(verified: Sequence[VerifiedSignature], message: MessageFields) -> Iterator[RuleResult]:
    if not all(message.count(name) for name in ONE_CLICK_FIELDS):
        return  # the rule of the header fields says so
    code, where, source = "one_click_signed", "DKIM-Signature, h=", "RFC 8058 4"
    covering = [one for one in verified if one.signature.covers_one_click]
    if any(one.state is SignatureState.VALID for one in covering):
        what = "a valid signature covers List-Unsubscribe and List-Unsubscribe-Post"
        yield RuleResult(code, Verdict.PASS, what, where, source=source)
    elif any(one.state is SignatureState.UNKNOWN for one in covering):
        what = "whether a valid signature covers List-Unsubscribe and List-Unsubscribe-Post is unknown"
        yield RuleResult(code, Verdict.UNKNOWN, what, where, (), "try again when DNS answers", source)
    else:
        what = "no valid signature covers both List-Unsubscribe and List-Unsubscribe-Post"
        remedy = "sign both header fields: without that, receivers show no one-click unsubscribe"
        yield RuleResult(code, Verdict.FAIL, what, where, ("gmail", "yahoo"), remedy, source)


def judge_spf(spf: StatedResult | None) -> RuleResult:
    """Judge SPF as the receiver states it."""
    code, source = "spf", "RFC 7208"
    if spf is None:
        what = "the receiver states no SPF result, and the connecting address is not known from a message for certain"
        return RuleResult(code, Verdict.UNKNOWN, what, "Received-SPF", (), "look at a copy that Gmail received", source)
    of = f" for {spf.domain}" if spf.domain else ""
    where = "as the receiver states it"
    if spf.result == "pass":
        return RuleResult(code, Verdict.PASS, f"SPF passed{of}", where, source=source)
    remedy = "publish the SPF record of the MAIL FROM domain: mailrun ses setup prints it"
    verdict = Verdict.UNKNOWN if spf.result == "temperror" else Verdict.FAIL
    return RuleResult(code, verdict, f"SPF gave {spf.result}{of}", where, EVERYBODY, remedy, source)


def judge_alignment(
    verified: Sequence[VerifiedSignature], spf: StatedResult | None, domain: str, dmarc: DmarcRecord | None
) -> RuleResult:
    """Judge whether DKIM or SPF proves the domain in From, as its DMARC record asks; relaxed without one."""
    strict_dkim, strict_spf = (dmarc is not None and dmarc.is_strict(tag) for tag in ("adkim", "aspf"))
    code, where, source = "alignment", f"From, {domain}", "RFC 7489 3.1"
    signed = [one for one in verified if is_aligned(one.signature.domain, domain, strict=strict_dkim)]
    valid = [one for one in signed if one.state is SignatureState.VALID]
    if valid:
        what = f"the valid signature of {valid[0].signature.domain} is aligned with From ({_mode(strict_dkim)})"
        return RuleResult(code, Verdict.PASS, what, where, source=source)
    if spf is not None and spf.result == "pass" and is_aligned(spf.domain, domain, strict=strict_spf):
        what = f"SPF passed for {spf.domain}, which is aligned with From ({_mode(strict_spf)})"
        return RuleResult(code, Verdict.PASS, what, where, source=source)
    if any(one.state is SignatureState.UNKNOWN for one in signed):
        what = "no aligned signature could be verified"
        return RuleResult(code, Verdict.UNKNOWN, what, where, (), "try again when DNS answers", source)
    what = "neither a valid signature nor SPF is aligned with the domain in From: DMARC fails"
    remedy = "verify the domain of From in SES with Easy DKIM, or set a MAIL FROM subdomain of it"
    return RuleResult(code, Verdict.FAIL, what, where, EVERYBODY, remedy, source)


def _mode(strict: bool) -> str:  # noqa: FBT001 - a tag's value
    return "strict" if strict else "relaxed"


def judge_arc(arc: ArcChain) -> RuleResult:
    """Judge the ARC chain: it matters for forwarded mail only."""
    code, where, source = "arc", "ARC-Seal", "RFC 8617 5.2"
    match arc.state:
        case "none":
            return RuleResult(
                code, Verdict.PASS, "no ARC chain: the message was not forwarded with one", where, source=source
            )
        case "pass":
            what = f"the ARC chain is valid, sealed by {', '.join(arc.sealers)}"
            return RuleResult(code, Verdict.PASS, what, where, source=source)
        case "unknown":
            return RuleResult(
                code, Verdict.UNKNOWN, f"the ARC chain is not verified: {arc.reason}", where, source=source
            )
    remedy = "nothing to do for a direct delivery: a forwarder changed the message or its seal"
    return RuleResult(code, Verdict.ADVICE, f"the ARC chain is not valid: {arc.reason}", where, (), remedy, source)


def judge_stated(stated: StatedResults) -> RuleResult:
    """Judge what the receiving server states."""
    code, where, source = "receiver_results", "Authentication-Results", "RFC 8601"
    if stated.problem:
        what = f"the topmost Authentication-Results cannot be read: {stated.problem}"
        return RuleResult(code, Verdict.UNKNOWN, what, where, source=source)
    if not stated.server:
        return RuleResult(code, Verdict.UNKNOWN, "the receiver states no results", where, source=source)
    listed = ", ".join(f"{one.method}={one.result}" for one in stated.results) or "none"
    failed = [one for one in stated.results if one.method == "dmarc" and one.result == "fail"]
    others = f"; {stated.others} more fields below it prove nothing" if stated.others else ""
    what = f"{stated.server} states {listed}{others}"
    if failed:
        remedy = "align the DKIM or MAIL FROM domain with From"
        return RuleResult(code, Verdict.FAIL, f"{what}: DMARC failed", where, EVERYBODY, remedy, source)
    return RuleResult(code, Verdict.PASS, what, where, source=source)
