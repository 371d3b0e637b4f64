"""Callers use everything that botocore resolves: endpoint, FIPS, dual-stack, proxy, CA bundle, credentials."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import botocore.exceptions as aws_errors
import orjson
import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from botocore.credentials import RefreshableCredentials
from support.clock import VirtualClock
from support.messages import make_message
from support.world import World

from engine.account.client import Endpoint, OpenAccount, open_account, translate_aws_errors
from engine.account.credentials import SpacedCredentials
from engine.account.quota import read_quota
from engine.account.send_endpoint import NotLeanError, resolve_sends
from engine.campaign.message import Attachment, Envelope
from engine.delivery.replies import ReplyMeaning
from engine.delivery.transports import callers
from engine.delivery.transports.callers import BotocoreCaller, LeanCaller, open_caller
from engine.delivery.transports.connection import Take
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.ses import SesTransport
from engine.delivery.transports.ses_documents import Documents
from engine.errors import ConfigurationError, MailrunError
from engine.feedback.events.queue import open_sqs
from engine.stopping.abandonable import DaemonThread
from engine.store.objects import fetch_objects
from engine.store.s3 import S3Store
from engine.system.proxies import exempt

MESSAGE = make_message(1, "ann@example.com", "Hé", "<p>é</p>", "text", (("X-A", "b"),), (("mailrun-row", "1"),))
ENVELOPE = Envelope("Acme <news@acme.example>", (), (Attachment("a.txt", "text/plain", b"\x00\xff"),), None)


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({}, "email.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "email-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "email.eu-west-1.api.aws"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "email.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.2:9", "AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:9"}, "127.0.0.1"),
    ],
)
async def test_the_endpoint_is_the_one_that_botocore_resolves(
    aws: pytest.MonkeyPatch, environment: dict[str, str], host: str
):
    for name, value in environment.items():
        aws.setenv(name, value)
    async with open_account() as account:
        resolved = await resolve_sends(account)
    assert resolved.host == host
    assert resolved.paths["SendEmail"] == "/v2/email/outbound-emails"
    assert resolved.paths["SendBulkEmail"] == "/v2/email/outbound-bulk-emails"
    assert (resolved.region, resolved.service) == (environment.get("AWS_DEFAULT_REGION", "eu-west-1"), "ses")


async def test_a_base_path_of_the_endpoint_is_kept(aws: pytest.MonkeyPatch):
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9/base/path")
    async with open_account() as account:
        assert (await resolve_sends(account)).paths["SendEmail"] == "/base/path/v2/email/outbound-emails"


async def test_a_profile_gives_region_keys_and_endpoint(aws: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        aws.delenv(name)
    (tmp_path / "config").write_text("[profile news]\nregion = us-west-2\nuse_fips_endpoint = true\n")
    (tmp_path / "credentials").write_text("[news]\naws_access_key_id = AKIDP\naws_secret_access_key = s\n")
    aws.setenv("AWS_PROFILE", "news")
    async with open_account() as account:
        assert (await resolve_sends(account)).host == "email-fips.us-west-2.amazonaws.com"
        assert (await account.credentials.get_frozen_credentials()).access_key == "AKIDP"


async def test_calls_through_a_proxy_use_aiobotocore_and_it_is_logged(
    aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    aws.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    async with open_account() as account:
        opened = await open_caller(account)
    assert isinstance(opened.caller, BotocoreCaller)
    assert not opened.lean
    assert "proxy" in capsys.readouterr().err
    aws.setenv("NO_PROXY", "amazonaws.com")
    async with open_account() as account:
        opened = await open_caller(account)
    assert opened.lean
    opened.close()


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({}, "abcdef12.g3h.endpoints.email.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "abcdef12.g3h.endpoints.email.amazonaws.com.cn"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "abcdef12.g3h.endpoints.email.us-gov.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "abcdef12.g3h.endpoints.email.global.api.aws"),
        ({"AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:9/base"}, "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("has_crt", [True, False])
async def test_a_multi_region_endpoint_is_that_of_botocores_rules(
    aws: pytest.MonkeyPatch, environment: dict[str, str], host: str, *, has_crt: bool
):
    aws.setattr("botocore.compat.HAS_CRT", has_crt)
    for name, value in environment.items():
        aws.setenv(name, value)
    async with open_account() as account:
        resolved, usual = await resolve_sends(account, "abcdef12.g3h"), await resolve_sends(account)
    assert (resolved.host, resolved.service, resolved.is_multi_region) == (host, "ses", True)
    assert (resolved.paths, resolved.headers) == (usual.paths, usual.headers)
    assert not usual.is_multi_region


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, "proxy"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "FIPS"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9/a%20b"}, "unusual form"),
    ],
)
async def test_a_multi_region_endpoint_that_cannot_be_signed_for_is_refused(
    aws: pytest.MonkeyPatch, environment: dict[str, str], said: str
):
    for name, value in environment.items():
        aws.setenv(name, value)
    async with open_account() as account:
        with pytest.raises(ConfigurationError, match=said) as refused:
            await open_caller(account, "abcdef12.g3h")
    assert refused.value.remedy


async def test_configured_ca_bundle_is_used_or_reported_missing(aws: pytest.MonkeyPatch, tmp_path: Path):
    aws.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    async with open_account() as account:
        assert account.verify == str(tmp_path / "missing.pem")
        with pytest.raises(ConfigurationError, match="CA bundle"):
            await open_caller(account)


async def test_an_unusual_path_goes_by_aiobotocore(aws: pytest.MonkeyPatch):
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9/a%20b")
    async with open_account() as account:
        with pytest.raises(NotLeanError):
            await resolve_sends(account)


@asynccontextmanager
async def reach(world: World, aws: pytest.MonkeyPatch) -> AsyncIterator[OpenAccount]:
    for name, value in world.environment().items():
        if name.startswith("AWS_"):
            aws.setenv(name, value)
    async with open_account() as account:
        yield account


async def test_both_callers_send_the_same_message(world: World, aws: pytest.MonkeyPatch):
    async with reach(world, aws) as account:
        lean = await open_caller(account)
        assert lean.lean
        for caller in (lean.caller, BotocoreCaller(*await account.open_send_client())):
            transport = SesTransport(caller, Documents(ENVELOPE), sender_address="news@acme.example", bulk=True)
            item = transport.prepare(MESSAGE)
            assert [reply.meaning for reply in await transport.send([item])] == [ReplyMeaning.SENT]
            assert [reply.meaning for reply in await transport.send([item, item])] == [ReplyMeaning.SENT] * 2
        lean.close()
    kept = ("to", "from", "subject", "html", "text", "tags", "headers", "attachments")
    messages = [{name: message.get(name) for name in kept} for message in world.accepted()]
    assert len(messages) == 6
    assert all(message == messages[0] for message in messages)


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        ("throttle", ReplyMeaning.SLOW_DOWN),
        ("reject", ReplyMeaning.REFUSED),
        ("pause_account", ReplyMeaning.PAUSE),
        ("drop_after", ReplyMeaning.IN_DOUBT),
        ("cut_200", ReplyMeaning.IN_DOUBT),
        ("empty_200", ReplyMeaning.IN_DOUBT),
        ("bad_gateway_after", ReplyMeaning.IN_DOUBT),
    ],
)
@pytest.mark.parametrize("lean", [True, False])
async def test_both_callers_read_replies_alike(
    world: World, aws: pytest.MonkeyPatch, fault: str, meaning: ReplyMeaning, *, lean: bool
):
    async with reach(world, aws) as account:
        opened = await open_caller(account)
        caller = opened.caller if lean else BotocoreCaller(*await account.open_send_client())
        transport = SesTransport(caller, Documents(ENVELOPE), sender_address="news@acme.example")
        await asyncio.to_thread(world.fault, fault)
        (reply,) = await transport.send([transport.prepare(MESSAGE)])
        assert reply.meaning is meaning
        opened.close()


@dataclass
class KeptRequests:
    heads: list[bytes]

    async def post(self, head: bytes, body: bytes) -> HttpAnswer:  # noqa: ARG002 - a carrier's signature
        self.heads.append(head)
        return HttpAnswer(200, "", b'{"MessageId":"1"}')


@pytest.mark.usefixtures("aws")
async def test_temporary_credentials_are_refreshed_in_mid_run():
    served = [("AKID1", "token-1", 60), ("AKID2", "token-2", 3600)]

    async def refresh() -> dict[str, Any]:
        key, token, seconds = served.pop(0)
        expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        return {"access_key": key, "secret_key": "s", "token": token, "expiry_time": expiry}

    credentials = AioRefreshableCredentials.create_from_metadata(await refresh(), refresh, "test")
    async with open_account() as account:
        resolved = await resolve_sends(account)
    kept = KeptRequests([])
    now = 1_000.0
    caller = LeanCaller(resolved, credentials, kept, now=lambda: now)  # type: ignore[arg-type] # as far as it is used
    await caller.call("SendEmail", b"{}")
    now += 5.0
    await caller.call("SendEmail", b"{}")
    assert b"Credential=AKID2/" in kept.heads[-1]
    assert b"X-Amz-Security-Token: token-2\r\n" in kept.heads[-1]
    assert not served


class NoCredentials:
    """A source of credentials that fails as botocore's do: with any exception."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def get_frozen_credentials(self) -> None:
        if self._error is None:
            await asyncio.Event().wait()
        else:
            raise self._error


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (aws_errors.CredentialRetrievalError(provider="x", error_msg="gone"), ReplyMeaning.PAUSE),
        (aws_errors.ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole"), ReplyMeaning.PAUSE),
        (aws_errors.LoginRefreshRequired(), ReplyMeaning.PAUSE),
        (
            RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
            ReplyMeaning.PAUSE,
        ),
        (aws_errors.ReadTimeoutError(endpoint_url="https://sts"), ReplyMeaning.UNREACHABLE),
        (aws_errors.ConnectionClosedError(endpoint_url="https://sts"), ReplyMeaning.UNREACHABLE),
        (aws_errors.EndpointConnectionError(endpoint_url="https://sts"), ReplyMeaning.UNREACHABLE),
        (aws_errors.ConnectTimeoutError(endpoint_url="https://sts"), ReplyMeaning.UNREACHABLE),
        (aws_errors.MetadataRetrievalError(error_msg="gone"), ReplyMeaning.UNREACHABLE),
        (None, ReplyMeaning.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("lean", [True, False])
async def test_lost_credential_source_leaves_no_message_in_doubt(
    error: Exception | None, meaning: ReplyMeaning, monkeypatch: pytest.MonkeyPatch, *, lean: bool
):
    monkeypatch.setattr(callers, "RENEWAL_SECONDS", 0.01)
    kept = KeptRequests([])
    async with open_account() as account:
        resolved = await resolve_sends(account)
        none: Any = NoCredentials(error)
        client, _ = await account.open_send_client()
        caller = LeanCaller(resolved, none, kept) if lean else BotocoreCaller(client, none)  # type: ignore[arg-type] # as above
        transport = SesTransport(caller, Documents(ENVELOPE), sender_address="news@acme.example")
        (reply,) = await transport.send([transport.prepare(MESSAGE)])
    assert (reply.meaning, bool(reply.remedy), kept.heads) == (meaning, meaning is ReplyMeaning.PAUSE, [])
    assert "credentials could not be renewed" in reply.detail


def make_bulk_answer(count: int) -> bytes:
    return orjson.dumps({"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": str(i)} for i in range(count)]})


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_bulk_answer_of_another_length_leaves_all_in_doubt(count: int):
    class Fixed:
        is_ready = False

        def begin(self, operation: str, body: bytes, take: Take) -> bool:  # noqa: ARG002 - a caller's signature
            return False

        async def call(self, operation: str, body: bytes) -> HttpAnswer:  # noqa: ARG002 - a caller's signature
            return HttpAnswer(200, "", make_bulk_answer(count))

    transport = SesTransport(Fixed(), Documents(ENVELOPE), sender_address="news@acme.example", bulk=True)
    replies = await transport.send([transport.prepare(MESSAGE)] * 2)
    assert [reply.meaning for reply in replies] == [ReplyMeaning.IN_DOUBT] * 2


