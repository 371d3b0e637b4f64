"""docs/reference/iam.md is what the code calls: a role's commands run, and its policy allows every call to AWS.

Calls are found in two ways: every call that stands in the code (by its syntax tree), and every call that the commands
of a role make against the sandbox and moto, with the resources that they name. Nothing depends on other tests.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from support import s3
from support.paths import ROOT
from support.recorded_calls import read_calls
from support.ses import open_ses
from support.sqs import open_sqs
from support.world import World, open_world

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.sandbox.events.behaviour import Behaviour

PAGE = (ROOT / "docs" / "reference" / "iam.md").read_text(encoding="utf-8")
# Botocore's services, to the prefix of their actions; the older API of SES first: names of both are sesv2's.
SERVICES = {
    "ses": "ses", "sesv2": "ses", "sqs": "sqs", "s3": "s3", "sts": "sts", "sns": "sns", "events": "events",
    "firehose": "firehose", "iam": "iam", "route53": "route53", "cloudwatch": "cloudwatch",
}  # fmt: skip
# API operation -> the IAM actions that it needs, where they are not named alike (Service Authorization Reference).
ACTIONS = {
    ("s3", "ListObjectsV2"): {"s3:ListBucket"},
    ("s3", "HeadBucket"): {"s3:ListBucket"},
    ("s3", "HeadObject"): {"s3:GetObject"},
    ("s3", "CopyObject"): {"s3:GetObject", "s3:PutObject"},
    ("s3", "CreateMultipartUpload"): {"s3:PutObject"},
    ("s3", "UploadPart"): {"s3:PutObject"},
    ("s3", "UploadPartCopy"): {"s3:GetObject", "s3:PutObject"},
    ("s3", "CompleteMultipartUpload"): {"s3:PutObject"},
    ("sqs", "DeleteMessageBatch"): {"sqs:DeleteMessage"},
    ("s3", "GetPublicAccessBlock"): {"s3:GetBucketPublicAccessBlock"},
    ("s3", "PutPublicAccessBlock"): {"s3:PutBucketPublicAccessBlock"},
    ("s3", "GetBucketEncryption"): {"s3:GetEncryptionConfiguration"},
    ("s3", "PutBucketEncryption"): {"s3:PutEncryptionConfiguration"},
}
# What boto3's managed transfers call.
TRANSFERS = {
    "upload_fileobj": (
        "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload",
    ),
    "copy": ("HeadObject", "CopyObject", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"),
}  # fmt: skip
# Rows of the table that no command makes against these servers, and why.
NOT_RECORDED = {
    ("sender", "s3:AbortMultipartUpload"): "after a transfer of more than 8 MB that failed",
    ("events", "s3:AbortMultipartUpload"): "as above",
    ("sender", "ses:ListEmailIdentities"): "in an account in the SES sandbox",
    ("smtp", "ses:SendRawEmail"): "SES's SMTP server asks for it",
    ("every", "sts:GetCallerIdentity"): "of AWS's own endpoints alone",
    ("every", "kms:Decrypt"): "S3 and SQS ask for it where they encrypt",
    ("every", "kms:GenerateDataKey"): "as above",
    ("setup", "iam:PassRole"): "Firehose and SES ask for it when they get a role",
    **{
        ("setup", action): "only where the resource exists with other settings, or does not exist"
        for action in (
            "ses:CreateEmailIdentity", "ses:CreateConfigurationSet", "ses:PutEmailIdentityDkimAttributes",
            "ses:UpdateConfigurationSetEventDestination", "ses:UpdateReceiptRule",
            "sqs:SetQueueAttributes", "sns:SetTopicAttributes", "sns:SetSubscriptionAttributes",
            "firehose:UpdateDestination", "firehose:StartDeliveryStreamEncryption", "iam:UpdateAssumeRolePolicy",
            "iam:GetRolePolicy",
            "events:ListTargetsByRule",
        )
    },
}  # fmt: skip
# Of IP addresses and their pools: SES knows no narrower resource for most of them.
POOL_OPERATIONS = (
    "GetDedicatedIpPool", "GetDedicatedIps", "GetDedicatedIp", "ListDedicatedIpPools", "CreateDedicatedIpPool",
    "PutDedicatedIpPoolScalingAttributes", "PutDedicatedIpInPool", "PutDedicatedIpWarmupAttributes",
    "PutAccountDedicatedIpWarmupAttributes",
)  # fmt: skip
RECEIPT_ACTIONS = (
    "ses:CreateReceiptRule", "ses:CreateReceiptRuleSet", "ses:DescribeActiveReceiptRuleSet", "ses:DescribeReceiptRule",
    "ses:DescribeReceiptRuleSet", "ses:SetActiveReceiptRuleSet", "ses:UpdateReceiptRule",
)  # fmt: skip
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}
STORE, AUDIENCES, EVENTS, MAILS = "acme-mailrun", "acme-audiences", "acme-events", "acme-inbound"
IMPORTS = "acme-ses-import"
ARNS = {
    "sns": (("TopicArn", "Name"), "arn:aws:sns:us-east-1:123456789012:"),
    "events": (("Rule", "Name"), "arn:aws:events:us-east-1:123456789012:rule/"),
    "firehose": (("DeliveryStreamName",), "arn:aws:firehose:us-east-1:123456789012:deliverystream/"),
    "iam": (("RoleName",), "arn:aws:iam::123456789012:role/"),
    "route53": (("HostedZoneId",), "arn:aws:route53:::hostedzone/"),
}
ACCOUNT, ADDRESS = "us-east-1:123456789012", "198.51.100.7"


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    action: str
    roles: frozenset[str]
    resource: str


def read_rows() -> list[Row]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [Row(c[0].strip("`"), frozenset(c[1].split(", ")), c[2].strip("`")) for c in cells]


def read_policies() -> dict[str, list[dict[str, Any]]]:
    found = re.findall(r"^### ([a-z]+):.*?```json\n(.*?)```", PAGE, flags=re.MULTILINE | re.DOTALL)
    policies = {role: json.loads(text) for role, text in found}
    assert all(policy["Version"] == "2012-10-17" for policy in policies.values())
    return {role: policy["Statement"] for role, policy in policies.items()}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions_of(service: str, operation: str) -> set[str]:
    return ACTIONS.get((service, operation), {f"{SERVICES[service]}:{operation}"})


# -- what stands in the code -------------------------------------------------------------------------------------------


def find_operations() -> set[tuple[str, str]]:
    """Find every operation of AWS that the code names: as a method, a paginator, a transfer, or by its name."""
    session = boto3.Session(region_name="us-east-1")
    clients = {service: session.client(service).meta.service_model.operation_names for service in SERVICES}
    methods = {xform_name(name): (service, name) for service, names in clients.items() for name in names}
    found = set[tuple[str, str]]()
    for path in (ROOT / "engine").rglob("*.py"):
        if "sandbox" in path.relative_to(ROOT / "engine").parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                is_client = "client" in ast.unparse(node.value)
                if node.attr in TRANSFERS and is_client:
                    found |= {("s3", name) for name in TRANSFERS[node.attr]}
                elif node.attr in methods and (is_client or ("_" in node.attr and "sts" in ast.unparse(node.value))):
                    found.add(methods[node.attr])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
                if name in ("SendEmail", "SendBulkEmail"):
                    found.add(("sesv2", name))
                elif (
                    name.startswith(("list_", "get_dedicated_", "get_bucket_", "put_", "get_public_"))
                    and name in methods
                ):
                    found.add(methods[name])  # by list_pages, a paginator of S3, or a change of a set-up
    return found


def test_table_has_every_action_of_the_code_and_no_other():
    operations = find_operations()
    assert {
        ("s3", "HeadBucket"),
        ("sqs", "ReceiveMessage"),
        ("sesv2", "GetAccount"),
        ("s3", "UploadPartCopy"),
    } <= operations
    called = {action for operation in operations for action in actions_of(*operation)}
    others = {action for role, action in NOT_RECORDED if role in ("smtp", "every")} | {"iam:PassRole"}
    assert {row.action for row in read_rows()} - others == called - others


# -- the policies ------------------------------------------------------------------------------------------------------


def test_policies_and_table_say_the_same():
    rows, policies = read_rows(), read_policies()
    assert set(policies) == {role for row in rows for role in row.roles} - {"every"}
    for role, statements in policies.items():
        granted = {
            (action, resource)
            for statement in statements
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
        assert granted == {(row.action, row.resource) for row in rows if role in row.roles}, role


def test_policies_name_a_resource_wherever_aws_lets_them():
    """Only calls that have no resource in IAM have `*`."""
    without = {
        "ses:GetAccount", "ses:ListEmailIdentities", "ses:ListSuppressedDestinations", "ses:GetSuppressedDestination",
        "ses:PutSuppressedDestination", "ses:DeleteSuppressedDestination", "ses:CreateImportJob",
        *(f"ses:{name}" for name in POOL_OPERATIONS), "ses:ListConfigurationSets", *RECEIPT_ACTIONS,
        "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "route53:ListHostedZones",
        "ses:GetEmailAddressInsights", "ses:ListMultiRegionEndpoints", "ses:GetTenant", "ses:ListTenantResources",
        "ses:BatchGetMetricData", "ses:ListRecommendations", "ses:ListReputationEntities", "cloudwatch:GetMetricData",
        "cloudwatch:ListMetrics",
    }  # fmt: skip
    for role, statements in read_policies().items():
        for statement in statements:
            assert statement["Effect"] == "Allow"
            assert not any("*" in action for action in listed(statement["Action"])), role
            if "*" in listed(statement["Resource"]):
                assert set(listed(statement["Action"])) <= without, role


# -- what the commands call --------------------------------------------------------------------------------------------


def name_resources(service: str, operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield action, ARN and s3:prefix of everything that a call touches."""
    for action in actions_of(service, operation):
        if service == "s3":
            yield from name_objects(action, parameters)
        elif service == "sts":
            continue  # AWS allows it to everyone
        elif service == "sqs":
            name = parameters.get("QueueName") or parameters["QueueUrl"].rpartition("/")[2]
            yield action, f"arn:aws:sqs:{ACCOUNT}:{name}", None
        elif service in ARNS:
            yield action, name_of_set_up(service, parameters), None
        else:
            yield from name_parts_of_ses(action, operation, parameters)


