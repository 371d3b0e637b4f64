"""Identities of the account, and whether an address is covered by one.

Source: SES developer guide, "Verified identities": a domain covers its addresses and subdomains; domains are compared
without case, local parts with it; a `+label` may be added to a verified address.
"""

from collections.abc import Iterable
from typing import Any

from engine.sandbox.http.replies import already_exists, bad_request, not_found
from engine.sandbox.ses.addresses import read_address, split_address
from engine.sandbox.ses.identity.identity_record import STATUSES, IdentityRecord, make_identity
from engine.sandbox.ses.members import optional

_STATUS_MEMBERS = {
    "verification_status": "status", "dkim_status": "dkim_status", "mail_from_status": "mail_from_status",
}  # fmt: skip


class Identities:
    """The identities of an account.

    Args:
        verified: the verified addresses and domains; None means that every address and domain exists and is verified.
    """

    def __init__(self, verified: Iterable[str] | None) -> None:
        self._all_verified = verified is None
        self._by_key: dict[str, IdentityRecord] = {_key(name): IdentityRecord(name) for name in verified or ()}

    def covers(self, address: str) -> bool:
        """Return whether an address may be used: it, its domain or a parent domain is verified."""
        local, domain = split_address(address)
        plain = local.partition("+")[0]
        labels = domain.split(".")
        keys = [f"{local}@{domain}", f"{plain}@{domain}", *(".".join(labels[n:]) for n in range(len(labels)))]
        known = [self._by_key[key] for key in keys if key in self._by_key]
        return any(one.is_verified for one in known) if known else self._all_verified

    def records(self) -> list[IdentityRecord]:
        """Return the identities that were named in the settings, created or changed, by name."""
        return sorted(self._by_key.values(), key=lambda one: one.name)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create an identity, verified at once; return the document of CreateEmailIdentity."""
        made = make_identity(request)
        if "@" in made.name:
            read_address(made.name)
        elif "." not in made.name or " " in made.name:
            raise bad_request(f"Invalid value for EmailIdentity: <{made.name}> is neither an address nor a domain.")
        if _key(made.name) in self._by_key:
            raise already_exists(f"Email identity {made.name} already exist.")
        self._by_key[_key(made.name)] = made
        return {"IdentityType": made.kind, "VerifiedForSendingStatus": made.is_verified, "DkimAttributes": made.dkim()}

    def get(self, name: str) -> dict[str, Any]:
        """Return the document of GetEmailIdentity."""
        return self._find(name).document()

    def delete(self, name: str) -> None:
        """Delete an identity."""
        if self._by_key.pop(_key(name), None) is None:
            raise not_found(f"Email identity <{name}> does not exist.")

    def put_dkim(self, name: str, request: dict[str, Any]) -> None:
        """Switch DKIM on or off, as PutEmailIdentityDkimAttributes."""
        self._change(name).signs = bool(optional(request, "SigningEnabled", bool))

    def put_signing(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Set how DKIM signs, as PutEmailIdentityDkimSigningAttributes; return its document."""
        record = self._change(name)
        external = optional(request, "SigningAttributesOrigin", str) == "EXTERNAL"
        record.put_signing(optional(request, "SigningAttributes", dict) or {}, external=external)
        found = record.dkim()
        zone = {"SigningHostedZone": found["SigningHostedZone"]} if "SigningHostedZone" in found else {}
        return {"DkimStatus": found["Status"], "DkimTokens": found["Tokens"], **zone}

    def put_mail_from(self, name: str, request: dict[str, Any]) -> None:
        """Set the MAIL FROM domain, as PutEmailIdentityMailFromAttributes."""
        self._change(name).put_mail_from(request)

    def put_configuration_set(self, name: str, request: dict[str, Any]) -> None:
        """Set the default configuration set, as PutEmailIdentityConfigurationSetAttributes."""
        self._change(name).configuration_set = optional(request, "ConfigurationSetName", str) or ""

    def put_feedback(self, name: str, request: dict[str, Any]) -> None:
        """Switch feedback by mail on or off, as PutEmailIdentityFeedbackAttributes."""
        self._change(name).forwards = bool(optional(request, "EmailForwardingEnabled", bool))

    def set_statuses(self, document: Any) -> dict[str, Any]:
        """Set statuses of an identity, as the control endpoint asks; return what they are now.

        Raises:
            ValueError: the document is wrong, or there is no such identity.
        """
        if not isinstance(document, dict) or not isinstance(document.get("identity"), str):
            raise ValueError("identity must be the name of an identity")  # noqa: TRY004 - one kind of error
        name = document["identity"]
        if not self._all_verified and _key(name) not in self._by_key:
            raise ValueError(f"there is no identity {name}")
        wanted = {member: value for member, value in document.items() if member != "identity"}
        for member, value in wanted.items():
            if member not in _STATUS_MEMBERS:
                raise ValueError(f"{member} cannot be changed; {', '.join(_STATUS_MEMBERS)} can")
            if value not in STATUSES:
                raise ValueError(f"{member} must be one of {', '.join(STATUSES)}")
        record = self._change(name)
        for member, value in wanted.items():
            setattr(record, _STATUS_MEMBERS[member], value)
        return {"identity": record.name, **{m: getattr(record, field) for m, field in _STATUS_MEMBERS.items()}}

    def _find(self, name: str) -> IdentityRecord:
        found = self._by_key.get(_key(name))
        if found is None and not self._all_verified:
            raise not_found(f"Email identity <{name}> does not exist.")
        return found or IdentityRecord(name)

    def _change(self, name: str) -> IdentityRecord:
        """Return the record of an identity, kept from now on where every identity exists."""
        return self._by_key.setdefault(_key(name), self._find(name))


def _key(name: str) -> str:
    local, domain = split_address(name)
    return f"{local}@{domain}" if local else domain
