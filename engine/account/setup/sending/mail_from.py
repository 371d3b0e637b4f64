"""The custom MAIL FROM domain of the identity: the domain of the envelope sender, which SPF aligns with.

Source: https://docs.aws.amazon.com/ses/latest/dg/mail-from.html
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.sending.changes import Change, describe_change, describe_step, make_changes
from engine.account.setup.sending.identity import read_identity
from engine.account.setup.wanted import WantedState


class MailFromResource(Struct, frozen=True):
    """The wanted MAIL FROM domain; the identity must exist before it is applied."""

    wanted: WantedState
    kind: str = "MAIL FROM domain"

    @property
    def name(self) -> str:
        """The whole domain."""
        return self.wanted.mail_from

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found = await read_identity(services, self.wanted.domain) or {}
        changes = find_changes(found, self.wanted)
        if changes and not _read_domain(found):
            details = (f"of {self.wanted.domain}", f"on MX failure: {self.wanted.on_mx_failure}")
            return SetupStep(Action.CREATE, self.kind, self.name, details)
        return describe_step(self.kind, self.name, changes)

    async def apply(self, services: AwsServices) -> None:
        """Set it."""
        found = await read_identity(services, self.wanted.domain) or {}
        await make_changes(services, find_changes(found, self.wanted))

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return nothing: a template has it in the identity."""
        return {}

    def to_terraform(self) -> Mapping[str, Any]:
        """Return it as a resource of Terraform."""
        block = {
            "email_identity": "${aws_sesv2_email_identity.mailrun.email_identity}",
            "mail_from_domain": self.name,
            "behavior_on_mx_failure": self.wanted.on_mx_failure,
        }
        return {"aws_sesv2_email_identity_mail_from_attributes": {"mailrun": block}}


def find_changes(found: Mapping[str, Any], wanted: WantedState) -> tuple[Change, ...]:
    """Find what to change in the MAIL FROM domain of an identity.

    Args:
        found: the document of GetEmailIdentity; empty while there is no identity.
        wanted: the wanted state.
    """
    is_set = found.get("MailFromAttributes") or {}
    old, behaviour = _read_domain(found), is_set.get("BehaviorOnMxFailure") or "USE_DEFAULT_VALUE"
    details = []
    if old.lower() != wanted.mail_from:
        details.append(describe_change("domain", old, wanted.mail_from))
    if not old or behaviour != wanted.on_mx_failure:
        details.append(describe_change("on MX failure", behaviour if old else None, wanted.on_mx_failure))
    if not details:
        return ()
    parameters = {
        "EmailIdentity": wanted.domain,
        "MailFromDomain": wanted.mail_from,
        "BehaviorOnMxFailure": wanted.on_mx_failure,
    }
    return (Change("; ".join(details), "put_email_identity_mail_from_attributes", parameters),)


def _read_domain(found: Mapping[str, Any]) -> str:
    return str((found.get("MailFromAttributes") or {}).get("MailFromDomain") or "")
