"""A sending domain in order: what SES says of it, and its DNS records. Tests break one thing."""

import asyncio
import base64
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.authentication.domains.all_checks import check_domain
from engine.authentication.domains.facts import DkimFacts, DomainFacts
from engine.authentication.https_fetch import Fetch
from engine.authentication.resolver import DnsResolver
from engine.authentication.results import RuleResult, Verdict
from support.dns import Zone, serve_dns

TOKENS = ("aaaa", "bbbb", "cccc")
FACTS = DomainFacts(
    domain="acme.example",
    from_domain="acme.example",
    reply_domain="acme.example",
    region="eu-west-1",
    mail_from="bounce.acme.example",
    mail_from_status="SUCCESS",
    is_identity=True,
    sends=True,
    dkim=DkimFacts(enabled=True, status="SUCCESS", tokens=TOKENS),
)
POLICY = "v=DMARC1; p=reject; rua=mailto:dmarc@acme.example"


@cache
def make_key(bits: int = 2048) -> str:
    """Make the base64 of a public RSA key."""
    key = rsa.generate_private_key(65537, bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def make_zone() -> Zone:
    """Make the zone of a domain that breaks no rule."""
    zone = Zone(
        {
            ("acme.example", "MX"): "10 mail.acme.example",
            ("bounce.acme.example", "MX"): "10 feedback-smtp.eu-west-1.amazonses.com",
            ("bounce.acme.example", "TXT"): "v=spf1 include:amazonses.com ~all",
            ("amazonses.com", "TXT"): "v=spf1 ip4:199.255.192.0/22 ip4:199.127.232.0/22 -all",
            ("_dmarc.acme.example", "TXT"): POLICY,
            (
                "default._bimi.acme.example",
                "TXT",
            ): "v=BIMI1; l=https://acme.example/logo.svg; a=https://acme.example/vmc.pem",
            ("_mta-sts.acme.example", "TXT"): "v=STSv1; id=20261130;",
            ("_smtp._tls.acme.example", "TXT"): "v=TLSRPTv1; rua=mailto:tls@acme.example",
        }
    )
    for token in TOKENS:
        zone.add(f"{token}._domainkey.acme.example", "CNAME", f"{token}.dkim.amazonses.com")
        zone.add(f"{token}.dkim.amazonses.com", "TXT", f"p={make_key()}")
    return zone


def check(
    zone: Zone, facts: DomainFacts = FACTS, *, query_seconds: float = 5.0, fetch: Fetch | None = None
) -> list[RuleResult]:
    """Check a domain through a real server."""
    with serve_dns(zone) as server:
        return asyncio.run(check_domain(DnsResolver([server], query_seconds=query_seconds), facts, fetch))


def list_troubles(results: list[RuleResult]) -> list[tuple[str, Verdict]]:
    """List code and verdict of what does not pass, each once."""
    return list(dict.fromkeys((one.code, one.verdict) for one in results if one.verdict is not Verdict.PASS))


def find(results: list[RuleResult], code: str) -> RuleResult:
    """Return the first result of a rule that is not a pass, else the first."""
    found = [one for one in results if one.code == code]
    return next((one for one in found if one.verdict is not Verdict.PASS), found[0])
