"""What publishes events and receives mail: created, kept, changed back, resumed; nothing of others is touched."""

import json
from typing import Any

import pytest
from support.aws import ACCOUNT, PLACE, REGION, SET, TestAccount
from support.setups import EVENTS, INBOUND, SETUPS, inbound, through_event_bridge, through_firehose, through_queue

from engine.account.setup.event_destination import EVENT_TYPES
from engine.account.setup.resource import Action, Resource, SetupStep
from engine.errors import ConfigurationError

BUCKET = f"{INBOUND}-{ACCOUNT}-{REGION}"
EVENTS_BUCKET = f"{EVENTS}-{ACCOUNT}-{REGION}"
FOREIGN = {
    "Sid": "theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}
TOPIC, QUEUE = PLACE.arn("sns", EVENTS), PLACE.arn("sqs", EVENTS)


@pytest.fixture(params=SETUPS)
def resources(request: pytest.FixtureRequest) -> tuple[Resource, ...]:
    return SETUPS[request.param](PLACE)


async def compare(account: TestAccount, resources: tuple[Resource, ...]) -> list[SetupStep]:
    """The steps of what is not as it should be."""
    steps = [await one.compare(account.services) for one in resources]
    return [step for step in steps if step.action is not Action.KEEP]


def destinations(account: TestAccount) -> list[dict[str, Any]]:
    found = account.boto("sesv2").get_configuration_set_event_destinations(ConfigurationSetName=SET)
    return list(found["EventDestinations"])


async def test_apply_creates_all_and_the_next_plan_keeps_all(account: TestAccount, resources: tuple[Resource, ...]):
    assert set(await account.plan(resources)) == {Action.CREATE}
    await account.apply(resources)
    assert set(await account.plan(resources)) == {Action.KEEP}


@pytest.mark.parametrize("name", SETUPS)
async def test_apply_resumes_when_it_was_interrupted_at_any_change(account: TestAccount, name: str):
    """Also where AWS made the change and its answer was lost."""
    resources = SETUPS[name](PLACE)
    changes = await account.prove_resumable(resources)
    assert changes >= len(resources)


async def test_plan_changes_nothing(account: TestAccount, resources: tuple[Resource, ...]):
    await account.plan(resources)
    assert account.boto("sqs").list_queues().get("QueueUrls", []) == []
    assert account.boto("sns").list_topics()["Topics"] == []
    assert account.boto("s3").list_buckets()["Buckets"] == []
    assert account.boto("iam").list_roles()["Roles"] == []
    assert account.boto("events").list_rules()["Rules"] == []
    assert account.boto("ses").list_receipt_rule_sets()["RuleSets"] == []
    assert destinations(account) == []


# -- the event destination ---------------------------------------------------------------------------------------------


async def test_destination_publishes_every_type_of_event_to_the_topic(account: TestAccount):
    await account.apply(through_queue(PLACE))
    (found,) = destinations(account)
    assert found["Enabled"]
    assert set(found["MatchingEventTypes"]) == set(EVENT_TYPES)
    assert len(EVENT_TYPES) == 10
    assert found["SnsDestination"] == {"TopicArn": TOPIC}


async def test_destination_that_was_changed_is_changed_back(account: TestAccount):
    await account.apply(through_queue(PLACE))
    account.boto("sesv2").update_configuration_set_event_destination(
        ConfigurationSetName=SET,
        EventDestinationName=EVENTS,
        EventDestination={
            "Enabled": False,
            "MatchingEventTypes": ["SEND", "BOUNCE"],
            "SnsDestination": {"TopicArn": f"{TOPIC}-old"},
        },
    )
    (step,) = await compare(account, through_queue(PLACE))
    assert (step.kind, step.name) == ("event destination", f"{SET}/{EVENTS}")
    assert step.details == (
        "Enabled: no -> yes",
        "events: REJECT, COMPLAINT, DELIVERY, OPEN, CLICK, RENDERING_FAILURE, DELIVERY_DELAY, SUBSCRIPTION",
        f"SnsDestination: {TOPIC}",
    )
    await account.apply(through_queue(PLACE))
    assert await compare(account, through_queue(PLACE)) == []
    assert len(destinations(account)) == 1


async def test_destination_of_another_name_stays(account: TestAccount):
    other = {"Enabled": True, "MatchingEventTypes": ["SEND"], "SnsDestination": {"TopicArn": f"{TOPIC}-old"}}
    account.boto("sesv2").create_configuration_set_event_destination(
        ConfigurationSetName=SET, EventDestinationName="theirs", EventDestination=other
    )
    await account.apply(through_queue(PLACE))
    assert {one["Name"] for one in destinations(account)} == {"theirs", EVENTS}


async def test_destination_moves_from_the_topic_to_event_bridge(account: TestAccount):
    await account.apply(through_queue(PLACE))
    await account.apply(through_event_bridge(PLACE))
    (found,) = destinations(account)
    assert "SnsDestination" not in found
    assert found["EventBridgeDestination"] == {"EventBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"}


# -- topic and subscription --------------------------------------------------------------------------------------------


async def test_topic_keeps_the_statement_that_sns_gave_it(account: TestAccount):
    await account.apply(through_queue(PLACE))
    found = account.boto("sns").get_topic_attributes(TopicArn=TOPIC)["Attributes"]
    statements = json.loads(found["Policy"])["Statement"]
    assert [one["Sid"] for one in statements] == ["__default_statement_ID", "MailrunSes"]
    assert statements[1]["Condition"]["ArnEquals"] == {
        "aws:SourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/{SET}"
    }


async def test_raw_delivery_that_was_switched_is_switched_back(account: TestAccount):
    """Without SNS's signature, anyone who may write to the queue would be believed."""
    await account.apply(through_queue(PLACE))
    sns = account.boto("sns")
    arn = sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"]
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="true")
    (step,) = await compare(account, through_queue(PLACE))
    assert step.details == ("raw message delivery: on -> off",)
    await account.apply(through_queue(PLACE))
    assert await compare(account, through_queue(PLACE)) == []
    assert len(sns.list_subscriptions()["Subscriptions"]) == 1


