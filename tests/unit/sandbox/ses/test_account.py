"""The messages that the sandbox's account accepts: senders and recipients."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.sandbox.http.replies import ApiError
from engine.sandbox.ses.account import SandboxAccount
from engine.sandbox.ses.configuration_sets import ConfigurationSets
from engine.sandbox.ses.identity.identities import Identities
from engine.sandbox.ses.limits import RateBucket, RollingQuota
from engine.sandbox.ses.simulator import fate_of
from engine.sandbox.ses.suppression import SandboxSuppressionList

AT = datetime(2026, 1, 1, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def account_with(**changes: Any) -> SandboxAccount:
    clock = StoppedClock()
    parts: dict[str, Any] = {
        "bucket": RateBucket(changes.pop("rate", 100), clock),
        "quota": RollingQuota(changes.pop("quota", 1000), clock),
        "identities": Identities(None),
        "configuration_sets": ConfigurationSets(None),
        "production_access": True,
        "clock": clock,
    }
    return SandboxAccount(**(parts | changes))


@pytest.mark.parametrize(
    "address",
    ["news@acme.example", "news+label@acme.example", "news@ACME.example", "a@shop.example", "a@eu.SHOP.example"],
)
def test_an_identity_covers_its_labels_its_domain_and_its_subdomains(address: str) -> None:
    assert Identities(["news@acme.example", "Shop.example"]).covers(address)


@pytest.mark.parametrize(
    "address", ["News@acme.example", "other@acme.example", "a@notshop.example", "a@example", "news@eu.acme.example"]
)
def test_identity_covers_its_exact_local_part_and_domain_alone(address: str) -> None:
    assert not Identities(["news@acme.example", "shop.example"]).covers(address)


def test_an_unverified_sender_is_named_with_the_region() -> None:
    account = account_with(identities=Identities(["acme.example"]))
    with pytest.raises(ApiError) as caught:
        account.check_may_send("a@b.example", configuration_set=None, region="eu-west-1")
    assert (caught.value.code, caught.value.status) == ("MessageRejected", 400)
    assert caught.value.message == (
        "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.example"
    )


def test_sandbox_mode_allows_verified_recipients_and_the_simulator() -> None:
    account = account_with(identities=Identities(["acme.example"]), production_access=False)
    account.check_recipients(["x@acme.example", "bounce+1@simulator.amazonses.com"], region="us-east-1")
    with pytest.raises(ApiError, match=r"US-EAST-1: x@other\.example, y@other\.example$"):
        account.check_recipients(["x@other.example", "ok@acme.example", "y@other.example"], region="us-east-1")


def test_with_production_access_recipients_need_no_verification() -> None:
    account_with(identities=Identities(["acme.example"])).check_recipients(["x@other.example"], region="us-east-1")


def test_simulator_mail_counts_to_the_rate_but_not_to_the_quota() -> None:
    account = account_with(rate=2, quota=0)
    account.take(["success@simulator.amazonses.com", "bounce@simulator.amazonses.com"])
    assert account.quota.sent == 0
    with pytest.raises(ApiError) as caught:
        account.take(["success@simulator.amazonses.com"])
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    assert caught.value.message == "Maximum sending rate exceeded."


def test_a_message_over_the_quota_is_refused_and_uses_no_rate() -> None:
    account = account_with(rate=2, quota=1)
    with pytest.raises(ApiError) as caught:
        account.take(["a@b.example", "c@d.example"])
    assert (caught.value.code, caught.value.message) == ("LimitExceededException", "Daily message quota exceeded.")
    account.take(["a@b.example"])
    assert account.quota.sent == 1


@pytest.mark.parametrize(
    ("address", "fate"),
    [
        ("success@simulator.amazonses.com", "delivered"),
        ("bounce@simulator.amazonses.com", "bounced"),
        ("bounce+c1-42@simulator.amazonses.com", "bounced"),
        ("Complaint@Simulator.AmazonSES.com", "complained"),
        ("ooto+x@simulator.amazonses.com", "out_of_office"),
        ("suppressionlist@simulator.amazonses.com", "suppressed"),
        ("bounce@example.com", "delivered"),
        ("nobody@simulator.amazonses.com", "delivered"),
    ],
)
def test_the_simulator_decides_the_fate(address: str, fate: str) -> None:
    assert fate_of([address], suppressed=()) == fate


def test_suppressed_recipient_is_accepted_and_compared_without_case() -> None:
    account = account_with()
    account.suppression.put("Ann@B.example", "BOUNCE", at=AT)
    assert account.take(["ann@b.example"]) == "suppressed"
    assert account.quota.sent == 1


def test_the_suppression_list_itself_is_case_sensitive() -> None:
    listed = SandboxSuppressionList()
    listed.put("Ann@b.example", "BOUNCE", at=AT)
    listed.put("ann@b.example", "COMPLAINT", at=AT)
    listed.delete("Ann@b.example")
    assert "ann@b.example" in listed.lowered
    with pytest.raises(ApiError, match="does not exist"):
        listed.get("Ann@b.example")
    listed.delete("ann@b.example")
    assert "ann@b.example" not in listed.lowered


def test_suspension_is_reported_before_a_pause() -> None:
    account = account_with()
    account.sending_enabled = False
    with pytest.raises(ApiError) as caught:
        account.check_may_send("a@b.example", configuration_set=None, region="r")
    assert caught.value.code == "SendingPausedException"
    account.enforcement_status = "SHUTDOWN"
    with pytest.raises(ApiError) as caught:
        account.check_may_send("a@b.example", configuration_set=None, region="r")
    assert caught.value.code == "AccountSuspendedException"


def test_where_sets_are_declared_no_other_configuration_set_exists() -> None:
    account = account_with(configuration_sets=ConfigurationSets(["marketing"]))
    account.check_may_send("a@b.example", configuration_set="marketing", region="r")
    with pytest.raises(ApiError) as caught:
        account.check_may_send("a@b.example", configuration_set="other", region="r")
    assert (caught.value.code, caught.value.status) == ("NotFoundException", 404)


def test_a_paused_configuration_set_sends_nothing() -> None:
    sets = ConfigurationSets(["marketing"])
    sets.set_sending("marketing", enabled=False)
    with pytest.raises(ApiError) as caught:
        sets.check_may_send("marketing")
    assert caught.value.code == "SendingPausedException"
