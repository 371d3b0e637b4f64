"""The wanted state as a Terraform configuration in JSON syntax (`.tf.json`). Pure, and the same text every time."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine.account.setup.resource import Place, Resource

PLACE = Place(
    "${data.aws_caller_identity.current.account_id}",
    "${data.aws_region.current.region}",
    "${data.aws_partition.current.partition}",
)
"""Where the resources of a configuration are: Terraform fills it in."""

PROVIDER_VERSION = "~> 6.0"  # of hashicorp/aws; 6.0 renamed the attribute `region` of `aws_region`
_SET, _DESTINATION = "aws_sesv2_configuration_set", "aws_sesv2_configuration_set_event_destination"


def write_configuration(resources: Iterable[Resource]) -> str:
    """Write a configuration. Its outputs are the DNS records to add, the URLs of queues, and what Terraform leaves.

    Args:
        resources: in order, made for PLACE.
    """
    blocks: dict[str, dict[str, Any]] = {}
    for resource in resources:
        for kind, labelled in resource.to_terraform().items():
            blocks.setdefault(kind, {}).update({label: dict(block) for label, block in labelled.items()})
    _refer_to_sets(blocks)
    configuration = {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": PROVIDER_VERSION}}},
        "data": {
            "aws_caller_identity": {"current": {}},
            "aws_region": {"current": {}},
            "aws_partition": {"current": {}},
        },
        "resource": blocks,
        "output": {name: {"value": value} for name, value in _outputs(blocks)},
    }
    return json.dumps(configuration, indent=2) + "\n"


def _refer_to_sets(blocks: Mapping[str, dict[str, Any]]) -> None:
    """Let event destinations refer to the configuration set of the file, so that it is created first."""
    sets = {block["configuration_set_name"]: label for label, block in blocks.get(_SET, {}).items()}
    for block in blocks.get(_DESTINATION, {}).values():
        label = sets.get(block["configuration_set_name"])
        if label is not None:
            block["configuration_set_name"] = f"${{{_SET}.{label}.configuration_set_name}}"


def _outputs(blocks: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, Any]]:
    region = "${data.aws_region.current.region}"
    for label, identity in blocks.get("aws_sesv2_email_identity", {}).items():
        domain = identity["email_identity"]
        tokens = f"aws_sesv2_email_identity.{label}.dkim_signing_attributes[0].tokens"
        record = f'"${{token}}._domainkey.{domain} CNAME ${{token}}.dkim.amazonses.com"'
        if "domain_signing_selector" not in identity.get("dkim_signing_attributes", {}):
            yield f"{label}_dkim_records", f"${{[for token in {tokens} : {record}]}}"
    for label, mail_from in blocks.get("aws_sesv2_email_identity_mail_from_attributes", {}).items():
        domain = mail_from["mail_from_domain"]
        yield (
            f"{label}_mail_from_records",
            [
                f"{domain} MX 10 feedback-smtp.{region}.amazonses.com",
                f'{domain} TXT "v=spf1 include:amazonses.com ~all"',
            ],
        )
    for label in blocks.get("aws_sqs_queue", {}):
        yield f"{label}_url", f"${{aws_sqs_queue.{label}.url}}"
    for label in blocks.get("aws_s3_bucket", {}):
        yield f"{label}_bucket", f"${{aws_s3_bucket.{label}.id}}"
    for label, rule in blocks.get("aws_ses_receipt_rule", {}).items():
        domain = rule["recipients"][0].rpartition("@")[2]
        yield f"{label}_mx_record", f"{domain} MX 10 inbound-smtp.{region}.amazonaws.com"
        yield f"{label}_activation", f"aws ses set-active-receipt-rule-set --rule-set-name {rule['rule_set_name']}"
