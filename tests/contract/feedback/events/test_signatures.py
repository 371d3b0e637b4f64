"""SNS signatures: versions 1 and 2 of our topics are trusted; nothing is fetched for a forged one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from support.sns import TOPIC, sign

from engine.errors import ServiceError
from engine.feedback.events.certificates import fetch_certificate
from engine.feedback.events.envelopes import Quarantined, open_body
from engine.feedback.events.signatures import SnsVerifier


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a server that answers with one status; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/a.pem"
        finally:
            server.shutdown()


@pytest.mark.parametrize("status", [302, 403, 404, 410])
def test_missing_certificate_sets_its_notification_aside(status: int):
    with answering(status) as url:
        opened = open_body(json.dumps(sign()), SnsVerifier((TOPIC,), lambda _: fetch_certificate(url)))
    assert isinstance(opened, Quarantined)
    assert opened.is_forged


@pytest.mark.parametrize("status", [407, 408, 429, 500, 503])
def test_temporarily_unavailable_certificate_is_awaited(status: int):
    with answering(status) as url, pytest.raises(ServiceError):
        fetch_certificate(url)
