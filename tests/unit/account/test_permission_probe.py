"""What an answer of AWS says about a permission."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from engine.account.permission_probe import MOST, LaunchNeeds, TriedPermission, try_permissions


def refuse(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetEmailIdentity")


def ask(error: Exception | None, needs: LaunchNeeds) -> list[TriedPermission]:
    def call(**_: Any) -> None:
        if error is not None:
            raise error

    client = SimpleNamespace(get_email_identity=call, get_configuration_set=call, get_queue_attributes=call)
    return list(try_permissions(lambda _: client, needs))


@pytest.mark.parametrize(
    ("error", "is_permitted"),
    [
        (None, True),
        (refuse("NotFoundException"), True),  # it may be asked for, and does not exist
        (refuse("AccessDeniedException"), False),
        (refuse("TooManyRequestsException"), None),
        (EndpointConnectionError(endpoint_url="https://x.example"), None),
    ],
)
def test_answer_shows_if_a_call_is_permitted(error: Exception | None, *, is_permitted: bool | None):
    (found,) = ask(error, LaunchNeeds(["acme.example"]))
    assert (found.action, found.on, found.is_permitted) == ("ses:GetEmailIdentity", "acme.example", is_permitted)
    assert ('"Action": "ses:GetEmailIdentity"' in found.remedy) == (is_permitted is False)


def test_each_need_is_tried_once_and_their_number_is_bounded():
    needs = LaunchNeeds([f"d{n}.example" for n in range(99)], ["set"], "https://sqs.example/1/events")
    found = ask(None, needs)
    assert [one.on for one in found[MOST:]] == ["set", "events"]
    assert len(ask(None, LaunchNeeds())) == 0
