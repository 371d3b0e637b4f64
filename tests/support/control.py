"""Calls of the sandbox's control endpoint."""

from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import orjson

from engine.sandbox.embedded import EmbeddedSandbox
from support.credentials import bearer


def call(
    sandbox: EmbeddedSandbox, method: str, path: str, document: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Make one call; returns its status, and the document of a JSON answer."""
    body = None if document is None else orjson.dumps(document)
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=bearer(sandbox) | headers)
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, orjson.loads(content) if reply.headers.get_content_type() == "application/json" else {}
