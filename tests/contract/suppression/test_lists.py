"""Lists that other systems export, as `suppress import` reads them: who, why, and for which mail."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from engine.errors import DataError
from engine.ledger.suppressed.reasons import Reason, classify_reason
from engine.ledger.suppressed.suppression_scope import Scope
from engine.ledger.suppressed.suppressions import Suppression, SuppressionProof
from engine.suppression.lists import ImportOptions, export_suppressions, read_suppression_list

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def read(file: Path, *, topic: str = "", reason: str | None = None) -> tuple[list[Suppression], list[str]]:
    options = ImportOptions(topic=topic, reason=reason, source=None, at=NOW)
    blocks = list(read_suppression_list(str(file), file.parent, options))
    return [one for block in blocks for one in block.entries], [one.what for block in blocks for one in block.invalid]


def reasons(text: str, folder: Path, **options: str) -> dict[str, tuple[str, str]]:
    (folder / "list.csv").write_text(text)
    entries, invalid = read(folder / "list.csv", **options)
    assert invalid == []
    return {one.key: (one.reason, one.topic) for one in entries}


SENDGRID_BOUNCES = """\
status,reason,email,created
5.1.1,"550 5.1.1 The mail account, as given, is not there",a@x.example,1764300000
4.0.0,unable to get mx info: failed to look up the domain,b@x.example,1764300001
,asked to be removed,c@x.example,1764300002
"""


def test_an_option_wins_over_the_columns_of_a_list(tmp_path: Path) -> None:
    told = reasons(SENDGRID_BOUNCES, tmp_path, reason="bounce", topic="news")
    assert set(told.values()) == {("bounce", "")}
    told = reasons(SENDGRID_BOUNCES, tmp_path, reason="asked by phone")
    assert set(told.values()) == {("asked by phone", "")}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (SENDGRID_BOUNCES, [("bounce", ""), ("soft_bounces", ""), ("asked to be removed", "news")]),
        (
            "reason,email,created\nMail domain mentioned in email address is unknown,a@x.example,1\n",
            [("bounce", "")],
        ),
        ("email,reason\na@x.example,contactFlaggedAsSpam\n", [("complaint", "")]),
        ("Email address,Suppression reason,Last update time\na@x.example,Bounce,2026\n", [("bounce", "")]),
        ("Recipient,Bounce type,Details\na@x.example,Hard bounce,smtp;550 no\n", [("bounce", "")]),
        ('address,code,error,created_at\na@x.example,550,"5.1.1 none, such","Sat, 28 Nov 2026"\n', [("bounce", "")]),
        ("address,tags,created_at\na@x.example,*,2026\n", [("manual", "news")]),
        ("EmailAddress,SuppressionReason,Origin,CreatedAt\na@x.example,HardBounce,Recipient,2026\n", [("bounce", "")]),
        ("EmailAddress,SuppressionReason\na@x.example,SpamComplaint\n", [("complaint", "")]),
        ("EmailAddress,SuppressionReason\na@x.example,ManualSuppression\n", [("manual", "news")]),
        ("Type,Email,BouncedAt\nBadEmailAddress,a@x.example,2026\n", [("bounce", "")]),
        ("Email Address,First Name,CLEAN_TIME\na@x.example,Ann,2026-11-01\n", [("bounce", "")]),
        ("Email Address,UNSUB_TIME,UNSUB_REASON\na@x.example,2026,never signed up\n", [("unsubscribe", "news")]),
        ("EmailAddress,Reason,LastUpdateTime\na@x.example,BOUNCE,2026\n", [("bounce", "")]),
        ("EmailAddress,Reason,LastUpdateTime\na@x.example,COMPLAINT,2026\n", [("complaint", "")]),
        ("email,reason\na@x.example,unsubscribed\n", [("unsubscribe", "news")]),
    ],
)
def test_exports_of_other_systems_are_classified(text: str, wanted: list[tuple[str, str]], tmp_path: Path) -> None:
    assert list(reasons(text, tmp_path, topic="news").values()) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("550 5.1.1 no such user", Reason.BOUNCE),
        ("550-5.1.1 The account that you tried to reach", Reason.BOUNCE),
        ("550 No Such User Here", Reason.BOUNCE),
        ("smtp; 550 5.1.2 <no.example>: host unknown", Reason.BOUNCE),
        ("550 #5.1.0 Address rejected", Reason.BOUNCE),
        ("5.1.1", Reason.BOUNCE),
        ("5.0.0 (unknown)", Reason.BOUNCE),
        ("552 5.2.2 mailbox full", Reason.SOFT_BOUNCES),
        ("552 mailbox full", Reason.SOFT_BOUNCES),
        ("550 5.7.1 blocked by policy", Reason.SOFT_BOUNCES),
        ("554 5.3.4 too large", Reason.SOFT_BOUNCES),
        ("4.4.2 timeout", Reason.SOFT_BOUNCES),
        ("421", Reason.SOFT_BOUNCES),
        ("Soft bounces", Reason.SOFT_BOUNCES),
        ("hard-bounce", Reason.BOUNCE),
        ("no bounces, please", None),
        ("asked by Mr Bounce", None),
        ("complained about the price", None),
        ("newsletter-unsubscribes-without-bounces", None),
        ("5 people asked", None),
        ("5501 Main Street", None),
        ("", None),
    ],
)
def test_a_reason_is_a_whole_cell_or_an_smtp_reply(text: str, reason: Reason | None) -> None:
    assert classify_reason(text) is reason


@pytest.mark.parametrize("reason", list(Reason))
def test_our_own_reasons_are_read_back(reason: Reason) -> None:
    assert classify_reason(str(reason)) is reason


def test_bounces_are_for_all_mail_and_unsubscribes_of_the_topic(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("email,reason\na@x.example,hard bounce\nb@x.example,unsubscribed\n")
    entries, _ = read(tmp_path / "l.csv", topic="news")
    assert [one.scope for one in entries] == [Scope.ALL, Scope.TOPIC]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("email,topic\na@x.example,news\nb@x.example,offers\n", {"topic": "news"}, r"has the topic offers.*line 3"),
        ("email,reason\na@x.example,complaint\n", {"topic": "news", "reason": "unsubscribe"}, r"complaint.*line 2"),
        ("email,topic,reason\na@x.example,news,unsubscribed\n", {"reason": "bounce"}, r"unsubscribe.*line 2"),
    ],
)
def test_option_that_changes_the_scope_of_an_entry_is_refused(
    text: str, options: dict[str, str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "l.csv", **options)


def test_what_cannot_match_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(f"email,n\na@x.example,1\n{'0a' * 16},2\nb@x.example\n@rival.example,3\n,4\n,\n")
    entries, invalid = read(tmp_path / "l.csv")
    assert [(one.key, one.address) for one in entries] == [("a@x.example", "a@x.example"), ("@rival.example", None)]
    assert invalid[0].startswith("it is a hash")
    assert invalid[1].startswith("the row has 1 fields")
    assert invalid[2] == "it has no address"
    assert len(invalid) == 3


def test_all_sheets_are_imported(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a@x.example"]}).write_excel(tmp_path / "one.xlsx")
    entries, _ = read(tmp_path / "one.xlsx")
    assert [one.source for one in entries] == ["one.xlsx"]


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_exported_list_keeps_the_proof_of_a_mail(tmp_path: Path, name: str) -> None:
    proofs = [None, *SuppressionProof, "by hand"]
    entries = [
        Suppression(f"p{number}@x.example", "", Reason.COMPLAINT, "inbound mail", NOW, None, None, proof)
        for number, proof in enumerate(proofs)
    ]
    export_suppressions([entries], tmp_path / name)
    again, invalid = read(tmp_path / name, reason="complaint")
    assert invalid == []
    assert [one.proof for one in again] == [None, *SuppressionProof, None]
    assert [one.is_certain for one in again] == [True, True, False, False, False, True]
