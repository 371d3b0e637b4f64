"""Identifies the sender of an inbound mail, and whether the receiving server proves it.

Anyone can write any From, and any report. The receiving server proves a sender: by the verdicts of an SES receipt, or
by an Authentication-Results field of a server that the settings name (RFC 8601). Of these fields the topmost with that
server's name counts, because a server adds its own above what the sender wrote.

Sources: SES developer guide, "Contents of notifications for Amazon SES email receiving" (the verdicts); RFC 8601, 2.2
(the field's form), 5 (a border server removes fields that bear its name); RFC 7489, 3.1 (alignment).
"""

from enum import StrEnum

from msgspec import Struct

from engine.authentication.results_field import MethodResult, read_results_field
from engine.feedback.inbound.address_lists import read_addresses

MOST_HEAD_BYTES = 256 * 1024  # of a mail's header that are read
MOST_FIELD_CHARACTERS = 8 * 1024
MOST_DOMAIN_CHARACTERS = 253
SES_AUTHSERV_ID = "amazonses.com"
_PASS = "pass"  # noqa: S105 - a verdict


class Unproven(StrEnum):
    """Why a mail without a valid token of ours is not acted upon."""

    FORGED_TOKEN = "forged_token"  # noqa: S105 - not a secret; it has a token that we did not sign
    NO_RESULTS = "no_results"  # neither a receipt nor results of a server that the settings name
    UNSIGNED = "unsigned_notification"  # anyone who may write to the queue can have written its verdicts
    SENDER_UNCLEAR = "sender_unclear"  # not exactly one From with one address
    NOT_ALIGNED = "sender_not_aligned"  # it is not proven that the mail is of the domain in From
    NOT_A_SOURCE = "not_a_feedback_source"  # a report without a DKIM signature of a configured domain


class SesReceipt(Struct, frozen=True):
    """The verdicts of an SES receipt, in lower case (`pass`, `fail`, `gray`, `processing_failed`).

    Attributes:
        spf: whether the sending host may use the domain of `mail_from`.
        dkim: whether a signature is valid; SES does not say of which domain.
        dmarc: whether SPF or DKIM passed for the domain in From.
        mail_from: the envelope's sender, an address.
    """

    spf: str
    dkim: str
    dmarc: str
    mail_from: str


class ReceivedMail(Struct, frozen=True):
    """A mail, and what is known about how it was received.

    Attributes:
        raw: the mail, RFC 5322.
        receipt: of SES; None where none counts.
        has_own_fields: a receiving server wrote its header, and it was not changed since: an Authentication-Results
            field may count.
        is_unsigned: it came in a notification that SNS did not sign.
    """

    raw: bytes
    receipt: SesReceipt | None = None
    has_own_fields: bool = True
    is_unsigned: bool = False


class MailTrust(Struct, frozen=True):
    """Which servers and feedback sources count.

    Attributes:
        authserv_id: the name that the receiving server writes into Authentication-Results; empty where none counts.
        feedback_sources: domains whose feedback reports count without a token.
    """

    authserv_id: str = ""
    feedback_sources: tuple[str, ...] = ()


class MailSender(Struct, frozen=True):
    """The sender of a mail.

    Attributes:
        address: the only address in From; None where that is unclear.
        unproven: why it is not proven that the mail is of the domain in From; None where it is.
        is_of_a_source: a configured feedback source has signed it.
    """

    address: str | None
    unproven: Unproven | None
    is_of_a_source: bool = False


def identify_sender(received: ReceivedMail, trust: MailTrust) -> MailSender:
    """Identify the sender of a mail, and whether it is proven; never raises.

    A DMARC failure outweighs everything else. Otherwise one of these proves the domain in From: DMARC passed; SPF
    passed for an aligned envelope sender; in Authentication-Results, a DKIM signature of an aligned domain passed.
    """
    fields = _read_fields(received.raw)
    address = _find_sole_address(fields["from"])
    results = _find_results(fields["authentication-results"], trust.authserv_id) if received.has_own_fields else None
    if address is None:
        return MailSender(None, Unproven.SENDER_UNCLEAR)
    if received.receipt is None and results is None:
        return MailSender(address, Unproven.UNSIGNED if received.is_unsigned else Unproven.NO_RESULTS)
    domain = _domain_of(address)
    has_failed = is_aligned = False
    signers: set[str] = set()
    if (receipt := received.receipt) is not None:
        has_failed = receipt.dmarc == "fail"
        is_aligned = receipt.dmarc == _PASS
        is_aligned |= receipt.spf == _PASS and counts_for(_domain_of(receipt.mail_from), domain)
        # SES does not report the signing domain: a passed DMARC links the signature to the domain in From.
        signers |= {domain} if receipt.dkim == receipt.dmarc == _PASS else set()
    for one in results or ():
        if one.method == "dmarc":
            is_of_domain = _clean(one.properties.get("header.from", "")) == domain
            has_failed |= one.result != "none" and not (one.result == _PASS and is_of_domain)
        if one.result == _PASS:
            proven = _find_proven_domain(one)
            is_aligned |= bool(proven) and counts_for(proven, domain)
            signers |= {proven} if one.method == "dkim" else set()
    if has_failed or not is_aligned:
        return MailSender(address, Unproven.NOT_ALIGNED)
    sources = {_clean(source) for source in trust.feedback_sources}
    names_a_source = any(_is_within(domain, source) for source in sources)
    # Signed by the source, or by a domain above it: DMARC aligns it the same way; SES's receipt has no details.
    has_signed = any(counts_for(signer, domain) for signer in signers) or any(
        _is_within(signer, source) for signer in signers for source in sources
    )
    return MailSender(address, None, names_a_source and has_signed)


