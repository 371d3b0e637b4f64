"""The resources of a wanted state, in the order in which they are created."""

from pathlib import Path

from engine.account.setup.configuration_set import ConfigurationSetResource
from engine.account.setup.identity import IdentityResource
from engine.account.setup.mail_from import MailFromResource
from engine.account.setup.resource import Resource
from engine.account.setup.wanted import WantedState


def list_resources(wanted: WantedState, key_file: Path) -> tuple[Resource, ...]:
    """List them.

    Args:
        wanted: the wanted state.
        key_file: of the DKIM key that `dkim_selector` names.
    """
    return (
        ConfigurationSetResource(wanted),
        IdentityResource(wanted, key_file),
        MailFromResource(wanted),
    )