def test_message_that_does_not_fit_a_bulk_call_gets_its_own_call(capsys: pytest.CaptureFixture[str]):
    transport = SesTransport(None, Documents(ENVELOPE), sender_address="n@acme.example", bulk=True)  # type: ignore[arg-type] # nothing is sent
    small = transport.prepare(MESSAGE)
    assert small.group is not None
    large = make_message(2, "b@example.com", "s", "x" * 300_000, None, (), ())
    braces = make_message(3, "c@example.com", "s", "{{ x }}", None, (), ())
    assert [transport.prepare(one).group for one in (large, braces, large)] == [None, None, None]
    said = capsys.readouterr().err
    assert said.count("too large") == 1
    assert said.count("{{") == 1
    heavy = Envelope("a@b.example", (), (Attachment("a.bin", "application/octet-stream", b"x" * 900_000),), None)
    weighed = SesTransport(None, Documents(heavy), sender_address="n@acme.example", bulk=True)  # type: ignore[arg-type] # as above
    assert weighed.prepare(MESSAGE).group is None


def expire_after(seconds: float, now: datetime) -> dict[str, str]:
    expiry = (now + timedelta(seconds=seconds)).isoformat()
    return {"access_key": "A", "secret_key": "s", "token": "t", "expiry_time": expiry}


