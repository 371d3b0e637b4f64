"""Names of resources within a CloudFormation template and a Terraform configuration, made of their names in AWS."""

import re

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_NOT_ALNUM = re.compile(r"[^A-Za-z0-9]+")


def logical_id(kind: str, name: str) -> str:
    """Return a logical id for CloudFormation: letters and digits.

    Args:
        kind: ends it, such as Queue.
        name: of the resource; placeholders in it do not count.

    >>> logical_id("Queue", "mailrun-events")
    'MailrunEventsQueue'
    >>> logical_id("Bucket", "mailrun-events-${AWS::AccountId}-${AWS::Region}")
    'MailrunEventsBucket'
    """
    words = _NOT_ALNUM.split(_PLACEHOLDER.sub("", name))
    return "".join(word[:1].upper() + word[1:] for word in words) + kind


def block_label(name: str) -> str:
    """Return the label of a Terraform block.

    >>> block_label("mailrun-events")
    'mailrun_events'
    >>> block_label("2026-events")
    'r_2026_events'
    """
    label = _NOT_ALNUM.sub("_", _PLACEHOLDER.sub("", name)).strip("_")
    return label if label[:1].isalpha() else f"r_{label}"
