"""The sandbox has an account for each region that calls are signed for."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from support.control import call
from support.ses import open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

TEXT = {"Data": "x"}
IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"
STATE = "/_sandbox/state"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    settings = SandboxSettings(record_folder=tmp_path, max_send_rate=100, identities=("acme.example",))
    with run_in_thread(settings) as running:
        yield running


@pytest.fixture
def clients(sandbox: EmbeddedSandbox) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(open_ses(replace(sandbox, region=name))) for name in (IRELAND, FRANKFURT)}


def send(ses: Any) -> Any:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    return ses.send_email(
        FromEmailAddress="n@acme.example", Destination={"ToAddresses": ["a@b.example"]}, Content=content
    )


def test_each_region_counts_and_keeps_its_own(sandbox: EmbeddedSandbox, clients: dict[str, Any], tmp_path: Path):
    send(clients[IRELAND])
    send(clients[IRELAND])
    send(clients[FRANKFURT])
    clients[IRELAND].create_email_identity(EmailIdentity="other.example")
    sent = {name: ses.get_account()["SendQuota"]["SentLast24Hours"] for name, ses in clients.items()}
    assert sent == {IRELAND: 2, FRANKFURT: 1}
    with pytest.raises(ClientError, match="NotFoundException"):
        clients[FRANKFURT].get_email_identity(EmailIdentity="other.example")
    assert [message["region"] for message in read_record(tmp_path)] == [IRELAND, IRELAND, FRANKFURT]
    assert call(sandbox, "GET", STATE)[1]["accepted_messages"] == 3
    assert call(sandbox, "GET", f"{STATE}?region={FRANKFURT}")[1]["accepted_messages"] == 1


def test_change_of_one_region_leaves_the_others(sandbox: EmbeddedSandbox, clients: dict[str, Any]):
    call(sandbox, "PATCH", f"{STATE}?region={IRELAND}", {"sending_enabled": False, "max_send_rate": 7})
    with pytest.raises(clients[IRELAND].exceptions.SendingPausedException):
        send(clients[IRELAND])
    send(clients[FRANKFURT])
    assert clients[FRANKFURT].get_account()["SendQuota"]["MaxSendRate"] == 100.0
    assert not call(sandbox, "GET", STATE)[1]["sending_enabled"]


def test_change_of_all_regions_holds_for_those_used_later(sandbox: EmbeddedSandbox, clients: dict[str, Any]):
    clients[IRELAND].get_account()
    call(sandbox, "PATCH", STATE, {"max_send_rate": 9})
    assert {ses.get_account()["SendQuota"]["MaxSendRate"] for ses in clients.values()} == {9.0}


def test_calls_to_an_unreachable_region_get_no_answer(sandbox: EmbeddedSandbox, clients: dict[str, Any]):
    call(sandbox, "PATCH", f"{STATE}?region={FRANKFURT}", {"reachable": False})
    with pytest.raises(ConnectionClosedError):
        clients[FRANKFURT].get_account()
    send(clients[IRELAND])


@pytest.mark.parametrize("query", ["region=EU", "region=", "zone=x"])
def test_a_wrong_query_is_refused(sandbox: EmbeddedSandbox, query: str):
    status, reply = call(sandbox, "GET", f"{STATE}?{query}")
    assert status == 400, orjson.dumps(reply)