def name_parts_of_ses(action: str, operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    names = [f"configuration-set/{parameters[member]}" for member in ("ConfigurationSetName",) if member in parameters]
    if "FromEmailAddress" in parameters:
        names.append(f"identity/{parameters['FromEmailAddress'].rpartition('@')[2].strip('>')}")
    elif "EmailIdentity" in parameters:
        names.append(f"identity/{parameters['EmailIdentity']}")
    elif operation == "GetImportJob":
        names.append("import-job/some")
    yield from ((action, f"arn:aws:ses:{ACCOUNT}:{name}", None) for name in names)
    if not names and action not in ("ses:SendEmail", "ses:SendBulkEmail"):  # botocore shows how it would sign; no call
        yield action, "*", None


def name_of_set_up(service: str, parameters: dict[str, Any]) -> str:
    """Name what a set-up calls for; `*` where AWS knows no resource."""
    members, start = ARNS[service]
    found = next((parameters[member] for member in members if member in parameters), None)
    if found is None:
        return "*"
    return found if found.startswith("arn:") else f"{start}{found.removeprefix('/hostedzone/')}"


def name_objects(action: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    bucket, key = parameters["Bucket"], parameters.get("Key")
    if action == "s3:ListBucket":
        yield action, f"arn:aws:s3:::{bucket}", parameters.get("Prefix", "")
        return
    if action == "s3:GetObject" and "CopySource" in parameters:
        bucket, key = parameters["CopySource"]["Bucket"], parameters["CopySource"]["Key"]
    yield action, f"arn:aws:s3:::{bucket}/{key}", None
    if action == "s3:GetObject" and bucket in (STORE, MAILS):  # else S3 refuses a missing object, instead of saying so
        yield "s3:ListBucket", f"arn:aws:s3:::{bucket}", None


def is_allowed(statements: list[dict[str, Any]], action: str, resource: str, prefix: str | None) -> bool:
    """Judge as IAM does, for the elements of these policies."""
    for statement in statements:
        if action in listed(statement["Action"]) and any(
            fnmatchcase(resource, r) for r in listed(statement["Resource"])
        ):
            condition = statement.get("Condition")
            if condition is None:
                return True
            assert set(condition) == {"StringLike"}
            (patterns,) = condition["StringLike"].values()
            assert set(condition["StringLike"]) == {"s3:prefix"}
            if prefix is not None and any(fnmatchcase(prefix, pattern) for pattern in listed(patterns)):
                return True
    return False


def add_files(url: str) -> None:
    with closing(s3.open_client(url)) as client:
        for bucket in (STORE, AUDIENCES, EVENTS, MAILS, IMPORTS):
            client.create_bucket(Bucket=bucket)
        people = "".join(f"person{number}@example.com,Name\n" for number in range(4))
        client.put_object(Bucket=AUDIENCES, Key="lists/people.csv", Body=f"email,first_name\n{people}".encode())
        client.put_object(Bucket=MAILS, Key="mails/one", Body=b"From: a@b.example\r\nSubject: hello\r\n\r\nHello\r\n")
        client.put_object(Bucket=EVENTS, Key="firehose/one.json", Body=b"{}")


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[list[tuple[str, str, str, dict[str, Any]]]]:
    """Run the commands of every role, in one process; their calls."""
    with s3.run_moto() as moto:
        add_files(moto)
        behaviour = Behaviour.from_document({})
        with open_world(tmp_path, behaviour=behaviour, s3_endpoint=moto, dedicated_addresses=(ADDRESS,)) as world:
            yield run_steps(world, moto, tmp_path)


def set_up(step: Callable[..., None], moto: str) -> None:
    """Set the account up for each kind of events, from other settings each time."""
    with closing(boto3.client("route53", endpoint_url=moto, region_name="us-east-1", **KEYS)) as route53:
        route53.create_hosted_zone(Name="acme.example.", CallerReference="acme")
    setup = ("ses", "setup", "acme.example", "--configuration-set", "marketing", "--inbound", "--route53", "--apply")
    more = ("--tls", "require", "--pool", "news", "--dkim-selector", "s1")
    for events, options in (("sqs", ()), ("eventbridge", more), ("firehose", ())):
        bucket = "mailrun-events-firehose"  # of moto, which has no other settings
        name = f"mailrun-events-{events}"
        step(
            "setup", *setup, "--events", events, *options, AWS_ENDPOINT_URL=moto, MAILRUN_SES_EVENTS_NAME=name,
            MAILRUN_SES_EVENTS_BUCKET=bucket, MAILRUN_SES_TRACKING_DOMAIN="links.acme.example",
        )  # fmt: skip


def add_targets(world: World, moto: str) -> None:
    """Notify a topic, and somebody by e-mail."""
    with closing(boto3.client("sns", endpoint_url=moto, region_name="us-east-1", **KEYS)) as sns:
        topic = sns.create_topic(Name="mailrun")["TopicArn"]
    mail = 'kind = "email"\nfrom = "campaigns@acme.example"\nto = ["managers@acme.example"]\n'
    named = f'[notify.targets.alarm]\nkind = "sns"\ntopic = "{topic}"\n\n[notify.targets.managers]\n{mail}'
    world.write("mailrun.toml", named)


def create_tenant(world: World) -> str:
    """Create a tenant that may send, and a multi-region endpoint; return the id of the endpoint."""
    with open_ses(world.server) as ses:
        ses.create_tenant(TenantName="shop")
        for name in ("identity/acme.example", "configuration-set/marketing"):
            ses.create_tenant_resource_association(TenantName="shop", ResourceArn=f"arn:aws:ses:{ACCOUNT}:{name}")
        routes = {"RoutesDetails": [{"Region": "eu-west-1"}]}
        made: str = ses.create_multi_region_endpoint(EndpointName="news", Details=routes)["EndpointId"]
    return made


def run_steps(  # noqa: PLR0915 - a line for each step
    world: World, moto: str, folder: Path
) -> list[tuple[str, str, str, dict[str, Any]]]:
    text = (world.campaign / "campaign.toml").read_text(encoding="utf-8")
    text = text.replace('"audiences/people.csv"', f'"s3://{AUDIENCES}/lists/people.csv"')
    for name, delivery in (("hello", ""), ("bulk", 'call = "bulk"\n')):
        (world.folder / "campaigns" / name).mkdir(exist_ok=True)
        world.write(
            f"campaigns/{name}/campaign.toml",
            f'{text}\n[delivery]\nconfiguration_set = "marketing"\npool = "news"\n{delivery}',
        )
        world.write(f"campaigns/{name}/body.txt.j2", "Dear {{ first_name }}\n")
    (world.folder / "campaigns" / "new").mkdir(exist_ok=True)
    world.write("campaigns/new/campaign.toml", f'{text}\n[audience.checks]\ninsights = "warn"\ninsights_budget = 1\n')
    world.write("campaigns/new/body.txt.j2", "Dear {{ first_name }}\n")
    reach = f'configuration_set = "marketing"\ntenant = "shop"\nendpoint_id = "{create_tenant(world)}"'
    (world.folder / "campaigns" / "reach").mkdir(exist_ok=True)
    world.write("campaigns/reach/campaign.toml", f"{text}\n[delivery]\n{reach}\n")
    world.write("campaigns/reach/body.txt.j2", "Dear {{ first_name }}\n")
    add_targets(world, moto)
    with closing(open_sqs(moto)) as sqs:
        inbound = sqs.create_queue(QueueName="mailrun-inbound")["QueueUrl"]
        received = {
            "notificationType": "Received",
            "mail": {"messageId": "m"},
            "receipt": {"action": {"type": "S3", "bucketName": MAILS, "objectKey": "mails/one"}},
        }
        sqs.send_message(QueueUrl=inbound, MessageBody=json.dumps(received))
    key = "k" * 40
    click = {
        "rawPath": f"/u/{TokenSigner([key.encode()]).sign('person1@example.com', 'hello')}",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}},
        "body": "List-Unsubscribe=One-Click",
    }
    steps: list[dict[str, Any]] = []

    def step(role: str, *arguments: str, codes: tuple[int, ...] = (0,), **environment: str) -> None:
        steps.append({"role": role, "arguments": arguments, "codes": codes, "environment": environment})

    with open_ses(world.server) as ses:
        ses.create_configuration_set(ConfigurationSetName="marketing", DeliveryOptions={"SendingPoolName": "news"})
    step("pools", "ses", "pools", "create", "news")
    step("pools", "ses", "pools", "move", ADDRESS, "news", "--yes")
    step("pools", "ses", "pools", "warmup", ADDRESS, "100")
    step("pools", "ses", "pools", "warmup", "--auto", "on")
    step("pools", "ses", "pools", "create", "managed")
    step("pools", "ses", "pools", "create", "managed", "--managed", "--yes")
    step("pools", "ses", "pools", "--json")
    set_up(step, moto)
    cloudwatch = world.server.url
    world.change_sandbox(vdm_enabled=True)
    step("checker", "plan", "new", "--json")  # each of the two looks up one address that is new
    step("sender", "launch", "new", "--key", "test", "--json", "--yes")
    step("sender", "launch", "hello", "--key", "test", "--json", "--yes", AWS_ENDPOINT_URL_CLOUDWATCH=cloudwatch)
    step("sender", "launch", "bulk", "--key", "test", "--json", "--yes")
    step("inbound", "inbound", "import", f"s3://{MAILS}/mails/", codes=(0, 65))  # and counts the figures of those runs
    step("sender", "launch", "reach", "--key", "test", "--json", "--yes")
    step("sender", "notify", "test")
    step("events", "notify", "test")
    step("checker", "check", "reach", "--json", codes=(0, 3))
    step("checker", "check", "hello", "--json", codes=(0, 3))
    step("checker", "status", "hello/test", "--json")
    step("checker", "ses", "reputation", "--json", AWS_ENDPOINT_URL_CLOUDWATCH=cloudwatch)
    metrics = str(folder / "mailrun.prom")  # with it, the depth of a queue is read
    pull = ("events", "pull", "--queue", world.server.queue_url, "--json")
    step("events", *pull, AWS_ENDPOINT_URL_SQS=world.server.url, MAILRUN_METRICS_FILE=metrics)
    step("events", "events", "import", f"s3://{EVENTS}/firehose/", codes=(0, 65))
    pull = ("inbound", "pull", "--queue", inbound, "--json")
    step("inbound", *pull, codes=(0, 65), MAILRUN_INBOUND_BUCKETS=MAILS, MAILRUN_METRICS_FILE=metrics)
    step("suppression", "suppress", "add", "p1@b.example", "p2@b.example", "p3@b.example", "--reason", "bounce")
    step("suppression", "suppress", "sync", "--most", "1", "--bucket", f"s3://{IMPORTS}/lists", codes=(0, 75))
    step("suppression", "suppress", "add", "p4@b.example", "--reason", "complaint")
    step("suppression", "suppress", "sync", codes=(0, 75))
    step("suppression", "suppress", "import", f"s3://{AUDIENCES}/lists/people.csv", codes=(0, 65))
    step("suppression", "suppress", "check", "p4@b.example", "--account", codes=(0, 3))
    step("suppression", "suppress", "remove", "p4@b.example", "--account", "--yes")
    steps.append({"role": "unsubscribe", "lambda": click, "environment": {}})
    environment = world.environment() | s3.environment(moto) | {
        "AWS_ENDPOINT_URL_SQS": moto,
        "AWS_ENDPOINT_URL_SNS": moto,
        "AWS_ACCESS_KEY_ID": world.server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": world.server.secret_access_key,
        "MAILRUN_STORE": f"s3://{STORE}/store",
        "MAILRUN_INBOUND_RAW_DELIVERY": "true",
        "MAILRUN_UNSUBSCRIBE_KEYS": key,
        "PYTHONPATH": str(ROOT / "tests"),
    }  # fmt: skip
    given, record = folder / "steps.json", folder / "calls.jsonl"
    given.write_text(json.dumps(steps))
    command = [sys.executable, "-m", "support.recorded_calls", str(given), str(record)]
    done = subprocess.run(command, cwd=world.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return list(read_calls(record))


@pytest.mark.timeout(300)  # about forty commands, each of which calls servers
def test_each_role_has_exactly_the_permissions_that_its_commands_use(
    recorded: list[tuple[str, str, str, dict[str, Any]]],
):
    policies, used = read_policies(), set[tuple[str, str]]()
    refused = set[tuple[str, str, str]]()
    for role, service, operation, parameters in recorded:
        for action, resource, prefix in name_resources(service, operation, parameters):
            used.add((role, action))
            if not is_allowed(policies[role], action, resource, prefix):
                refused.add((role, action, resource if prefix is None else f"{resource} with the prefix {prefix}"))
    assert refused == set()
    granted = {(role, row.action) for row in read_rows() for role in row.roles}
    assert set(NOT_RECORDED) <= granted
    assert granted - used - set(NOT_RECORDED) == set(), "permissions that no command uses"
