"""DMARC aggregate reports: what receivers saw of mail in our name, in an attachment of a mail.

Anyone can send one. It is read in bounded time and memory, suppresses no address, and is kept apart where its sender is
not proven. Reporters deviate from the schema in many ways, so what is missing or unknown in a report is left empty.

Sources: RFC 7489 7.2 (the file's name and compression), appendix C (the schema); RFC 9990 (the second version).
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pyexpat import ExpatError
from typing import Any

import xmltodict
from msgspec import Struct

from engine.feedback.inbound.mail_parts import MOST_TEXT_BYTES, MailPart

MOST_XML_BYTES = 4 * 1024 * 1024  # of a report without compression: some 10,000 rows, read in a second
MOST_TEXT = 253  # characters of a name that are kept
_COMPRESSED = frozenset(
    ["application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed", "application/x-zip"]
)
_XML = frozenset(["text/xml", "application/xml"])
_ENDINGS = (".xml", ".xml.gz", ".gz", ".zip")
_RESULTS = ("pass", "fail")
_CHUNK = 64 * 1024


class UnreadableReportError(Exception):
    """A report is damaged, or larger than its bounds; the text says which."""


class DmarcRow(Struct, frozen=True):
    """What a receiver saw from one address.

    Attributes:
        source_ip: the address that mail came from.
        messages: how many.
        disposition: what the receiver did: none, quarantine, reject or pass.
        dkim: whether a DKIM signature passed and is aligned: pass or fail.
        spf: whether SPF passed and is aligned.
        header_from: the domain in From.
        dkim_domains: the domains of valid DKIM signatures.
        spf_domain: the domain that SPF was checked for.
    """

    source_ip: str
    messages: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    dkim_domains: tuple[str, ...] = ()
    spf_domain: str = ""

    @property
    def is_aligned(self) -> bool:
        """Whether DMARC passed: one of both is enough (RFC 7489 4.2)."""
        return "pass" in (self.dkim, self.spf)


class DmarcReport(Struct, frozen=True):
    """A report.

    Attributes:
        reporter: the organization that wrote it.
        report_id: the reporter's own.
        domain: whose policy was applied.
        policy: none, quarantine or reject.
        began: the beginning of its time, aware.
        ended: the end of its time, aware.
        rows: what was seen.
    """

    reporter: str
    report_id: str
    domain: str
    policy: str
    began: datetime
    ended: datetime
    rows: tuple[DmarcRow, ...]


def find_report(mail: MailPart) -> MailPart | None:
    """Return the part of a mail that has an aggregate report; None where there is none."""
    is_named = mail.text_of("Subject").lower().lstrip().startswith("report domain:")
    for part in mail.walk_own():
        name = _name_of(part)
        is_file = part.content_type in _COMPRESSED | _XML or name.endswith(_ENDINGS)
        # receiver!domain!begin!end
        if is_file and (is_named or name.count("!") >= 3):
            return part
    return None


def read_report(part: MailPart) -> DmarcReport:
    """Read the report in a part.

    Raises:
        UnreadableReportError: it is not a report, damaged, or too large.
    """
    if len(part.content) > MOST_TEXT_BYTES:
        raise UnreadableReportError("the report's file is too large")
    return parse_report(_unpack(part.read_content()))


def parse_report(xml: bytes) -> DmarcReport:
    """Parse the XML of a report.

    Raises:
        UnreadableReportError: it is not a report, or damaged.
    """
    rows: list[DmarcRow] = []
    once: dict[str, dict[str, Any]] = {}

    def take(path: list[tuple[str, Any]], item: Any) -> bool:
        name = _local(path[-1][0])
        if name == "record":
            rows.extend(_read_row(_dict(item)))
        elif name in ("report_metadata", "policy_published"):
            once[name] = _dict(item)
        return True

    try:
        xmltodict.parse(xml, item_depth=2, item_callback=take)
    except (ExpatError, ValueError, xmltodict.ParsingInterrupted) as error:
        raise UnreadableReportError(f"the report is not well-formed XML: {error}") from error
    metadata, policy = once.get("report_metadata", {}), once.get("policy_published", {})
    domain = _text(policy, "domain").lower()
    if not domain or not _text(metadata, "report_id"):
        raise UnreadableReportError("it is not an aggregate report: it names no domain or no report")
    times = _dict(metadata.get("date_range"))
    return DmarcReport(
        reporter=_text(metadata, "org_name"),
        report_id=_text(metadata, "report_id"),
        domain=domain,
        policy=_text(policy, "p").lower(),
        began=_time(times, "begin"),
        ended=_time(times, "end"),
        rows=tuple(rows),
    )


def _read_row(record: dict[str, Any]) -> Iterator[DmarcRow]:
    row = _dict(record.get("row"))
    count = _text(row, "count")
    if not count.isdecimal() or len(count) > 12:
        return
    evaluated, results = _dict(row.get("policy_evaluated")), _dict(record.get("auth_results"))
    signatures = [_dict(one) for one in _list(results.get("dkim"))]
    spf = next((_dict(one) for one in _list(results.get("spf"))), {})
    dkim_result, spf_result = _text(evaluated, "dkim").lower(), _text(evaluated, "spf").lower()
    yield DmarcRow(
        source_ip=_text(row, "source_ip"),
        messages=int(count),
        disposition=_text(evaluated, "disposition").lower(),
        dkim=dkim_result if dkim_result in _RESULTS else "fail",
        spf=spf_result if spf_result in _RESULTS else "fail",
        header_from=_text(_dict(record.get("identifiers")), "header_from").lower(),
        dkim_domains=tuple(
            dict.fromkeys(_text(one, "domain").lower() for one in signatures if _text(one, "result").lower() == "pass")
        )[:10],
        spf_domain=_text(spf, "domain").lower(),
    )


def _unpack(data: bytes) -> bytes:
    """Return the XML of a file: gzip, ZIP or plain, by its first bytes, because names and types are often wrong."""
    try:
        if data.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                return _read_bounded(file)
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = archive.infolist()
                if len(names) != 1:
                    raise UnreadableReportError(f"the report's ZIP has {len(names)} files instead of one")
                with archive.open(names[0]) as file:
                    return _read_bounded(file)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UnreadableReportError(f"the report cannot be unpacked: {error}") from error
    return data


def _read_bounded(file: Any) -> bytes:
    parts, size = list[bytes](), 0
    while part := file.read(_CHUNK):
        size += len(part)
        if size > MOST_XML_BYTES:
            raise UnreadableReportError(f"the report is larger than {MOST_XML_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _name_of(part: MailPart) -> str:
    name = part.parameters.get("name", "")
    if not name:
        _, _, after = part.get("Content-Disposition").partition("filename=")
        name = after.strip().strip('"').partition('"')[0].partition(";")[0]
    return name.strip().lower()


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]


def _dict(value: Any) -> dict[str, Any]:
    """Return an element's children without prefixes of namespaces; empty where it has none."""
    return {_local(name): child for name, child in value.items()} if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(source: dict[str, Any], name: str) -> str:
    value = source.get(name)
    if isinstance(value, dict):
        value = value.get("#text")
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text[:MOST_TEXT] if letter.isprintable())


def _time(source: dict[str, Any], name: str) -> datetime:
    seconds = _text(source, name).partition(".")[0]
    if not seconds.isdecimal() or len(seconds) > 11:
        raise UnreadableReportError(f"the report's {name} is not a time")
    return datetime.fromtimestamp(int(seconds), UTC)
