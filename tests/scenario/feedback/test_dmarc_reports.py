"""A DMARC report that arrives as mail shows who sends in our name; it suppresses no address."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

from support.world import World

TRUSTED = "Authentication-Results: mx.acme.example; dmarc=pass header.from=receiver.example\r\n"


def write_report(world: World, name: str, *, trusted: bool, report: str = "1") -> Path:
    end = int(datetime.now(UTC).timestamp())
    xml = (
        "<feedback><report_metadata><org_name>receiver.example</org_name><email>a@receiver.example</email>"
        f"<report_id>{report}</report_id><date_range><begin>{end - 86400}</begin><end>{end}</end></date_range>"
        "</report_metadata><policy_published><domain>acme.example</domain><p>none</p></policy_published><record><row>"
        "<source_ip>203.0.113.9</source_ip><count>12</count><policy_evaluated><disposition>reject</disposition>"
        "<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>acme.example</header_from>"
        "</identifiers><auth_results><spf><domain>crm.example</domain><result>pass</result></spf></auth_results>"
        "</record></feedback>"
    )
    file = f"receiver.example!acme.example!{end - 86400}!{end}.xml.gz"
    head = (
        f"{TRUSTED if trusted else ''}From: reports@receiver.example\r\nTo: dmarc@acme.example\r\nSubject: Report\r\n"
        f'Content-Type: application/gzip; name="{file}"\r\n\r\n'
    )
    path = world.folder / "mails" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(head.encode() + gzip.compress(xml.encode()))
    return path


def test_dmarc_reports_show_who_else_sends_as_us(world: World) -> None:
    for name, trusted, report in (("1.eml", True, "1"), ("again.eml", True, "1"), ("2.eml", False, "2")):
        write_report(world, name, trusted=trusted, report=report)
    imported = world.run("inbound", "import", "mails", "--json", MAILRUN_INBOUND_AUTHSERV_ID="mx.acme.example")
    assert imported.code == 0
    assert imported.json["kinds"] == {"dmarc_report": 3}
    assert imported.json["suppressed"] == 0
    shown = world.run("ses", "reputation", "--json", AWS_ENDPOINT_URL_CLOUDWATCH=world.server.url)
    assert shown.code == 0, shown.stderr
    dmarc = shown.json["dmarc"]
    assert (dmarc["reports"], dmarc["unproven"], dmarc["reporters"]) == (1, 1, ["receiver.example"])
    (domain,) = dmarc["domains"]
    assert (domain["domain"], domain["messages"], domain["failed"], domain["by_us"]) == ("acme.example", 12, 12, 0)
    text = world.run("ses", "reputation", AWS_ENDPOINT_URL_CLOUDWATCH=world.server.url).stdout
    assert "203.0.113.9" in text
    assert "not SES, as crm.example: 12 of 12 failed, 12 quarantined or rejected" in text
