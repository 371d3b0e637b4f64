"""A receiver of webhooks on loopback, which records what it is sent and answers as a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct, field

SECRET = "0123456789abcdef-of-tests"


class Received(Struct, frozen=True):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class Receiver(Struct, kw_only=True):
    """A receiver: `answer` returns the status of a request, given the number of requests before it."""

    url: str = ""
    answer: Callable[[int], int] = lambda _: 200
    headers: dict[str, str] = field(default_factory=dict)
    text: bytes = b""
    received: list[Received] = field(default_factory=list)
    is_open: threading.Event = field(default_factory=threading.Event)  # requests hang while it is not set

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [one.json for one in self.received if one.status == 200]

    def count_accepted(self) -> list[str]:
        return sorted(f"{one['run']} {one['event']}" for one in self.accepted)

    def write_settings(self, more: str = "") -> str:
        target = f'[notify.targets.ops]\nkind = "json"\nurl = "{self.url}/hook?token=of-the-test"\n'
        return f'[notify]\nsecrets = {{ ops = "{SECRET}" }}\n{more}\n{target}'


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.is_open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answer(len(receiver.received))
            receiver.received.append(Received(self.path, dict(self.headers), body, status))
            receiver.is_open.wait(60)
            try:
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.text)))
                self.end_headers()
                self.wfile.write(receiver.text)
            except OSError:
                pass  # the sender has gone

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.is_open.set()
        server.shutdown()
        server.server_close()
        thread.join()
