"""The limits of several regions together, and which errors of a region may pass by themselves."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from msgspec.structs import replace

from engine.account.quota import AccountQuota
from engine.errors import ConfigurationError, ServiceError
from engine.run.prepare.routes import add_quotas, is_outage, name_region

QUOTA = AccountQuota(10.0, 1_000.0, 100.0, production=True, sending_enabled=True, enforcement="HEALTHY")


def test_limits_of_regions_add_up():
    both = add_quotas([QUOTA, replace(QUOTA, max_send_rate=4.0, max_24_hours=500.0)])
    assert (both.max_send_rate, both.max_24_hours, both.left_24_hours) == (14.0, 1_500.0, 1_300.0)


def test_overdrawn_region_takes_nothing_from_the_others():
    assert add_quotas([QUOTA, replace(QUOTA, sent_24_hours=5_000.0)]).left_24_hours == 900.0


def test_region_without_a_quota_makes_the_sum_unlimited():
    assert add_quotas([QUOTA, replace(QUOTA, max_24_hours=None)]).left_24_hours is None


def reply(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetAccount")


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        (EndpointConnectionError(endpoint_url="https://x.example"), True),
        (reply(503), True),
        (reply(429), True),
        (reply(403), False),
        (NoCredentialsError(), False),
        (None, False),
    ],
)
def test_only_an_outage_may_pass_by_itself(cause: Exception | None, *, passes: bool):
    error = ServiceError("x", remedy="y")
    error.__cause__ = cause
    assert is_outage(error) is passes


def test_error_keeps_its_kind_and_names_its_region():
    named = name_region(ConfigurationError("no credentials", where="w", remedy="r"), "eu-west-1")
    assert (type(named), named.what, named.where) == (ConfigurationError, "eu-west-1: no credentials", "w")
