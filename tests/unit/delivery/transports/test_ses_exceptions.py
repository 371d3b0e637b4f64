"""What the client raises, and whether the message may have been accepted (docs: botocore.exceptions, aiohttp)."""

import errno
import socket
from types import SimpleNamespace
from typing import Any

import aiohttp
import botocore.exceptions as aws
import pytest

from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.ses import EXCEPTIONS, read_answer, read_exception

URL = {"endpoint_url": "http://127.0.0.1:9/"}
KEY: Any = SimpleNamespace(ssl=True, host="127.0.0.1", port=9, is_ssl=False)
REFUSED = aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused"))
NO_NAME = aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no such name"))
RESET = aiohttp.ClientOSError(errno.ECONNRESET, "reset")
DROPPED = aiohttp.ServerDisconnectedError()


def read(error: Exception) -> SendReply:
    return read_exception(error)


NEVER_SENT = [
    aws.EndpointConnectionError(error=REFUSED, **URL),
    aws.EndpointConnectionError(error=NO_NAME, **URL),
    aws.EndpointConnectionError(error=socket.gaierror(-2, "no such name"), **URL),
    aws.ConnectTimeoutError(error=TimeoutError(), **URL),
    aws.SSLError(error="certificate verify failed", **URL),
    aws.ProxyConnectionError(proxy_url="http://127.0.0.1:9", error=REFUSED),
]
PERHAPS_SENT = [
    aws.EndpointConnectionError(error=RESET, **URL),
    aws.EndpointConnectionError(error=DROPPED, **URL),
    aws.EndpointConnectionError(error=None, **URL),
    aws.EndpointConnectionError(**URL),
    aws.ReadTimeoutError(error=TimeoutError(), **URL),
    aws.ConnectionClosedError(error=DROPPED, **URL),
    aws.HTTPClientError(error=RESET),
    aws.BotoCoreError(),
    TimeoutError(),
    RESET,
    DROPPED,
    OSError("anything"),
    KeyError("a bug in a library"),
]
CREDENTIALS = [
    aws.NoCredentialsError(),
    aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    aws.CredentialRetrievalError(provider="sso", error_msg="x"),
    aws.TokenRetrievalError(provider="sso", error_msg="x"),
    aws.UnauthorizedSSOTokenError(),
    aws.NoRegionError(),
]


def name_of(error: Exception) -> str:
    inner = getattr(error, "kwargs", {}).get("error")
    return f"{type(error).__name__}-{type(inner).__name__}"


@pytest.mark.parametrize("error", NEVER_SENT, ids=name_of)
def test_failure_before_the_server_was_reached_is_unreachable(error: Exception):
    assert read(error).meaning is ReplyMeaning.UNREACHABLE


@pytest.mark.parametrize("error", PERHAPS_SENT, ids=name_of)
def test_failure_that_may_have_reached_the_server_is_in_doubt(error: Exception):
    assert read(error).meaning is ReplyMeaning.IN_DOUBT


@pytest.mark.parametrize("error", CREDENTIALS, ids=name_of)
def test_missing_credentials_pause_the_run_and_say_what_to_do(error: Exception):
    reply = read(error)
    assert reply.meaning is ReplyMeaning.PAUSE
    assert "credentials" in reply.remedy


def test_a_message_that_the_client_itself_refuses_is_refused():
    assert read(aws.ParamValidationError(report="x")).meaning is ReplyMeaning.REFUSED


def test_an_error_reply_with_a_code_is_read_by_the_table():
    answer = HttpAnswer(429, "TooManyRequestsException:http://x/", b'{"message":"no"}')
    assert read_answer(answer, "news@acme.example").meaning is ReplyMeaning.SLOW_DOWN


@pytest.mark.parametrize("status", [403, 429, 502])
def test_bare_status_is_not_a_code(status: int):
    assert read_answer(HttpAnswer(status, "", b"<html>no"), "news@acme.example").meaning is ReplyMeaning.IN_DOUBT


def test_the_detail_names_the_error_for_the_outcome_file():
    detail = read(NEVER_SENT[0]).detail
    assert detail.startswith("EndpointConnectionError: ")
    assert "http://127.0.0.1:9/" in detail


def test_no_exception_class_hides_a_more_specific_one():
    kinds = list(EXCEPTIONS)
    hidden = [(b, a) for i, a in enumerate(kinds) for b in kinds[i + 1 :] if issubclass(b, a)]
    assert hidden == []
