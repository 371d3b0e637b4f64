"""Events through Firehose into a bucket, which `events import s3://` reads."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.buckets import Bucket
from engine.account.setup.event_destination import ROLE_WAITS_SECONDS, EventDestination, Target
from engine.account.setup.existing import error_code, find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import permit_actions, trust_firehose, trust_ses
from engine.account.setup.resource import Place, Resource, SetupStep
from engine.account.setup.roles import Role
from engine.errors import MailrunError, PausedError

PREFIX, ERROR_PREFIX = "ses-events/", "ses-errors/"  # Firehose adds year, month, day and hour
BUFFER_MEGABYTES, BUFFER_SECONDS = 5, 300
STREAM_WAIT_SECONDS, STREAM_WAITS = 5.0, 60  # a new stream is active after about a minute
_ABSENT = "ResourceNotFoundException"
_IS_BEING_MADE = ("CREATING",)


def list_firehose_resources(place: Place, name: str, configuration_set: str, bucket: str) -> tuple[Resource, ...]:
    """List, in order, what writes the events of a configuration set to a bucket.

    Args:
        place: where all are.
        name: of the stream and the event destination; the names of the roles begin with it.
        configuration_set: whose events are published.
        bucket: its name.
    """
    stored = Bucket(place, bucket)
    # Source: Amazon Data Firehose Developer Guide, "Grant Firehose access to an Amazon S3 destination".
    writer = Role(
        place,
        f"{name}-firehose",
        trust_firehose(place),
        (
            permit_actions(
                "MailrunBucket",
                ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                stored.arn,
            ),
            *(
                permit_actions(
                    sid, ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], f"{stored.arn}/{prefix}*"
                )
                for sid, prefix in (("MailrunEvents", PREFIX), ("MailrunErrors", ERROR_PREFIX))
            ),
        ),
    )
    stream = Stream(place, name, stored, writer)
    publisher = Role(
        place,
        f"{name}-ses",
        trust_ses(place, configuration_set),
        (permit_actions("MailrunStream", ["firehose:PutRecordBatch"], stream.arn),),
    )
    target = Target(
        api=("KinesisFirehoseDestination", {"IamRoleArn": publisher.arn, "DeliveryStreamArn": stream.arn}),
        cloudformation=(
            "KinesisFirehoseDestination",
            {"IAMRoleARN": publisher.arn, "DeliveryStreamARN": stream.arn},
        ),
        terraform=(
            "kinesis_firehose_destination",
            {"iam_role_arn": publisher.arn, "delivery_stream_arn": stream.arn},
        ),
        logical_ids=(*stream.logical_ids, *publisher.logical_ids),
        addresses=(*stream.addresses, *publisher.addresses),
        needs_role=True,
    )
    return (stored, writer, stream, publisher, EventDestination(configuration_set, name, target))


class Stream(Struct, frozen=True):
    """A stream that SES puts records into, and that writes them to a bucket, compressed.

    Attributes:
        place: where it is.
        name: of the stream.
        bucket: where it writes to.
        role: that it assumes for that.
    """

    place: Place
    name: str
    bucket: Bucket
    role: Role

    @property
    def kind(self) -> str:
        """What it is."""
        return "Firehose stream"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.place.arn("firehose", f"deliverystream/{self.name}")

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its id in a CloudFormation template."""
        return (logical_id("Stream", self.name),)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its address in a Terraform configuration."""
        return (f"aws_kinesis_firehose_delivery_stream.{block_label(self.name)}",)

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await self._read(await services.open("firehose"))
        return make_step(self, exists=found is not None, details=self._describe(found or {}))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or change its destination, and wait until it is active.

        Raises:
            PausedError: it is still being created after five minutes; run the same command again.
        """
        client = await services.open("firehose")
        found = await self._read(client)
        if found is None:
            await self._create(services, client)
            found = await self._read(client) or {}
        found = await self._wait_until_active(services, client, found)
        if not _is_encrypted(found):
            await client.start_delivery_stream_encryption(
                DeliveryStreamName=self.name,
                DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"},
            )
        if self._describe_destination(found):
            await client.update_destination(
                DeliveryStreamName=self.name,
                CurrentDeliveryStreamVersionId=found["VersionId"],
                DestinationId=found["Destinations"][0]["DestinationId"],
                ExtendedS3DestinationUpdate=self._destination(),
            )

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the stream."""
        properties = {
            "DeliveryStreamName": self.name,
            "DeliveryStreamType": "DirectPut",
            "DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"},
            "ExtendedS3DestinationConfiguration": self._destination(),
        }
        return {
            self.logical_ids[0]: {
                "Type": "AWS::KinesisFirehose::DeliveryStream",
                "DependsOn": [*self.bucket.logical_ids, *self.role.logical_ids],
                "Properties": properties,
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the stream."""
        configuration = {
            "role_arn": f"${{{self.role.addresses[0]}.arn}}",
            "bucket_arn": f"${{{self.bucket.addresses[0]}.arn}}",
            "prefix": PREFIX,
            "error_output_prefix": ERROR_PREFIX,
            "buffering_size": BUFFER_MEGABYTES,
            "buffering_interval": BUFFER_SECONDS,
            "compression_format": "GZIP",
        }
        return {
            "aws_kinesis_firehose_delivery_stream": {
                block_label(self.name): {
                    "name": self.name,
                    "destination": "extended_s3",
                    "server_side_encryption": {"enabled": True, "key_type": "AWS_OWNED_CMK"},
                    "extended_s3_configuration": configuration,
                    "depends_on": [*self.bucket.addresses[1:], *self.role.addresses[1:]],
                }
            }
        }

    def _destination(self) -> dict[str, Any]:
        return {
            "RoleARN": self.role.arn,
            "BucketARN": self.bucket.arn,
            "Prefix": PREFIX,
            "ErrorOutputPrefix": ERROR_PREFIX,
            "BufferingHints": {"SizeInMBs": BUFFER_MEGABYTES, "IntervalInSeconds": BUFFER_SECONDS},
            "CompressionFormat": "GZIP",
        }

    async def _read(self, client: Any) -> Mapping[str, Any] | None:
        answer = await find(client.describe_delivery_stream(DeliveryStreamName=self.name), _ABSENT)
        return None if answer is None else answer["DeliveryStreamDescription"]

    async def _create(self, services: AwsServices, client: Any) -> None:
        for wait in (*ROLE_WAITS_SECONDS, None):
            try:
                await client.create_delivery_stream(
                    DeliveryStreamName=self.name,
                    DeliveryStreamType="DirectPut",
                    DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"},
                    ExtendedS3DestinationConfiguration=self._destination(),
                )
            except MailrunError as error:  # Firehose does not see a new role at once
                if wait is None or error_code(error) != "InvalidArgumentException":
                    raise
                await services.clock.sleep(wait)
            else:
                return

    async def _wait_until_active(
        self, services: AwsServices, client: Any, found: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        for _ in range(STREAM_WAITS):
            if found.get("DeliveryStreamStatus") not in _IS_BEING_MADE:
                return found
            await services.clock.sleep(STREAM_WAIT_SECONDS)
            found = await self._read(client) or {}
        raise PausedError(
            "the stream is still being created",
            where=self.name,
            remedy="wait some minutes, then run the same command again",
        )

    def _describe(self, found: Mapping[str, Any]) -> list[str]:
        details = [] if _is_encrypted(found) else ["encryption: a key that AWS owns"]
        return [*self._describe_destination(found), *details]

    def _describe_destination(self, found: Mapping[str, Any]) -> list[str]:
        destinations = found.get("Destinations") or [{}]
        now = destinations[0].get("ExtendedS3DestinationDescription") or {}
        details = []
        for name, value in self._destination().items():
            before = now.get(name)
            if before != value:
                details.append(f"{name}: {before} -> {value}" if before else f"{name}: {value}")
        return details


def _is_encrypted(found: Mapping[str, Any]) -> bool:
    status = (found.get("DeliveryStreamEncryptionConfiguration") or {}).get("Status")
    return status in ("ENABLED", "ENABLING")
