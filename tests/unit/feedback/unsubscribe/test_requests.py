"""What an unsubscribe link answers: a page that changes nothing, and one click that is written down first."""

import base64
from urllib.parse import quote

import polars as pl
import pytest

from engine.addresses.parse import judge_addresses
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import PausedError, UnreachableError
from engine.feedback.unsubscribe.lambda_handler import answer_event
from engine.feedback.unsubscribe.pages import ONE_CLICK, UnsubscribePages
from engine.feedback.unsubscribe.requests import (
    MOST_BODY_BYTES,
    LinkAnswer,
    LinkMeaning,
    LinkRequest,
    answer_request,
    has_field,
)
from engine.feedback.unsubscribe.tokens import find_token, is_probe, make_probe

OLD, NEW = b"an-older-key-of-32-characters-xx", b"the-newer-key-of-32-characters-x"
SIGNER = TokenSigner([NEW, OLD])
TOKEN = SIGNER.sign("Ann@b.example", "news")
PAGES = UnsubscribePages()
FORM = "application/x-www-form-urlencoded"
CLICK = b"List-Unsubscribe=One-Click"


class Desk:
    def __init__(self, *, undoes: bool = True) -> None:
        self.outs: list[tuple[str, str]] = []
        self.probes = 0
        self._undoes = undoes

    def opt_out(self, address: str, topic: str) -> None:
        self.outs.append((address, topic))

    def probe(self) -> None:
        self.probes += 1

    def undo(self, address: str, topic: str) -> bool:
        if self._undoes:
            self.outs.remove((address, topic))
        return self._undoes


def ask(desk: Desk, method: str, target: str, body: bytes = b"", content_type: str = FORM) -> LinkAnswer:
    return answer_request(LinkRequest(method, target, content_type, body), SIGNER, desk, PAGES)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_changes_nothing(method: str) -> None:
    desk = Desk()
    reply = ask(desk, method, f"/u/{TOKEN}", CLICK)
    assert (reply.status, reply.meaning, desk.outs) == (200, LinkMeaning.PAGE, [])


@pytest.mark.parametrize(
    "target", [f"/u/{TOKEN}", f"/u/{TOKEN}/", f"/u?t={TOKEN}", f"/u?a=b&token={TOKEN}", f"/?{TOKEN}", f"/{TOKEN}?utm=x"]
)
def test_one_click_unsubscribes_wherever_the_link_has_its_token(target: str) -> None:
    desk = Desk()
    reply = ask(desk, "POST", target, CLICK)
    assert (reply.status, desk.outs) == (200, [("Ann@b.example", "news")])


UTM = "&".join(
    f"utm_{name}=x" for name in ("source", "medium", "campaign", "content", "term", "id", "a", "b", "c", "d")
)


@pytest.mark.parametrize(
    "target",
    [
        f"/news/unsubscribe?{UTM}&lang=en&token={TOKEN}",
        f"/u?{'&'.join(f'p{number}={number}' for number in range(60))}&token={TOKEN}",
        f"/u?token={TOKEN}&{UTM}",
        f"/{'/'.join('abcdefghijkl')}/{TOKEN}/{'/'.join('mnopqrstuvwx')}?{UTM}",
        f"/u/{TOKEN}.html",
        f"/u/v1.{TOKEN}",
        f"/u/1.1.{TOKEN}",
        f"/u/1.{'x' * 30}.{TOKEN}-x",
        f"/u;token={TOKEN};lang=en",
        f"/u?q=(token:{TOKEN})",
        f"/u?t=prefix-{TOKEN}_suffix",
        f"/u%2F{quote(TOKEN.replace('.', '%2E'), safe='%')}",
        f"/u?next=%2Fout%3Ftoken%3D{TOKEN}",
    ],
)
def test_whatever_the_url_of_a_campaign_may_be_is_answered(target: str) -> None:
    desk = Desk()
    assert ask(desk, "POST", target, CLICK).status == 200
    path, _, query = target.partition("?")
    event = {
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": FORM},
        "requestContext": {"http": {"method": "POST"}},
        "body": CLICK.decode(),
    }
    assert answer_event(event, SIGNER, desk, PAGES)["statusCode"] == 200
    assert desk.outs == [("Ann@b.example", "news")] * 2


def test_link_signed_by_an_earlier_key_is_accepted() -> None:
    desk = Desk()
    ask(desk, "POST", f"/u/{TokenSigner([OLD]).sign('b@b.example', 'news')}", CLICK)
    assert desk.outs == [("b@b.example", "news")]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        TOKEN[:-1],
        TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"),
        TOKEN.replace("2.", "1.", 1),
        TokenSigner([b"somebody-elses-key-of-32-letters"]).sign("ann@b.example", "news"),
        "%00" * 100,
        "é",
    ],
)
def test_a_token_that_we_did_not_sign_changes_nothing(token: str) -> None:
    desk = Desk()
    reply = ask(desk, "POST", f"/u/{token}", CLICK)
    assert (reply.status, reply.meaning, desk.outs) == (404, LinkMeaning.NO_TOKEN, [])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"List-Unsubscribe=Two-Clicks", FORM),
        (b"List-Unsubscribe=One-Click&List-Unsubscribe=No", FORM),
        (CLICK, "application/json"),
        (b"\xff\xfe", FORM),
        (b"a=b&" * 500, FORM),
    ],
)
def test_post_without_one_click_changes_nothing(body: bytes, content_type: str) -> None:
    desk = Desk()
    reply = ask(desk, "POST", f"/u/{TOKEN}", body, content_type)
    assert (reply.status, reply.meaning, desk.outs) == (400, LinkMeaning.NOT_ONE_CLICK, [])


