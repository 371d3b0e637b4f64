"""What exists in the account: answers of AWS, where "there is none" is an answer and not an error."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import botocore.exceptions

from engine.account.setup.resource import Action, Resource, SetupStep
from engine.errors import MailrunError


def error_code(error: BaseException) -> str:
    """Return AWS's code of a translated error; empty where AWS did not answer.

    Args:
        error: of a client of services.py, which has botocore's as its cause.
    """
    cause = error.__cause__
    return str(cause.response["Error"].get("Code", "")) if isinstance(cause, botocore.exceptions.ClientError) else ""


async def find(call: Awaitable[Mapping[str, Any]], *absent: str) -> Mapping[str, Any] | None:
    """Return an answer; None where its resource does not exist.

    Args:
        call: of a client of services.py.
        absent: codes of errors that mean that it does not exist; `NonExistentQueue` also matches
            `AWS.SimpleQueueService.NonExistentQueue`.

    Raises:
        MailrunError: any other error.
    """
    try:
        return await call
    except MailrunError as error:
        if error_code(error).rpartition(".")[2] in absent:
            return None
        raise


def make_step(resource: Resource, *, exists: bool, details: Iterable[str], conflict: str = "") -> SetupStep:
    """Say what a resource needs.

    Args:
        resource: the wanted one.
        exists: whether the account has it.
        details: what will be set or changed.
        conflict: what is in the way.
    """
    lines = tuple(details)
    action = Action.CREATE if not exists else Action.CHANGE if lines else Action.KEEP
    return SetupStep(action, resource.kind, resource.name, lines, conflict)
