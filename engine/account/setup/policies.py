"""Policies of resources and roles: each permits one service one action, from one source. Pure.

A source is named by `aws:SourceArn` and `aws:SourceAccount`, so that no other account can use the service to write here
(https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.account.setup.resource import Place
from engine.errors import DataError

VERSION = "2012-10-17"  # of the policy language
SES, SNS, EVENTBRIDGE, FIREHOSE = (f"{name}.amazonaws.com" for name in ("ses", "sns", "events", "firehose"))

Statement = Mapping[str, Any]
"""A statement of a policy, with a Sid: mailrun finds its own statements by it."""

Policy = dict[str, Any]

_SOURCE, _SHARED_SOURCE = "aws:sourcearn", ":configuration-set/"
_LISTS = frozenset({"Action", "NotAction", "Resource", "NotResource"})  # of statements: a text means a list of one


def permit_service(  # noqa: PLR0913 - who may do what, to what, on whose behalf
    sid: str, service: str, action: str, resource: str, *, place: Place, source: str
) -> Statement:
    """Permit a service one action on a resource, on behalf of one source.

    Args:
        sid: the name of the statement.
        service: the principal, such as ses.amazonaws.com.
        action: such as sns:Publish.
        resource: its ARN.
        place: of the source.
        source: the ARN of the resource that the service acts for.
    """
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}, "ArnEquals": {"aws:SourceArn": source}},
    }


def permit_actions(sid: str, actions: Sequence[str], resource: str) -> Statement:
    """Permit a role actions on a resource."""
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def trust_ses(place: Place, configuration_set: str) -> Statement:
    """Let SES assume a role, to publish the events of one configuration set.

    Source: SES Developer Guide, "Set up a Data Firehose event destination".
    """
    return {
        "Sid": "MailrunSes",
        "Effect": "Allow",
        "Principal": {"Service": SES},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": place.account,
                "aws:SourceArn": configuration_set_arn(place, configuration_set),
            }
        },
    }


def trust_firehose(place: Place) -> Statement:
    """Let Firehose assume a role for streams of this account alone.

    Source: Amazon Data Firehose Developer Guide, "Allow Firehose to assume an IAM role".
    """
    return {
        "Sid": "MailrunFirehose",
        "Effect": "Allow",
        "Principal": {"Service": FIREHOSE},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": place.account}},
    }


def deny_plain_http(place: Place, bucket: str) -> Statement:
    """Refuse requests to a bucket that are not encrypted in transit."""
    arn = bucket_arn(place, bucket)
    return {
        "Sid": "MailrunTlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def bucket_arn(place: Place, bucket: str) -> str:
    """Return the ARN of a bucket, which has neither account nor region.

    >>> bucket_arn(Place("123456789012", "eu-west-1"), "acme-inbound")
    'arn:aws:s3:::acme-inbound'
    """
    return f"arn:{place.partition}:s3:::{bucket}"


def configuration_set_arn(place: Place, name: str) -> str:
    """Return the ARN of a configuration set."""
    return place.arn("ses", f"configuration-set/{name}")


def make_policy(statements: Iterable[Statement]) -> Policy:
    """Return a policy of these statements alone."""
    return {"Version": VERSION, "Statement": [dict(statement) for statement in statements]}


def read_policy(text: str | Mapping[str, Any] | None, where: str = "") -> Policy:
    """Read a policy as AWS returns it; None or an empty text is a policy without statements.

    Args:
        text: of the policy.
        where: the resource that has it, for an error.

    Raises:
        DataError: it is not a policy. Writing another one would lose what it permits.
    """
    if not text:
        return make_policy(())
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        document = None
    if isinstance(document, Mapping):
        statements = document.get("Statement", [])
        statements = [statements] if isinstance(statements, Mapping) else statements
        if isinstance(statements, list) and all(isinstance(one, Mapping) for one in statements):
            return {**document, "Statement": statements}
    raise DataError(
        "AWS returned a policy that is not one", where=where, remedy="look at the policy in the console and correct it"
    )


def find_missing(policy: Policy, statements: Iterable[Statement]) -> list[str]:
    """Return the Sids of the statements that a policy does not have, or has otherwise.

    A statement that is also for other configuration sets of the same account and region is not missing.
    """
    found = {statement.get("Sid"): statement for statement in policy["Statement"]}
    return [
        wanted["Sid"]
        for wanted in statements
        if _normalise(found.get(wanted["Sid"], {})) != _normalise(_share(found.get(wanted["Sid"]), wanted))
    ]


def merge(policy: Policy, statements: Iterable[Statement]) -> Policy:
    """Put statements into a policy, in place of those with the same Sid; all others stay as they are.

    Configuration sets that an own statement already names keep its permission: several may publish to one topic.

    >>> merge({"Version": "2012-10-17", "Statement": [{"Sid": "theirs"}]}, [{"Sid": "ours"}])["Statement"]
    [{'Sid': 'theirs'}, {'Sid': 'ours'}]
    """
    found = {statement.get("Sid"): statement for statement in policy["Statement"]}
    own = {statement["Sid"]: dict(_share(found.get(statement["Sid"]), statement)) for statement in statements}
    kept = [statement for statement in policy["Statement"] if statement.get("Sid") not in own]
    return {**policy, "Statement": [*kept, *own.values()]}


def write_policy(policy: Policy) -> str:
    """Write a policy as AWS takes it."""
    return json.dumps(policy, separators=(",", ":"))


def _share(found: Statement | None, wanted: Statement) -> Statement:
    """Return the wanted statement for its configuration set, and for those that the found statement names."""
    sources = _list_sources(wanted)
    others = [one for one in _list_sources(found or {}) if one not in sources and _is_neighbour(one, sources)]
    if not others:
        return wanted
    condition = {
        operator: {
            key: sorted([*sources, *others]) if key.lower() == _SOURCE else value for key, value in tests.items()
        }
        for operator, tests in wanted["Condition"].items()
    }
    return {**wanted, "Condition": condition}


def _list_sources(statement: Statement) -> list[str]:
    condition = statement.get("Condition")
    tests = [one for one in condition.values() if isinstance(one, Mapping)] if isinstance(condition, Mapping) else []
    return [arn for test in tests for key, value in test.items() if key.lower() == _SOURCE for arn in _as_set(value)]


def _is_neighbour(arn: str, sources: Sequence[str]) -> bool:
    """Return whether an ARN is of a configuration set in the place of the sources, and no pattern."""
    place, shared, name = arn.partition(_SHARED_SOURCE)
    here = {source.partition(_SHARED_SOURCE)[:2] for source in sources}
    return bool(shared) and (place, shared) in here and re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None


def _normalise(statement: Statement) -> bytes:
    """Return a statement in one of the ways in which AWS writes the same."""
    plain = {
        key: _as_set(value)
        if key in _LISTS
        else _normalise_principal(value)
        if key in ("Principal", "NotPrincipal")
        else _normalise_condition(value)
        if key == "Condition"
        else value
        for key, value in statement.items()
    }
    return msgspec.json.encode(plain, order="deterministic")


def _as_set(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return sorted(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _normalise_principal(principal: Any) -> Any:
    if not isinstance(principal, Mapping):
        return {"AWS": ["*"]} if principal == "*" else principal
    return {kind: _as_set(names) for kind, names in principal.items()}


def _normalise_condition(condition: Any) -> Any:
    if not isinstance(condition, Mapping):
        return condition
    return {
        operator: {key.lower(): _as_set(value) for key, value in tests.items()}
        for operator, tests in condition.items()
        if isinstance(tests, Mapping)
    }
