"""Policies: own statements are found and put in, those of others stay."""

import json

import pytest

from engine.account.setup.policies import (
    SNS,
    deny_plain_http,
    find_missing,
    make_policy,
    merge,
    permit_service,
    read_policy,
    trust_firehose,
    trust_ses,
    write_policy,
)
from engine.account.setup.resource import Place
from engine.errors import DataError

PLACE = Place("123456789012", "eu-west-1")
QUEUE, TOPIC = PLACE.arn("sqs", "events"), PLACE.arn("sns", "events")
OWN = permit_service("MailrunTopic", SNS, "sqs:SendMessage", QUEUE, place=PLACE, source=TOPIC)
FOREIGN = {
    "Sid": "theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": "sqs:*",
}
WITHOUT_SID = {"Effect": "Deny", "Principal": "*", "Action": "sqs:DeleteQueue"}


def test_statement_permits_one_action_for_one_source():
    assert OWN == {
        "Sid": "MailrunTopic",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "arn:aws:sqs:eu-west-1:123456789012:events",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:123456789012:events"},
        },
    }


@pytest.mark.parametrize("statement", [OWN, trust_ses(PLACE, "news"), trust_firehose(PLACE)])
def test_statement_that_allows_a_service_names_the_account(statement: dict[str, object]):
    """Without a condition, another account could use the service to write here."""
    assert statement["Effect"] == "Allow"
    assert "123456789012" in json.dumps(statement["Condition"])
    assert "*" not in json.dumps(statement)


def test_only_denials_have_wildcards():
    assert deny_plain_http(PLACE, "acme")["Effect"] == "Deny"


def test_merge_keeps_statements_of_others_and_their_order():
    policy = {"Version": "2008-10-17", "Id": "theirs", "Statement": [FOREIGN, {"Sid": "MailrunTopic"}, WITHOUT_SID]}
    assert merge(policy, [OWN]) == {
        "Version": "2008-10-17",
        "Id": "theirs",
        "Statement": [FOREIGN, WITHOUT_SID, OWN],
    }


def test_merge_changes_nothing_the_second_time():
    once = merge(make_policy([FOREIGN]), [OWN])
    assert merge(once, [OWN]) == once
    assert find_missing(once, [OWN]) == []


@pytest.mark.parametrize(
    "written",
    [
        {**OWN, "Action": ["sqs:SendMessage"]},
        {**OWN, "Principal": {"Service": ["sns.amazonaws.com"]}},
        {
            **OWN,
            "Condition": {
                "ArnEquals": {"AWS:SourceArn": [TOPIC]},
                "StringEquals": {"aws:sourceaccount": "123456789012"},
            },
        },
    ],
)
def test_statement_is_the_same_when_aws_writes_it_otherwise(written: dict[str, object]):
    assert find_missing(make_policy([written]), [OWN]) == []


@pytest.mark.parametrize(
    "written",
    [
        {**OWN, "Action": "sqs:*"},
        {**OWN, "Effect": "Deny"},
        {**OWN, "Resource": "*"},
        {name: value for name, value in OWN.items() if name != "Condition"},
        {**OWN, "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}}},
    ],
)
def test_statement_that_permits_something_else_is_missing(written: dict[str, object]):
    assert find_missing(make_policy([written]), [OWN]) == ["MailrunTopic"]


def test_statement_keeps_other_configuration_sets_of_the_account():
    first, second = trust_ses(PLACE, "news"), trust_ses(PLACE, "shop")
    merged = merge(merge(make_policy([]), [first]), [second])
    assert find_missing(merged, [first]) == find_missing(merged, [second]) == []
    sources = merged["Statement"][0]["Condition"]["StringEquals"]["aws:SourceArn"]
    assert sorted(one.rpartition("/")[2] for one in sources) == ["news", "shop"]


@pytest.mark.parametrize(
    "other",
    [
        "arn:aws:ses:eu-west-1:123456789012:configuration-set/*",
        "arn:aws:ses:eu-west-1:111122223333:configuration-set/news",
        "*",
    ],
)
def test_statement_does_not_keep_a_source_that_is_none_of_ours(other: str):
    wanted = trust_ses(PLACE, "news")
    condition = {"StringEquals": {**wanted["Condition"]["StringEquals"], "aws:SourceArn": [other]}}
    written = make_policy([{**wanted, "Condition": condition}])
    assert find_missing(written, [wanted]) == ["MailrunSes"]
    assert merge(written, [wanted])["Statement"] == [wanted]


def test_order_of_resources_and_booleans_as_text_mean_nothing():
    wanted = deny_plain_http(PLACE, "acme")
    written = {**wanted, "Resource": wanted["Resource"][::-1], "Condition": {"Bool": {"aws:SecureTransport": False}}}
    assert find_missing(make_policy([{**written, "Principal": {"AWS": "*"}}]), [wanted]) == []


@pytest.mark.parametrize("text", [None, ""])
def test_absent_policy_has_no_statements(text: str | None):
    assert read_policy(text)["Statement"] == []


def test_policy_with_one_statement_outside_a_list_is_read():
    assert read_policy(json.dumps({"Version": "2012-10-17", "Statement": FOREIGN}))["Statement"] == [FOREIGN]


def test_policy_survives_being_written_and_read():
    policy = make_policy([FOREIGN, OWN])
    assert read_policy(write_policy(policy)) == policy


@pytest.mark.parametrize("text", ["no json", "[]", '{"Statement": "all"}', '{"Statement": ["all"]}'])
def test_policy_that_cannot_be_read_is_not_replaced(text: str):
    """What it permits would be lost."""
    with pytest.raises(DataError):
        read_policy(text)
