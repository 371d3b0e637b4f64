"""Changes of a resource that exists: each is one call of SES."""

from collections.abc import Awaitable, Sequence
from typing import Any

from msgspec import Struct

from engine.account.reply_codes import read_code
from engine.account.services import AwsServices
from engine.account.setup.resource import Action, SetupStep
from engine.errors import MailrunError


class Change(Struct, frozen=True):
    """One change.

    Attributes:
        detail: for a person, such as "TLS policy: OPTIONAL -> REQUIRE".
        method: of the client of SES, such as put_configuration_set_delivery_options.
        parameters: of the call.
    """

    detail: str
    method: str
    parameters: dict[str, Any]


def describe_step(kind: str, name: str, changes: Sequence[Change], notes: Sequence[str] = ()) -> SetupStep:
    """Describe what a resource that exists needs.

    Args:
        kind: of the resource.
        name: of the resource.
        changes: none keeps it.
        notes: lines about what is kept.
    """
    details = (*(change.detail for change in changes), *notes)
    return SetupStep(Action.CHANGE if changes else Action.KEEP, kind, name, details)


async def create(call: Awaitable[Any]) -> bool:
    """Await a call that creates; return False where SES says that it exists: another run has created it.

    Raises:
        MailrunError: any other error.
    """
    try:
        await call
    except MailrunError as error:
        if read_code(error) == "AlreadyExistsException":
            return False
        raise
    return True


async def make_changes(services: AwsServices, changes: Sequence[Change]) -> None:
    """Make them, in their order."""
    client = await services.open("sesv2")
    for change in changes:
        await getattr(client, change.method)(**change.parameters)


def describe_change(what: str, old: object, new: object) -> str:
    """Describe a change.

    >>> describe_change("TLS policy", None, "REQUIRE")
    'TLS policy: none -> REQUIRE'
    """
    return f"{what}: {old if old not in (None, '') else 'none'} -> {new}"