# -- EventBridge -------------------------------------------------------------------------------------------------------


async def test_rule_that_was_changed_is_changed_back_and_keeps_other_targets(account: TestAccount):
    await account.apply(through_event_bridge(PLACE))
    events = account.boto("events")
    events.put_targets(
        Rule=EVENTS, Targets=[{"Id": "theirs", "Arn": f"{QUEUE}-theirs"}, {"Id": "mailrun", "Arn": f"{QUEUE}-other"}]
    )
    events.put_rule(Name=EVENTS, EventPattern='{"source": ["aws.ec2"]}', State="DISABLED")
    (step,) = await compare(account, through_event_bridge(PLACE))
    assert [line.partition(":")[0] for line in step.details] == ["EventPattern", "State", "target"]
    await account.apply(through_event_bridge(PLACE))
    assert await compare(account, through_event_bridge(PLACE)) == []
    targets = {one["Id"]: one["Arn"] for one in events.list_targets_by_rule(Rule=EVENTS)["Targets"]}
    assert targets == {"theirs": f"{QUEUE}-theirs", "mailrun": QUEUE}


# -- Firehose ----------------------------------------------------------------------------------------------------------


async def test_stream_that_was_changed_is_changed_back(account: TestAccount):
    await account.apply(through_firehose(PLACE))
    firehose = account.boto("firehose")
    found = firehose.describe_delivery_stream(DeliveryStreamName=EVENTS)["DeliveryStreamDescription"]
    firehose.update_destination(
        DeliveryStreamName=EVENTS,
        CurrentDeliveryStreamVersionId=found["VersionId"],
        DestinationId=found["Destinations"][0]["DestinationId"],
        ExtendedS3DestinationUpdate={"Prefix": "elsewhere/", "CompressionFormat": "UNCOMPRESSED"},
    )
    firehose.stop_delivery_stream_encryption(DeliveryStreamName=EVENTS)
    (step,) = await compare(account, through_firehose(PLACE))
    assert step.details == (
        "Prefix: elsewhere/ -> ses-events/",
        "CompressionFormat: UNCOMPRESSED -> GZIP",
        "encryption: a key that AWS owns",
    )
    await account.apply(through_firehose(PLACE))
    assert await compare(account, through_firehose(PLACE)) == []


async def test_roles_do_one_thing_for_one_service(account: TestAccount):
    await account.apply(through_firehose(PLACE))
    iam = account.boto("iam")
    ses = iam.get_role_policy(RoleName=f"{EVENTS}-ses-{REGION}", PolicyName="mailrun")["PolicyDocument"]
    assert ses["Statement"] == [
        {
            "Sid": "MailrunStream",
            "Effect": "Allow",
            "Action": ["firehose:PutRecordBatch"],
            "Resource": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{EVENTS}",
        }
    ]
    firehose = iam.get_role_policy(RoleName=f"{EVENTS}-firehose-{REGION}", PolicyName="mailrun")["PolicyDocument"]
    reached = {one["Resource"] for one in firehose["Statement"]}
    bucket = f"arn:aws:s3:::{EVENTS_BUCKET}"
    assert reached == {bucket, f"{bucket}/ses-events/*", f"{bucket}/ses-errors/*"}
    trust = iam.get_role(RoleName=f"{EVENTS}-ses-{REGION}")["Role"]["AssumeRolePolicyDocument"]
    assert [one["Principal"] for one in trust["Statement"]] == [{"Service": "ses.amazonaws.com"}]


