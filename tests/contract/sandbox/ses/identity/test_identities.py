"""Identities and configuration sets of the sandbox, driven by boto3 over HTTP."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from support.credentials import bearer
from support.ses import open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings

DOMAIN = "acme.example"
TEXT = {"Data": "x"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    settings = SandboxSettings(record_folder=tmp_path, identities=(), configuration_sets=("news",))
    with run_in_thread(settings) as running:
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with open_ses(sandbox) as client:
        yield client


def control(sandbox: EmbeddedSandbox, method: str, path: str, document: Any) -> tuple[int, dict[str, Any]]:
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)) as connection:
        connection.request(method, path, body=orjson.dumps(document), headers=bearer(sandbox))
        reply = connection.getresponse()
        return reply.status, orjson.loads(reply.read())


def send(ses: Any, sender: str) -> Any:
    content = {"Simple": {"Subject": TEXT, "Body": {"Text": TEXT}}}
    return ses.send_email(FromEmailAddress=sender, Destination={"ToAddresses": ["ann@b.example"]}, Content=content)


def test_identity_keeps_what_it_was_created_with(ses: Any):
    tag = {"Key": "team", "Value": "news"}
    length = {"NextSigningKeyLength": "RSA_1024_BIT"}
    ses.create_email_identity(
        EmailIdentity=DOMAIN, Tags=[tag], DkimSigningAttributes=length, ConfigurationSetName="news"
    )
    found = ses.get_email_identity(EmailIdentity=DOMAIN)
    assert found["Tags"] == [tag]
    assert found["ConfigurationSetName"] == "news"
    assert found["DkimAttributes"]["NextSigningKeyLength"] == "RSA_1024_BIT"
    assert "MailFromAttributes" not in found


def test_changes_of_an_identity_are_shown(ses: Any):
    ses.create_email_identity(EmailIdentity=DOMAIN)
    ses.put_email_identity_mail_from_attributes(
        EmailIdentity=DOMAIN, MailFromDomain="bounce.acme.example", BehaviorOnMxFailure="REJECT_MESSAGE"
    )
    ses.put_email_identity_configuration_set_attributes(EmailIdentity=DOMAIN, ConfigurationSetName="news")
    ses.put_email_identity_dkim_attributes(EmailIdentity=DOMAIN, SigningEnabled=False)
    ses.put_email_identity_feedback_attributes(EmailIdentity=DOMAIN, EmailForwardingEnabled=False)
    found = ses.get_email_identity(EmailIdentity=DOMAIN)
    assert found["MailFromAttributes"] == {
        "MailFromDomain": "bounce.acme.example",
        "MailFromDomainStatus": "SUCCESS",
        "BehaviorOnMxFailure": "REJECT_MESSAGE",
    }
    assert found["ConfigurationSetName"] == "news"
    assert not found["DkimAttributes"]["SigningEnabled"]
    assert not found["FeedbackForwardingStatus"]


def test_a_key_of_ones_own_replaces_easy_dkim(ses: Any):
    ses.create_email_identity(EmailIdentity=DOMAIN)
    own = {"DomainSigningSelector": "s1", "DomainSigningPrivateKey": "QUJD"}
    answer = ses.put_email_identity_dkim_signing_attributes(
        EmailIdentity=DOMAIN, SigningAttributesOrigin="EXTERNAL", SigningAttributes=own
    )
    assert answer["DkimTokens"] == ["s1"]
    assert ses.get_email_identity(EmailIdentity=DOMAIN)["DkimAttributes"]["SigningAttributesOrigin"] == "EXTERNAL"


@pytest.mark.parametrize(
    ("method", "parameters", "error"),
    [
        ("mail_from", {"MailFromDomain": "bounce.other.example"}, "BadRequestException"),
        ("configuration_set", {"ConfigurationSetName": "missing"}, "NotFoundException"),
        ("dkim_signing", {"SigningAttributesOrigin": "EXTERNAL"}, "BadRequestException"),
    ],
)
def test_a_wrong_change_of_an_identity_is_refused(ses: Any, method: str, parameters: dict[str, Any], error: str):
    ses.create_email_identity(EmailIdentity=DOMAIN)
    before = ses.get_email_identity(EmailIdentity=DOMAIN)
    with pytest.raises(getattr(ses.exceptions, error)):
        getattr(ses, f"put_email_identity_{method}_attributes")(EmailIdentity=DOMAIN, **parameters)
    after = ses.get_email_identity(EmailIdentity=DOMAIN)
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}


def test_a_pending_identity_cannot_be_sent_from(sandbox: EmbeddedSandbox, ses: Any):
    ses.create_email_identity(EmailIdentity=DOMAIN)
    send(ses, f"news@{DOMAIN}")
    asked = {"identity": DOMAIN, "verification_status": "PENDING", "dkim_status": "FAILED"}
    assert control(sandbox, "PATCH", "/_sandbox/identities", asked) == (200, {**asked, "mail_from_status": "SUCCESS"})
    with pytest.raises(ses.exceptions.MessageRejected):
        send(ses, f"news@{DOMAIN}")
    assert ses.get_email_identity(EmailIdentity=DOMAIN)["DkimAttributes"]["Status"] == "FAILED"
    assert [one["SendingEnabled"] for one in ses.list_email_identities()["EmailIdentities"]] == [False]


@pytest.mark.parametrize(
    "asked",
    [{}, {"identity": "other.example", "dkim_status": "FAILED"}, {"identity": DOMAIN, "dkim_status": "GOOD"},
     {"identity": DOMAIN, "colour": "PENDING"}],
)  # fmt: skip
def test_a_wrong_status_changes_nothing(sandbox: EmbeddedSandbox, ses: Any, asked: dict[str, str]):
    ses.create_email_identity(EmailIdentity=DOMAIN)
    status, answer = control(sandbox, "PATCH", "/_sandbox/identities", asked)
    assert (status, "message" in answer) == (400, True)
    assert ses.get_email_identity(EmailIdentity=DOMAIN)["DkimAttributes"]["Status"] == "SUCCESS"


def test_options_of_a_configuration_set_are_replaced(ses: Any):
    ses.put_configuration_set_delivery_options(ConfigurationSetName="news", TlsPolicy="REQUIRE", SendingPoolName="a")
    ses.put_configuration_set_delivery_options(ConfigurationSetName="news", TlsPolicy="OPTIONAL")
    ses.put_configuration_set_reputation_options(ConfigurationSetName="news", ReputationMetricsEnabled=True)
    ses.put_configuration_set_suppression_options(ConfigurationSetName="news", SuppressedReasons=["BOUNCE"])
    ses.put_configuration_set_tracking_options(ConfigurationSetName="news", CustomRedirectDomain="t.acme.example")
    metrics = {"DashboardOptions": {"EngagementMetrics": "ENABLED"}}
    ses.put_configuration_set_vdm_options(ConfigurationSetName="news", VdmOptions=metrics)
    found = ses.get_configuration_set(ConfigurationSetName="news")
    assert found["DeliveryOptions"] == {"TlsPolicy": "OPTIONAL"}
    assert found["ReputationOptions"] == {"ReputationMetricsEnabled": True}
    assert found["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    assert found["TrackingOptions"] == {"CustomRedirectDomain": "t.acme.example"}
    assert found["VdmOptions"] == metrics


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("deny_call", "AccessDeniedException"),
        ("throttle_call", "TooManyRequestsException"),
        ("fail_call", "InternalFailure"),
    ],
)
def test_fault_of_a_call_strikes_the_call_that_it_names(sandbox: EmbeddedSandbox, ses: Any, kind: str, code: str):
    control(sandbox, "POST", "/_sandbox/faults", {"kind": kind, "match": "POST /v2/email/identities"})
    ses.get_account()
    with pytest.raises(ses.exceptions.ClientError) as refused:
        ses.create_email_identity(EmailIdentity=DOMAIN)
    assert refused.value.response["Error"]["Code"] == code
    ses.create_email_identity(EmailIdentity=DOMAIN)
