"""campaign.toml: what it accepts, and its errors for everything else."""

from datetime import UTC, datetime
from textwrap import dedent

import pytest

from engine.campaign.spec import check_key, format_key, parse_spec
from engine.errors import ConfigurationError, UsageError

FILE = "campaigns/welcome/campaign.toml"
FULL = """\
from = "Acme News <news@acme.example>"
reply_to = ["hello@acme.example"]
subject = "Welcome, {{ first_name }}"
kind = "marketing"
key = "{date}"

[audience]
source = "audiences/subscribers.csv"
address = "email"
where = "country = 'VN' AND points > 100"
required = ["first_name"]
defaults = { first_name = "there" }

[suppression]
files = ["audiences/suppressed.csv"]
topic = "newsletter"

[content]
html = "body.html.j2"
text = "body.txt.j2"
attachments = ["terms.pdf"]

[unsubscribe]
url = "https://acme.example/u/{{ token }}"
mailto = "unsubscribe@acme.example"

[delivery]
transport = "ses"
call = "single"
configuration_set = "marketing"
rate_share = 0.8
max_rate = 100
in_doubt = "hold"
at_quota = "pause"

[guard]
max_bounce_rate = 0.05
max_complaint_rate = 0.001
max_failure_rate = 0.02
"""
NOTICE = """\
from = "status@acme.example"
subject = "Maintenance"
kind = "transactional"

[audience]
source = "audiences/subscribers.csv"

[content]
text = "body.txt.j2"
"""