@pytest.mark.parametrize(("life", "asked_after"), [(60, 30), (600, 300), (1_200, 600), (36_000, 35_100)])
async def test_credentials_are_renewed_after_half_of_their_remaining_time(life: int, asked_after: int):
    clock = VirtualClock()
    asked: list[float] = []

    async def renew() -> dict[str, str]:
        asked.append(clock.monotonic() - 1000.0)
        return expire_after(life, clock.now())

    found = AioRefreshableCredentials("A", "s", "t", clock.now(), renew, "test", time_fetcher=clock.now)
    spaced = SpacedCredentials(found)
    await spaced.get_frozen_credentials()
    while clock.monotonic() - 1000.0 < 3 * life:
        clock.advance(life / 1200)
        await spaced.get_frozen_credentials()
    times = [after - before for before, after in pairwise(asked)]
    assert times == pytest.approx([asked_after] * len(times), abs=life / 600)
    assert len(asked) >= 3


async def test_failed_credential_issuer_is_retried_after_half_of_the_rest():
    clock = VirtualClock()
    asked: list[float] = []

    async def renew() -> dict[str, str]:
        asked.append(clock.monotonic() - 1000.0)
        if len(asked) > 1:
            raise OSError("the issuer is away")
        return expire_after(64, clock.now())

    spaced = SpacedCredentials(
        AioRefreshableCredentials("A", "s", "t", clock.now(), renew, "test", time_fetcher=clock.now)
    )
    await spaced.get_frozen_credentials()
    for _ in range(47):
        clock.advance(1.0)
        await spaced.get_frozen_credentials()
    assert asked == [0.0, 33.0]  # the old credentials stay in use, and the next attempt comes when a quarter is left
    clock.advance(16.0)
    with pytest.raises(OSError, match="away"):
        await spaced.get_frozen_credentials()


