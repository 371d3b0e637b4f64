"""The account: what SES returns, and the refusals before anything is sent."""

import botocore.exceptions as aws
import pytest
from support.account import CannedClient, client_error

from engine.account.client import translate_aws_errors
from engine.account.identities import covering_identities, refuse_if_unverified
from engine.account.quota import AccountQuota, read_quota, refuse_if_stopped
from engine.errors import ConfigurationError, MailrunError, ServiceError

URL = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("limits", "maximum", "left"),
    [
        ({"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 150.0}, 200.0, 50.0),
        ({"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 250.0}, 200.0, 0.0),
        ({"Max24HourSend": -1.0, "MaxSendRate": 1.0, "SentLast24Hours": 150.0}, None, None),
        ({}, None, None),
    ],
)
async def test_what_is_left_is_the_maximum_less_what_was_sent_or_unlimited(
    limits: dict[str, float], maximum: float | None, left: float | None
):
    quota = await read_quota(CannedClient({"SendQuota": limits}))
    assert (quota.max_24_hours, quota.left_24_hours) == (maximum, left)


async def test_account_without_figures_counts_as_the_slowest():
    assert await read_quota(CannedClient()) == AccountQuota(1.0, None, 0.0, True, True, "HEALTHY")  # noqa: FBT003 - in order


@pytest.mark.parametrize("enforcement", ["HEALTHY", "PROBATION"])
def test_an_account_that_may_send_passes(enforcement: str):
    refuse_if_stopped(AccountQuota(1.0, None, 0.0, True, True, enforcement))  # noqa: FBT003 - in order


@pytest.mark.parametrize(
    ("enabled", "enforcement", "word"),
    [(False, "HEALTHY", "paused.*enable"), (True, "SHUTDOWN", "shut down"), (False, "SHUTDOWN", "shut down")],
)
def test_an_account_that_may_not_send_is_refused_with_the_reason(enabled: bool, enforcement: str, word: str):  # noqa: FBT001 - a parameter of the case
    with pytest.raises(ServiceError, match=word):
        refuse_if_stopped(AccountQuota(1.0, None, 0.0, True, enabled, enforcement))  # noqa: FBT003 - in order


# -- identities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "identities"),
    [
        ("ann@acme.example", ["ann@acme.example", "acme.example"]),
        ("Ann@ACME.example", ["Ann@ACME.example", "acme.example"]),
        ("a+x+y@b.acme.example", ["a+x+y@b.acme.example", "a@b.acme.example", "b.acme.example", "acme.example"]),
    ],
)
def test_an_address_is_covered_by_itself_its_domain_and_the_domains_above(address: str, identities: list[str]):
    assert covering_identities(address) == identities


async def test_an_identity_that_is_known_and_not_verified_covers_nothing():
    client = CannedClient(identity={"VerifiedForSendingStatus": False})
    with pytest.raises(ServiceError, match="not verified"):
        await refuse_if_unverified(client, "news@acme.example", "from")
    assert client.asked == ["news@acme.example", "acme.example"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "AccessDenied"])
async def test_account_without_identity_permission_may_try_to_send(code: str):
    await refuse_if_unverified(CannedClient(identity=code), "news@acme.example", "from")


async def test_any_other_answer_about_an_identity_is_reported():
    with pytest.raises(ServiceError, match="answered TooManyRequestsException: said so"):
        await refuse_if_unverified(CannedClient(identity="TooManyRequestsException"), "news@acme.example", "from")


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (aws.ReadTimeoutError(endpoint_url=URL), ServiceError, "cannot be reached"),
        (aws.ConnectionClosedError(endpoint_url=URL), ServiceError, "cannot be reached"),
        (aws.HTTPClientError(error="x"), ServiceError, "cannot be reached"),
        (aws.PartialCredentialsError(provider="env", cred_var="X"), ConfigurationError, "no AWS credentials"),
        (aws.ConfigParseError(path="/x"), ConfigurationError, "/x"),
        (aws.InvalidRegionError(region_name="a b"), ConfigurationError, "region"),
        (
            aws.InvalidRetryModeError(provided_retry_mode="x", valid_modes="y"),
            ConfigurationError,
            "configuration is wrong",
        ),
        (client_error("InternalFailure", 500), ServiceError, "SES answered InternalFailure: said so"),
        (client_error("502", 502), ServiceError, "SES answered 502"),
    ],
)
def test_every_control_plane_error_becomes_a_mailrun_error(error: Exception, kind: type[MailrunError], word: str):
    with pytest.raises(kind, match=word) as raised, translate_aws_errors("SES"):
        raise error
    assert raised.value.remedy
    assert raised.value.__cause__ is error


def test_errors_not_from_aws_are_not_translated():
    with pytest.raises(KeyError), translate_aws_errors("SES"):
        raise KeyError("a bug")
