"""What outsiders send is read in linear time: twice the input, at most 2.5 times the work, for every parser."""

import ast
import importlib
import json
import pkgutil
import re
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from support.events import make_event, make_mail
from support.work import count_lines, find_ambiguity, find_excess

import engine.feedback
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import DataError
from engine.feedback.events.envelopes import ForgedError, open_body, split_documents
from engine.feedback.events.files import read_file
from engine.feedback.events.matching import make_frame
from engine.feedback.events.signatures import SnsVerifier
from engine.feedback.inbound.authority import MailTrust, ReceivedMail, SesReceipt
from engine.feedback.inbound.dmarc_reports import UnreadableReportError, parse_report
from engine.feedback.inbound.header_fields import MOST_FIELDS, UnreadableMailError
from engine.feedback.inbound.intake import judge
from engine.feedback.inbound.mail import MailKind, read_mail
from engine.feedback.inbound.mail_files import read_mails
from engine.feedback.inbound.mail_parts import MOST_BYTES, MOST_DEPTH, MOST_PARTS, read_parts
from engine.feedback.inbound.notifications import NoMailError, open_notification
from engine.feedback.inbound.transfer_encodings import CHARSETS, decode_charset
from engine.feedback.unsubscribe.lambda_handler import answer_event
from engine.feedback.unsubscribe.pages import UnsubscribePages
from engine.feedback.unsubscribe.requests import has_field
from engine.feedback.unsubscribe.tokens import find_token, find_tokens, verify_token

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
PAGES = UnsubscribePages()
TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"

PIECES = (
    *("a", " ", " \t", "[", "(", ")", "<", ">", "\\", '"', ";", ",", ":", "=", "?", "-", "_", "@", "%", "&", "{"),
    *("\0", "\r\n ", "\n", "\r", "\n\n", "x\n", "é", "\u2028", "\ud83d", "(\\", '"\\', '";', "a;b=", ' "x"'),
    *("<a@b.example>,", "a@b.example, ", "g:;", "re: ", "re:", "please ", "unsubscribe ", "auto ", "On x wrote: "),
    *("On \n", "--", "-- \n", "=?", "=?x?q?", "=?utf-8?q?a?= ", "=?utf-8?b?YQ==?=", "=41", "=\r\n", "QUJD"),
    *("QUJD\r\n", "=?idna?q?a?=", "?=", "1.", "1.a.", "1.a", f"1.a.{'b' * 24}", "https://a.example/?q=", "a/../"),
    *("%41", "%zz", "a=b&", "q=0.1,", "en;q=1,", "--x\r\n", "--x--\r\n", "--x\r\n\r\n", "boundary=", "boundary=x;"),
    *(
        'name="a";',
        "X-Field: a\r\n",
        "From x\n",
        ">From ",
        "From x\nContent-Length: 1\n\n\n\n",
        '{"a":',
        '{"a":[',
        "{}",
        "{}\n",
        "[1,\n",
        "[\n",
        "]\n",
    ),
    *('{"a":1}{', '"\n', "1,", "1e9", "null ", "\\u0041"),
)


AROUND = (("", "x"),)  # what looks for an end has looked for it in vain
AROUND_A_SUBJECT = (*AROUND, ("x", "x"), ("unsubscribe", "x"), ("re", "x"), ("=?utf-8?q?", "x"))


