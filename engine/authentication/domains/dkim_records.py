"""The DKIM records that SES gave: published, leading to the right target, and valid keys."""

import asyncio

from engine.authentication.domains.dkim_key import BITS_ADVISED, BITS_MINIMUM, KeyFault, parse_key
from engine.authentication.domains.facts import DomainFacts
from engine.authentication.domains.rules import (
    explain_absence,
    give_advice,
    give_fail,
    give_pass,
    give_unknown,
    give_unknown_because,
    show,
)
from engine.authentication.resolver import Absent, Answer, Records, Resolver, Unknown
from engine.authentication.results import RuleResult


async def check_dkim_records(resolver: Resolver, facts: DomainFacts) -> list[RuleResult]:
    """Look up every DKIM record of the identity, and judge it."""
    if facts.dkim is None:
        if facts.has_account:
            return []
        what = "the names of the DKIM records are not known: SES is not called"
        remedy = "set credentials and the region of SES"
        return [give_unknown_because("dkim_record", what, facts.domain, remedy)]
    checks = (_check_record(resolver, facts.domain, token, facts.dkim.zone) for token in facts.dkim.tokens)
    return [result for results in await asyncio.gather(*checks) for result in results]


async def _check_record(resolver: Resolver, domain: str, token: str, zone: str) -> list[RuleResult]:
    name = f"{token}._domainkey.{domain}"
    alias, key = await asyncio.gather(resolver.query(name, "CNAME"), resolver.query(name, "TXT"))
    doubled = None
    if isinstance(alias, Absent) and isinstance(key, Absent):
        doubled = await resolver.query(f"{name}.{domain}", "CNAME" if zone else "TXT")
    return judge_record(name, f"{token}.{zone}" if zone else "", alias, key, doubled)


def judge_record(name: str, target: str, alias: Answer, key: Answer, doubled: Answer | None = None) -> list[RuleResult]:
    """Judge one DKIM record.

    Args:
        name: of the record.
        target: where its CNAME must lead; empty for a key of your own, which is a TXT record.
        alias: the answer to CNAME.
        key: the answer to TXT, by way of the CNAME.
        doubled: the answer for the name with the domain twice, which DNS consoles make by mistake.
    """
    wanted = f"CNAME {target}" if target else "TXT with the public key (p=…)"
    if isinstance(alias, Records) and target and alias.values != (target,):
        found = show(", ".join(alias.values))
        what = f"the record leads to {found}, not to {target}"
        return [give_fail("dkim_record", what, name, f"replace it with: {name} {wanted}")]
    if isinstance(alias, Unknown) and target:
        return [give_unknown("dkim_record", alias, "CNAME")]
    if isinstance(key, Unknown):
        return [give_unknown("dkim_key", key, "TXT")]
    if isinstance(key, Absent):
        return [_judge_absence(name, wanted, key, doubled, has_alias=isinstance(alias, Records))]
    if target and isinstance(alias, Absent):
        what = "the key is published itself, not by a CNAME: it stops working when SES rotates its keys"
        record = give_advice("dkim_record", what, name, f"replace it with: {name} {wanted}")
    else:
        record = give_pass("dkim_record", f"leads to {target}" if target else "is published", name)
    return [record, *_judge_key(name, key)]


def _judge_absence(name: str, wanted: str, key: Absent, doubled: Answer | None, *, has_alias: bool) -> RuleResult:
    if has_alias:
        what, remedy = explain_absence(key, "TXT"), "wait until SES publishes the key; ask AWS Support after 72 hours"
        return give_fail("dkim_key", what, name, remedy)
    if isinstance(doubled, Records):
        what = f"the record is published as {doubled.name}: the domain stands there twice"
        remedy = "enter the name without the domain in the DNS console, which appends it"
        return give_fail("dkim_record", what, name, remedy)
    return give_fail("dkim_record", explain_absence(key, wanted.partition(" ")[0]), name, f"add: {name} {wanted}")


def _judge_key(name: str, answer: Records) -> list[RuleResult]:
    if len(answer.values) > 1:
        what = f"there are {len(answer.values)} TXT records: which one a receiver uses is not defined"
        return [give_fail("dkim_key", what, name, "remove all but the one with the key of SES")]
    key = parse_key(answer.values[0])
    if isinstance(key, KeyFault):
        return [
            give_fail("dkim_key", f"{key.what}: {show(answer.values[0])}", name, "publish the record that SES gave")
        ]
    return [_judge_length(name, key.kind, key.bits), *([_advise_testing(name)] if key.is_testing else [])]


def _judge_length(name: str, kind: str, bits: int) -> RuleResult:
    if kind == "ed25519":
        what = "the key is of the type ed25519, which SES does not sign with"
        return give_fail("dkim_key", what, name, "publish the RSA key that SES signs with")
    if bits < BITS_MINIMUM:
        what = f"the key has {bits} bits: receivers ignore signatures of fewer than {BITS_MINIMUM}"
        return give_fail("dkim_key", what, name, f"sign with a key of {BITS_ADVISED} bits")
    if bits < BITS_ADVISED:
        what = f"the key has {bits} bits: {BITS_ADVISED} are advised"
        return give_advice("dkim_key", what, name, f"change the signing key length of the identity to {BITS_ADVISED}")
    return give_pass("dkim_key", f"the key has {bits} bits", name)


def _advise_testing(name: str) -> RuleResult:
    what = "the key is marked as a test (t=y): receivers may treat mail as not signed"
    return give_advice("dkim_testing", what, name, "remove t=y from the record")
