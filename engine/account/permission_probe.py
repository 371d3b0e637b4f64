"""Which permissions of a launch this machine has, as far as calls tell that change and send nothing."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import botocore.exceptions
from msgspec import Struct

from engine.account.permissions import explain_denied, is_denied

MOST = 10  # names of a kind that are tried: a person waits


class LaunchNeeds(Struct, frozen=True):
    """What the launches of a workspace call AWS for.

    Attributes:
        domains: of the senders.
        configuration_sets: of the campaigns.
        queue: URL of the queue of events; empty for none.
    """

    domains: Sequence[str] = ()
    configuration_sets: Sequence[str] = ()
    queue: str = ""


class TriedPermission(Struct, frozen=True):
    """A permission that was tried.

    Attributes:
        action: of IAM, such as `ses:GetEmailIdentity`.
        on: what it was tried on.
        is_permitted: None where the answer does not tell.
        remedy: what to do; empty unless it is refused.
    """

    action: str
    on: str
    is_permitted: bool | None
    remedy: str = ""


def try_permissions(open_client: Callable[[str], Any], needs: LaunchNeeds) -> Iterator[TriedPermission]:
    """Try each permission with one call that reads.

    Args:
        open_client: opens a client of botocore for a service.
        needs: what is called in a launch.
    """
    ses = open_client("sesv2")
    for domain in needs.domains[:MOST]:
        yield _try("ses:GetEmailIdentity", domain, partial(ses.get_email_identity, EmailIdentity=domain))
    for name in needs.configuration_sets[:MOST]:
        call = partial(ses.get_configuration_set, ConfigurationSetName=name)
        yield _try("ses:GetConfigurationSet", name, call)
    if needs.queue:
        queue, name = open_client("sqs"), needs.queue.rpartition("/")[2]
        wanted = {"QueueUrl": needs.queue, "AttributeNames": ["ApproximateNumberOfMessages"]}
        yield _try("sqs:GetQueueAttributes", name, lambda: queue.get_queue_attributes(**wanted))


def _try(action: str, on: str, call: Callable[[], object]) -> TriedPermission:
    """Call; what does not exist may be asked for."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"].get("Code", "")
        if is_denied(code):
            return TriedPermission(action, on, is_permitted=False, remedy=explain_denied(error))
        return TriedPermission(action, on, is_permitted=True if "NotFound" in code else None)
    except botocore.exceptions.BotoCoreError:
        return TriedPermission(action, on, is_permitted=None)
    return TriedPermission(action, on, is_permitted=True)
