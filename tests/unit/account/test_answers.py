"""An answer of AWS that is not shaped as its service says is an error of the service."""

from typing import Any

import pytest

from engine.account.answers import MalformedAnswerError, call_and_read
from engine.account.session import make_session

MODEL = make_session().get_service_model("sesv2")


def read(answer: Any, operation: str = "GetAccount", **parameters: Any) -> Any:
    def call(**_: Any) -> Any:
        return answer

    return call_and_read(call, MODEL.operation_model(operation).output_shape, f"SES {operation}", parameters)


def test_answer_is_returned_as_it_is() -> None:
    answer = {"SendQuota": {"MaxSendRate": 14}, "Details": {"AdditionalContactEmailAddresses": ["a@acme.example"]}}
    assert read(answer) == answer
    assert read({"later": 1}) == {"later": 1}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"SendQuota": 7}, "SendQuota is of another type"),
        ({"SendQuota": {"MaxSendRate": "14"}}, "SendQuota.MaxSendRate is of another type"),
        ({"SendQuota": {"MaxSendRate": True}}, "SendQuota.MaxSendRate is of another type"),
        ({"SendQuota": {"MaxSendRate": float("nan")}}, "SendQuota.MaxSendRate is not a number"),
        ({"EnforcementStatus": 3}, "EnforcementStatus is of another type"),
    ],
)
def test_answer_of_another_shape_is_refused(answer: Any, why: str) -> None:
    with pytest.raises(MalformedAnswerError, match=why):
        read(answer)


@pytest.mark.parametrize("pools", ["x", {}, [None], [1]])
def test_answer_with_another_list_is_refused(pools: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read({"DedicatedIpPools": pools}, "ListDedicatedIpPools")


def test_answer_names_the_member_that_it_lacks() -> None:
    answer = read({"DedicatedIpPool": {}}, "GetDedicatedIpPool")
    assert answer["DedicatedIpPool"].get("ScalingMode") is None
    with pytest.raises(MalformedAnswerError, match="ScalingMode is missing"):
        answer["DedicatedIpPool"]["ScalingMode"]


def test_answer_whose_next_token_repeats_is_refused() -> None:
    page = {"DedicatedIpPools": [], "NextToken": "same"}
    assert read(page, "ListDedicatedIpPools", NextToken="before")["NextToken"] == "same"
    with pytest.raises(MalformedAnswerError, match="NextToken repeats"):
        read(page, "ListDedicatedIpPools", NextToken="same")
