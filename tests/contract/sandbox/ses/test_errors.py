"""Every error of the sandbox, as boto3 reports it."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from engine.sandbox.embedded import run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

ONE_TRY = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=10)
TEMPLATE = {"TemplateContent": {"Subject": "s", "Text": "{{t}}"}, "TemplateData": '{"t":"x"}'}

Connect = Callable[..., Any]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Start a sandbox with some settings and return a client of it, with some credentials."""
    with ExitStack() as stack:

        def start(*, secret: str = "", key: str = "", token: str | None = None, **settings: Any) -> Any:
            settings = {"max_send_rate": 1000.0, **settings}
            sandbox = stack.enter_context(run_in_thread(SandboxSettings(record_folder=tmp_path, **settings)))
            client = boto3.client(
                "sesv2",
                endpoint_url=sandbox.url,
                region_name="eu-west-1",
                aws_access_key_id=key or sandbox.access_key_id,
                aws_secret_access_key=secret or sandbox.secret_access_key,
                aws_session_token=token,
                config=ONE_TRY,
            )
            return stack.enter_context(closing(client))

        yield start


def send(ses: Any, *to: str, **members: Any) -> Any:
    text = {"Data": "x"}
    request = {
        "FromEmailAddress": "news@acme.example",
        "Destination": {"ToAddresses": list(to or ["ann@b.example"])},
        "Content": {"Simple": {"Subject": text, "Body": {"Text": text}}},
        **members,
    }
    return ses.send_email(**request)


def bulk(ses: Any, *to: str, **members: Any) -> list[dict[str, str]]:
    request = {
        "FromEmailAddress": "news@acme.example",
        "DefaultContent": {"Template": TEMPLATE},
        "BulkEmailEntries": [{"Destination": {"ToAddresses": [address]}} for address in to],
        **members,
    }
    results: list[dict[str, str]] = ses.send_bulk_email(**request)["BulkEmailEntryResults"]
    return results


