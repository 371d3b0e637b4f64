"""What is masked in every log line, error and reason: addresses, tokens and secrets, in time that grows linearly."""

import json
import logging
import re
from pathlib import Path
from types import ModuleType

import pytest

from engine import masking
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.render_error import RenderError
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.delivery.replies import read_error
from engine.delivery.transports.ses import read_exception
from engine.errors import ServiceError
from engine.masking import mask_secrets, mask_text, mask_value
from engine.stopping.stop import StopCause, StopReason

TOKEN = TokenSigner([b"a-key-of-more-than-16-bytes"]).sign("canary@b.example", "news")
SESSION = "IQoJb3JpZ2luX2VjE" + "Canary/+x" * 20
SIGNATURE = f"""The request signature we calculated does not match the signature you provided.

The Canonical String for this request should have been
'POST
/v2/email/outbound-emails

host:email.eu-west-1.amazonaws.com
x-amz-date:20261129T010203Z
x-amz-security-token:{SESSION}

host;x-amz-date;x-amz-security-token
0123456789abcdef'

The String-to-Sign should have been
'AWS4-HMAC-SHA256'
"""


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to ann.lee@b.example, now", "to a***@b.example, now"),
        ("<Ann+news@mail.b.example>.", "<A***@mail.b.example>."),
        ("RCPT TO:<o'neil@b.example>", "RCPT TO:<o***@b.example>"),
        ("bounce+ann=b.example@acme.example", "b***@acme.example"),
        ("/u?to=ann%40b.example", "/u***%40b.example"),
        ("ann%2540b.example", "a***%2540b.example"),
        ("müller@straße.example", "m***@straße.example"),
        ('"ann lee"@b.example', '"***"@b.example'),
        ("mailto:ann@b.example", "mailto:a***@b.example"),
        ("{'EmailAddress': 'ann@b.example'}", "{'EmailAddress': 'a***@b.example'}"),
        ("paused by ops@host", "paused by ops@host"),
        ("/home/ann@corp/mailrun", "/home/ann@corp/mailrun"),
        ("write it as user@example.com", "write it as user@example.com"),
        ("mailrun@127.0.0.1:5432", "mailrun@127.0.0.1:5432"),
        ("40 % of 40", "40 % of 40"),
    ],
)
def test_masked_address_keeps_its_first_letter_and_domain(text: str, masked: str):
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"GET /u/{TOKEN} HTTP/1.1", "GET /u/*** HTTP/1.1"),
        ("AKIAIOSFODNN7EXAMPLE is wrong", "AKIA*** is wrong"),
        (f"x-amz-security-token:{SESSION}\nhost:x", "x-amz-security-token:***\nhost:x"),
        ("{'Authorization': b'AWS4-HMAC-SHA256 Credential=A/b'}", "{'Authorization': ***"),
        ('{"SecretAccessKey": "abc", "a": 1}', '{"SecretAccessKey": ***, "a": 1}'),
        (f"given {SESSION}", "given ***"),
        (
            "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:x&Token=2336412f37",
            "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:x&Token=***",
        ),
        ("no postgresql://ann:hush@db.example/m here", "no postgresql://ann:***@db.example/m here"),
        ("through http://ann:hush@proxy:3128", "through http://***@proxy:3128"),
        ("s3://id:hush@bucket/x", "s3://id:***@bucket/x"),
        ("host=db password='hu sh' user=ann", "host=db password=*** user=ann"),
        ("DETAIL:  Key (address, topic)=(ann, news) already exists.", "DETAIL:  Key (***"),
        ("DETAIL:  Failing row contains (7, Ann Lee, null).", "DETAIL:  Failing row contains (***"),
        (
            "ExpiredTokenException: The security token is expired",
            "ExpiredTokenException: The security token is expired",
        ),
        ("SignatureDoesNotMatch: see", "SignatureDoesNotMatch: see"),
        ("MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD", "MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD"),
        ("0100018f3c1a-21e57d9a-1234-416c-bbe1-8ebaAexample-000000", None),
        ("a" * 64, None),
        ("/store/" + "a-long-name/" * 30 + "campaign.toml", None),
    ],
)
def test_tokens_and_secrets_are_masked_and_ids_are_not(text: str, masked: str | None):
    assert mask_secrets(text) == mask_text(text) == (text if masked is None else masked)


def test_every_error_of_mailrun_is_masked_wherever_it_goes():
    error = ServiceError("no ann@b.example", where="postgresql://a:canary@h/d", remedy=f"drop {TOKEN}")
    assert str(error) == "no a***@b.example (postgresql://a:***@h/d); drop ***"
    assert (error.what, error.args) == ("no a***@b.example", ("no a***@b.example",))