async def test_slow_credential_issuer_blocks_no_other_task_and_is_asked_once():
    asked, is_answered = [], Event()

    def renew() -> dict[str, str]:
        asked.append(1)
        assert is_answered.wait(30)
        return expire_after(3_600, datetime.now(UTC))

    found = RefreshableCredentials("old", "s", "t", datetime.now(UTC), renew, "test")
    with closing(DaemonThread("credentials")) as thread:
        spaced = SpacedCredentials(found, thread)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):  # this reader waits no longer, and the renewal goes on
                await spaced.get_frozen_credentials()
        readers = [asyncio.create_task(spaced.get_frozen_credentials()) for _ in range(3)]
        await asyncio.sleep(0)
        is_answered.set()
        assert [frozen.access_key for frozen in await asyncio.gather(*readers)] == ["A"] * 3
        assert (await spaced.get_frozen_credentials()).access_key == "A"
    assert len(asked) == 1


async def test_failed_renewal_of_botocore_keeps_its_error_for_every_reader():
    def renew() -> dict[str, str]:
        raise aws_errors.CredentialRetrievalError(provider="test", error_msg="gone")

    found = RefreshableCredentials("old", "s", "t", datetime.now(UTC), renew, "test")
    with closing(DaemonThread("credentials")) as thread:
        spaced = SpacedCredentials(found, thread)
        for _ in range(2):
            with pytest.raises(aws_errors.CredentialRetrievalError, match="gone"):
                await spaced.get_frozen_credentials()


