"""What DMARC reports add up to."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from engine.report.dmarc_figures import summarize_dmarc
from engine.store.dmarc_reports import DMARC_SCHEMA

NIGHT = datetime(2026, 11, 29, tzinfo=UTC)


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {
        "reporter": "receiver.example", "report_id": "1", "domain": "acme.example", "policy": "none", "began": NIGHT,
        "ended": NIGHT, "proven": True, "source_ip": "198.51.100.7", "messages": 10, "disposition": "none",
        "dkim": "pass", "spf": "pass", "header_from": "acme.example", "dkim_domains": ["acme.example", "amazonses.com"],
        "spf_domain": "mail.acme.example",
    }  # fmt: skip
    return pl.DataFrame([usual | row for row in rows], schema=DMARC_SCHEMA)


def test_dmarc_counts_what_failed_and_who_else_sends() -> None:
    picture = summarize_dmarc(
        frame(
            {},
            {"messages": 5},
            {"source_ip": "203.0.113.9", "messages": 7, "dkim": "fail", "spf": "fail", "dkim_domains": [],
             "spf_domain": "crm.example", "disposition": "reject", "report_id": "2"},
            {"source_ip": "203.0.113.10", "messages": 3, "spf": "fail", "dkim_domains": ["acme.example"],
             "spf_domain": "desk.example"},
        )
    )  # fmt: skip
    (domain,) = picture.domains
    assert (picture.reports, domain.messages, domain.failed, domain.by_us) == (2, 25, 7, 15)
    found = [
        (one.source_ip, one.sender, one.through_ses, one.messages, one.failed, one.rejected) for one in domain.sources
    ]
    assert found == [
        ("203.0.113.9", "crm.example", False, 7, 7, 7),
        ("198.51.100.7", "acme.example", True, 15, 0, 0),
        ("203.0.113.10", "acme.example", False, 3, 0, 0),
    ]
    text = "\n".join(picture.to_lines())
    assert "acme.example: 25 messages, 7 failed DMARC, 15 through SES" in text
    assert "not SES, as crm.example: 7 of 7 failed, 7 quarantined or rejected" in text


def test_dmarc_counts_one_passed_mechanism_as_passed() -> None:
    (domain,) = summarize_dmarc(frame({"dkim": "fail"}, {"spf": "fail"})).domains
    assert domain.failed == 0


def test_dmarc_leaves_out_reports_of_unproven_mail_and_says_so() -> None:
    picture = summarize_dmarc(frame({}, {"report_id": "2", "proven": False}, {"report_id": "3", "proven": False}))
    assert (picture.reports, picture.unproven, picture.domains[0].messages) == (1, 2, 10)
    assert "2 reports not counted" in "\n".join(picture.to_lines())


def test_dmarc_without_reports_says_how_to_get_them() -> None:
    assert "rua=" in "\n".join(summarize_dmarc(pl.DataFrame(schema=DMARC_SCHEMA)).to_lines())
