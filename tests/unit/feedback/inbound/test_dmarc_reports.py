"""DMARC aggregate reports as receivers send them, and as nobody should."""

import base64
import gzip
import io
import zipfile
from datetime import UTC, datetime

import pytest

from engine.feedback.inbound.dmarc_reports import MOST_XML_BYTES, DmarcRow, UnreadableReportError, parse_report
from engine.feedback.inbound.mail import InboundMail, MailKind, read_mail

XML = """\
<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <report_metadata>
    <org_name>receiver.example</org_name><email>noreply-dmarc@receiver.example</email>
    <report_id>1234567890</report_id><date_range><begin>1764115200</begin><end>1764201599</end></date_range>
  </report_metadata>
  <policy_published><domain>Acme.example</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><pct>100</pct></policy_published>
  <record>
    <row><source_ip>198.51.100.7</source_ip><count>40</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>acme.example</header_from></identifiers>
    <auth_results>
      <dkim><domain>acme.example</domain><selector>s1</selector><result>pass</result></dkim>
      <dkim><domain>amazonses.com</domain><result>pass</result></dkim>
      <spf><domain>amazonses.com</domain><result>pass</result></spf>
    </auth_results>
  </record>
  <record>
    <row><source_ip>2001:db8::9</source_ip><count>2</count>
      <policy_evaluated><disposition>quarantine</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>acme.example</header_from></identifiers>
    <auth_results><spf><domain>other.example</domain><result>fail</result></spf></auth_results>
  </record>
</feedback>
"""
SES = "amazonses.com"
NAME = "receiver.example!acme.example!1764115200!1764201599"


def zipped(data: bytes, count: int = 1) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"{number}.xml", data)
    return buffer.getvalue()


def changed(old: str, new: str) -> bytes:
    return gzip.compress(XML.replace(old, new).encode())


def make_mail(
    data: bytes, *, name: str = f"{NAME}.xml.gz", content_type: str = "application/gzip", subject: str = "Report"
) -> bytes:
    body = base64.encodebytes(data).decode()
    return (
        f"From: noreply-dmarc@receiver.example\r\nTo: dmarc@acme.example\r\nSubject: {subject}\r\n"
        f'Content-Type: {content_type}; name="{name}"\r\nContent-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{body}"
    ).encode()


def read(raw: bytes) -> InboundMail:
    mail = read_mail(raw)
    assert mail.kind is MailKind.DMARC_REPORT, mail.reason
    return mail


@pytest.mark.parametrize(
    "raw",
    [
        make_mail(gzip.compress(XML.encode())),
        make_mail(zipped(XML.encode()), name=f"{NAME}.zip", content_type="application/zip"),
        make_mail(XML.encode(), name=f"{NAME}.xml", content_type="text/xml"),
        make_mail(gzip.compress(XML.encode()), name=f"{NAME}.zip", content_type="application/octet-stream"),
        make_mail(gzip.compress(XML.encode()), name="r.xml.gz", subject="Report Domain: acme.example Submitter: r"),
        make_mail(XML.encode(), name="", content_type="application/xml", subject="Report domain: acme.example"),
        make_mail(changed("<feedback>", '<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">')),
        make_mail(gzip.compress(XML.replace("<feedback", '<f:feedback xmlns:f="http://dmarc.org/dmarc-xml/0.1"')
                  .replace("</feedback", "</f:feedback").encode())),
    ],
)  # fmt: skip
def test_report_is_read_in_every_form(raw: bytes) -> None:
    report = read(raw).report
    assert report is not None
    assert (report.reporter, report.report_id, report.domain, report.policy) == (
        "receiver.example", "1234567890", "acme.example", "none",
    )  # fmt: skip
    assert report.ended == datetime(2025, 11, 26, 23, 59, 59, tzinfo=UTC)
    assert report.rows == (
        DmarcRow("198.51.100.7", 40, "none", "pass", "fail", "acme.example", ("acme.example", SES), SES),
        DmarcRow("2001:db8::9", 2, "quarantine", "fail", "fail", "acme.example", (), "other.example"),
    )  # fmt: skip
    assert [row.is_aligned for row in report.rows] == [True, False]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (make_mail(gzip.compress(b" " * (MOST_XML_BYTES + 1))), "larger than"),
        (make_mail(zipped(XML.encode(), 2), name=f"{NAME}.zip"), "2 files"),
        (make_mail(gzip.compress(XML.encode())[:-20]), "cannot be unpacked"),
        (make_mail(b"PK\x03\x04 not a ZIP"), "cannot be unpacked"),
        (make_mail(gzip.compress(b"<feedback><record>")), "not well-formed"),
        (make_mail(gzip.compress(b"<html/>")), "not an aggregate report"),
        (make_mail(changed("1764201599</end>", "soon</end>")), "not a time"),
        (make_mail(changed("<feedback>", '<!DOCTYPE f [<!ENTITY a "b">]><feedback>')), "well-formed"),
    ],
)  # fmt: skip
def test_report_that_cannot_be_read_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    mail = read_mail(raw)
    assert mail.kind is MailKind.BROKEN
    assert reason in mail.reason


@pytest.mark.parametrize(
    "raw",
    [
        make_mail(gzip.compress(XML.encode()), name="photos.gz"),
        make_mail(zipped(b"text"), name="invoice.zip", content_type="application/zip"),
        b"From: a@b.example\r\nSubject: Report domain: acme.example\r\n\r\nPlease send it again.\r\n",
    ],
)
def test_mail_with_another_attachment_is_not_a_report(raw: bytes) -> None:
    assert read_mail(raw).kind is not MailKind.DMARC_REPORT


def test_report_keeps_what_its_reporter_left_out_empty() -> None:
    xml = "<feedback><report_metadata><report_id>1</report_id><date_range><begin>0</begin><end>1</end></date_range>"
    xml += "</report_metadata><policy_published><domain>a.example</domain></policy_published>"
    xml += (
        "<record><row><count>3</count></row></record><record/><record><row><count>-1</count></row></record></feedback>"
    )
    assert parse_report(xml.encode()).rows == (DmarcRow("", 3, "", "fail", "fail", ""),)


def test_report_texts_have_no_control_characters_and_bounded_lengths() -> None:
    xml = XML.replace("receiver.example</org_name>", f"a&#x9b;31m{'b' * 1000}</org_name>")
    reporter = parse_report(xml.encode()).reporter
    assert reporter.startswith("a31mb")
    assert len(reporter) <= 253
    with pytest.raises(UnreadableReportError):
        parse_report(XML.replace("receiver.example</org_name>", "\x1b[31m</org_name>").encode())
