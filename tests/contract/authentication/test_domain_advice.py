"""BIMI, MTA-STS and TLS reports: advice only."""

import pytest
from support.dns import NO_REPLY, SERVFAIL
from support.sending_domain import check, find, list_troubles, make_zone

from engine.authentication.https_fetch import Fetched, FetchFailure, FetchResult
from engine.authentication.results import Verdict

BIMI, STS, RPT = "default._bimi.acme.example", "_mta-sts.acme.example", "_smtp._tls.acme.example"
LOGO = (
    b'<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 64 64">'
    b'<title>Acme</title><defs><path id="p" d="M0 0h64v64z"/></defs></svg>'
)
STS_POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mail.acme.example\r\nmax_age: 604800\r\n"
ADVICE, UNKNOWN = Verdict.ADVICE, Verdict.UNKNOWN


class Files:
    """Gives files from memory."""

    def __init__(self, logo: FetchResult, policy: FetchResult) -> None:
        self._files = {
            "https://acme.example/logo.svg": logo,
            "https://mta-sts.acme.example/.well-known/mta-sts.txt": policy,
        }

    async def __call__(self, url: str, *, limit: int, redirects: int = 0) -> FetchResult:
        assert limit <= 64_000
        assert redirects == (3 if url.endswith("svg") else 0)
        return self._files[url]


def make_files(logo: FetchResult | bytes = LOGO, policy: FetchResult | bytes = STS_POLICY) -> Files:
    return Files(
        Fetched(logo, "image/svg+xml") if isinstance(logo, bytes) else logo,
        Fetched(policy, "text/plain") if isinstance(policy, bytes) else policy,
    )


def test_domain_in_order_passes_every_rule_with_files():
    results = check(make_zone(), fetch=make_files())
    assert list_troubles(results) == []
    assert {"bimi_logo", "mta_sts", "tls_rpt"} <= {one.code for one in results}


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ((), "bimi_record"),
        (("v=BIMI1; l=http://acme.example/logo.svg",), "bimi_record"),
        (("v=BIMI1; a=https://acme.example/vmc.pem",), "bimi_record"),
        (("v=BIMI1; l=https://a; l=https://b",), "bimi_record"),
        (("v=BIMI1; l=https://a/x.svg", "v=BIMI1; l=https://b/x.svg"), "bimi_record"),
        (("v=BIMI1; l=https://acme.example/logo.svg",), "bimi_certificate"),
        (("v=BIMI1; l=https://acme.example/logo.svg; a=http://acme.example/vmc.pem",), "bimi_certificate"),
        (("v=BIMI1; l=https://[::1; a=https://acme.example/vmc.pem",), "bimi_record"),
    ],
)
def test_bimi_record_is_advised_on(records: tuple[str, ...], code: str):
    zone = make_zone()
    zone.replace(BIMI, "TXT", *records)
    assert list_troubles(check(zone)) == [(code, ADVICE)]


def test_bimi_record_may_decline():
    zone = make_zone()
    zone.replace(BIMI, "TXT", "v=BIMI1; l=; a=")
    assert list_troubles(check(zone)) == []


@pytest.mark.parametrize("policy", ["p=none", "p=reject; sp=none", "p=reject; pct=10", "p=reject; t=y"])
def test_bimi_needs_a_strong_policy(policy: str):
    zone = make_zone()
    zone.replace("_dmarc.acme.example", "TXT", f"v=DMARC1; {policy}; rua=mailto:a@acme.example")
    assert ("bimi_dmarc", ADVICE) in list_troubles(check(zone))


