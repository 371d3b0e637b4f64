"""What a set-up changes in a configuration set, an identity and its MAIL FROM domain that exist."""

from typing import Any

import pytest

from engine.account.setup.sending import configuration_set, identity, mail_from
from engine.account.setup.wanted import TlsPolicy, WantedState

WANTED = WantedState(domain="acme.example", mail_from="bounce.acme.example")
COMPLETE_SET = {
    "DeliveryOptions": {"TlsPolicy": "REQUIRE", "SendingPoolName": "old", "MaxDeliverySeconds": 600},
    "ReputationOptions": {"ReputationMetricsEnabled": True},
    "SuppressionOptions": {"SuppressedReasons": ["COMPLAINT", "BOUNCE"]},
    "TrackingOptions": {"CustomRedirectDomain": "t.acme.example", "HttpsPolicy": "REQUIRE"},
}
EASY = {"SigningEnabled": True, "SigningAttributesOrigin": "AWS_SES", "NextSigningKeyLength": "RSA_2048_BIT"}
OWN = {"SigningEnabled": True, "SigningAttributesOrigin": "EXTERNAL", "Tokens": ["s1"]}


def wanted(**changes: Any) -> WantedState:
    return WantedState(**{"domain": "acme.example", "mail_from": "bounce.acme.example", **changes})


def test_what_the_wanted_state_does_not_name_stays():
    assert configuration_set.find_changes(COMPLETE_SET, WANTED) == ()


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"pool": "new"}, {"TlsPolicy": "REQUIRE", "SendingPoolName": "new", "MaxDeliverySeconds": 600}),
        (
            {"tls": TlsPolicy.OPTIONAL},
            {"TlsPolicy": "OPTIONAL", "SendingPoolName": "old", "MaxDeliverySeconds": 600},
        ),
        ({"tracking_domain": "l.acme.example"}, {"CustomRedirectDomain": "l.acme.example", "HttpsPolicy": "REQUIRE"}),
    ],
)
def test_a_changed_option_keeps_its_neighbours(asked: dict[str, Any], sent: dict[str, Any]):
    (change,) = configuration_set.find_changes(COMPLETE_SET, wanted(**asked))
    assert change.parameters == {"ConfigurationSetName": "mailrun", **sent}


@pytest.mark.parametrize(("reasons", "changes"), [(None, 1), ([], 1), (["BOUNCE"], 1), (["BOUNCE", "COMPLAINT"], 0)])
def test_both_reasons_suppress_addresses(reasons: list[str] | None, changes: int):
    options = {"SuppressionScope": "ACCOUNT", **({} if reasons is None else {"SuppressedReasons": reasons})}
    found = configuration_set.find_changes({**COMPLETE_SET, "SuppressionOptions": options}, WANTED)
    assert len(found) == changes
    for change in found:
        assert set(change.parameters["SuppressedReasons"]) == {"BOUNCE", "COMPLAINT"}
        assert change.parameters["SuppressionScope"] == "ACCOUNT"


def methods(dkim: dict[str, Any], state: WantedState, default: str | None = "mailrun") -> list[str]:
    found = identity.find_changes({"DkimAttributes": dkim, "ConfigurationSetName": default}, state, None)
    return [change.method.removeprefix("put_email_identity_").removesuffix("_attributes") for change in found]


def test_a_short_key_is_replaced_with_a_long_one():
    short = {**EASY, "NextSigningKeyLength": "RSA_1024_BIT"}
    (change,) = identity.find_changes({"DkimAttributes": short, "ConfigurationSetName": "mailrun"}, WANTED, None)
    assert change.parameters["SigningAttributes"] == {"NextSigningKeyLength": "RSA_2048_BIT"}
    assert change.parameters["SigningAttributesOrigin"] == "AWS_SES"


@pytest.mark.parametrize(
    ("dkim", "asked", "needed"),
    [
        (EASY, {}, []),
        (OWN, {}, []),  # never switched back: mail would go unsigned meanwhile
        ({**EASY, "SigningAttributesOrigin": "AWS_SES_EU_WEST_1"}, {}, []),  # signed with keys of another region
        (OWN, {"dkim_selector": "s1"}, []),
        (OWN, {"dkim_selector": "s2"}, ["dkim_signing"]),
        (EASY, {"dkim_selector": "s1"}, ["dkim_signing"]),
        ({**EASY, "SigningEnabled": False}, {}, ["dkim"]),
        ({}, {}, ["dkim_signing", "dkim"]),
    ],
)
def test_dkim_changes_only_where_it_must(dkim: dict[str, Any], asked: dict[str, Any], needed: list[str]):
    assert methods(dkim, wanted(**asked)) == needed


def test_the_default_configuration_set_is_the_wanted_one():
    assert methods(EASY, WANTED, default=None) == ["configuration_set"]
    assert methods(EASY, WANTED, default="other") == ["configuration_set"]


@pytest.mark.parametrize(
    ("is_set", "rejects", "changes"),
    [
        ({}, False, 1),
        ({"MailFromDomain": "bounce.acme.example"}, False, 0),
        ({"MailFromDomain": "Bounce.Acme.Example", "BehaviorOnMxFailure": "REJECT_MESSAGE"}, True, 0),
        ({"MailFromDomain": "bounce.acme.example", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}, True, 1),
        ({"MailFromDomain": "mail.acme.example"}, False, 1),
    ],
)
def test_mail_from_is_set_where_it_differs(is_set: dict[str, Any], rejects: bool, changes: int):  # noqa: FBT001 - a case
    found = mail_from.find_changes({"MailFromAttributes": is_set}, wanted(mail_from_rejects=rejects))
    assert len(found) == changes