def refusal(call: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_wrong_secret_unknown_key_and_session_token_differ(connect: Connect) -> None:
    assert refusal(connect(secret="wrong").get_account)[:2] == ("InvalidSignatureException", 403)
    assert refusal(connect(key="AKIDOTHER").get_account)[:2] == ("UnrecognizedClientException", 403)
    assert connect(token="session").get_account()["SendingEnabled"]


def test_other_credentials_can_be_given(connect: Connect) -> None:
    ses = connect(credentials={"AKIDMINE": "mine"})
    assert ses.get_account()["SendingEnabled"]


def test_unsigned_call_is_refused_as_an_api_error(connect: Connect) -> None:
    address = urlsplit(connect().meta.endpoint_url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
        connection.request("GET", "/v2/email/account")
        reply = connection.getresponse()
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationToken")
        assert reply.headers["x-amzn-RequestId"]
        assert orjson.loads(reply.read()) == {"message": "Missing Authentication Token"}


def test_a_debt_throttles_the_next_call(connect: Connect) -> None:
    ses = connect(max_send_rate=1.0)
    send(ses, *(f"a{number}@b.example" for number in range(50)))
    assert refusal(lambda: send(ses)) == ("TooManyRequestsException", 429, "Maximum sending rate exceeded.")


def test_the_daily_quota_refuses_the_message_that_would_exceed_it(connect: Connect, tmp_path: Path) -> None:
    ses = connect(max_24_hour_send=3.0)
    send(ses, "a@b.example", "c@d.example")
    expected = ("LimitExceededException", 400, "Daily message quota exceeded.")
    assert refusal(lambda: send(ses, "e@f.example", "g@h.example")) == expected
    send(ses)
    assert refusal(lambda: send(ses)) == expected
    assert send(ses, "success@simulator.amazonses.com")["MessageId"]
    assert len(list(read_record(tmp_path))) == 3


def test_an_unverified_sender_or_recipient_is_rejected_with_its_name(connect: Connect) -> None:
    ses = connect(production_access=False, identities=("acme.example",))
    text = "Email address is not verified. The following identities failed the check in region EU-WEST-1: "
    assert refusal(lambda: send(ses, "a@b.example")) == ("MessageRejected", 400, text + "a@b.example")
    assert refusal(lambda: send(ses, FromEmailAddress="x@y.example")) == ("MessageRejected", 400, text + "x@y.example")
    assert send(ses, "ann@acme.example", "bounce+1@simulator.amazonses.com")["MessageId"]


def test_created_identities_are_verified_at_once(connect: Connect) -> None:
    ses = connect(identities=())
    assert refusal(lambda: send(ses))[0] == "MessageRejected"
    assert refusal(lambda: ses.get_email_identity(EmailIdentity="acme.example"))[:2] == ("NotFoundException", 404)
    ses.create_email_identity(EmailIdentity="acme.example")
    assert send(ses)["MessageId"]


def test_the_suppression_list_cannot_be_changed_in_sandbox_mode(connect: Connect) -> None:
    ses = connect(production_access=False)
    call = {"EmailAddress": "a@b.example", "Reason": "BOUNCE"}
    assert refusal(lambda: ses.put_suppressed_destination(**call))[:2] == ("BadRequestException", 400)


def test_an_unknown_configuration_set_is_not_found(connect: Connect) -> None:
    ses = connect(configuration_sets=("marketing",))
    assert send(ses, ConfigurationSetName="marketing")["MessageId"]
    expected = ("NotFoundException", 404, "Configuration set <other> does not exist.")
    assert refusal(lambda: send(ses, ConfigurationSetName="other")) == expected
    assert refusal(lambda: bulk(ses, "a@b.example", ConfigurationSetName="other")) == expected


def test_a_bad_address_and_an_unsupported_template_are_bad_requests(connect: Connect) -> None:
    ses = connect()
    assert refusal(lambda: send(ses, "ann")) == ("BadRequestException", 400, "Missing final '@domain'")
    template = {"TemplateContent": {"Subject": "s", "Text": "{{#if a}}{{/if}}"}, "TemplateData": "{}"}
    expected = ("BadRequestException", 400, "Template contains unsupported operations.")
    assert refusal(lambda: send(ses, Content={"Template": template})) == expected
    assert refusal(lambda: bulk(ses, "a@b.example", DefaultContent={"Template": template})) == expected


def test_a_bulk_call_over_a_megabyte_or_fifty_entries_is_refused(connect: Connect) -> None:
    ses = connect()
    big = {"TemplateContent": {"Subject": "s", "Text": "x" * 1_100_000}}
    assert "1048576 bytes" in refusal(lambda: bulk(ses, "a@b.example", DefaultContent={"Template": big}))[2]
    assert "1 to 50 entries" in refusal(lambda: bulk(ses, *["a@b.example"] * 51))[2]


def test_bulk_entries_beyond_the_rate_are_throttled_one_by_one(connect: Connect, tmp_path: Path) -> None:
    ses = connect(max_send_rate=3.0)
    statuses = [result["Status"] for result in bulk(ses, *(f"a{number}@b.example" for number in range(10)))]
    accepted = statuses.count("SUCCESS")
    assert 3 <= accepted < 10
    assert statuses == ["SUCCESS"] * accepted + ["ACCOUNT_THROTTLED"] * (10 - accepted)
    assert len(list(read_record(tmp_path))) == accepted


def test_a_bulk_call_on_an_empty_bucket_is_throttled_as_a_whole(connect: Connect) -> None:
    ses = connect(max_send_rate=1.0)
    send(ses, *(f"a{number}@b.example" for number in range(50)))
    assert refusal(lambda: bulk(ses, "a@b.example"))[:2] == ("TooManyRequestsException", 429)


def test_bulk_entries_beyond_the_quota_or_not_verified_say_so(connect: Connect) -> None:
    ses = connect(max_24_hour_send=1.0, production_access=False, identities=("acme.example",))
    results = bulk(ses, "x@other.example", "a@acme.example", "b@acme.example")
    assert [result["Status"] for result in results] == ["MESSAGE_REJECTED", "SUCCESS", "ACCOUNT_DAILY_QUOTA_EXCEEDED"]


def test_a_message_of_many_megabytes_is_taken(connect: Connect, tmp_path: Path) -> None:
    html = {"Data": "é" * 8_000_000, "Charset": "UTF-8"}
    assert send(connect(), Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Html": html}}})["MessageId"]
    assert [len(message["html"]) for message in read_record(tmp_path)] == [8_000_000]


def test_a_request_beyond_all_bounds_is_refused(connect: Connect) -> None:
    address = urlsplit(connect().meta.endpoint_url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=30)) as connection:
        connection.request("POST", "/v2/email/outbound-emails", body=b"x" * (85 * 1024 * 1024))
        reply = connection.getresponse()
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException")
        reply.read()


def test_body_that_is_not_json_is_malformed(connect: Connect) -> None:
    ses = connect()
    ses.meta.events.register("before-sign.sesv2.SendEmail", lambda request, **_: setattr(request, "data", b"{"))
    assert refusal(lambda: send(ses))[:2] == ("MalformedHttpRequestException", 400)