def counts_for(proven: str, domain: str) -> bool:
    """Return whether a proven domain counts for the domain in From: the same, or a parent domain.

    Stricter than DMARC's relaxed alignment, which needs the list of public suffixes: `mail.acme.example` does not count
    for `acme.example`. The server that checks DMARC has that list.

    >>> counts_for("acme.example", "news.acme.example"), counts_for("news.acme.example", "acme.example")
    (True, False)
    """
    return "." in proven and _is_within(domain, proven)


def _is_within(domain: str, of: str) -> bool:
    return bool(of) and (domain == of or domain.endswith("." + of))


def _find_proven_domain(result: MethodResult) -> str:
    """Return the domain that a method proved by passing; empty for none."""
    properties = result.properties
    match result.method:
        case "dmarc":
            return _clean(properties.get("header.from", ""))
        case "dkim":
            return _clean(properties.get("header.d") or properties.get("header.i", "").rpartition("@")[2])
        case "spf":
            return _clean(properties.get("smtp.mailfrom", "").rpartition("@")[2])
    return ""


def _domain_of(address: str) -> str:
    return _clean(address.strip("<> ").rpartition("@")[2])


def _clean(domain: str) -> str:
    """Return a domain as it is compared: lower case, in ASCII; empty where it is not a domain."""
    domain = domain.strip("<>. \t").lower()
    if len(domain) > MOST_DOMAIN_CHARACTERS:
        return ""
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _read_fields(raw: bytes) -> dict[str, list[str]]:
    """Return the values of the two fields that matter, unfolded, in their order.

    A line that some program might read as such a field counts as one: a header that can be read in two ways proves
    nothing. For the same reason only an empty line after a line feed ends the header: `CR CR LF` is one line end to
    some programs, two to others.
    """
    found: dict[str, list[list[bytes]]] = {"from": [], "authentication-results": []}
    values: list[bytes] = []
    is_whole = False
    is_after_feed = True
    for ended in raw[:MOST_HEAD_BYTES].splitlines(keepends=True):
        line = ended.rstrip(b"\r\n")
        if not line and is_after_feed and ended != b"\r":
            is_whole = True
            break
        is_after_feed = ended.endswith(b"\n")
        if line[:1] in (b" ", b"\t"):
            values.append(line)
            continue
        name, _, value = line.partition(b":")
        values = [value]
        if (kept := found.get(name.strip().lower().decode("latin-1"))) is not None:
            kept.append(values)
    if not is_whole and len(raw) > MOST_HEAD_BYTES:
        return {name: [] for name in found}
    return {name: [b"".join(parts).decode("utf-8", "replace") for parts in fields] for name, fields in found.items()}


def _find_sole_address(fields: list[str]) -> str | None:
    """Return the address of the only From; None where it has another domain as well, in any place."""
    if len(fields) != 1 or len(fields[0]) > MOST_FIELD_CHARACTERS:
        return None
    named = read_addresses(fields[0])
    domain = named[0].rpartition("@")[2].lower() if len(named) == 1 and "@" in named[0] else ""
    if not _clean(domain):
        return None
    others = (text.lower() for text in fields[0].split("@")[1:])
    is_alone = all(text.startswith(domain) and not _goes_on(text[len(domain) :]) for text in others)
    return named[0] if is_alone else None


def _goes_on(rest: str) -> bool:
    return rest[:1].isalnum() or rest[:1] in ("-", "_", ".") or (rest[:1] != "" and ord(rest[0]) > 127)


def _find_results(fields: list[str], authserv_id: str) -> list[MethodResult] | None:
    """Return the results of the topmost field with a server's name; None where there is none."""
    if not authserv_id:
        return None
    for field in fields:
        name, results = read_results_field(field[:MOST_FIELD_CHARACTERS])
        if name.lower() == authserv_id.lower():
            return [] if len(field) > MOST_FIELD_CHARACTERS else results
    return None
