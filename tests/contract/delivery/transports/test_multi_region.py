"""Sends through a multi-region endpoint, over HTTP: what the lean client signs is verified."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.messages import make_message

from engine.account.client import Endpoint, open_account
from engine.account.send_endpoint import resolve_sends
from engine.campaign.message import Envelope
from engine.delivery.replies import ReplyMeaning
from engine.delivery.transports.callers import MULTI_REGION_SECONDS, LeanCaller, open_caller
from engine.delivery.transports.carrier import Carrier
from engine.delivery.transports.ses import SesTransport
from engine.delivery.transports.ses_documents import Documents
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

ENDPOINT_ID = "abcdef12.g3h"
MESSAGE = make_message(1, "ann@example.com", "Hé", "<p>é</p>", "text", (("X-A", "b"),), (("mailrun-row", "1"),))
ENVELOPE = Envelope(
    "Acme <news@acme.example>",
    (),
    (),
    None,
    endpoint_id=ENDPOINT_ID,
    tenant="shop",
    open_tracking=False,
    click_tracking=True,
)


@pytest.fixture(name="sandbox")
def _sandbox(tmp_path: Path) -> Any:
    settings = SandboxSettings(tmp_path, max_send_rate=1000, multi_region_endpoints=(ENDPOINT_ID,), tenants=("shop",))
    with run_in_thread(settings) as sandbox:
        yield sandbox


@asynccontextmanager
async def opened(
    sandbox: EmbeddedSandbox,
    envelope: Envelope = ENVELOPE,
    *,
    bulk: bool = False,
    secret: str | None = None,
    now: Callable[[], float] | None = None,
) -> AsyncIterator[SesTransport]:
    endpoint = Endpoint(sandbox.url, "eu-west-1", sandbox.access_key_id, secret or sandbox.secret_access_key)
    async with open_account(endpoint) as account:
        resolved = await resolve_sends(account, envelope.endpoint_id)
        carrier = Carrier(host=resolved.host, port=resolved.port, tls=None)
        caller = LeanCaller(resolved, account.credentials, carrier, **({} if now is None else {"now": now}))
        try:
            yield SesTransport(caller, Documents(envelope), sender_address="news@acme.example", bulk=bulk)
        finally:
            carrier.close()


@pytest.mark.parametrize(("bulk", "operation"), [(False, "SendEmail"), (True, "SendBulkEmail")])
async def test_a_call_is_signed_for_every_region(
    sandbox: EmbeddedSandbox, tmp_path: Path, operation: str, *, bulk: bool
):
    async with opened(sandbox, bulk=bulk) as transport:
        item = transport.prepare(MESSAGE)
        items = [item, item] if bulk else [item]
        assert {reply.meaning for reply in await transport.send(items)} == {ReplyMeaning.SENT}
    for accepted in read_record(tmp_path):
        assert (accepted["operation"], accepted["endpoint_id"], accepted["tenant"]) == (operation, ENDPOINT_ID, "shop")
        assert accepted["tracking"] == {"open": False, "click": True}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"now": lambda: 1_000_000_000.0}, "15 min"),
        ({"envelope": replace(ENVELOPE, endpoint_id="other.g3h")}, "NotFoundException"),
        ({"envelope": replace(ENVELOPE, tenant="other")}, "NotFoundException"),
    ],
)
@pytest.mark.parametrize("bulk", [False, True])
async def test_a_refused_call_pauses_the_run_and_blames_no_recipient(
    sandbox: EmbeddedSandbox, tmp_path: Path, change: dict[str, Any], said: str, *, bulk: bool
):
    async with opened(sandbox, bulk=bulk, **change) as transport:
        item = transport.prepare(MESSAGE)
        replies = await transport.send([item, item] if bulk else [item])
    assert {reply.meaning for reply in replies} == {ReplyMeaning.PAUSE}
    assert said in replies[0].detail
    assert replies[0].remedy
    assert not list(read_record(tmp_path))


async def test_connections_to_a_multi_region_endpoint_end_in_time(sandbox: EmbeddedSandbox):
    endpoint = Endpoint(sandbox.url, "eu-west-1", sandbox.access_key_id, sandbox.secret_access_key)
    async with open_account(endpoint) as account:
        for endpoint_id, longest in ((ENDPOINT_ID, MULTI_REGION_SECONDS), (None, None)):
            caller = await open_caller(account, endpoint_id)
            carrier: Any = caller._carrier
            assert carrier.longest_seconds == longest
            caller.close()