def repeat(piece: str, around: tuple[str, str], size: int) -> str:
    return piece.join((around[0], *[""] * (size // len(piece)), around[1]))


def in_mail(head: str) -> Callable[[str], object]:
    """Return a parser of a mail with a text at `{}`."""
    before, after = head.split("{}")
    return lambda text: read_mail(f"{before}{text}{after}".encode("utf-8", "replace"))


def judge_mail(field: str, text: str) -> None:
    raw = f"{field}: {text}\r\nFrom: a@b.example\r\nSubject: unsubscribe\r\n\r\n".encode("utf-8", "replace")
    judge(ReceivedMail(raw, SesReceipt("pass", "pass", "none", text)), MailTrust("mx.b.example", ("b.example",)))


REPORT = "From: a@b.example\r\nContent-Type: multipart/report; report-type={kind}; boundary=x\r\n\r\n--x\r\n"


def in_folder(read: Callable[[Path], object]) -> Callable[[str], object]:
    def write(text: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.write_bytes(text.encode("utf-8", "replace"))
            read(path)

    return write


def accept(_: object) -> None:
    """Every envelope is right."""


def notify(text: str) -> None:
    with suppress(NoMailError):
        open_notification(text, accept)


def parse_dmarc(text: str) -> None:
    with suppress(UnreadableReportError):
        parse_report(text.encode("utf-8", "replace"))


def verify(text: str) -> None:
    for name in ("TopicArn", "SigningCertURL", "Signature", "SignatureVersion"):
        given = {"TopicArn": TOPIC, "SigningCertURL": "https://x", "SignatureVersion": "1", name: text}
        try:
            SnsVerifier((TOPIC,), lambda _: b"")(given)
        except ForgedError:
            continue


def read_events_of(text: str) -> None:
    """Read a record with the text at every place, and for as many recipients as the text is long."""
    named = [{"emailAddress": f"{number}@b.example"} for number in range(len(text) // 100)] + [{"emailAddress": text}]
    details = {
        "bouncedRecipients": named,
        "bounceType": text,
        "bounceSubType": text,
        "feedbackId": text,
        "reason": text,
    }
    record = make_event("Bounce", make_mail("0100-1", "a@b.example"))
    record["bounce"].update(details)
    opt_out = {
        "newTopicPreferences": {"topicSubscriptionStatus": [{"subscriptionStatus": "OptOut", "topicName": text}]}
    }
    for one in (
        record,
        {**record, "eventType": text},
        {**record, "eventType": "Subscription", "subscription": opt_out},
        {
            **record,
            "eventType": "Click",
            "click": {"userAgent": text, "link": text, "linkTags": {"mailrun-link": text}},
        },
        {**record, "mail": {**record["mail"], "messageId": text, "timestamp": text}},
    ):
        opened = open_body(json.dumps(one), accept)
        if isinstance(opened, list):
            make_frame(opened)


class NoOptOuts:
    def opt_out(self, address: str, topic: str) -> None:
        raise AssertionError(address, topic)

    def probe(self) -> None:
        raise AssertionError

    def undo(self, address: str, topic: str) -> bool:
        raise AssertionError(address, topic)


def ask(**event: object) -> object:
    method = {"requestContext": {"http": {"method": "POST"}}}
    return answer_event({"rawPath": "/", **method, **event}, SIGNER, NoOptOuts(), PAGES)


def decode_by_all(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    for charset in sorted(CHARSETS):
        decode_charset(raw, charset)


def import_mbox(text: str) -> list[tuple[str, bytes]]:
    def read(path: Path) -> None:
        found.extend(read_mails(str(path), lambda _: None))

    found: list[tuple[str, bytes]] = []
    in_folder(read)(f"From x\n{text}")
    return found


def import_events(text: str) -> None:
    def read(path: Path) -> None:
        with suppress(DataError):
            list(read_file(path, "file", accept))

    in_folder(read)(text)


def ask_with_body(text: str) -> object:
    return ask(rawPath=f"/{SIGNER.sign('a@b.example', '')}", body=text, isBase64Encoded=True)


DMARC = """<feedback><report_metadata><org_name>{}</org_name><report_id>{}</report_id></report_metadata>
<policy_published><domain>{}</domain></policy_published><record>{}</record><record><row><source_ip>{}</source_ip>
<count>1</count></row><auth_results><dkim><domain>{}</domain><result>pass</result></dkim></auth_results></record>
</feedback>"""
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
COMPLAINT = REPORT.replace("{kind}", "feedback-report")
FAILURE = REPORT.replace("{kind}", "delivery-status")
PARSERS: dict[str, Callable[[str], object]] = {
    "a subject": in_mail("From: a@b.example\r\nSubject: {}\r\n\r\n"),
    "a sender": in_mail("From: {}\r\nSubject: unsubscribe\r\n\r\n"),
    "a recipient": in_mail("From: a@b.example\r\nAuto-Submitted: auto-replied\r\nTo: {}\r\n\r\n"),
    "an Auto-Submitted": in_mail("From: a@b.example\r\nAuto-Submitted: {}\r\n\r\n"),
    "a Message-ID": in_mail("From: a@b.example\r\nMessage-ID: {}\r\n\r\n"),
    "a content type": in_mail("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x; {}\r\n\r\n--x\r\n\r\n"),
    "a boundary": in_mail('From: a@b.example\r\nContent-Type: multipart/mixed; boundary="{}"\r\n\r\n--x\r\n\r\n'),
    "header fields": in_mail("From: a@b.example\r\n{}"),
    "a text": in_mail("From: a@b.example\r\n\r\n{}"),
    "a text in base64": in_mail("From: a@b.example\r\nContent-Transfer-Encoding: base64\r\n\r\n{}"),
    "a quoted-printable text": in_mail("From: a@b.example\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}"),
    "parts": in_mail("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n{}"),
    "an attached mail": in_mail("From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n{}"),
    "a feedback report": in_mail(COMPLAINT + "Content-Type: message/feedback-report\r\n\r\n{}"),
    "what a report is about": in_mail(COMPLAINT + "Content-Type: text/rfc822-headers\r\n\r\n{}"),
    "a link to unsubscribe in a report": in_mail(COMPLAINT + "List-Unsubscribe: {}\r\n"),
    "a delivery report": in_mail(FAILURE + "Content-Type: message/delivery-status\r\n\r\n{}"),
    "what a server found out about the sender": lambda text: judge_mail(
        "Authentication-Results", f"mx.b.example; dkim=pass header.d={text}; spf=pass smtp.mailfrom={text}"
    ),
    "a sender that is to be proven": partial(judge_mail, "From"),
    "a DMARC report": parse_dmarc,
    "the names in a DMARC report": lambda text: parse_dmarc(DMARC.replace("{}", escape(text))),
    "the rows of a DMARC report": lambda text: parse_dmarc(
        DMARC.replace("<record>{}</record>", f"<record>{escape(text[:9])}</record>" * len(text))
    ),
    "charsets": decode_by_all,
    "an mbox": import_mbox,
    "a notification of a mail": notify,
    "the mail in a notification": lambda text: notify(
        json.dumps({"notificationType": "Received", "mail": {"messageId": text}, "receipt": {}, "content": text})
    ),
    "an SNS envelope": verify,
    "a message of the queue": lambda text: open_body(text, accept),
    "an event in its envelope": lambda text: open_body(json.dumps({"Type": "Notification", "Message": text}), accept),
    "fields of an event": read_events_of,
    "documents": lambda text: list(split_documents(text)),
    "documents after a cut one": lambda text: list(split_documents('{"a": [\n' + text)),
    "a file of events": import_events,
    "tokens in a text": find_tokens,
    "a token": lambda text: verify_token(text, SIGNER),
    "a link": lambda text: find_token(text, SIGNER),
    "a form": lambda text: has_field(FORM, text.encode("utf-8", "replace"), "a", "b"),
    "a form of parts": lambda text: has_field(PARTS, f"--x\r\n{text}".encode("utf-8", "replace"), "a", "b"),
    "the type of a form": lambda text: has_field(f"multipart/form-data; {text}", b"--x\r\n", "a", "b"),
    "the target of a request": lambda text: ask(rawPath=text, rawQueryString=text),
    "the body of a request": ask_with_body,
    "the languages of a request": lambda text: ask(headers={"Accept-Language": text}),
}
SIZES = {"documents": (600, 4096), "documents after a cut one": (300, 1024), "a file of events": (300, 1024),
         "fields of an event": (200, 512), "the rows of a DMARC report": (60, 256)}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_twice_the_input_is_at_most_two_and_a_half_times_the_work(name: str) -> None:
    parse, (lines_at, bytes_at) = PARSERS[name], SIZES.get(name, (600, 2048))
    excess = {}
    for piece, around in product(PIECES, AROUND_A_SUBJECT if name in ("a subject", "a text") else AROUND):
        if found := find_excess(parse, partial(repeat, piece, around), lines_at, bytes_at):
            excess[piece, around] = found
    assert not excess


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"Subject: " + b"a" * 300_000, "header is larger"),
        (b"A: b\r\n" * (MOST_FIELDS + 1), "fields"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * (MOST_PARTS + 1), "parts"),
        (b"Content-Type: message/rfc822\r\n\r\n" * (MOST_DEPTH + 1), "deep"),
        (b"\r\nno header", "no header"),
        (b"", "no header"),
    ],
)
def test_a_mail_beyond_its_bounds_is_refused_with_the_reason(raw: bytes, words: str) -> None:
    with pytest.raises(UnreadableMailError, match=words):
        read_parts(raw)
    read = read_mail(raw)
    assert read.kind is MailKind.BROKEN
    assert words in read.reason


def test_large_mail_is_read_from_its_beginning() -> None:
    def make(size: int) -> bytes:
        return b"From: a@b.example\r\nSubject: unsubscribe\r\n\r\n" + b"x\r\n" * (size // 3)

    reading = [count_lines(partial(read_mail, make(size))) for size in (MOST_BYTES, 4 * MOST_BYTES)]
    assert reading[0] == reading[1]
    assert read_mail(make(4 * MOST_BYTES)).kind is MailKind.UNSUBSCRIBE


@pytest.mark.parametrize(
    "level", [b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n"]
)
def test_parts_within_parts_take_no_more_memory_than_one_part(level: bytes) -> None:
    levels = [level % ((number,) * level.count(b"%d")) for number in range(MOST_DEPTH - 1)]
    raw = b"".join(levels) + b"Subject: x\r\n\r\n" + b"x" * 200_000
    read_parts(raw[:1000])  # what is made once is made now
    tracemalloc.start()
    read_parts(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 2 * len(raw)


def test_the_measure_finds_what_grows_with_the_square_of_its_input() -> None:
    def loop(text: str) -> None:
        for _ in text:
            for _ in text:
                pass

    def strip(text: str) -> None:
        re.search(r"\s+$", text + "x")

    assert "lines" in str(find_excess(loop, lambda size: " " * size, 100, 100))
    assert "CPU" in str(find_excess(strip, lambda size: " " * size, 100, 400))


@pytest.mark.parametrize(
    "pattern",
    [r"\s*\s*x", r"(a+)+b", r"(?:a|1b)c*d", r"(a|a)*b", r"a*[ab]b", r" *x", r"(a)\1+", r".*a"],
)
def test_a_pattern_that_may_try_twice_is_found(pattern: str) -> None:
    assert find_ambiguity(pattern) is not None


# Modules whose parsers are above, and those that have none: a new module is put into one of the two.
OUTSIDERS = {
    *(
        "events.agents",
        "events.envelopes",
        "events.files",
        "events.matching",
        "events.records",
        "events.rules",
        "events.signatures",
    ),
    *("inbound.dmarc_reports",),
    *("inbound.address_lists", "inbound.authority", "inbound.encoded_words", "inbound.header_fields", "inbound.mail"),
    *("inbound.mail_files", "inbound.mail_parts", "inbound.notifications", "inbound.transfer_encodings"),
    *("unsubscribe.lambda_handler", "unsubscribe.pages", "unsubscribe.requests", "unsubscribe.tokens"),
}
OTHERS = {
    "events.certificates": "fetches what SNS's own host has, and gives it to cryptography",
    "events.effects": "records what events.records has read",
    "events.event_files": "frames of Polars",
    "events.intake": "records what events.records has read",
    "events.message_ids": "frames of Polars, whose regular expressions are finite automata",
    "events.queue": "moves messages without reading them",
    "events.row_index": "as events.message_ids",
    "inbound.dmarc_rows": "records what inbound.dmarc_reports has read",
    "inbound.intake": "records what inbound.mail has read",
    "inbound.objects": "reads bytes without looking into them",
    "inbound.pull": "hands messages to inbound.notifications",
    "unsubscribe.attribution": "finds the runs of what unsubscribe.tokens has verified",
    "unsubscribe.probe": "reads the status of an answer alone",
    "unsubscribe.opt_out": "records what unsubscribe.requests has verified",
    "unsubscribe.server": "hands requests to unsubscribe.requests",
}
SLOW_LIBRARIES = {
    "email",
    "mailbox",
    "html",
    "xml",
    "shlex",
    "csv",
    "cgi",
}  # that parse in the standard library's own way


def list_modules() -> list[str]:
    found = pkgutil.walk_packages(engine.feedback.__path__, "engine.feedback.")
    return sorted(module.name.removeprefix("engine.feedback.") for module in found if not module.ispkg)


def test_every_module_declares_whether_it_reads_outside_input() -> None:
    assert set(list_modules()) == OUTSIDERS | set(OTHERS), "add its parsers to PARSERS, or say why it has none"


FEEDBACK = tuple(f"engine.feedback.{name}" for name in list_modules())
BESIDE = (
    *(
        "engine.cli.commands.inbound",
        "engine.campaign.unsubscribe_tokens",
        "engine.http.guard",
    ),
    "engine.suppression.sync",
)


@pytest.mark.parametrize("name", FEEDBACK + BESIDE)
def test_regular_expressions_over_untrusted_input_are_linear(name: str) -> None:
    """And each is a constant of its module, where it is found, and nothing is parsed by slow libraries."""
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for pattern_name, pattern in vars(module).items():
        if isinstance(pattern, re.Pattern):
            uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == pattern_name]
            anchored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in uses
                        and node.attr in ("match", "fullmatch")]  # fmt: skip
            is_anchored = len(uses) == len(anchored) + 1  # and where it is made
            why = find_ambiguity(pattern.pattern, pattern.flags & ~re.UNICODE, is_anchored=is_anchored)
            assert why is None, pattern.pattern
    constants = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            assert not SLOW_LIBRARIES & {one.partition(".")[0] for one in named}
            assert "re" not in named or isinstance(node, ast.Import), "so that calls of it are seen here"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "re":
            is_constant = any(isinstance(one, ast.Call) and one.func is node for one in constants)
            assert is_constant or node.attr in ("IGNORECASE", "Pattern"), f"line {node.lineno}: make it a constant"
