"""What differs by recipient, server or message does not divide a cause or a diagnosis."""

import polars as pl
import pytest

from engine.report.figures.cause_texts import find_code, name_diagnosis, name_error


def diagnose(*details: str | None, local: str = "ann.lee") -> list[str]:
    frame = pl.DataFrame({"detail": details, "local": [local] * len(details)}, schema_overrides={"detail": pl.String})
    return frame.select(name_diagnosis(pl.col("detail"), pl.col("local")).alias("detail"))["detail"].to_list()


def code(status: str | None, detail: str | None) -> str:
    frame = pl.DataFrame({"s": [status], "d": [detail]}, schema={"s": pl.String, "d": pl.String})
    return str(frame.select(find_code(pl.col("s"), pl.col("d")).alias("c"))["c"].item())


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        (
            "smtp; 550 5.1.1 <ann.lee@b.example>: Recipient address rejected: User unknown",
            "smtp; 550 5.1.1 <bo@c.example>: Recipient address rejected: User unknown",
            "<…>: Recipient address rejected: User unknown",
        ),
        (
            "smtp; 550-5.1.1 It does not exist. 550-5.1.1 Look at https://s.example/?p=No x1-20020a05.45 - gsmtp",
            "smtp; 550-5.1.1 It does not exist. 550-5.1.1 Look at https://t.example/?p=No q9-30030b06.12 - gsmtp",
            "It does not exist. Look at … - gsmtp",
        ),
        (
            "smtp; 554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spam.example",
            "smtp; 554 5.7.1 Service unavailable; Client host [198.51.100.9] blocked using bl.spam.example",
            "Service unavailable; Client host […] blocked using …",
        ),
        (
            "smtp; 452 4.2.2 mailbox full, 104857600 of 104857600 bytes (queue A1B2C3D4E5)",
            "smtp; 452 4.2.2 mailbox full, 52428801 of 52428800 bytes (queue F6E7D8C9B0)",
            "mailbox full, … of … bytes (queue …)",
        ),
        (
            "smtp; 550 2001:db8::1 is not allowed to send mail (S3150)",
            "smtp; 550 2001:db8:0:1::2 is not allowed to send mail (S3150)",
            "… is not allowed to send mail (S3150)",
        ),
        ("smtp; 550 no such user 'ann.lee'", "smtp; 550 no such user '1'", None),
    ],
)
def test_diagnoses_are_the_same_but_for_what_differs_by_mail(first: str, second: str, named: str | None) -> None:
    one, two = diagnose(first, second)
    assert "ann" not in one
    if named is not None:
        assert (one, two) == (named, named)


def test_local_part_alone_is_removed_but_not_within_words() -> None:
    assert diagnose("smtp; 550 mailbox of anna is full, joanna", local="anna") == ["mailbox of … is full, joanna"]
    assert diagnose("smtp; 550 user unknown", local="user") == ["user unknown"]


def test_missing_and_hostile_texts_have_a_short_name() -> None:
    assert diagnose(None, "") == ["", ""]
    (long,) = diagnose("smtp; 550 " + "word " * 5000)
    assert len(long) <= 240


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        ("5.1.1", "smtp; 550 4.2.2 x", "5.1.1"),
        (None, "smtp; 550 5.7.26 x", "5.7.26"),
        (None, "smtp; 550 no", "550"),
        ("junk", None, ""),
        ("9.9.9", "version 1.2.3", ""),
        (None, None, ""),
    ],
)
def test_code_is_the_status_or_that_of_the_text(status: str | None, detail: str | None, expected: str) -> None:
    assert code(status, detail) == expected


def test_errors_are_grouped_without_values() -> None:
    errors = pl.DataFrame({"e": [
        'price is "12,x", which is not a number written with decimal = ","',
        'price is "7,y", which is not a number written with decimal = ","',
        "MessageRejected: Email address is not verified: ann@b.example in region EU-WEST-1",
        "MessageRejected: Email address is not verified: bo@c.example in region EU-WEST-1",
    ]})  # fmt: skip
    named = errors.select(name_error(pl.col("e")))["e"]
    assert named.n_unique() == 2
    assert not named.str.contains("@").any()