@pytest.mark.parametrize(
    ("logo", "words"),
    [
        (b"<html/>", "not an SVG"),
        (b"\x00\xff", "not an SVG"),
        (b"", "not an SVG"),
        (LOGO.replace(b"tiny-ps", b"tiny"), "tiny-ps"),
        (LOGO.replace(b'version="1.2"', b'version="1.1"'), "1.2"),
        (LOGO.replace(b"<title>Acme</title>", b""), "title"),
        (LOGO.replace(b"<svg ", b'<svg x="0" '), "cannot include x"),
        (LOGO.replace(b"0 0 64 64", b"0 0 64 32"), "not square"),
        (LOGO.replace(b"<defs>", b"<script>1</script><defs>"), "element script"),
        (LOGO.replace(b"<defs>", b'<g onload="x()"/><defs>'), "script onload"),
        (LOGO.replace(b"<defs>", b'<use xlink:href="https://x.example/y.svg"/><defs>'), "reference to another file"),
        (LOGO.replace(b"<defs>", b"<!--" + b"x" * 40_000 + b"--><defs>"), "32 KB"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]>' + LOGO.replace(b"Acme", b"&a;"), "not an SVG"),
        (LOGO.replace(b"<defs>", b"<g>" * 9000), "not an SVG"),
        (LOGO.replace(b"64 64", b"nan inf"), "not square"),
    ],
)
def test_bimi_logo_is_advised_on_when_it_is_not_tiny_ps(logo: bytes, words: str):
    results = check(make_zone(), fetch=make_files(logo))
    assert list_troubles(results) == [("bimi_logo", ADVICE)]
    assert words in find(results, "bimi_logo").what


@pytest.mark.parametrize(
    ("logo", "verdict"),
    [
        (FetchFailure("the server answers 404", is_certain=True), ADVICE),
        (FetchFailure("the server does not answer within 10 seconds", is_certain=False), UNKNOWN),
        (Fetched(LOGO, "text/plain"), ADVICE),
    ],
)
def test_bimi_logo_that_cannot_be_fetched(logo: FetchResult, verdict: Verdict):
    assert list_troubles(check(make_zone(), fetch=make_files(logo))) == [("bimi_logo", verdict)]


@pytest.mark.parametrize(
    ("name", "records", "code"),
    [
        (STS, (), "mta_sts"),
        (STS, ("v=STSv1; id=1;", "v=STSv1; id=2;"), "mta_sts"),
        (STS, ("v=STSv1; id=not valid!",), "mta_sts"),
        (STS, ("v=STSv1",), "mta_sts"),
        (RPT, (), "tls_rpt"),
        (RPT, ("v=TLSRPTv1; rua=nothing",), "tls_rpt"),
        (RPT, ("v=TLSRPTv1; rua=mailto:a@acme.example", "v=TLSRPTv1; rua=mailto:b@acme.example"), "tls_rpt"),
    ],
)
def test_reply_security_is_advised_on(name: str, records: tuple[str, ...], code: str):
    zone = make_zone()
    zone.replace(name, "TXT", *records)
    assert list_troubles(check(zone, fetch=make_files())) == [(code, ADVICE)]


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        (STS_POLICY.replace(b"enforce", b"testing"), ADVICE),
        (b"nonsense", ADVICE),
        (b"\xff\xfe", ADVICE),
        (STS_POLICY.replace(b"mx: mail.acme.example\r\n", b""), ADVICE),
        (FetchFailure("the server answers 404", is_certain=True), ADVICE),
        (FetchFailure("the server cannot be reached", is_certain=False), UNKNOWN),
    ],
)
def test_sts_policy_is_advised_on(policy: FetchResult | bytes, verdict: Verdict):
    assert list_troubles(check(make_zone(), fetch=make_files(policy=policy))) == [("mta_sts", verdict)]


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
@pytest.mark.parametrize(("name", "code"), [(BIMI, "bimi_record"), (STS, "mta_sts"), (RPT, "tls_rpt")])
def test_advice_is_unknown_when_dns_fails(name: str, code: str, how: str):
    zone = make_zone()
    zone.fail(name, how)
    assert list_troubles(check(zone, query_seconds=0.5)) == [(code, UNKNOWN)]