def refusal(source: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse_spec(source, file=FILE)
    return caught.value


def line_of(source: str, beginning: str) -> int:
    return next(number for number, line in enumerate(source.split("\n"), 1) if line.startswith(beginning))


def test_every_key_of_the_documented_file_is_accepted() -> None:
    spec = parse_spec(FULL, file=FILE)
    assert spec.sender == "Acme News <news@acme.example>"
    assert spec.reply_to == ("hello@acme.example",)
    assert spec.content.attachments == ("terms.pdf",)
    assert spec.delivery.max_rate == 100
    assert spec.guard.max_complaint_rate == 0.001


def test_the_defaults_are_the_cautious_ones() -> None:
    spec = parse_spec(NOTICE, file=FILE)
    assert (spec.key, spec.reply_to, spec.unsubscribe) == ("{date}", (), None)
    delivery = spec.delivery
    assert (delivery.transport, delivery.call, delivery.in_doubt, delivery.at_quota) == (
        "ses",
        "single",
        "hold",
        "pause",
    )
    assert (delivery.rate_share, delivery.max_rate, delivery.configuration_set) == (1.0, None, None)
    assert (spec.guard.max_bounce_rate, spec.guard.max_complaint_rate, spec.guard.max_failure_rate) == (
        0.05,
        0.001,
        0.02,
    )


def test_campaign_of_no_stated_kind_is_marketing() -> None:
    error = refusal(NOTICE.replace('kind = "transactional"\n', ""))
    assert error.what == "[unsubscribe] is missing in a marketing campaign"
    assert error.where == f"{FILE} [unsubscribe]"
    assert error.remedy.startswith('add [unsubscribe] with url = "https://…/{{ token }}"')


def test_transactional_campaign_has_no_unsubscribe_link() -> None:
    source = FULL.replace('kind = "marketing"', 'kind = "transactional"')
    error = refusal(source)
    assert error.what == "[unsubscribe] is set in a transactional campaign"
    assert error.where == f"{FILE}:{line_of(source, '[unsubscribe]')} [unsubscribe]"


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_key() -> None:
    source = FULL.replace("max_rate = 100", "max_rat = 100")
    error = refusal(source)
    assert error.what == "unknown key max_rat"
    assert error.where == f"{FILE}:{line_of(source, 'max_rat ')} [delivery] max_rat"
    assert error.remedy.startswith(
        "did you mean max_rate? Available: at_quota, call, click_tracking, configuration_set,"
    )


def test_an_unknown_table_is_named_with_the_nearest_table() -> None:
    error = refusal(NOTICE + "\n[gard]\nmax_bounce_rate = 0.1\n")
    assert error.what == "unknown table gard"
    assert error.where == f"{FILE}:11 [gard]"
    assert error.remedy.startswith("did you mean guard? Available: audience, canary, cap,")


@pytest.mark.parametrize(
    ("source", "place", "remedy"),
    [
        ("max_rate = 100\n" + FULL.replace("max_rate = 100\n", ""), ":1 max_rate", "move it to [delivery]"),
        (FULL + 'subject = "Hi"\n', ":40 [guard] subject", "move it to the top of the file, before the first [table]"),
        (FULL + "topic = 'x'\n", ":40 [guard] topic", "move it to [suppression]"),
        (NOTICE + "[audience.content]\nhtml = 'x'\n", ":10 [audience.content]", "write [content]"),
    ],
)
def test_key_in_the_wrong_table_says_where_it_belongs(source: str, place: str, remedy: str) -> None:
    error = refusal(source)
    assert error.where == FILE + place
    assert error.remedy == remedy


@pytest.mark.parametrize(
    ("old", "new", "what", "remedy"),
    [
        ('subject = "Welcome, {{ first_name }}"', "subject = 5", "subject is 5", "write text in quotes"),
        ('subject = "Welcome, {{ first_name }}"', 'subject = ""', 'subject is ""', "write text that is not empty"),
        ("max_rate = 100", 'max_rate = "100"', 'max_rate is "100"', "write a number"),
        ("max_rate = 100", "max_rate = true", "max_rate is true", "write a number"),
        ("max_rate = 100", "max_rate = 0", "max_rate is 0", "write a number greater than 0"),
        ("max_rate = 100", "max_rate = inf", "max_rate is Infinity", "write a finite number"),
        ("rate_share = 0.8", "rate_share = 0.0", "rate_share is 0.0", "write a number greater than 0"),
        ("rate_share = 0.8", "rate_share = 1.5", "rate_share is 1.5", "write a number of at most 1"),
        ("max_bounce_rate = 0.05", "max_bounce_rate = 5", "max_bounce_rate is 5", "write a number of at most 1"),
        ("max_bounce_rate = 0.05", "max_bounce_rate = -1", "max_bounce_rate is -1", "write a number of at least 0"),
        (
            'files = ["audiences/suppressed.csv"]',
            'files = "a.csv"',
            'files is "a.csv"',
            'write a list such as ["…", "…"]',
        ),
        ('required = ["first_name"]', "required = [1]", "required is 1", "write text in quotes"),
        ('kind = "marketing"', 'kind = "promo"', 'kind is "promo"', 'write "marketing" or "transactional"'),
        ('in_doubt = "hold"', 'in_doubt = "drop"', 'in_doubt is "drop"', 'write "hold" or "resend"'),
        (
            'configuration_set = "marketing"',
            'configuration_set = "my set"',
            'configuration_set is "my set"',
            "write text that matches ^[A-Za-z0-9_-]{1,64}$",
        ),
    ],
)
def test_wrong_value_says_what_was_found_and_expected(old: str, new: str, what: str, remedy: str) -> None:
    source = FULL.replace(old, new)
    error = refusal(source)
    assert (error.what, error.remedy) == (what, remedy)
    assert error.where.startswith(f"{FILE}:{line_of(source, new)} ")


def test_default_of_an_invalid_type_gets_one_error() -> None:
    source = FULL.replace('{ first_name = "there" }', "{ first_name = [1] }")
    error = refusal(source)
    assert error.what == "first_name is [1]"
    assert error.where == f"{FILE}:{line_of(source, 'defaults')} [audience] defaults.first_name"
    assert error.remedy == "write text in quotes or a number or true or false"


def test_value_in_place_of_a_table_asks_for_a_table() -> None:
    error = refusal(
        NOTICE.replace('[content]\ntext = "body.txt.j2"', 'content = "x"').replace("[audience]\n", "") + "\n"
    )
    assert "write a table" in error.what
    assert "audience is missing" in error.what


def test_missing_key_and_missing_table_say_where_to_add_them() -> None:
    error = refusal(NOTICE.replace('source = "audiences/subscribers.csv"\n', ""))
    assert (error.what, error.remedy) == ("source is missing", "add it to [audience]")
    assert error.where == f"{FILE}:5 [audience] source"
    error = refusal(NOTICE.replace('[content]\ntext = "body.txt.j2"\n', ""))
    assert (error.what, error.where, error.remedy) == ("content is missing", f"{FILE} [content]", "add it")


def test_content_needs_html_or_text() -> None:
    error = refusal(NOTICE.replace('text = "body.txt.j2"\n', ""))
    assert (error.what, error.remedy) == (
        "[content] names neither html nor text",
        "set html, text or both to a template",
    )
    assert error.where == f"{FILE}:8 [content]"


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/passwd", "a\\\\b", "", "a\\u0007b"])
def test_content_stays_inside_the_campaign_folder(path: str) -> None:
    error = refusal(NOTICE.replace("body.txt.j2", path))
    assert error.what.startswith("text is not a path inside the campaign folder: ")


@pytest.mark.parametrize(
    ("sender", "what", "remedy"),
    [
        ("acme.example", "is not an email address", "write it as user@example.com"),
        ("news@localhost", "is not an email address", "write it as user@example.com"),
        ("a..b@acme.example", "is not an email address", "write it as user@example.com"),
        ("Acme <>", "is not an email address", "write it as user@example.com"),
        ("Acme <nëws@acme.example>", "has non-ASCII characters", "write the domain in Punycode (xn--…)"),
        (
            f"{'a' * 65}@acme.example",
            "is too long",
            "use at most 64 characters before the @ and at most 254 in all",
        ),
        (
            "Acme, Inc <news@acme.example>",
            "is not a mailbox",
            'write Name <user@example.com>; a name with , or ; needs "quotes" around it',
        ),
        (
            "Acme\\nBcc: x <a@b.example>",
            "has control characters",
            "remove line breaks and invisible characters",
        ),
    ],
)
def test_sender_that_is_not_a_mailbox_is_refused(sender: str, what: str, remedy: str) -> None:
    error = refusal(FULL.replace("Acme News <news@acme.example>", sender))
    assert error.what.startswith(f"from {what}: ")
    assert error.where == f"{FILE}:1 from"
    assert error.remedy == remedy


@pytest.mark.parametrize("sender", ["Chloé <a@b.example>", r"\"Acme, Inc\" <a@b.example>", "a+b@c.d-e.example"])
def test_a_sender_may_have_any_name(sender: str) -> None:
    parse_spec(FULL.replace("Acme News <news@acme.example>", sender), file=FILE)


def test_replies_and_requests_by_mail_need_addresses_too() -> None:
    error = refusal(FULL.replace('["hello@acme.example"]', '["hello"]').replace('mailto = "unsubscribe@', 'mailto = "'))
    assert '- line 2 reply_to: reply_to is not an email address: "hello"; write it as user@example.com' in error.what
    assert '[unsubscribe] mailto: mailto is not an email address: "acme.example"' in error.what


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://acme.example/{{ token }}", "is not an https link with a fixed host"),
        ("https://{{ token }}.acme.example/", "is not an https link with a fixed host"),
        ("https://acme.example/u", "has no {{ token }}"),
        ("https://acme.example/{{ token }}/{{ email }}", "has a character that is not allowed in a link"),
        ("https://acme.example/a b/{{ token }}", "has a character that is not allowed in a link"),
        ("https://acme.example/ü/{{token}}", "has a character that is not allowed in a link"),
        ("https://acme.example/>,<{{token}}", "has a character that is not allowed in a link"),
    ],
)
def test_the_unsubscribe_link_is_https_and_carries_the_token_alone(url: str, what: str) -> None:
    error = refusal(FULL.replace("https://acme.example/u/{{ token }}", url))
    assert error.what.startswith(f"url {what}: ")


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    source = (
        FULL.replace("max_rate = 100", "max_rat = 1")
        .replace('kind = "marketing"', "kind = 1")
        .replace('"{date}"', '"{day}"')
    )
    error = refusal(source)
    assert error.where == FILE
    bullets = error.what.split("\n  - ")
    assert bullets[0] == "3 problems:"
    assert bullets[1] == 'line 4 kind: kind is 1; write "marketing" or "transactional"'
    assert bullets[2].startswith(
        'line 5 key: key has the unknown placeholder {day}: "{day}"; use one of {date}, {week}'
    )
    assert bullets[3].startswith("line 32 [delivery] max_rat: unknown key max_rat; did you mean max_rate?")


