"""BIMI: the logo that some receivers show beside mail that passes DMARC. Nothing is rejected for it."""

from engine.authentication.alignment import find_organizational_domain
from engine.authentication.domains.dmarc_record import DmarcRecord, Policy
from engine.authentication.domains.rules import give_advice, give_pass, give_unknown, give_unknown_because, show
from engine.authentication.https_fetch import Fetch, FetchFailure, FetchResult, is_https
from engine.authentication.resolver import Answer, Records, Resolver, Unknown
from engine.authentication.results import RuleResult
from engine.authentication.tag_list import read_tags, starts_with_version
from engine.on_demand import OnDemand

_REDIRECTS_MAXIMUM = 3
_FETCHED_MAXIMUM = 64_000  # bytes: enough to say that 32 KB are exceeded
_FIND_FAULTS = OnDemand("engine.authentication.domains.bimi_logo:find_logo_faults")


async def check_bimi(
    resolver: Resolver, from_domain: str, dmarc: DmarcRecord | None, fetch: Fetch | None
) -> list[RuleResult]:
    """Look up the BIMI record of the From domain, else of its organizational domain, and check its logo.

    Args:
        resolver: asks DNS.
        from_domain: of the From address.
        dmarc: the record that applies.
        fetch: fetches the logo; None for a check without it.
    """
    names = [f"default._bimi.{name}" for name in dict.fromkeys((from_domain, find_organizational_domain(from_domain)))]
    for name in names:
        answer = await resolver.query(name, "TXT")
        if isinstance(answer, Unknown):
            return [give_unknown("bimi_record", answer, "BIMI")]
        if list_bimi_records(answer):
            return await _check_record(name, list_bimi_records(answer), dmarc, fetch)
    what, remedy = "there is no BIMI record: receivers show no logo", "publish one if you want to show your logo"
    return [give_advice("bimi_record", what, names[0], remedy)]


def list_bimi_records(answer: Answer) -> list[str]:
    """List the BIMI records of an answer."""
    values = answer.values if isinstance(answer, Records) else ()
    return [value for value in values if starts_with_version(value, "BIMI1")]


async def _check_record(
    name: str, records: list[str], dmarc: DmarcRecord | None, fetch: Fetch | None
) -> list[RuleResult]:
    tags = read_tags(records[0])
    if len(records) > 1 or tags is None or "l" not in tags:
        what = f"there are {len(records)} BIMI records" if len(records) > 1 else f"it is not valid: {show(records[0])}"
        return [
            give_advice("bimi_record", what, name, "publish one: v=BIMI1; l=https://…/logo.svg; a=https://…/vmc.pem")
        ]
    logo = tags["l"]
    if not logo:
        return [give_pass("bimi_record", "the domain declines to show a logo", name)]
    if not is_https(logo):
        what = f"the address of the logo is not an https URL: {show(logo)}"
        return [give_advice("bimi_record", what, name, "write l=https://…")]
    results = [give_pass("bimi_record", show(records[0]), name), judge_strength(dmarc, name)]
    results.append(judge_certificate(tags.get("a", ""), name))
    if fetch is None:
        return results
    return [*results, judge_logo(logo, await fetch(logo, limit=_FETCHED_MAXIMUM, redirects=_REDIRECTS_MAXIMUM))]


def judge_strength(dmarc: DmarcRecord | None, name: str) -> RuleResult:
    """Judge whether the DMARC policy is quarantine or reject, for all mail and for subdomains."""
    remedy = "change the DMARC policy to quarantine or reject, without pct, and sp=none"
    if dmarc is None:
        return give_advice("bimi_dmarc", "no logo is shown without a DMARC policy", name, remedy)
    subdomains = dmarc.tags.get("sp", dmarc.tags.get("p", "")).lower()
    is_strong = (
        dmarc.find_policy() in {Policy.QUARANTINE, Policy.REJECT}
        and subdomains != Policy.NONE
        and dmarc.tags.get("pct", "100") == "100"
        and dmarc.tags.get("t", "n").lower() != "y"
    )
    if is_strong:
        return give_pass("bimi_dmarc", "the DMARC policy is strong enough", dmarc.where)
    return give_advice("bimi_dmarc", f"the DMARC policy is too weak: {show(dmarc.text)}", dmarc.where, remedy)


def judge_certificate(url: str, name: str) -> RuleResult:
    """Judge whether a certificate is named: its content is not checked."""
    if is_https(url):
        return give_pass("bimi_certificate", f"the certificate is at {show(url)}", name)
    what = f"the address of the certificate is not an https URL: {show(url)}" if url else "no certificate is named (a=)"
    remedy = "get a mark certificate (VMC or CMC), and write a=https://…; Gmail shows no logo without one"
    return give_advice("bimi_certificate", what, name, remedy)


def judge_logo(url: str, found: FetchResult) -> RuleResult:
    """Judge the file of the logo."""
    where = show(url)
    if isinstance(found, FetchFailure):
        if found.is_certain:
            return give_advice("bimi_logo", found.what, where, "correct the address or the server")
        return give_unknown_because("bimi_logo", found.what, where, "run the command again")
    faults = _FIND_FAULTS(found.body)
    if faults:
        return give_advice("bimi_logo", show("; ".join(faults)), where, "export the logo as SVG Tiny PS")
    if found.media_type != "image/svg+xml":
        what = f"the server states the type {show(found.media_type)}, not image/svg+xml"
        return give_advice("bimi_logo", what, where, "set the Content-Type of the file")
    return give_pass("bimi_logo", "the logo is an SVG of the profile Tiny PS", where)
