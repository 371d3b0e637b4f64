"""What the sandbox says about an account's reputation: CloudWatch, VDM, recommendations, entities."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.ses import ONE_TRY, open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.events.behaviour import Behaviour, BehaviourRule
from engine.sandbox.server import SandboxSettings

TEXT = {"Data": "x"}
DEAD = BehaviourRule(bounces={"Permanent/General": 1.0})
ANGRY = BehaviourRule(complaints={"abuse": 1.0})
BEHAVIOUR = Behaviour(domains={"dead.example": DEAD, "angry.example": ANGRY}, duplicates=1.0, shuffle=5)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def sandbox(stack: ExitStack, tmp_path: Path) -> EmbeddedSandbox:
    settings = SandboxSettings(record_folder=tmp_path, max_send_rate=1000, behaviour=BEHAVIOUR)
    return stack.enter_context(run_in_thread(settings))


@pytest.fixture
def ses(stack: ExitStack, sandbox: EmbeddedSandbox) -> Any:
    return stack.enter_context(open_ses(sandbox))


def open_cloudwatch(sandbox: EmbeddedSandbox, secret: str = "") -> Any:
    return boto3.client(
        "cloudwatch",
        endpoint_url=sandbox.url,
        region_name=sandbox.region,
        aws_access_key_id=sandbox.access_key_id,
        aws_secret_access_key=secret or sandbox.secret_access_key,
        config=ONE_TRY,
    )


@pytest.fixture
def cloudwatch(stack: ExitStack, sandbox: EmbeddedSandbox) -> Any:
    return stack.enter_context(closing(open_cloudwatch(sandbox)))


def send(ses: Any, *to: str, **members: Any) -> None:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    for address in to:
        ses.send_email(
            FromEmailAddress="n@acme.example", Destination={"ToAddresses": [address]}, Content=content, **members
        )


def read_rates(
    cloudwatch: Any, dimensions: list[dict[str, str]] | None = None, **changes: Any
) -> dict[str, list[float]]:
    now = datetime.now(UTC)

    def ask(number: int, name: str) -> dict[str, Any]:
        metric = {"Namespace": "AWS/SES", "MetricName": name, "Dimensions": dimensions or []}
        return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Average"} | changes}

    names = ("Reputation.BounceRate", "Reputation.ComplaintRate")
    found = cloudwatch.get_metric_data(
        MetricDataQueries=[ask(number, name) for number, name in enumerate(names)],
        StartTime=now - timedelta(days=1),
        EndTime=now + timedelta(hours=1),
    )
    return {each["Label"]: each["Values"] for each in found["MetricDataResults"]}


def test_rates_are_of_everything_that_was_sent(ses: Any, cloudwatch: Any) -> None:
    """An event that is published twice counts once; the simulator and suppressed mail do not count."""
    assert read_rates(cloudwatch) == {"Reputation.BounceRate": [], "Reputation.ComplaintRate": []}
    send(ses, *(f"r{number}@b.example" for number in range(7)), "a@dead.example", "b@dead.example", "c@angry.example")
    send(ses, "bounce@simulator.amazonses.com")
    assert read_rates(cloudwatch) == {"Reputation.BounceRate": [0.2], "Reputation.ComplaintRate": [0.1]}


def test_rates_of_a_configuration_set_need_its_reputation_metrics(ses: Any, cloudwatch: Any) -> None:
    ses.create_configuration_set(ConfigurationSetName="on", ReputationOptions={"ReputationMetricsEnabled": True})
    ses.create_configuration_set(ConfigurationSetName="off")
    for name in ("on", "off"):
        send(ses, "a@b.example", f"{name}@dead.example", ConfigurationSetName=name)
    send(ses, "d@b.example", "e@b.example")
    listed = cloudwatch.list_metrics(Namespace="AWS/SES", MetricName="Reputation.BounceRate")["Metrics"]
    assert [one["Dimensions"] for one in listed] == [[], [{"Name": "ses:configuration-set", "Value": "on"}]]
    assert read_rates(cloudwatch, listed[1]["Dimensions"])["Reputation.BounceRate"] == [0.5]
    off = [{"Name": "ses:configuration-set", "Value": "off"}]
    assert read_rates(cloudwatch, off)["Reputation.BounceRate"] == []


def test_cloudwatch_refuses_what_is_wrong(sandbox: EmbeddedSandbox, cloudwatch: Any) -> None:
    with closing(open_cloudwatch(sandbox, secret="wrong")) as forger, pytest.raises(ClientError) as refused:
        read_rates(forger)
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    with pytest.raises(ClientError, match="multiple of 60"):
        read_rates(cloudwatch, Period=61)
    with pytest.raises(ClientError, match="not an operation"):
        cloudwatch.list_dashboards()


def ask_vdm(ses: Any, *queries: tuple[str, dict[str, str]]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    window = {"StartDate": now - timedelta(days=30), "EndDate": now}
    found: list[dict[str, Any]] = ses.batch_get_metric_data(
        Queries=[
            {"Id": str(number), "Namespace": "VDM", "Metric": metric, **window}
            | ({"Dimensions": dimensions} if dimensions else {})
            for number, (metric, dimensions) in enumerate(queries)
        ]
    )["Results"]
    return found


def test_vdm_counts_by_receiver_identity_and_set_once_it_is_on(ses: Any) -> None:
    send(ses, "a@gmail.com", "b@yahoo.fr", "c@dead.example")
    send(ses, "d@gmail.com", ConfigurationSetName="marketing")
    with pytest.raises(ses.exceptions.BadRequestException, match="not enabled"):
        ask_vdm(ses, ("SEND", {}))
    ses.put_account_vdm_attributes(VdmAttributes={"VdmEnabled": "ENABLED"})
    assert ses.get_account()["VdmAttributes"]["VdmEnabled"] == "ENABLED"
    results = ask_vdm(
        ses,
        ("SEND", {}),
        ("DELIVERY", {"ISP": "Gmail"}),
        ("SEND", {"CONFIGURATION_SET": "marketing"}),
        ("PERMANENT_BOUNCE", {"EMAIL_IDENTITY": "acme.example"}),
        ("SEND", {"EMAIL_IDENTITY": "other.example"}),
    )
    assert [each["Values"] for each in results] == [[4], [2], [1], [1], []]
    with pytest.raises(ses.exceptions.BadRequestException, match="1 to 10"):
        ask_vdm(ses, *[("SEND", {})] * 11)


def test_high_rates_lead_to_recommendations_and_impact(ses: Any) -> None:
    assert ses.list_recommendations()["Recommendations"] == []
    ses.create_configuration_set(ConfigurationSetName="marketing")
    send(ses, "a@b.example", "b@dead.example", ConfigurationSetName="marketing")
    (found,) = ses.list_recommendations(Filter={"TYPE": "BOUNCE"})["Recommendations"]
    assert (found["Type"], found["Impact"], found["Status"]) == ("BOUNCE", "HIGH", "OPEN")
    (entity,) = ses.list_reputation_entities()["ReputationEntities"]
    assert (entity["ReputationImpact"], entity["SendingStatusAggregate"]) == ("HIGH", "ENABLED")
    reference = entity["ReputationEntityReference"]
    again = ses.get_reputation_entity(ReputationEntityReference=reference, ReputationEntityType="RESOURCE")
    assert again["ReputationEntity"] == entity
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_reputation_entity(ReputationEntityReference=reference + "x", ReputationEntityType="RESOURCE")
