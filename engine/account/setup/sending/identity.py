"""The identity of the domain: its DKIM signature and its default configuration set.

An identity that signs with a key of its owner, or with keys of another region, is not switched to Easy DKIM: mail
may go unsigned while a method changes (https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim.html).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.account.services import AwsServices
from engine.account.setup.existing import find
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.sending.changes import Change, create, describe_change, describe_step, make_changes
from engine.account.setup.sending.dkim_key import OwnDkimKey, find_key, make_key
from engine.account.setup.wanted import WantedState

KEY_LENGTH = "RSA_2048_BIT"


class IdentityResource(Struct, frozen=True):
    """The wanted identity.

    Attributes:
        wanted: the wanted state.
        key_file: of the key for `dkim_selector`.
    """

    wanted: WantedState
    key_file: Path
    kind: str = "identity"

    @property
    def name(self) -> str:
        """The domain."""
        return self.wanted.domain

    async def compare(self, services: AwsServices) -> SetupStep:
        """Compare it with the account."""
        found, key = await read_identity(services, self.name), self._find_key()
        if found is None:
            return SetupStep(Action.CREATE, self.kind, self.name, self._describe(key))
        return describe_step(self.kind, self.name, find_changes(found, self.wanted, key), self._note(found, key))

    async def apply(self, services: AwsServices) -> None:
        """Create it, or make its changes; generates the key first where one is wanted."""
        client = await services.open("sesv2")
        found = await read_identity(services, self.name)
        if found is None:
            key = make_key(self.key_file) if self.wanted.dkim_selector else None
            call = client.create_email_identity(
                EmailIdentity=self.name,
                DkimSigningAttributes=_make_signing(self.wanted, key),
                ConfigurationSetName=self.wanted.configuration_set,
            )
            if await create(call):
                return
            found = await read_identity(services, self.name)
        key = make_key(self.key_file) if _needs_own_key(found or {}, self.wanted) else None
        await make_changes(services, find_changes(found or {}, self.wanted, key))

    def to_cloudformation(self) -> Mapping[str, Any]:
        """Return it as a resource of a template, with its MAIL FROM domain."""
        wanted = self.wanted
        return {
            "EmailIdentity": {
                "Type": "AWS::SES::EmailIdentity",
                "Properties": {
                    "EmailIdentity": wanted.domain,
                    "DkimAttributes": {"SigningEnabled": True},
                    "DkimSigningAttributes": {"NextSigningKeyLength": KEY_LENGTH},
                    "ConfigurationSetAttributes": {"ConfigurationSetName": {"Ref": "ConfigurationSet"}},
                    "MailFromAttributes": {
                        "MailFromDomain": wanted.mail_from,
                        "BehaviorOnMxFailure": wanted.on_mx_failure,
                    },
                },
            }
        }

    def to_terraform(self) -> Mapping[str, Any]:
        """Return it as a resource of Terraform."""
        block = {
            "email_identity": self.name,
            "configuration_set_name": "${aws_sesv2_configuration_set.mailrun.configuration_set_name}",
            "dkim_signing_attributes": {"next_signing_key_length": KEY_LENGTH},
        }
        return {"aws_sesv2_email_identity": {"mailrun": block}}

    def _find_key(self) -> OwnDkimKey | None:
        return find_key(self.key_file) if self.wanted.dkim_selector else None

    def _describe(self, key: OwnDkimKey | None) -> tuple[str, ...]:
        selector = self.wanted.dkim_selector
        dkim = f"your own key, selector {selector}" if selector else "Easy DKIM with 2048-bit keys"
        default = f"default configuration set: {self.wanted.configuration_set}"
        return (f"DKIM: {dkim}", *self._describe_key(key), default)

    def _describe_key(self, key: OwnDkimKey | None) -> tuple[str, ...]:
        if not self.wanted.dkim_selector:
            return ()
        return (f"key: {self.key_file}" + ("" if key else ", which is generated"),)

    def _note(self, found: Mapping[str, Any], key: OwnDkimKey | None) -> tuple[str, ...]:
        dkim, selector = found.get("DkimAttributes") or {}, self.wanted.dkim_selector
        if _needs_own_key(found, self.wanted):
            return self._describe_key(key)
        origin = dkim.get("SigningAttributesOrigin")
        notes = []
        if selector and key is None:
            notes.append(f"{self.key_file} is missing: the published DNS record of the key is not checked")
        elif not selector and origin == "EXTERNAL":
            notes.append(f"DKIM: your own key, selector {', '.join(dkim.get('Tokens', ()))}, stays")
        elif not selector and origin not in (None, "AWS_SES"):
            notes.append(f"DKIM: the keys of {origin.removeprefix('AWS_SES_')} stay")
        if (
            dkim.get("CurrentSigningKeyLength") not in (None, KEY_LENGTH)
            and dkim.get("NextSigningKeyLength") == KEY_LENGTH
        ):
            notes.append("DKIM: SES has not switched to the 2048-bit key yet")
        return tuple(notes)


async def read_identity(services: AwsServices, domain: str) -> Mapping[str, Any] | None:
    """Return the document of GetEmailIdentity; None where there is no such identity."""
    client = await services.open("sesv2")
    return await find(client.get_email_identity(EmailIdentity=domain), "NotFoundException")


def find_changes(found: Mapping[str, Any], wanted: WantedState, key: OwnDkimKey | None) -> tuple[Change, ...]:
    """Find what to change in an identity.

    Args:
        found: the document of GetEmailIdentity.
        wanted: the wanted state.
        key: of `dkim_selector`; None while it is not generated, for a plan.
    """
    name: dict[str, Any] = {"EmailIdentity": wanted.domain}
    changes = []
    dkim = found.get("DkimAttributes") or {}
    signing = _find_signing(dkim, wanted)
    if signing:
        origin = "EXTERNAL" if wanted.dkim_selector else "AWS_SES"
        attributes = _make_signing(wanted, key)
        given = {**name, "SigningAttributesOrigin": origin, "SigningAttributes": attributes}
        changes.append(Change(signing, "put_email_identity_dkim_signing_attributes", given))
    if not dkim.get("SigningEnabled"):
        given = {**name, "SigningEnabled": True}
        changes.append(Change("DKIM signature: off -> on", "put_email_identity_dkim_attributes", given))
    default, new = found.get("ConfigurationSetName"), wanted.configuration_set
    if default != new:
        detail = describe_change("default configuration set", default, new)
        given = {**name, "ConfigurationSetName": new}
        changes.append(Change(detail, "put_email_identity_configuration_set_attributes", given))
    return tuple(changes)


def _find_signing(dkim: Mapping[str, Any], wanted: WantedState) -> str:
    """Describe the change of how DKIM signs; empty for none."""
    origin, selector = dkim.get("SigningAttributesOrigin") or "AWS_SES", wanted.dkim_selector
    if selector:
        old: object = ", ".join(dkim.get("Tokens", ())) if origin == "EXTERNAL" else "Easy DKIM"
        return "" if (origin, old) == ("EXTERNAL", selector) else describe_change("DKIM", old, f"own key {selector}")
    if origin != "AWS_SES":
        return ""
    old = dkim.get("NextSigningKeyLength")
    return "" if old == KEY_LENGTH else describe_change("next DKIM key", old, KEY_LENGTH)


def _needs_own_key(found: Mapping[str, Any], wanted: WantedState) -> bool:
    return bool(wanted.dkim_selector and _find_signing(found.get("DkimAttributes") or {}, wanted))


def _make_signing(wanted: WantedState, key: OwnDkimKey | None) -> dict[str, Any]:
    if not wanted.dkim_selector:
        return {"NextSigningKeyLength": KEY_LENGTH}
    private = "" if key is None else key.export_private()
    return {"DomainSigningSelector": wanted.dkim_selector, "DomainSigningPrivateKey": private}
