"""The reputation as read from the sandbox; its rates from moto's CloudWatch, too."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.clock import VirtualClock
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY
from support.postgres import free_port
from support.ses import ONE_TRY, open_ses
from support.sqs import run_moto_sqs

from engine.account.reputation.limits import RateKind
from engine.account.reputation.picture import SesReputation, read_reputation
from engine.account.reputation.rates import list_sets, read_rates
from engine.account.reputation.vdm import VdmGroup
from engine.account.services import open_services
from engine.clock import SystemClock
from engine.errors import ServiceError
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.events.behaviour import Behaviour, BehaviourRule
from engine.sandbox.server import SandboxSettings

BEHAVIOUR = Behaviour(
    domains={
        "yahoo.com": BehaviourRule(bounces={"Permanent/General": 1.0}),
        "gmail.com": BehaviourRule(complaints={"abuse": 1.0}),
    }
)


@pytest.fixture
def sandbox(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[EmbeddedSandbox]:
    settings = SandboxSettings(record_folder=tmp_path, credentials=CREDENTIALS, behaviour=BEHAVIOUR, max_send_rate=1000)
    with run_in_thread(settings) as running:
        aws.setenv("AWS_ENDPOINT_URL", running.url)
        aws.setenv("AWS_DEFAULT_REGION", running.region)
        aws.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with open_ses(sandbox) as client:
        yield client


def send(ses: Any, *to: str, **members: Any) -> None:
    text = {"Data": "x"}
    for address in to:
        ses.send_email(
            FromEmailAddress="n@acme.example",
            Destination={"ToAddresses": [address]},
            Content={"Simple": {"Subject": text, "Body": {"Text": text}}},
            **members,
        )


async def read() -> SesReputation:
    async with open_services() as services:
        return await read_reputation(services, days=30, clock=SystemClock())


async def test_the_whole_picture_of_the_sandbox(ses: Any) -> None:
    ses.create_configuration_set(ConfigurationSetName="m", ReputationOptions={"ReputationMetricsEnabled": True})
    ses.create_email_identity(EmailIdentity="acme.example")
    ses.put_account_vdm_attributes(VdmAttributes={"VdmEnabled": "ENABLED"})
    send(ses, "a@gmail.com", "b@yahoo.com", ConfigurationSetName="m")
    send(ses, *(f"c{number}@b.example" for number in range(8)))
    found = await read()
    assert found.missing == ()
    latest = {(one.kind, one.configuration_set): one.latest.value for one in found.rates if one.latest}
    assert latest == {
        (RateKind.BOUNCE, None): 0.1,
        (RateKind.COMPLAINT, None): 0.1,
        (RateKind.BOUNCE, "m"): 0.5,
        (RateKind.COMPLAINT, "m"): 0.5,
    }
    assert found.vdm is not None
    sent = {one.group: one.counts["SEND"] for one in found.vdm.figures}
    assert sent == {
        VdmGroup(): 10,
        VdmGroup("ISP", "Gmail"): 1,
        VdmGroup("ISP", "Yahoo"): 1,
        VdmGroup("EMAIL_IDENTITY", "acme.example"): 10,
        VdmGroup("CONFIGURATION_SET", "m"): 2,
    }
    assert {one.kind for one in found.recommendations} == {"BOUNCE", "COMPLAINT"}
    assert [(one.impact, one.sending) for one in found.entities] == [("HIGH", "ENABLED")]
    assert found.suppressed is not None
    assert found.suppressed.by_reason == {"BOUNCE": 1, "COMPLAINT": 1}
    assert (found.enforcement, found.sending_enabled) == ("HEALTHY", True)


async def test_a_part_that_fails_says_so_and_the_rest_is_read(ses: Any, aws: pytest.MonkeyPatch) -> None:
    """VDM is off, and CloudWatch cannot be reached."""
    send(ses, "b@yahoo.com")
    aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", f"http://127.0.0.1:{free_port()}")
    found = await read()
    missing = {part.part: part for part in found.missing}
    assert set(missing) == {"rates", "rates of configuration sets", "metrics by receiver"}
    assert "CloudWatch cannot be reached" in missing["rates"].what
    assert "put-account-vdm-attributes" in missing["metrics by receiver"].remedy
    assert found.suppressed is not None
    assert found.suppressed.by_reason == {"BOUNCE": 1}


async def test_an_account_that_cannot_be_reached_is_an_error(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServiceError, match="cannot be reached"):
        await read()


async def test_rates_of_moto_are_read_as_those_of_cloudwatch(tmp_path: Path, aws: pytest.MonkeyPatch) -> None:
    """Moto adds metrics with dimensions to those without, so the account is read before a set has a rate."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    later, of_set = now + timedelta(minutes=5), [{"ses:configuration-set": "m"}]
    with run_moto_sqs(tmp_path) as url:
        aws.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
        async with open_services(clock=VirtualClock()) as services:
            client = await services.open("cloudwatch")
            put_rate(url, now, 0.04)
            put_rate(url, now - timedelta(hours=3), 0.03)
            account = await read_rates(client, [], now=later, days=2)
            put_rate(url, now, 0.2, of_set[0])
            assert await list_sets(client) == of_set
            both = await read_rates(client, of_set, now=later, days=2)
    values = {(one.kind, one.configuration_set): [point.value for point in one.points] for one in (*account, *both[2:])}
    assert values == {
        (RateKind.BOUNCE, None): [0.03, 0.04],
        (RateKind.COMPLAINT, None): [],
        (RateKind.BOUNCE, "m"): [0.2],
        (RateKind.COMPLAINT, "m"): [],
    }


def put_rate(url: str, at: datetime, value: float, dimensions: Mapping[str, str] | None = None) -> None:
    client = boto3.client(
        "cloudwatch",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=ONE_TRY,
    )
    named = [{"Name": name, "Value": each} for name, each in (dimensions or {}).items()]
    metric = {"MetricName": "Reputation.BounceRate", "Timestamp": at, "Value": value, "Dimensions": named}
    with closing(client):
        client.put_metric_data(Namespace="AWS/SES", MetricData=[metric])