async def test_role_that_was_changed_is_changed_back_and_keeps_the_rest(account: TestAccount):
    await account.apply(through_firehose(PLACE))
    iam, name = account.boto("iam"), f"{EVENTS}-ses-{REGION}"
    foreign = {
        "Sid": "theirs",
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [foreign]})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy)
    iam.delete_role_policy(RoleName=name, PolicyName="mailrun")
    (step,) = await compare(account, through_firehose(PLACE))
    assert step.details == ("trust policy: statement MailrunSes", "policy mailrun: statement MailrunStream")
    await account.apply(through_firehose(PLACE))
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert [one["Sid"] for one in trust["Statement"]] == ["theirs", "MailrunSes"]


# -- bucket ------------------------------------------------------------------------------------------------------------


async def test_bucket_is_private_and_encrypted_and_only_the_receipt_rule_writes(account: TestAccount):
    await account.apply(inbound(PLACE))
    s3 = account.boto("s3")
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert len(block) == 4
    assert s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    allowed, denied = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "ses.amazonaws.com"}, "s3:PutObject")
    assert allowed["Resource"] == f"arn:aws:s3:::{BUCKET}/mails/*"
    rule = f"arn:aws:ses:{REGION}:{ACCOUNT}:receipt-rule-set/mailrun:receipt-rule/{INBOUND}"
    assert allowed["Condition"]["ArnEquals"] == {"aws:SourceArn": rule}
    assert denied["Effect"] == "Deny"


async def test_bucket_that_was_opened_is_closed_and_keeps_the_rest(account: TestAccount):
    await account.apply(inbound(PLACE))
    s3 = account.boto("s3")
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [FOREIGN]}))
    (step,) = await compare(account, inbound(PLACE))
    assert step.details == ("public access: blocked", "Policy: statement MailrunSes, MailrunTlsOnly")
    await account.apply(inbound(PLACE))
    assert await compare(account, inbound(PLACE)) == []
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["theirs", "MailrunSes", "MailrunTlsOnly"]


async def test_encryption_with_a_key_of_the_owner_is_kept(account: TestAccount):
    await account.apply(inbound(PLACE))
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/acme"}}
    account.boto("s3").put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert await compare(account, inbound(PLACE)) == []


# -- receipt rules -----------------------------------------------------------------------------------------------------


async def test_rule_that_was_changed_is_changed_back(account: TestAccount):
    await account.apply(inbound(PLACE))
    ses = account.boto("ses")
    rule = ses.describe_receipt_rule(RuleSetName="mailrun", RuleName=INBOUND)["Rule"]
    ses.update_receipt_rule(RuleSetName="mailrun", Rule={**rule, "Enabled": False, "Recipients": ["acme.example"]})
    (step,) = await compare(account, inbound(PLACE))
    both = "['acme.example', 'reply.acme.example']"
    assert step.details == ("Enabled: False -> True", f"Recipients: ['acme.example'] -> {both}")
    await account.apply(inbound(PLACE))
    assert await compare(account, inbound(PLACE)) == []


async def test_rule_of_one_domain_takes_a_second_one_and_keeps_the_first(account: TestAccount):
    """Recipients, and actions that somebody added, are never removed."""
    from engine.account.setup.inbound import list_inbound_resources  # noqa: PLC0415

    await account.apply(inbound(PLACE))
    ses = account.boto("ses")
    rule = ses.describe_receipt_rule(RuleSetName="mailrun", RuleName=INBOUND)["Rule"]
    added = {"SNSAction": {"TopicArn": PLACE.arn("sns", "office")}}
    ses.update_receipt_rule(RuleSetName="mailrun", Rule={**rule, "Actions": [*rule["Actions"], added]})
    await account.apply(list_inbound_resources(PLACE, INBOUND, "reply.other.example", BUCKET, rule_set="mailrun"))
    now = ses.describe_receipt_rule(RuleSetName="mailrun", RuleName=INBOUND)["Rule"]
    assert now["Recipients"] == ["reply.acme.example", "reply.other.example"]
    assert [next(iter(action)) for action in now["Actions"]] == ["S3Action", "SNSAction"]
    assert await compare(account, inbound(PLACE)) == []


