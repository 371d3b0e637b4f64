"""A campaign's own headers and tags, within the limits of SES."""

import pytest
from support.campaigns import refuse_toml

from engine.campaign.headers import LONGEST_VALUE


@pytest.mark.parametrize(
    ("header", "reported"),
    [
        ('"X Y" = "a"', "is not a valid header name"),
        ('"X:Y" = "a"', "is not a valid header name"),
        ('"" = "a"', "is not a valid header name"),
        ('"Größe" = "a"', "is not a valid header name"),
        (f'"{"x" * 127}" = "a"', "1 to 126"),
        ('Subject = "a"', "set by subject"),
        ('to = "a"', "set by the audience"),
        ('BCC = "a"', "set by the audience"),
        ('Date = "a"', "set by the transport"),
        ('Return-Path = "a"', "set by SES"),
        ('MIME-Version = "1.0"', "set by mailrun"),
        ('Content-Disposition = "a"', "set by mailrun"),
        ('Content-Transfer-Encoding = "a"', "set by mailrun"),
        ('X-SES-CONFIGURATION-SET = "a"', "set by [delivery]"),
        ('List-Unsubscribe = "<mailto:a@b.example>"', "set by [unsubscribe]"),
        ('Feedback-ID = "a"', "[delivery] feedback_id"),
        ('X-A = ""', "is empty"),
        ('X-A = "a\\nBcc: b@c.example"', "a line break or control character (U+000A)"),
        (f'X-A = "{"x" * 996}"', f"SES accepts at most {LONGEST_VALUE} characters"),
        ("X-A = 7", "text in quotes"),
        ('X-A = "a"\nx-a = "b"', "twice"),
        ("".join(f'X-{n} = "a"\n' for n in range(16)), "keep at most 15: SES accepts 15 per message"),
    ],
)
def test_headers_that_ses_refuses_are_errors_with_file_key_and_remedy(header: str, reported: str) -> None:
    found = refuse_toml(f"[headers]\n{header}\n")
    assert found.startswith("campaign.toml:")
    assert "[headers]" in found
    assert reported in found


@pytest.mark.parametrize(
    ("tags", "reported"),
    [
        ('tags = { "a b" = "c" }', "is not a valid tag name"),
        ('tags = { a = "b c" }', "is not a valid tag value"),
        ('tags = { a = "é" }', "is not a valid tag value"),
        ('tags = { a = "" }', "is not a valid tag value"),
        (f'tags = {{ a = "{"x" * 257}" }}', "1 to 256"),
        ('tags = { mailrun-row = "1" }', "is a reserved tag name"),
        ('tags = { "ses:from-domain" = "1" }', "is a reserved tag name"),
        ("tags = { a = 1 }", "text in quotes"),
        ("tags = { " + ", ".join(f'a{n} = "1"' for n in range(8)) + " }", "keep at most 7"),
        ('feedback_id = ["a", "b", "c"]', "feedback_id"),
        ('feedback_id = "a:b"', "is not a valid tag value"),
        ('feedback_id = "a"\ntags = { "ses:feedback-id-a" = "b" }', "sets the feedback ID twice"),
    ],
)
def test_tags_that_ses_refuses_are_errors_with_file_key_and_remedy(tags: str, reported: str) -> None:
    found = refuse_toml(f"[delivery]\n{tags}\n")
    assert found.startswith("campaign.toml:")
    assert "[delivery]" in found
    assert reported in found
