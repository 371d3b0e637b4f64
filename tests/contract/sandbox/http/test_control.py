"""The sandbox's control endpoint."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.control import call
from support.ses import open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings

TEXT = {"Data": "x"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(record_folder=tmp_path, max_send_rate=100)) as running:
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with open_ses(sandbox) as client:
        yield client


def send(ses: Any, *to: str) -> Any:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    destination = {"ToAddresses": list(to or ["ann@b.example"])}
    return ses.send_email(FromEmailAddress="n@acme.example", Destination=destination, Content=content)


def test_the_state_counts_what_was_accepted_throttled_and_refused(sandbox: EmbeddedSandbox, ses: Any) -> None:
    send(ses, "a@b.example", "c@d.example")
    call(sandbox, "PATCH", "/_sandbox/state", {"max_send_rate": 0})
    with pytest.raises(ses.exceptions.TooManyRequestsException):
        send(ses)
    call(sandbox, "PATCH", "/_sandbox/state", {"max_24_hour_send": 2})
    with pytest.raises(ses.exceptions.LimitExceededException):
        send(ses)
    status, state = call(sandbox, "GET", "/_sandbox/state")
    assert status == 200
    assert state == {
        "max_send_rate": 0.0,
        "max_24_hour_send": 2.0,
        "sent_last_24_hours": 2,
        "latency_seconds": 0.0,
        "production_access": True,
        "sending_enabled": True,
        "reachable": True,
        "enforcement_status": "HEALTHY",
        "vdm_enabled": False,
        "bounce_rate": None,
        "complaint_rate": None,
        "accepted_messages": 1,
        "accepted_recipients": 2,
        "throttled": 1,
        "quota_refused": 1,
        "largest_second": 2,
        "faults": [],
    }


def test_a_change_shows_in_get_account(sandbox: EmbeddedSandbox, ses: Any) -> None:
    change = {"max_send_rate": 7, "max_24_hour_send": -1, "production_access": False, "enforcement_status": "PROBATION"}
    assert call(sandbox, "PATCH", "/_sandbox/state", change)[0] == 200
    account = ses.get_account()
    assert account["SendQuota"] == {"MaxSendRate": 7.0, "Max24HourSend": -1.0, "SentLast24Hours": 0.0}
    assert (account["ProductionAccessEnabled"], account["EnforcementStatus"]) == (False, "PROBATION")


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ([], "must be a JSON object"),
        ({"rate": 1}, "rate cannot be changed"),
        ({"max_send_rate": -1}, "max_send_rate must be a number from 0"),
        ({"max_send_rate": "1"}, "max_send_rate must be a number from 0"),
        ({"latency_seconds": True}, "latency_seconds must be a number from 0"),
        ({"sending_enabled": 1}, "sending_enabled must be true or false"),
        ({"bounce_rate": 1.1}, "bounce_rate must be null or a number from 0 to 1"),
        ({"complaint_rate": "0.1"}, "complaint_rate must be a number from 0"),
        ({"enforcement_status": "FINE"}, "enforcement_status must be one of HEALTHY, PROBATION, SHUTDOWN"),
    ],
)
def test_a_wrong_change_is_refused_with_a_reason(sandbox: EmbeddedSandbox, document: Any, part: str) -> None:
    status, reply = call(sandbox, "PATCH", "/_sandbox/state", document)
    assert status == 400
    assert part in reply["message"]


def test_a_change_is_made_as_a_whole_or_not_at_all(sandbox: EmbeddedSandbox) -> None:
    change = {"max_send_rate": 5, "sending_enabled": "yes"}
    assert call(sandbox, "PATCH", "/_sandbox/state", change)[0] == 400
    assert call(sandbox, "GET", "/_sandbox/state")[1]["max_send_rate"] == 100.0


def test_queued_faults_show_in_the_state_until_they_are_cleared(sandbox: EmbeddedSandbox) -> None:
    fault = {"kind": "throttle", "count": 3, "probability": 0.5, "after": 1, "match": "@b"}
    assert call(sandbox, "POST", "/_sandbox/faults", fault) == (201, {"faults": [fault]})
    assert call(sandbox, "GET", "/_sandbox/state")[1]["faults"] == [fault]
    assert call(sandbox, "DELETE", "/_sandbox/faults") == (200, {"faults": []})


def test_a_wrong_fault_or_path_is_refused(sandbox: EmbeddedSandbox) -> None:
    assert call(sandbox, "POST", "/_sandbox/faults", {"kind": "x"})[0] == 400
    assert call(sandbox, "PUT", "/_sandbox/state", {})[0] == 404


def test_the_latency_delays_every_reply_of_the_api(sandbox: EmbeddedSandbox) -> None:
    call(sandbox, "PATCH", "/_sandbox/state", {"latency_seconds": 30})
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=0.3)) as connection:
        connection.request("GET", "/v2/email/account")
        with pytest.raises(TimeoutError):
            connection.getresponse()
