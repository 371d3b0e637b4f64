"""Multi-region endpoints, tenants and tracking of one message, as boto3 with AWS's own library reaches them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.ses import call_with_crt, open_ses

from engine.sandbox.embedded import run_in_thread
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.event_plan import plan_events
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

ARN = "arn:aws:ses:us-east-1:123456789012:"
SIMPLE = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
TEMPLATE = {"Template": {"TemplateContent": {"Subject": "s", "Text": "t"}, "TemplateData": "{}"}}


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Any]:
    with (
        run_in_thread(SandboxSettings(record_folder=folder, max_send_rate=1000, **settings)) as sandbox,
        open_ses(sandbox) as client,
    ):
        yield client


@pytest.fixture(name="client")
def _client(tmp_path: Path) -> Iterator[Any]:
    with opened(tmp_path) as client:
        yield client


def send(client: Any, **given: Any) -> str:
    to = {"ToAddresses": ["ann@example.com"]}
    found: str = client.send_email(
        FromEmailAddress="News <news@mail.acme.example>", Destination=to, **{"Content": SIMPLE, **given}
    )["MessageId"]
    return found


def refusal(client: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        send(client, **given)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_mail_through_a_multi_region_endpoint_is_accepted_once_it_exists(tmp_path: Path):
    single = {"Destination": {"ToAddresses": ["ann@example.com"]}, "Content": SIMPLE}
    bulk = {
        "DefaultContent": TEMPLATE,
        "BulkEmailEntries": [{"Destination": {"ToAddresses": ["bob@example.com"]}}],
    }
    with run_in_thread(SandboxSettings(record_folder=tmp_path, max_send_rate=1000)) as sandbox:
        send_by = partial(call_with_crt, sandbox, FromEmailAddress="news@mail.acme.example")
        refused = send_by(operation="send_email", EndpointId="abcdef12.g3h", **single)
        assert refused["Error"]["Code"] == "NotFoundException"
        with open_ses(sandbox) as client:
            route = {"RoutesDetails": [{"Region": "eu-west-1"}]}
            made = client.create_multi_region_endpoint(EndpointName="global", Details=route)
            assert "MessageId" in send_by(operation="send_email", EndpointId=made["EndpointId"], **single)
            sent = send_by(operation="send_bulk_email", EndpointId=made["EndpointId"], **bulk)
            assert [one["Status"] for one in sent["BulkEmailEntryResults"]] == ["SUCCESS"]
            assert [one["endpoint_id"] for one in read_record(tmp_path)] == [made["EndpointId"]] * 2
            (listed,) = client.list_multi_region_endpoints()["MultiRegionEndpoints"]
            found = client.get_multi_region_endpoint(EndpointName="global")
            assert (listed["Status"], listed["EndpointId"]) == ("READY", found["EndpointId"])
            assert [one["Region"] for one in found["Routes"]] == listed["Regions"] == ["us-east-1", "eu-west-1"]
            client.delete_multi_region_endpoint(EndpointName="global")
            assert client.list_multi_region_endpoints()["MultiRegionEndpoints"] == []


def test_an_endpoint_has_one_secondary_region_and_a_name_of_its_own(client: Any):
    def create(name: str, *regions: str) -> None:
        routes = [{"Region": region} for region in regions]
        client.create_multi_region_endpoint(EndpointName=name, Details={"RoutesDetails": routes})

    create("one", "eu-west-1")
    for name, regions in (("one", ["eu-west-1"]), ("two", ["us-east-1"]), ("a b", ["eu-west-1"]), ("none", [])):
        with pytest.raises(ClientError, match=r"AlreadyExists|BadRequest"):
            create(name, *regions)


def test_a_tenant_sends_only_with_what_is_associated_with_it(client: Any, tmp_path: Path):
    assert refusal(client, TenantName="shop")[0] == "NotFoundException"
    tenant = client.create_tenant(TenantName="shop")
    assert tenant["SendingStatus"] == "ENABLED"
    code, text = refusal(client, TenantName="shop")
    assert (code, "not associated with tenant <shop>" in text) == ("BadRequestException", True)
    client.create_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}identity/acme.example")
    send(client, TenantName="shop")
    assert "Configuration set <news>" in refusal(client, TenantName="shop", ConfigurationSetName="news")[1]
    client.create_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}configuration-set/news")
    send(client, TenantName="shop", ConfigurationSetName="news")
    resources = client.list_tenant_resources(TenantName="shop")["TenantResources"]
    assert {one["ResourceType"] for one in resources} == {"EMAIL_IDENTITY", "CONFIGURATION_SET"}
    client.delete_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}identity/acme.example")
    assert refusal(client, TenantName="shop")[0] == "BadRequestException"
    assert [one["tenant"] for one in read_record(tmp_path)] == ["shop", "shop"]


def test_a_paused_tenant_sends_nothing(client: Any):
    tenant = client.create_tenant(TenantName="shop")
    client.create_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}identity/acme.example")
    entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": tenant["TenantArn"]}
    client.update_reputation_entity_customer_managed_status(**entity, SendingStatus="DISABLED")
    assert client.get_tenant(TenantName="shop")["Tenant"]["SendingStatus"] == "DISABLED"
    assert refusal(client, TenantName="shop") == ("SendingPausedException", "Sending is paused for tenant <shop>.")
    client.update_reputation_entity_customer_managed_status(**entity, SendingStatus="REINSTATED")
    send(client, TenantName="shop")
    (listed,) = client.list_tenants()["Tenants"]
    assert listed["SendingStatus"] == "REINSTATED"
    client.delete_tenant(TenantName="shop")
    assert client.list_tenants()["Tenants"] == []


def test_tenant_of_a_raw_message_is_in_its_header(client: Any, tmp_path: Path):
    client.create_tenant(TenantName="shop")
    client.create_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}identity/acme.example")
    raw = b"From: news@acme.example\r\nTo: ann@example.com\r\nSubject: s\r\nX-SES-TENANT: shop\r\n\r\nt\r\n"
    client.send_email(Content={"Raw": {"Data": raw}})
    assert [one["tenant"] for one in read_record(tmp_path)] == ["shop"]


@pytest.mark.parametrize(
    ("tracking", "kinds"),
    [
        ({}, {"Open", "Click"}),
        ({"OpenTrackingEnabled": "ENABLED"}, {"Open", "Click"}),
        ({"OpenTrackingEnabled": "DISABLED"}, {"Click"}),
        ({"ClickTrackingEnabled": "DISABLED", "OpenTrackingEnabled": "ENABLED"}, {"Open"}),
        ({"ClickTrackingEnabled": "DISABLED", "OpenTrackingEnabled": "DISABLED"}, set()),
    ],
)
def test_tracking_of_one_message_decides_about_its_opens_and_clicks(
    client: Any, tmp_path: Path, tracking: dict[str, str], kinds: set[str]
):
    html = {"Html": {"Data": '<a href="https://acme.example/">a</a>'}}
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": html}}
    send(client, Content=content, ConfigurationOverrides={"Tracking": tracking})
    behaviour = Behaviour.from_document({"default": {"open": 1, "click": 1}})
    (message,) = read_record(tmp_path)
    assert {event.kind for event in plan_events(message, behaviour)} - {"Send", "Delivery"} == kinds


def test_tracking_that_is_neither_on_nor_off_is_refused(client: Any):
    overrides = {"Tracking": {"OpenTrackingEnabled": "MAYBE"}}
    assert refusal(client, ConfigurationOverrides=overrides)[0] == "BadRequestException"


def test_named_and_all_endpoints_and_tenants_of_the_settings_exist(tmp_path: Path):
    named: dict[str, Any] = {"multi_region_endpoints": ("abcdef12.g3h",), "tenants": ("shop",)}
    mail = {
        "FromEmailAddress": "news@mail.acme.example",
        "Destination": {"ToAddresses": ["ann@example.com"]},
        "Content": SIMPLE,
        "ConfigurationSetName": "news",
        "TenantName": "shop",
        "EndpointId": "abcdef12.g3h",
    }
    for settings in (named, {"multi_region_endpoints": None, "tenants": None}):
        with run_in_thread(SandboxSettings(record_folder=tmp_path, max_send_rate=1000, **settings)) as sandbox:
            assert "MessageId" in call_with_crt(sandbox, "send_email", **mail)
            with open_ses(sandbox) as client:
                assert client.get_tenant(TenantName="shop")["Tenant"]["SendingStatus"] == "ENABLED"