async def test_rule_set_of_another_stays_active_and_is_reported(account: TestAccount):
    ses = account.boto("ses")
    ses.create_receipt_rule_set(RuleSetName="theirs")
    ses.set_active_receipt_rule_set(RuleSetName="theirs")
    await account.apply(inbound(PLACE))
    assert ses.describe_active_receipt_rule_set()["Metadata"]["Name"] == "theirs"
    step = await inbound(PLACE)[-1].compare(account.services)
    assert step.action is Action.KEEP
    assert "The receipt rule set theirs is active" in step.conflict
    assert "aws ses set-active-receipt-rule-set --rule-set-name mailrun" in step.conflict
    assert '[ses] inbound_rule_set = "theirs"' in step.conflict


async def test_rule_is_added_to_the_active_set_of_another_when_it_is_named(account: TestAccount):
    from engine.account.setup.inbound import list_inbound_resources  # noqa: PLC0415

    ses = account.boto("ses")
    ses.create_receipt_rule_set(RuleSetName="theirs")
    ses.set_active_receipt_rule_set(RuleSetName="theirs")
    ses.create_receipt_rule(RuleSetName="theirs", Rule={"Name": "office", "Recipients": ["acme.example"]})
    resources = list_inbound_resources(PLACE, INBOUND, "reply.acme.example", BUCKET, rule_set="theirs")
    await account.apply(resources)
    rules = ses.describe_receipt_rule_set(RuleSetName="theirs")["Rules"]
    assert [one["Name"] for one in rules] == [INBOUND, "office"]
    assert await compare(account, resources) == []


async def test_two_setups_live_side_by_side(account: TestAccount):
    from engine.account.setup.inbound import list_inbound_resources  # noqa: PLC0415

    first = inbound(PLACE)
    second = list_inbound_resources(PLACE, "other-inbound", "reply.other.example", "other-mail", rule_set="mailrun")
    await account.apply(first)
    await account.apply(second)
    assert await compare(account, (*first, *second)) == []


async def test_second_domain_leaves_the_mail_of_the_first_alone(account: TestAccount):
    """Both share the names of the set-up, and so the rule: a rule for the second alone would lose mail."""
    from engine.account.setup.inbound import list_inbound_resources  # noqa: PLC0415

    first = inbound(PLACE)
    second = list_inbound_resources(PLACE, INBOUND, "reply.other.example", BUCKET, rule_set="mailrun")
    await account.apply(first)
    await account.apply(second)
    rule = account.boto("ses").describe_receipt_rule(RuleSetName="mailrun", RuleName=INBOUND)["Rule"]
    assert rule["Recipients"] == ["reply.acme.example", "reply.other.example"]
    assert await compare(account, (*first, *second)) == []


@pytest.mark.parametrize("way", ["sqs", "eventbridge", "firehose"])
async def test_second_configuration_set_leaves_the_events_of_the_first(account: TestAccount, way: str):
    """Both share the topic, rule or role: a policy for the second alone would stop the events of the first."""
    from engine.account.setup.event_bridge import list_event_bridge_resources  # noqa: PLC0415
    from engine.account.setup.events_queue import list_queue_resources  # noqa: PLC0415
    from engine.account.setup.firehose import list_firehose_resources  # noqa: PLC0415

    other = f"second-{way}"
    account.boto("sesv2").create_configuration_set(ConfigurationSetName=other)
    first = SETUPS[way](PLACE)
    second = {
        "sqs": lambda: list_queue_resources(PLACE, EVENTS, other),
        "eventbridge": lambda: list_event_bridge_resources(PLACE, EVENTS, other),
        "firehose": lambda: list_firehose_resources(PLACE, EVENTS, other, EVENTS_BUCKET),
    }[way]()
    await account.apply(first)
    await account.apply(second)
    assert await compare(account, (*first, *second)) == []


async def test_bucket_that_another_account_has_taken_is_refused(account: TestAccount, monkeypatch: pytest.MonkeyPatch):
    import botocore.client  # noqa: PLC0415
    from botocore.exceptions import ClientError  # noqa: PLC0415

    real = botocore.client.BaseClient._make_api_call
    owners = []

    def refuse(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "HeadBucket":
            owners.append(parameters.get("ExpectedBucketOwner"))
            answer = {"Error": {"Code": "403", "Message": "Forbidden"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(answer, operation)
        return real(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    with pytest.raises(ConfigurationError, match="belongs to another account"):
        await account.plan(inbound(PLACE))
    assert owners == [ACCOUNT]
