"""The wanted state as a CloudFormation template. Pure, and the same text every time."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine.account.setup.labels import logical_id
from engine.account.setup.resource import Place, Resource

PLACE = Place("${AWS::AccountId}", "${AWS::Region}", "${AWS::Partition}")
"""Where the resources of a template are: CloudFormation fills it in."""

_DKIM_TOKENS = (1, 2, 3)
_SET, _DESTINATION = "AWS::SES::ConfigurationSet", "AWS::SES::ConfigurationSetEventDestination"


def write_template(resources: Iterable[Resource]) -> str:
    """Write a template, in JSON.

    Its outputs are the DNS records to add, the URLs of queues, and what CloudFormation cannot do itself.

    Args:
        resources: in order, made for PLACE.
    """
    parts: dict[str, Any] = {}
    for resource in resources:
        parts |= resource.to_cloudformation()
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Amazon SES for mailrun: identity, configuration set, events, received mail",
        "Resources": _refer_to_sets({name: dict(part) for name, part in parts.items()}),
        "Outputs": {name: dict(zip(("Description", "Value"), output, strict=True)) for name, output in _outputs(parts)},
    }
    return json.dumps(_substitute(template), indent=2) + "\n"


def _refer_to_sets(parts: dict[str, Any]) -> dict[str, Any]:
    """Let event destinations refer to the configuration set of the template, so that it is created first."""
    sets = {part["Properties"]["Name"]: name for name, part in parts.items() if part["Type"] == _SET}
    for name, part in parts.items():
        owner = part["Properties"].get("ConfigurationSetName")
        if part["Type"] == _DESTINATION and owner in sets:
            properties = {**part["Properties"], "ConfigurationSetName": {"Ref": sets[owner]}}
            parts[name] = {**part, "Properties": properties}
    return parts


def _outputs(parts: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, Any]]]:
    for name, part in parts.items():
        properties = part["Properties"]
        match part["Type"]:
            case "AWS::SES::EmailIdentity":
                yield from _identity_records(name, properties)
            case "AWS::SQS::Queue":
                yield f"{name}Url", (f"URL of the queue {properties['QueueName']}", {"Ref": name})
            case "AWS::S3::Bucket":
                yield f"{name}Name", ("Name of the bucket", {"Ref": name})
            case "AWS::SES::ReceiptRule":
                (recipient,) = properties["Rule"]["Recipients"]
                domain, rule_set = recipient.rpartition("@")[2], properties["RuleSetName"]
                mx = "10 inbound-smtp.${AWS::Region}.amazonaws.com"
                yield f"{name}Mx", ("DNS record of received mail", f"{domain} MX {mx}")
                command = f"aws ses set-active-receipt-rule-set --rule-set-name {rule_set}"
                yield f"{name}Activation", ("Run it once: it replaces the rule set that is active now, if any", command)


def _identity_records(name: str, properties: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, Any]]]:
    for number in _DKIM_TOKENS if "DomainSigningSelector" not in properties.get("DkimSigningAttributes", {}) else ():
        record = {"Fn::Sub": f"${{{name}.DkimDNSTokenName{number}}} CNAME ${{{name}.DkimDNSTokenValue{number}}}"}
        yield logical_id(f"Dkim{number}", name), ("DNS record of DKIM", record)
    domain = properties.get("MailFromAttributes", {}).get("MailFromDomain")
    if domain:
        mx = f"{domain} MX 10 feedback-smtp.${{AWS::Region}}.amazonses.com"
        yield logical_id("MailFromMx", name), ("DNS record of the MAIL FROM domain", mx)
        spf = f'{domain} TXT "v=spf1 include:amazonses.com ~all"'
        yield logical_id("MailFromSpf", name), ("DNS record of the MAIL FROM domain", spf)


def _substitute(value: Any) -> Any:
    """Mark the texts that CloudFormation fills in."""
    match value:
        case {"Fn::Sub": _}:
            return value
        case Mapping():
            return {key: _substitute(one) for key, one in value.items()}
        case list() | tuple():
            return [_substitute(one) for one in value]
        case str() if "${AWS::" in value:
            return {"Fn::Sub": value}
    return value
