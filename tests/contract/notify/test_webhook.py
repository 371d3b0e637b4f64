"""Posts to a real HTTP server: what is accepted, what is not, and what a receiver can verify."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.clock import VirtualClock
from support.paths import DOCS
from support.receiver import SECRET, Receiver, run_receiver

from engine.notify import webhook
from engine.notify.channels import hand_over
from engine.notify.notice import make_test_notice
from engine.notify.webhook import TargetAnswer, post
from engine.notify_targets.sections import NotifySettings
from engine.notify_targets.target import NotifyTarget
from engine.settings import Settings


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_proxy(aws: pytest.MonkeyPatch) -> None:
    """No proxies of this machine."""


def send(url: str) -> TargetAnswer:
    return asyncio.run(post(url, b'{"a": 1}', {"Idempotency-Key": "x"}))


def load_verify(now: float) -> Callable[[bytes, dict[str, str], bytes], bool]:
    """Load the function that docs/guides/get-notified.md shows to receivers."""
    page = (DOCS / "guides" / "get-notified.md").read_text(encoding="utf-8")
    source = page.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - our own page
    names["time"] = SimpleNamespace(time=lambda: now)
    function: Callable[[bytes, dict[str, str], bytes], bool] = names["verify"]
    return function


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_accepted(receiver: Receiver, status: int):
    receiver.answer = lambda _: status
    assert send(f"{receiver.url}/x") == TargetAnswer(accepted=True, text=f"HTTP {status}")
    (one,) = receiver.received
    assert (one.body, one.headers["Content-Type"], one.path) == (b'{"a": 1}', "application/json", "/x")


def test_redirect_is_not_followed(receiver: Receiver):
    receiver.answer = lambda _: 307
    receiver.headers = {"Location": f"{receiver.url}/other"}
    assert send(receiver.url) == TargetAnswer(accepted=False, text="HTTP 307: redirects are not followed")
    assert len(receiver.received) == 1


def test_error_shows_a_short_answer_without_secrets_and_when_to_retry(receiver: Receiver):
    receiver.answer = lambda _: 429
    receiver.headers = {"Retry-After": "30"}
    receiver.text = b"no_text \x1b[31m for ann.lee@people.example token=abcdefgh " + b"x" * 10_000_000
    answer = send(receiver.url)
    assert (answer.accepted, answer.retry_after) == (False, 30.0)
    assert answer.text.startswith("HTTP 429: no_text")
    assert "ann.lee" not in answer.text
    assert "abcdefgh" not in answer.text
    assert "\x1b" not in answer.text
    assert len(answer.text) < 200


def test_receiver_that_hangs_or_is_gone_is_an_answer(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook, "POST_SECONDS", 0.2)
    receiver.is_open.clear()
    assert send(receiver.url).text == "no answer within 0.2 seconds"
    assert send("http://127.0.0.1:1/secret-path").text == "cannot be reached: ClientConnectorError"
    assert not send("https://127.0.0.1:1/").accepted


def test_json_webhook_is_signed_over_time_and_body(receiver: Receiver, tmp_path: Path):
    target = NotifyTarget.model_validate({"kind": "json", "url": receiver.url})
    given = NotifySettings.model_validate({"targets": {"ops": target}, "secrets": {"ops": SECRET}})
    clock = VirtualClock()
    notice = make_test_notice("ops", clock.now(), "", "1" * 32)
    answer = asyncio.run(hand_over("ops", target, notice, Settings(workspace=tmp_path, notify=given), clock))
    assert answer.accepted
    (one,) = receiver.received
    assert one.headers["Idempotency-Key"] == one.json["id"] == "1" * 32 + "-ops"
    assert one.headers["Mailrun-Timestamp"] == str(int(clock.now().timestamp()))
    verify = load_verify(clock.now().timestamp())
    assert verify(one.body, one.headers, SECRET.encode())
    assert not load_verify(clock.now().timestamp() + 400)(one.body, one.headers, SECRET.encode())  # played back
    assert not verify(one.body + b" ", one.headers, SECRET.encode())
    assert not verify(one.body, {**one.headers, "Mailrun-Timestamp": "1"}, SECRET.encode())
    assert not verify(one.body, one.headers, b"another")


def test_url_and_secret_come_from_files(receiver: Receiver, tmp_path: Path):
    (tmp_path / "hook").write_text(f"{receiver.url}/of-the-file\n", encoding="utf-8")
    target = NotifyTarget.model_validate({"kind": "json", "url_file": "hook", "secret_file": "key"})
    settings, clock = Settings(workspace=tmp_path), VirtualClock()
    notice = make_test_notice("ops", clock.now(), "", "1" * 32)

    def hand() -> TargetAnswer:
        return asyncio.run(hand_over("ops", target, notice, settings, clock))

    assert "cannot be read" in hand().text
    (tmp_path / "key").write_text("short", encoding="utf-8")
    assert "too short" in hand().text
    (tmp_path / "key").write_text(SECRET, encoding="utf-8")
    assert hand().accepted
    assert receiver.received[0].path == "/of-the-file"
    (tmp_path / "hook").write_text("nonsense of a file\n", encoding="utf-8")
    refused = hand()
    assert not refused.accepted
    assert "nonsense" not in refused.text
    assert len(receiver.received) == 1
