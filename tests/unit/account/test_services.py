"""Calls to AWS are spaced and repeated by the clock, and a refused one names its permission."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from support.clock import VirtualClock

from engine.account.permissions import find_action, write_statement
from engine.account.services import WAIT_SECONDS, PacedClient
from engine.account.session import make_session
from engine.errors import ServiceError
from engine.stopping.abandonable import DaemonThread

AWS = "https://email.eu-west-1.amazonaws.com"
DENIED = (
    "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ses:GetAccount on resource:"
    " arn:aws:ses:eu-west-1:123456789012:*"
)


class ScriptedClient:
    """Answers with what is in its script, in order; then with nothing."""

    exceptions = SimpleNamespace()

    def __init__(self, *script: Exception, url: str = AWS) -> None:
        mapping = {"get_account": "GetAccount", "batch_get_metric_data": "BatchGetMetricData"}
        model = make_session().get_service_model("sesv2")
        self.meta = SimpleNamespace(endpoint_url=url, method_to_api_mapping=mapping, service_model=model)
        self._script = list(script)
        self.calls = 0

    def get_account(self, **_: Any) -> dict[str, Any]:
        self.calls += 1
        if self._script:
            raise self._script.pop(0)
        return {}

    batch_get_metric_data = get_account


def error(code: str, message: str = "", status: int = 400) -> botocore.exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "GetAccount")


@pytest.fixture
def thread() -> Iterator[DaemonThread]:
    opened = DaemonThread("test")
    yield opened
    opened.close()


async def test_services_space_the_calls_of_one_operation(thread: DaemonThread) -> None:
    clock = VirtualClock()
    client = PacedClient(ScriptedClient(), "sesv2", thread, clock)
    for _ in range(5):
        await client.get_account()
    assert clock.seconds == 1004.0
    for _ in range(5):
        await client.batch_get_metric_data()
    assert clock.seconds == 1004.0


async def test_services_do_not_space_calls_to_another_endpoint(thread: DaemonThread) -> None:
    clock = VirtualClock()
    client = PacedClient(ScriptedClient(url="http://127.0.0.1:8025"), "sesv2", thread, clock)
    for _ in range(5):
        await client.get_account()
    assert clock.seconds == 1000.0


@pytest.mark.parametrize("code", ["TooManyRequestsException", "ThrottlingException", "Throttling", "SlowDown"])
async def test_services_wait_for_a_throttled_call(thread: DaemonThread, code: str) -> None:
    clock, scripted = VirtualClock(), ScriptedClient(error(code), error(code), url="http://127.0.0.1:8025")
    await PacedClient(scripted, "sqs", thread, clock).get_account()
    assert (scripted.calls, clock.seconds) == (3, 1000.0 + sum(WAIT_SECONDS[:2]))


async def test_services_give_up_a_call_that_stays_throttled(thread: DaemonThread) -> None:
    scripted = ScriptedClient(*(error("Throttling") for _ in range(20)), url="http://127.0.0.1:8025")
    with pytest.raises(ServiceError, match="SES answered Throttling"):
        await PacedClient(scripted, "sesv2", thread, VirtualClock()).get_account()
    assert scripted.calls == len(WAIT_SECONDS) + 1


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "AuthorizationErrorException"])
async def test_services_name_the_permission_that_is_missing(thread: DaemonThread, code: str) -> None:
    client = PacedClient(ScriptedClient(error(code, DENIED, 403)), "sesv2", thread, VirtualClock())
    with pytest.raises(ServiceError) as caught:
        await client.get_account()
    assert write_statement("ses:GetAccount", "arn:aws:ses:eu-west-1:123456789012:*") in caught.value.remedy


async def test_services_name_a_permission_that_aws_does_not_name(thread: DaemonThread) -> None:
    client = PacedClient(ScriptedClient(error("AccessDenied", "Forbidden", 403)), "sns", thread, VirtualClock())
    with pytest.raises(ServiceError) as caught:
        await client.get_account()
    assert '"Action": "sns:GetAccount"' in caught.value.remedy


async def test_services_refuse_a_method_that_no_operation_has(thread: DaemonThread) -> None:
    with pytest.raises(AttributeError, match="get_everything"):
        PacedClient(ScriptedClient(), "sesv2", thread, VirtualClock()).get_everything  # noqa: B018


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("sesv2", "CreateConfigurationSet", "ses:CreateConfigurationSet"),
        ("s3", "ListObjectsV2", "s3:ListBucket"),
        ("s3", "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        ("route53", "ListHostedZones", "route53:ListHostedZones"),
        ("cloudwatch", "GetMetricData", "cloudwatch:GetMetricData"),
    ],
)
def test_permissions_of_an_operation(service: str, operation: str, action: str) -> None:
    assert find_action(service, operation, "no") == (action, "*")