def test_value_over_several_lines_keeps_the_lines_of_what_follows() -> None:
    source = dedent('''\
        from = "a@b.example"
        subject = """
        [delivery]
        max_rat = 1"""
        kind = "transactional"
        reply_to = [
          "a@b.example",

          "b@b.example",  # [guard]
        ]

        audience.source = "x.csv"
        content = { text = "x" }
        [delivery]
        # a comment
        max_rat = 1
    ''')
    assert refusal(source).where == f"{FILE}:16 [delivery] max_rat"


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ('from = "a@b.example"\nsubject = Hello\n', 2, "the TOML cannot be read: Invalid value at column 11"),
        ("a = 1\na = 2\n", 2, "the TOML cannot be read: Cannot overwrite a value at column 6"),
        ('a = """\nb', 2, "the TOML cannot be read: "),
    ],
)
def test_a_syntax_error_names_its_line(source: str, line: int, what: str) -> None:
    error = refusal(source)
    assert error.where == f"{FILE}:{line}"
    assert error.what.startswith(what)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{date}", "2026-11-24"),
        ("{week}", "2026-W48"),
        ("{month}", "2026-11"),
        ("{hour}", "2026-11-24T13"),
        ("{date}-evening", "2026-11-24-evening"),
        ("launch", "launch"),
    ],
)
def test_a_key_template_is_filled_with_the_time(template: str, key: str) -> None:
    assert format_key(template, datetime(2026, 11, 24, 13, 59, tzinfo=UTC)) == key
    assert check_key(key) == key


def test_a_week_belongs_to_its_iso_year() -> None:
    assert format_key("{week}", datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"


@pytest.mark.parametrize("template", ["", "a b", "{date}/x", "-{date}", "{{date}}", "x" * 65, "{"])
def test_a_key_template_that_makes_no_key_is_refused(template: str) -> None:
    assert refusal(FULL.replace('"{date}"', f'"{template}"')).what.startswith("key makes the invalid key ")


@pytest.mark.parametrize("key", ["", "a b", "../x", "-a", "x" * 65, "ü", "a\n"])
def test_explicit_key_follows_the_same_rule(key: str) -> None:
    with pytest.raises(UsageError, match="is not a valid run key"):
        check_key(key)
