"""What lint finds: in the templates, and in the messages."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.campaigns import TOML, write_campaign
from support.messages import make_message

from engine.campaign.content.templates import compile_content
from engine.campaign.lint import lint_templates
from engine.campaign.lint_findings import LintFindings, Severity
from engine.campaign.message import Envelope, Message, Part, prepare_envelope
from engine.campaign.message_lint import MessageLint, find_unused_inline
from engine.campaign.spec import Campaign

MARKETING = TOML.replace('kind = "transactional"', 'unsubscribe.url = "https://acme.example/{{ token }}"')
WAY_OUT = "https://acme.example/TOKEN?a=1&b=2"
HEADERS = (("List-Id", "<a.acme.example>"), ("List-Unsubscribe", f"<{WAY_OUT}>, <mailto:a@b.example>"))
PREHEADER = '<body><div style="display:none">First words</div>'
GOOD = make_message(
    row=7,
    address="ann@example.com",
    subject="Hi",
    html=f'<html>{PREHEADER}<p>x</p><a href="{WAY_OUT.replace("&", "&amp;")}">out</a></body></html>',
    text=f"x\n{WAY_OUT}\n",
    headers=HEADERS,
    tags=(),
)


def change(message: Message, **changes: Any) -> Message:
    """Change fields of a message; html and text are the texts of its parts."""
    for name in {"html", "text"} & changes.keys():
        changes[f"{name}_part"] = None if changes[name] is None else Part([changes.pop(name)])
        changes.pop(name, None)
    return replace(message, **changes)


def campaign_of(folder: Path, toml: str = MARKETING) -> Campaign:
    return write_campaign(folder, {}, 'html = "body.html.j2"', toml=toml)


def check(folder: Path, message: Message, *, toml: str = MARKETING) -> list[tuple[Severity, str]]:
    campaign = campaign_of(folder, toml)
    lint = MessageLint(campaign, Envelope("a@b.example", (), (), None))
    has_error = lint.check(message)
    found = [(one.severity, one.code) for one in lint.findings]
    assert has_error == any(severity is Severity.ERROR for severity, _ in found)
    return found


def with_body(html: str) -> Message:
    return change(GOOD, html=str(GOOD.html).replace("<p>x</p>", html))


def test_a_good_message_has_no_finding(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("message", "severity", "code"),
    [
        (change(GOOD, subject="x" * 79), "warning", "long_subject"),
        (change(GOOD, html=str(GOOD.html).replace("display:none", "")), "warning", "no_preheader"),
        (change(GOOD, html=str(GOOD.html) + "é" * 60_000), "warning", "clipped"),
        (change(GOOD, text="\n"), "warning", "no_text"),
        (change(GOOD, text="x"), "warning", "no_unsubscribe_link_in_text"),
        (change(GOOD, html=f"{PREHEADER}x"), "error", "no_unsubscribe_link"),
        (change(GOOD, html=None, text="x"), "error", "no_unsubscribe_link"),
        (change(GOOD, subject="Hi {{ name }}"), "warning", "left_over"),
        (change(GOOD, text=f"{GOOD.text}Dear *|FNAME|*"), "warning", "left_over"),
        (with_body("Dear [[FirstName]]"), "warning", "left_over"),
        (with_body("Dear %%name%%"), "warning", "left_over"),
        (with_body('<img src="https://a.example/x.png">'), "warning", "no_alt"),
        (with_body('<img src="http://a.example/x.png" alt="">'), "warning", "unencrypted"),
        (with_body('<img src="logo.png" alt="">'), "error", "relative"),
        (with_body('<img src="cid:logo.png" alt="">'), "error", "unknown_cid"),
        (with_body("<a href='/pricing'>x</a>"), "error", "relative"),
        (with_body("<a href=www.acme.example>x</a>"), "error", "relative"),
        (with_body('<a href="http://acme.example">x</a>'), "warning", "unencrypted"),
        (with_body('<a href="">x</a>'), "warning", "no_address"),
        (with_body('<a href="javascript:alert(1)">x</a>'), "error", "scheme"),
        (with_body('<a href="https://acme.example/{{ id }}">x</a>'), "error", "placeholder_in_link"),
        (with_body('<a href="https://acme.example/%7B%7B id %7D%7D">x</a>'), "error", "placeholder_in_link"),
        (with_body('<a href="https://acme.example/*|UNSUB|*">x</a>'), "error", "placeholder_in_link"),
        (change(GOOD, html=str(GOOD.html) + "x" * 11_000_000), "error", "too_large"),
    ],
)
def test_each_fault_of_a_message_is_found(tmp_path: Path, message: Message, severity: str, code: str) -> None:
    assert (severity, code) in check(tmp_path, message)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="#top">x</a>',
        '<a name="top">x</a>',
        '<a href="mailto:a@b.example">x</a>',
        '<a href="tel:+84123">x</a>',
        '<IMG SRC="https://a.example/x.png" ALT>',
        '<img src="data:image/gif;base64,R0lGOD" alt="">',
    ],
)
def test_what_is_right_is_left_alone(tmp_path: Path, html: str) -> None:
    assert check(tmp_path, with_body(html)) == []


def test_transactional_messages_need_no_unsubscribe_link(tmp_path: Path) -> None:
    assert check(tmp_path, change(GOOD, html=f"{PREHEADER}x", text="x", headers=()), toml=TOML) == []


def test_ses_fills_in_its_own_unsubscribe_link_at_most_twice(tmp_path: Path) -> None:
    toml = TOML.replace('kind = "transactional"', 'unsubscribe.ses_contact_list = "readers"')
    link = '<a href="{{amazonSESUnsubscribeUrl}}">out</a>'
    message = change(GOOD, html=PREHEADER + link, text="{{amazonSESUnsubscribeUrl}}", headers=HEADERS[:1])
    assert check(tmp_path, message, toml=toml) == []
    thrice = change(message, html=PREHEADER + 3 * link)
    assert check(tmp_path, thrice, toml=toml) == [("error", "too_many_ses_links")]


def test_inline_images_are_known_and_unused_ones_reported(tmp_path: Path) -> None:
    campaign = write_campaign(
        tmp_path, {"logo.png": "x", "old.png": "x"}, 'html = "b"\ninline = ["logo.png", "old.png"]', toml=MARKETING
    )
    envelope = prepare_envelope(campaign)
    lint = MessageLint(campaign, envelope)
    assert not lint.check(with_body('<img src="cid:logo.png" alt="">'))
    assert list(lint.findings) == []
    (unused,) = find_unused_inline(envelope, lint.cids)
    assert unused.what == "the inline image old.png is not used in any message that was checked"


def test_findings_count_their_messages_and_know_the_first(tmp_path: Path) -> None:
    lint = MessageLint(campaign_of(tmp_path), Envelope("a@b.example", (), (), None))
    for row in (3, 5, 9):
        lint.check(replace(with_body("<a href='/x'>x</a>"), row=row))
    other = LintFindings()
    other.merge(lint.findings)
    other.merge(lint.findings)
    (relative,) = other.of(Severity.ERROR)
    assert (other.counts[relative], other.rows[relative]) == (6, 3)


def test_findings_that_differ_for_every_row_take_bounded_memory(tmp_path: Path) -> None:
    lint = MessageLint(campaign_of(tmp_path), Envelope("a@b.example", (), (), None))
    for row in range(1000):
        lint.check(replace(with_body(f"<a href='/{row}'>x</a>"), row=row))
    assert sum(lint.findings.counts.values()) == 1000
    assert len(lint.findings.counts) <= 101


FILES = {
    "body.html.j2": "{{ first_name }}{% if city %}{{ city }}{% endif %}{{ plan|default('free', true) }}\n{{ points }}"
}
COLUMNS = ["email", "first_name", "city", "plan", "points", "country"]


def lint_of(
    folder: Path, content: str = "", nulls: dict[str, int] | None = None, files: dict[str, str] | None = None
) -> list[str]:
    campaign = write_campaign(folder, {**FILES, **(files or {})}, f'html = "body.html.j2"\n{content}')
    findings = lint_templates(compile_content(campaign), COLUMNS, nulls or {})
    return [f"{one.severity} {one.what} ({one.where.rpartition('/')[2]})" for one in findings]


def test_unused_names_of_the_audience_are_reported(tmp_path: Path) -> None:
    content = '[audience]\nsource = "a"\ndefaults = { country = "VN" }\nrequired = ["email"]\n'
    campaign = write_campaign(
        tmp_path,
        FILES,
        'html = "body.html.j2"',
        toml=TOML.replace('audience.source = "a.csv"', "").replace("[content]", content + "[content]"),
    )
    told = [one.what for one in lint_templates(compile_content(campaign), COLUMNS, {}).of(Severity.WARNING)]
    assert told == [
        "[audience] defaults names country, which no template reads",
        "[audience] required names email, which no template reads",
    ]
    assert lint_of(tmp_path) == ["note no template reads country ()"]


def test_nullable_column_used_without_a_guard_is_reported_with_its_line(tmp_path: Path) -> None:
    nulls = dict.fromkeys(COLUMNS, 12)
    assert lint_of(tmp_path, nulls=nulls)[:2] == [
        "warning first_name is null for 12 recipients, and a template uses it without testing it (body.html.j2:1)",
        "warning points is null for 12 recipients, and a template uses it without testing it (body.html.j2:2)",
    ]


def test_incomplete_or_never_chosen_languages_are_reported(tmp_path: Path) -> None:
    files = {"body.vi.html.j2": "x", "subject.de.j2": "x"}
    never = "body.vi.html.j2, subject.de.j2 are never used: no column gives the recipient's language"
    assert f"warning {never} (campaign.toml)" in lint_of(tmp_path, files=files)
    told = lint_of(tmp_path, 'locale = "country"', files=files)
    assert "warning the language de has no html of its own: the default is sent instead (welcome)" in told
    assert "warning the language vi has no subject of its own: the default is sent instead (welcome)" in told


def test_lint_reports_an_empty_attachment(tmp_path: Path) -> None:
    files = {"body.html.j2": "x", "empty.pdf": "", "full.pdf": "x"}
    campaign = write_campaign(tmp_path, files, 'html = "body.html.j2"\nattachments = ["empty.pdf", "full.pdf"]')
    found = lint_templates(compile_content(campaign), [], {}).of(Severity.WARNING)
    assert [(one.code, one.where) for one in found] == [("empty_attachment", str(campaign.folder / "empty.pdf"))]


def test_unsubscribing_by_mail_alone_is_reported(tmp_path: Path) -> None:
    toml = TOML.replace('kind = "transactional"', 'unsubscribe.mailto = "out@acme.example"')
    campaign = write_campaign(tmp_path, FILES, 'html = "body.html.j2"', toml=toml)
    (told,) = lint_templates(compile_content(campaign), COLUMNS[:5], {}).of(Severity.WARNING)
    assert told.code == "no_one_click"
