"""Private buckets: of events that Firehose writes, and of received mail."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import error_code, find, make_step
from engine.account.setup.labels import block_label, logical_id
from engine.account.setup.policies import (
    Statement,
    bucket_arn,
    deny_plain_http,
    find_missing,
    make_policy,
    merge,
    read_policy,
    write_policy,
)
from engine.account.setup.resource import Place, SetupStep
from engine.errors import ConfigurationError, MailrunError

_BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_BLOCK = dict.fromkeys(_BLOCKED, True)
_OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}  # without access lists of objects
_ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
_FIRST_REGION = "us-east-1"  # the one region that CreateBucket must not name


class Bucket(Struct, frozen=True):
    """A private bucket: encrypted, without public access, over TLS only.

    The owner is checked with every call: names of buckets can be guessed, and another account could have taken one.

    Attributes:
        place: where it is.
        name: of the bucket.
        permits: statements of its policy: which service may write to it.
    """

    place: Place
    name: str
    permits: tuple[Statement, ...] = ()

    @property
    def kind(self) -> str:
        """What it is."""
        return "S3 bucket"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return bucket_arn(self.place, self.name)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Its own statements of the policy."""
        return (*self.permits, deny_plain_http(self.place, self.name))

    @property
    def logical_ids(self) -> tuple[str, ...]:
        """Its ids in a CloudFormation template: bucket and policy."""
        return (logical_id("Bucket", self.name), logical_id("BucketPolicy", self.name))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses in a Terraform configuration: bucket and policy."""
        label = block_label(self.name)
        return (f"aws_s3_bucket.{label}", f"aws_s3_bucket_policy.{label}")

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account.

        Raises:
            ConfigurationError: the bucket belongs to another account.
        """
        client = await services.open("s3")
        exists = await self._exists(client)
        return make_step(
            self, exists=exists, details=[line for line, _, _ in await self._choose(client, exists=exists)]
        )

    async def apply(self, services: AwsServices) -> None:
        """Create it, and set what differs.

        Raises:
            ConfigurationError: the bucket belongs to another account.
        """
        client = await services.open("s3")
        if not await self._exists(client):
            region = self.place.region
            where = {} if region == _FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            await client.create_bucket(Bucket=self.name, **where)
        for _, method, parameters in await self._choose(client, exists=True):
            await getattr(client, method)(**self._who(), **parameters)

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return the bucket, which stays when its stack is deleted, and its policy."""
        bucket, policy = self.logical_ids
        properties = {
            "BucketName": self.name,
            "PublicAccessBlockConfiguration": _BLOCK,
            "OwnershipControls": _OWNERSHIP,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        }
        return {
            bucket: {
                "Type": "AWS::S3::Bucket",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": properties,
            },
            policy: {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": bucket}, "PolicyDocument": make_policy(self.statements)},
            },
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return the bucket and what protects it."""
        label = block_label(self.name)
        bucket = {"bucket": f"${{aws_s3_bucket.{label}.id}}"}
        block = {"block_public_acls": True, "ignore_public_acls": True, "block_public_policy": True}
        return {
            "aws_s3_bucket": {label: {"bucket": self.name}},
            "aws_s3_bucket_public_access_block": {label: {**bucket, **block, "restrict_public_buckets": True}},
            "aws_s3_bucket_ownership_controls": {
                label: {**bucket, "rule": {"object_ownership": "BucketOwnerEnforced"}}
            },
            "aws_s3_bucket_server_side_encryption_configuration": {
                label: {**bucket, "rule": {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}}
            },
            "aws_s3_bucket_policy": {
                label: {
                    **bucket,
                    "policy": write_policy(make_policy(self.statements)),
                    "depends_on": [f"aws_s3_bucket_public_access_block.{label}"],
                }
            },
        }

    def _who(self) -> dict[str, str]:
        return {"Bucket": self.name, "ExpectedBucketOwner": self.place.account}

    async def _exists(self, client: Any) -> bool:
        try:
            return await find(client.head_bucket(**self._who()), "404", "NoSuchBucket") is not None
        except MailrunError as error:
            if error_code(error) in ("403", "AccessDenied"):
                raise ConfigurationError(
                    "the bucket belongs to another account, or you may not read it",
                    where=f"s3://{self.name}",
                    remedy="choose another name for the bucket, or add s3:ListBucket to your policy",
                ) from error
            raise

    async def _choose(self, client: Any, *, exists: bool) -> list[tuple[str, str, dict[str, Any]]]:
        """Return what must be set: for people, the operation, and its parameters."""

        async def read(method: str, *absent: str) -> Mapping[str, Any]:
            return await find(getattr(client, method)(**self._who()), *absent) or {} if exists else {}

        changes: list[tuple[str, str, dict[str, Any]]] = []
        setting: dict[str, Any]
        found = await read("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
        if found.get("PublicAccessBlockConfiguration") != _BLOCK:
            setting = {"PublicAccessBlockConfiguration": _BLOCK}
            changes.append(("public access: blocked", "put_public_access_block", setting))
        found = await read("get_bucket_ownership_controls", "OwnershipControlsNotFoundError")
        if found.get("OwnershipControls") != _OWNERSHIP:
            line = "object ownership: BucketOwnerEnforced"
            changes.append((line, "put_bucket_ownership_controls", {"OwnershipControls": _OWNERSHIP}))
        found = await read("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError")
        if not found.get("ServerSideEncryptionConfiguration"):  # a key of one's own stays
            setting = {"ServerSideEncryptionConfiguration": _ENCRYPTION}
            changes.append(("encryption: AES256", "put_bucket_encryption", setting))
        found = await read("get_bucket_policy", "NoSuchBucketPolicy")
        policy = read_policy(found.get("Policy"), self.name)
        if missing := find_missing(policy, self.statements):
            setting = {"Policy": write_policy(merge(policy, self.statements))}
            changes.append((f"Policy: statement {', '.join(missing)}", "put_bucket_policy", setting))
        return changes
