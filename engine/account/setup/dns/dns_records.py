"""The DNS records that authenticate a domain: DKIM, MAIL FROM with SPF, DMARC, and the MX record of inbound mail.

Sources: https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-easy-managing.html,
https://docs.aws.amazon.com/ses/latest/dg/mail-from.html, RFC 7489 (DMARC),
https://docs.aws.amazon.com/ses/latest/dg/receiving-email-mx-record.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.account.setup.wanted import WantedState

TTL_SECONDS = 1800
PRIORITY = 10  # of an MX record
SPF = "v=spf1 include:amazonses.com ~all"
_STRING_BYTES = 255  # of one string of a TXT record (RFC 1035, section 3.3.14)
_DEFAULT_ZONE = "dkim.amazonses.com"


class DnsRecord(Struct, frozen=True):
    """A record to publish.

    Attributes:
        name: without the final dot.
        type: CNAME, MX or TXT.
        value: the target, `PRIORITY HOST`, or the whole text without quotes.
        purpose: DKIM, MAIL FROM, SPF, DMARC or inbound mail.
        is_advice: whether any other record of the same purpose is as good.
        ttl: seconds.
    """

    name: str
    type: str
    value: str
    purpose: str
    is_advice: bool = False
    ttl: int = TTL_SECONDS

    def format_value(self) -> str:
        """Return the value as zone files and Route 53 write it: absolute names, quoted strings."""
        if self.type == "TXT":
            return " ".join(f'"{_escape(part)}"' for part in split_text(self.value))
        return f"{self.value}."


def list_records(
    wanted: WantedState, region: str, dkim: Mapping[str, Any], public_key: str = ""
) -> tuple[DnsRecord, ...]:
    """List the records of the wanted state.

    Args:
        wanted: the wanted state.
        region: of the account.
        dkim: the DkimAttributes of the identity; empty while there is none, then its records are not known.
        public_key: of a key of one's own; empty where it is not known.
    """
    return (
        *_list_dkim(wanted, dkim, public_key),
        DnsRecord(wanted.mail_from, "MX", f"{PRIORITY} feedback-smtp.{region}.amazonses.com", "MAIL FROM"),
        DnsRecord(wanted.mail_from, "TXT", SPF, "SPF"),
        _make_dmarc(wanted),
        *_list_inbound(wanted, region),
    )


def _list_dkim(wanted: WantedState, dkim: Mapping[str, Any], public_key: str) -> list[DnsRecord]:
    def name(label: object) -> str:
        return f"{label}._domainkey.{wanted.domain}"

    if wanted.dkim_selector:
        text = f"v=DKIM1; k=rsa; p={public_key}"
        return [DnsRecord(name(wanted.dkim_selector), "TXT", text, "DKIM")] if public_key else []
    if dkim.get("SigningAttributesOrigin") == "EXTERNAL":
        return []  # its owner has published it
    zone = dkim.get("SigningHostedZone") or _DEFAULT_ZONE
    return [DnsRecord(name(token), "CNAME", f"{token}.{zone}", "DKIM") for token in dkim.get("Tokens") or ()]


def _make_dmarc(wanted: WantedState) -> DnsRecord:
    text = wanted.dmarc or f"v=DMARC1; p=none; rua=mailto:dmarc@{wanted.domain}"
    return DnsRecord(f"_dmarc.{wanted.domain}", "TXT", text, "DMARC", is_advice=not wanted.dmarc)


def _list_inbound(wanted: WantedState, region: str) -> list[DnsRecord]:
    if not wanted.inbound_domain:
        return []
    return [
        DnsRecord(wanted.inbound_domain, "MX", f"{PRIORITY} inbound-smtp.{region}.amazonaws.com", "inbound mail"),
    ]


def write_zone(records: Sequence[DnsRecord]) -> str:
    r"""Write records as lines of a BIND zone file, with absolute names.

    >>> print(write_zone([DnsRecord("b.acme.example", "MX", "10 mx.example", "MAIL FROM")]), end="")
    b.acme.example. 1800 IN MX 10 mx.example.
    """
    return "".join(f"{one.name}. {one.ttl} IN {one.type} {one.format_value()}\n" for one in records)


def split_text(text: str) -> list[str]:
    """Split the text of a TXT record into the strings that it consists of.

    >>> [len(part) for part in split_text("x" * 300)]
    [255, 45]
    """
    return [text[start : start + _STRING_BYTES] for start in range(0, len(text), _STRING_BYTES)] or [""]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