async def test_a_credential_process_is_started_once_for_many_calls(aws: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    program = tmp_path / "issue"
    program.write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/asked\n"
        'echo "{\\"Version\\":1,\\"AccessKeyId\\":\\"A\\",\\"SecretAccessKey\\":\\"s\\",'
        '\\"Expiration\\":\\"$(date -u -d +5min +%Y-%m-%dT%H:%M:%SZ)\\"}"\n'
    )
    program.chmod(0o700)
    (tmp_path / "config").write_text(f"[profile news]\nregion = us-west-2\ncredential_process = {program}\n")
    aws.setenv("AWS_PROFILE", "news")
    async with open_account() as account:
        for _ in range(20):
            await account.credentials.get_frozen_credentials()
    asked = (tmp_path / "asked").read_text().count("x")
    assert asked <= 2  # when it is found, and at the first read, which finds its expiry


@pytest.mark.parametrize("setting", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
async def test_settings_that_a_configured_endpoint_drops_are_reported(
    aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str
):
    aws.setenv(setting, "true")
    for url, is_dropped in ((None, False), ("http://127.0.0.1:9", True)):
        if url is not None:
            aws.setenv("AWS_ENDPOINT_URL_SESV2", url)
        async with open_account() as account:
            (await open_caller(account)).close()
        assert (setting in capsys.readouterr().err) is is_dropped


async def test_the_embedded_sandbox_is_never_reached_through_a_proxy(aws: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        aws.setenv(name, "http://127.0.0.1:9")
    async with open_account(Endpoint("http://127.0.0.1:8025", "eu-west-1", "A", "s")) as account:
        opened = await open_caller(account)
        assert account.proxy is None
        assert opened.lean
        opened.close()
    async with open_sqs("http://127.0.0.1:8025/q", Endpoint("http://127.0.0.1:8025", "eu-west-1", "A", "s")) as client:
        assert not client.meta.config.proxies


async def _ask_ses(_: Path) -> None:
    async with open_account() as account:
        await read_quota(account.control_plane)


async def _ask_sqs(_: Path) -> None:
    queue = "https://sqs.eu-west-1.amazonaws.com/1/q"
    with translate_aws_errors("SQS"):
        async with open_sqs(queue) as client:
            await client.receive_message(QueueUrl=queue)


async def _read_s3(folder: Path) -> None:
    list(fetch_objects("s3://bucket/key", folder))


async def _open_store(folder: Path) -> None:
    S3Store("s3://bucket", folder)


@pytest.mark.parametrize("ask", [_ask_ses, _ask_sqs, _read_s3, _open_store])
async def test_a_proxy_that_fails_is_named_without_its_secret(
    aws: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[Path], Awaitable[None]]
):
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        aws.setenv(name, "http://user:secret@127.0.0.1:9")
    aws.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(MailrunError) as caught:
        await ask(tmp_path)
    said = f"{caught.value.what} {caught.value.remedy}"
    assert "proxy http://127.0.0.1:9" in said
    assert "NO_PROXY" in said
    assert "secret" not in said


async def test_the_sandbox_prints_what_keeps_clients_from_the_proxy(aws: pytest.MonkeyPatch):
    assert exempt("http://127.0.0.1:8025") == {}
    aws.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    aws.setenv("NO_PROXY", "intern.example")
    told = exempt("http://127.0.0.1:8025")
    assert told == {"NO_PROXY": "intern.example,127.0.0.1"}
    aws.setenv("NO_PROXY", told["NO_PROXY"])
    assert exempt("http://127.0.0.1:8025") == {}