def test_sender_is_shown_unmasked_so_that_people_can_correct_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_shown", set())
    masking.show_address("News@acme.example")
    assert mask_text("news@acme.example, <news@acme.example> 'ann@b.example'") == (
        "news@acme.example, <news@acme.example> 'a***@b.example'"
    )


def test_reason_of_a_pause_hides_the_quoted_request_and_recipient():
    """SES answers a wrong signature with the canonical request, and the session token in it."""
    reply = read_error(status=403, code="SignatureDoesNotMatch", message=SIGNATURE, sender="news@acme.example")
    assert "Canary" not in reply.detail
    assert "x-amz" not in reply.detail
    assert reply.detail.startswith("SignatureDoesNotMatch: The request signature we calculated does not match")
    told = read_exception(OSError("no ann@b.example through http://u:canary@proxy:1"))
    assert told.detail == "OSError: no ann@b.example through http://***@proxy:1", "the outcome names its recipient"
    reason = StopReason(StopCause.PAUSED, told.detail).to_sentences()
    assert reason == "OSError: no a***@b.example through http://***@proxy:1; launch again to resume"


def test_secret_values_of_the_environment_are_masked_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_known_secrets", set())
    monkeypatch.setattr(masking, "_known", None)
    environment = {"AWS_SECRET_ACCESS_KEY": "Canary/Key+1", "MAILRUN_UNSUBSCRIBE_KEYS": "canary-key-1, canary-key-2"}
    masking.remember_secrets_of_environment(environment | {"PGPASSWORD": "short"})
    assert mask_text("a (Canary/Key+1) canary-key-2 canary-key-1. short") == "a (***) *** ***. short"


def test_values_of_every_shape_are_masked():
    event = {"ann@b.example": ["x@b.example", {"n": (1, None, True, 2.5)}], "path": Path("/a/b@b.example")}
    assert mask_value(event) == {
        "a***@b.example": ["x***@b.example", {"n": [1, None, True, 2.5]}],
        "path": "/a/b***@b.example",
    }


PATTERNS = [name for name, value in vars(masking).items() if isinstance(value, re.Pattern)]


def list_repeats(tree: object) -> list[str]:
    """List the kinds of repeats without a bound in a parsed pattern."""
    found: list[str] = []
    parts = list(getattr(tree, "data", tree if isinstance(tree, list | tuple) else ()))
    for part in parts:
        if isinstance(part, tuple) and len(part) == 2 and str(part[0]).endswith("REPEAT"):
            _, most, inner = part[1]
            found += [str(part[0])] if most > 5000 else []
            found += list_repeats(inner)
        elif isinstance(part, list | tuple) or hasattr(part, "data"):
            found += list_repeats(part)
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_backtracks(name: str):
    """An unbounded repeat that may backtrack makes a pattern read the same characters many times."""
    parser: ModuleType = re._parser  # type: ignore[attr-defined] # the standard library's own
    pattern = vars(masking)[name]
    assert set(list_repeats(parser.parse(pattern.pattern, pattern.flags))) <= {"POSSESSIVE_REPEAT"}


@pytest.mark.parametrize("name", ["_ADDRESS", "_URL", "_TOKEN", "_SESSION_TOKEN", "_ACCESS_KEY"])
def test_a_pattern_that_begins_anywhere_looks_behind_first(name: str):
    """A match may start only at the beginning of a long run of characters: else the run is read again for each."""
    assert vars(masking)[name].pattern.startswith("(?<![")


def test_logging_twice_adds_one_handler(monkeypatch: pytest.MonkeyPatch):
    from engine.logs import configure_logs, reset_logs  # noqa: PLC0415 - it changes what the process logs

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    try:
        configure_logs(verbose=False)
        configure_logs(verbose=True)
        assert len(root.handlers) == 1
    finally:
        reset_logs()
        logging.captureWarnings(capture=False)


def test_a_report_of_content_names_no_recipient():
    """Values end in the reasons of messages that cannot be rendered, and in findings about links."""
    assert RenderError("body.txt", 3, "'ann@b.example' is not a date").reason == "'a***@b.example' is not a date"
    findings = LintFindings()
    findings.add(LintFinding(Severity.ERROR, "link", "javascript:to('ann@b.example')", "drop it", "href"), row=1)
    assert "ann@" not in json.dumps(findings.to_json())
