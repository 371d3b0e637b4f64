"""Every operation of the sandbox, driven by boto3 over HTTP."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from support.ses import open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def settings(folder: Path) -> SandboxSettings:
    return SandboxSettings(record_folder=folder, max_send_rate=1000)


@pytest.fixture
def sandbox(settings: SandboxSettings) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(settings) as running:
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with open_ses(sandbox) as client:
        yield client


def simple(subject: str = "Hé", html: str = "<p>Hé 🙂</p>") -> dict[str, Any]:
    return {
        "Simple": {
            "Subject": {"Data": subject, "Charset": "UTF-8"},
            "Body": {"Html": {"Data": html, "Charset": "UTF-8"}, "Text": {"Data": "Hé", "Charset": "UTF-8"}},
            "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://u.example/t>"}],
            "Attachments": [
                {"FileName": "a.pdf", "RawContent": b"\xff\x00", "ContentTransferEncoding": "BASE64"},
            ],
        }
    }


def code_of(error: ClientError) -> tuple[str, int]:
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_send_email_is_recorded_as_the_recipient_sees_it(ses: Any, folder: Path) -> None:
    reply = ses.send_email(
        FromEmailAddress="Acme News <news@acme.example>",
        Destination={"ToAddresses": ["Ann <Ann@b.example>"], "BccAddresses": ["c@d.example"]},
        ReplyToAddresses=["r@acme.example"],
        EmailTags=[{"Name": "msg", "Value": "01J"}],
        ConfigurationSetName="marketing",
        Content=simple(),
    )
    [message] = read_record(folder)
    at = datetime.fromisoformat(message.pop("at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert message == {
        "message_id": reply["MessageId"],
        "operation": "SendEmail",
        "region": "us-east-1",
        "from": "Acme News <news@acme.example>",
        "to": ["Ann@b.example", "c@d.example"],
        "endpoint_id": None,
        "tenant": None,
        "tracking": {},
        "tags": {"msg": "01J"},
        "configuration_set": "marketing",
        "outgoing_ip": "198.51.100.7",
        "fate": "delivered",
        "on_suppression_list": {},
        "detail": "",
        "subject": "Hé",
        "html": "<p>Hé 🙂</p>",
        "text": "Hé",
        "headers": [{"name": "List-Unsubscribe", "value": "<https://u.example/t>"}],
        "reply_to": ["r@acme.example"],
        "attachments": [{"name": "a.pdf", "type": "application/octet-stream", "size": 2}],
        "raw": "",
    }


def test_a_message_id_has_the_shape_that_ses_gives(ses: Any) -> None:
    reply = send(ses)
    assert re.fullmatch(r"0100[0-9a-f]{12}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000", reply["MessageId"])
    assert len(reply["MessageId"]) == 60
    assert reply["ResponseMetadata"]["RequestId"]


def send(ses: Any, to: str = "ann@b.example", **members: Any) -> Any:
    request = {
        "FromEmailAddress": "news@acme.example",
        "Destination": {"ToAddresses": [to]},
        "Content": simple(),
        **members,
    }
    return ses.send_email(**request)


def test_send_email_takes_raw_content_and_an_inline_template(ses: Any, folder: Path) -> None:
    raw = b"From: n@acme.example\r\nTo: ann@b.example\r\nSubject: raw\r\n\r\nHi\r\n"
    ses.send_email(Content={"Raw": {"Data": raw}})
    content = {"Subject": "Hi {{name}}", "Html": "<b>{{name}}</b>"}
    send(ses, Content={"Template": {"TemplateContent": content, "TemplateData": '{"name":"Ann"}'}})
    first, second = read_record(folder)
    assert (first["subject"], first["text"], first["to"]) == ("raw", "Hi\r\n", ["ann@b.example"])
    assert (second["subject"], second["html"], second["text"]) == ("Hi Ann", "<b>Ann</b>", None)


def bulk(ses: Any, *entries: dict[str, Any], **template: Any) -> list[dict[str, Any]]:
    content = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}
    reply = ses.send_bulk_email(
        FromEmailAddress="news@acme.example",
        DefaultEmailTags=[{"Name": "campaign", "Value": "c1"}],
        DefaultContent={
            "Template": {"TemplateContent": content, "TemplateData": '{"subject":"default","text":"t"}', **template}
        },
        BulkEmailEntries=list(entries),
    )
    results: list[dict[str, Any]] = reply["BulkEmailEntryResults"]
    return results


def entry(to: str, **data: str) -> dict[str, Any]:
    return {
        "Destination": {"ToAddresses": [to]},
        "ReplacementTags": [{"Name": "msg", "Value": to.partition("@")[0]}],
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": orjson.dumps(data).decode()}},
        "ReplacementHeaders": [{"Name": "List-Unsubscribe", "Value": f"<https://u.example/{to}>"}],
    }


def test_bulk_results_are_in_the_order_of_the_entries(ses: Any, folder: Path) -> None:
    headers = [{"Name": "list-unsubscribe", "Value": "<https://u.example/>"}, {"Name": "X-A", "Value": "b"}]
    results = bulk(
        ses,
        entry("ann@b.example", subject="S1", html="<p>{{x}}</p>"),
        entry("not an address", subject="S2", html="h"),
        entry("bob@b.example", subject="S3"),
        Headers=headers,
    )
    assert [result["Status"] for result in results] == ["SUCCESS", "INVALID_PARAMETER", "SUCCESS"]
    assert results[1]["Error"] == "Local address contains control or whitespace"
    ann, bob = read_record(folder)
    assert (ann["message_id"], bob["message_id"]) == (results[0]["MessageId"], results[2]["MessageId"])
    assert (ann["operation"], ann["subject"], ann["html"], ann["text"]) == ("SendBulkEmail", "S1", "<p>{{x}}</p>", "t")
    assert ann["tags"] == {"campaign": "c1", "msg": "ann"}
    assert ann["headers"] == [
        {"name": "X-A", "value": "b"},
        {"name": "List-Unsubscribe", "value": "<https://u.example/ann@b.example>"},
    ]
    assert (bob["fate"], bob["html"]) == ("rendering_failure", None)
    assert bob["detail"] == "Attribute 'html' is not present in the rendering data."


def test_get_account_returns_quota_and_use(ses: Any) -> None:
    send(ses)
    send(ses, to="success@simulator.amazonses.com")
    account = ses.get_account()
    assert account["SendQuota"] == {"Max24HourSend": 50_000.0, "MaxSendRate": 1000.0, "SentLast24Hours": 1.0}
    assert (account["SendingEnabled"], account["ProductionAccessEnabled"]) == (True, True)
    assert account["EnforcementStatus"] == "HEALTHY"


def test_put_account_sending_attributes_switches_sending(ses: Any) -> None:
    ses.put_account_sending_attributes(SendingEnabled=False)
    assert ses.get_account()["SendingEnabled"] is False
    with pytest.raises(ses.exceptions.SendingPausedException):
        send(ses)
    ses.put_account_sending_attributes(SendingEnabled=True)
    assert send(ses)["MessageId"]


def test_identities_are_created_found_listed_and_deleted(ses: Any) -> None:
    created = ses.create_email_identity(EmailIdentity="Acme.example")
    assert (created["IdentityType"], created["VerifiedForSendingStatus"]) == ("DOMAIN", True)
    assert len(created["DkimAttributes"]["Tokens"]) == 3
    ses.create_email_identity(EmailIdentity="news@shop.example")
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_email_identity(EmailIdentity="acme.EXAMPLE")
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_email_identity(EmailIdentity="nonsense")
    found = ses.get_email_identity(EmailIdentity="news@shop.example")
    assert (found["IdentityType"], found["VerificationStatus"]) == ("EMAIL_ADDRESS", "SUCCESS")
    page = ses.list_email_identities(PageSize=1)
    rest = ses.list_email_identities(PageSize=1, NextToken=page["NextToken"])
    names = [identity["IdentityName"] for identity in page["EmailIdentities"] + rest["EmailIdentities"]]
    assert names == ["Acme.example", "news@shop.example"]
    assert "NextToken" not in rest
    ses.delete_email_identity(EmailIdentity="ACME.example")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_email_identity(EmailIdentity="acme.example")


def test_older_clients_list_by_get(ses: Any, sandbox: EmbeddedSandbox) -> None:
    ses.create_email_identity(EmailIdentity="acme.example")
    ses.create_configuration_set(ConfigurationSetName="a")
    listed = get(sandbox, "/v2/email/identities?PageSize=10")["EmailIdentities"]
    assert [identity["IdentityName"] for identity in listed] == ["acme.example"]
    assert get(sandbox, "/v2/email/configuration-sets?PageSize=10")["ConfigurationSets"] == ["a"]


def get(sandbox: EmbeddedSandbox, target: str) -> Any:
    request = AWSRequest("GET", sandbox.url + target)
    credentials = Credentials(sandbox.access_key_id, sandbox.secret_access_key)
    SigV4Auth(credentials, "ses", sandbox.region).add_auth(request)
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request("GET", target, headers=dict(request.headers.items()))
        return orjson.loads(connection.getresponse().read())


def test_configuration_sets_are_created_found_listed_and_deleted(ses: Any) -> None:
    ses.create_configuration_set(ConfigurationSetName="b", DeliveryOptions={"TlsPolicy": "REQUIRE"})
    ses.create_configuration_set(ConfigurationSetName="a")
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_configuration_set(ConfigurationSetName="a")
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_configuration_set(ConfigurationSetName="a b")
    found = ses.get_configuration_set(ConfigurationSetName="b")
    assert (found["DeliveryOptions"], found["SendingOptions"]) == ({"TlsPolicy": "REQUIRE"}, {"SendingEnabled": True})
    assert ses.list_configuration_sets()["ConfigurationSets"] == ["a", "b"]
    ses.delete_configuration_set(ConfigurationSetName="a")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_configuration_set(ConfigurationSetName="a")


def test_a_configuration_set_can_be_switched_off(ses: Any) -> None:
    ses.put_configuration_set_sending_options(ConfigurationSetName="b", SendingEnabled=False)
    with pytest.raises(ses.exceptions.SendingPausedException):
        send(ses, ConfigurationSetName="b")
    assert send(ses, ConfigurationSetName="a")["MessageId"]


def test_suppressions_are_put_found_listed_in_pages_and_deleted(ses: Any, folder: Path) -> None:
    addresses = [f"a{number}@b.example" for number in range(5)] + ["A+x@B.example"]
    for number, address in enumerate(addresses):
        ses.put_suppressed_destination(EmailAddress=address, Reason="COMPLAINT" if number % 2 else "BOUNCE")
    found = ses.get_suppressed_destination(EmailAddress="A+x@B.example")["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"]) == ("A+x@B.example", "COMPLAINT")
    listed: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = ses.list_suppressed_destinations(PageSize=4, **token)
        listed += [entry["EmailAddress"] for entry in page["SuppressedDestinationSummaries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sorted(listed) == sorted(addresses)
    bounces = ses.list_suppressed_destinations(Reasons=["BOUNCE"])["SuppressedDestinationSummaries"]
    assert [entry["EmailAddress"] for entry in bounces] == addresses[0:5:2]
    send(ses, to="a+X@b.example")
    assert [message["fate"] for message in read_record(folder)] == ["suppressed"]
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_suppressed_destination(EmailAddress="a+x@b.example")
    ses.delete_suppressed_destination(EmailAddress="A+x@B.example")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_suppressed_destination(EmailAddress="A+x@B.example")


def test_suppressions_are_listed_by_date(ses: Any) -> None:
    ses.put_suppressed_destination(EmailAddress="a@b.example", Reason="BOUNCE")
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    assert ses.list_suppressed_destinations(StartDate=now - hour, EndDate=now + hour)["SuppressedDestinationSummaries"]
    assert not ses.list_suppressed_destinations(StartDate=now + hour)["SuppressedDestinationSummaries"]
    assert not ses.list_suppressed_destinations(EndDate=now - hour)["SuppressedDestinationSummaries"]


def test_a_foreign_token_and_a_page_size_out_of_bounds_are_refused(ses: Any) -> None:
    with pytest.raises(ses.exceptions.InvalidNextTokenException):
        ses.list_suppressed_destinations(NextToken="é")
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.list_suppressed_destinations(PageSize=1001)
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.list_email_identities(NextToken="é")


def test_unsupported_operation_is_unknown(ses: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ses.list_contact_lists()
    assert code_of(caught.value) == ("UnknownOperationException", 404)


def test_a_simulated_bounce_and_complaint_are_accepted_with_their_fate(ses: Any, folder: Path) -> None:
    for mailbox in ("success", "bounce+1", "complaint", "ooto", "suppressionlist"):
        assert send(ses, to=f"{mailbox}@simulator.amazonses.com")["MessageId"]
    fates = [message["fate"] for message in read_record(folder)]
    assert fates == ["delivered", "bounced", "complained", "out_of_office", "suppressed"]
