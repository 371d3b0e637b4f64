"""CloudFormation for templates of set-ups: moto's, and by the API what moto does not make.

moto 5.2.5 makes queues, topics, buckets, roles and rules. It knows no policies of queues, topics and buckets, no
subscriptions, streams, and nothing of SES; it ignores the properties of a bucket.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from support.aws import ACCOUNT, REGION, TestAccount

_PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")


def deploy(account: TestAccount, text: str) -> None:
    """Make what a template describes."""
    account.boto("cloudformation").create_stack(
        StackName="mailrun", TemplateBody=text, Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    resources = json.loads(text)["Resources"]
    for part in resources.values():
        _make(account, part["Type"], resolve(part["Properties"], resources))


def resolve(value: Any, resources: Mapping[str, Any]) -> Any:
    """Replace CloudFormation's functions."""
    match value:
        case {"Fn::Sub": str() as text}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: _PSEUDO[found[1]], text)
        case {"Ref": name}:
            return _refer(resolve(resources[name]["Properties"], resources), resources[name]["Type"], is_arn=False)
        case {"Fn::GetAtt": [name, "Arn"]}:
            return _refer(resolve(resources[name]["Properties"], resources), resources[name]["Type"], is_arn=True)
        case Mapping():
            return {key: resolve(one, resources) for key, one in value.items()}
        case list():
            return [resolve(one, resources) for one in value]
    return value


def _refer(properties: Mapping[str, Any], kind: str, *, is_arn: bool) -> str:
    match kind:
        case "AWS::SNS::Topic":
            return f"arn:aws:sns:{REGION}:{ACCOUNT}:{properties['TopicName']}"
        case "AWS::SQS::Queue" if is_arn:
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{properties['QueueName']}"
        case "AWS::SQS::Queue":
            return str(properties["QueueName"])
        case "AWS::S3::Bucket":
            return str(properties["BucketName"])
        case "AWS::SES::ConfigurationSet":
            return str(properties["Name"])
    raise AssertionError(kind)


def _make(account: TestAccount, kind: str, properties: dict[str, Any]) -> None:  # noqa: C901, PLR0912 - one case for each type
    policy = json.dumps(properties.get("PolicyDocument"))
    match kind:
        case "AWS::SQS::QueuePolicy":
            sqs = account.boto("sqs")
            for name in properties["Queues"]:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
                sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        case "AWS::SNS::TopicPolicy":
            for arn in properties["Topics"]:
                account.boto("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
        case "AWS::SNS::Subscription":
            raw = str(properties.pop("RawMessageDelivery")).lower()
            account.boto("sns").subscribe(**properties, Attributes={"RawMessageDelivery": raw})
        case "AWS::IAM::Role":  # moto stores its policies as Python writes them
            for one in properties["Policies"]:
                account.boto("iam").put_role_policy(
                    RoleName=properties["RoleName"],
                    PolicyName=one["PolicyName"],
                    PolicyDocument=json.dumps(one["PolicyDocument"]),
                )
        case "AWS::S3::Bucket":
            _protect(account.boto("s3"), properties)
        case "AWS::S3::BucketPolicy":
            account.boto("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
        case "AWS::KinesisFirehose::DeliveryStream":
            encryption = properties["DeliveryStreamEncryptionConfigurationInput"]
            account.boto("firehose").create_delivery_stream(**properties)
            account.boto("firehose").start_delivery_stream_encryption(  # moto does not encrypt a new stream
                DeliveryStreamName=properties["DeliveryStreamName"],
                DeliveryStreamEncryptionConfigurationInput=encryption,
            )
        case "AWS::SES::ReceiptRuleSet":
            account.boto("ses").create_receipt_rule_set(**properties)
        case "AWS::SES::ReceiptRule":
            account.boto("ses").create_receipt_rule(**properties)
        case "AWS::SES::ConfigurationSetEventDestination":
            _publish(account.boto("sesv2"), properties)


def _protect(s3: Any, properties: Mapping[str, Any]) -> None:
    name, encryption = properties["BucketName"], properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    rules = [{"ApplyServerSideEncryptionByDefault": one["ServerSideEncryptionByDefault"]} for one in encryption]
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"])
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=properties["OwnershipControls"])
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def _publish(ses: Any, properties: Mapping[str, Any]) -> None:
    destination = dict(properties["EventDestination"])
    types = [_CAMEL.sub("_", one).upper() for one in destination.pop("MatchingEventTypes")]
    title, enabled = destination.pop("Name"), destination.pop("Enabled")
    ((target, value),) = destination.items()
    value = {name.replace("ARN", "Arn").replace("IAM", "Iam"): arn for name, arn in value.items()}
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=properties["ConfigurationSetName"],
        EventDestinationName=title,
        EventDestination={"Enabled": enabled, "MatchingEventTypes": types, target: value},
    )