def test_both_encodings_of_forms_are_one_click() -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    assert has_field("multipart/form-data; boundary=x", part, *ONE_CLICK)
    assert not has_field("multipart/form-data", part, *ONE_CLICK)
    assert has_field("Application/X-WWW-Form-URLencoded; charset=UTF-8", CLICK, *ONE_CLICK)


def test_too_large_request_or_other_method_is_refused() -> None:
    desk = Desk()
    assert ask(desk, "POST", f"/u/{TOKEN}", b"x" * (MOST_BODY_BYTES + 1)).status == 413
    assert ask(desk, "POST", "/u/" + "x" * 5000, CLICK).status == 413
    reply = ask(desk, "DELETE", f"/u/{TOKEN}")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert not desk.outs


def test_unreachable_ledger_is_not_a_success() -> None:
    class Away(Desk):
        def opt_out(self, address: str, topic: str) -> None:
            raise PausedError(f"the ledger is away for {address}, {topic}", remedy="wait")

    reply = answer_request(LinkRequest("POST", f"/u/{TOKEN}", FORM, CLICK), SIGNER, Away(), PAGES)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")


def test_undo_takes_an_opt_out_back_and_says_when_it_cannot() -> None:
    desk = Desk()
    done = ask(desk, "POST", f"/u/{TOKEN}", CLICK)
    assert b'name="undo"' in done.body
    undone = ask(desk, "POST", f"/u/{TOKEN}", b"undo=1")
    assert (undone.status, undone.meaning, desk.outs) == (200, LinkMeaning.UNDONE, [])
    assert b"You are subscribed again" in undone.body
    late = ask(Desk(undoes=False), "POST", f"/u/{TOKEN}", b"undo=1")
    assert (late.status, late.meaning) == (409, LinkMeaning.TOO_LATE)
    assert b"undo" not in late.body.replace(b"undone", b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_never_undoes_an_opt_out(method: str) -> None:
    desk = Desk()
    desk.outs.append(("Ann@b.example", "news"))
    ask(desk, method, f"/u/{TOKEN}?undo=1", b"undo=1")
    assert desk.outs


def test_no_answer_shows_the_address_or_the_token() -> None:
    for method, body in (("GET", b""), ("POST", CLICK), ("POST", b"")):
        reply = ask(Desk(), method, f"/u/{TOKEN}", body)
        for secret in (b"b.example", TOKEN.encode()):
            assert secret not in reply.body
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("is_encoded", [False, True])
def test_an_event_of_a_function_url_is_answered_as_the_request_would_be(*, is_encoded: bool) -> None:
    desk = Desk()
    event = {
        "version": "2.0",
        "rawPath": f"/u/{TOKEN}",
        "rawQueryString": "",
        "headers": {"Content-Type": FORM},
        "requestContext": {"http": {"method": "POST", "path": f"/u/{TOKEN}"}},
        "body": base64.b64encode(CLICK).decode() if is_encoded else CLICK.decode(),
        "isBase64Encoded": is_encoded,
    }
    reply = answer_event(event, SIGNER, desk, PAGES)
    assert reply["statusCode"] == 200
    assert desk.outs == [("Ann@b.example", "news")]


@pytest.mark.parametrize("event", [{}, {"requestContext": None, "headers": []}, {"body": 3, "isBase64Encoded": True}])
def test_invalid_function_event_is_answered_and_changes_nothing(event: dict[str, object]) -> None:
    desk = Desk()
    assert answer_event(event, SIGNER, desk, PAGES)["statusCode"] in (404, 405)
    assert not desk.outs


def test_probe_is_answered_as_a_click_and_records_nothing() -> None:
    probe, desk = make_probe(SIGNER, "news"), Desk()
    reply, real = ask(desk, "POST", f"/u/{probe}", CLICK), ask(Desk(), "POST", f"/u/{TOKEN}", CLICK)
    assert (reply.status, reply.meaning) == (200, LinkMeaning.PROBED)
    assert (reply.status, reply.headers, reply.body) == (real.status, real.headers, real.body)
    assert (desk.outs, desk.probes) == ([], 1)


def test_probe_can_neither_be_undone_nor_be_made_without_the_key() -> None:
    desk, probe = Desk(), make_probe(SIGNER, "news")
    assert ask(desk, "POST", f"/u/{probe}", b"undo=1").status == 409
    forged = make_probe(TokenSigner([b"another key of 16 bytes"]), "news")
    assert ask(desk, "POST", f"/u/{forged}", CLICK).status == 404
    assert (desk.outs, desk.probes) == ([], 0)


def test_probe_is_answered_later_while_the_ledger_is_unreachable() -> None:
    class Closed(Desk):
        def probe(self) -> None:
            raise UnreachableError("the ledger does not answer", remedy="try again")

    assert ask(Closed(), "POST", f"/u/{make_probe(SIGNER, 'news')}", CLICK).status == 503


def test_no_recipient_has_the_token_of_a_probe() -> None:
    found = find_token(make_probe(SIGNER, "news"), SIGNER)
    assert found is not None
    assert is_probe(found)
    assert judge_addresses(pl.Series([found.address], dtype=pl.String))["key"].item(0) is None
