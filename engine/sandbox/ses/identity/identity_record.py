"""One identity of the account: its DKIM, MAIL FROM, default configuration set and verification."""

import base64
import binascii
import hashlib
import re
from typing import Any

from msgspec import Struct

from engine.sandbox.http.replies import bad_request
from engine.sandbox.ses.addresses import split_address
from engine.sandbox.ses.members import items, one_of, optional, required

STATUSES = ("PENDING", "SUCCESS", "FAILED", "TEMPORARY_FAILURE", "NOT_STARTED")
_LENGTHS = ("RSA_1024_BIT", "RSA_2048_BIT")
_DEFAULT_LENGTH = "RSA_2048_BIT"
_MX_FAILURES = ("USE_DEFAULT_VALUE", "REJECT_MESSAGE")
_SELECTOR = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")


class IdentityRecord(Struct):
    """An identity, verified as soon as it is created; the control endpoint changes that.

    Attributes:
        name: as it was created.
        status: of the verification.
        signs: whether DKIM is switched on.
        dkim_status: of DKIM.
        selector: of BYODKIM; empty for Easy DKIM.
        key_length: of the next key of Easy DKIM.
        mail_from: the MAIL FROM domain; empty for none.
        mail_from_status: of its MX record.
        on_mx_failure: what SES does while that is missing.
        configuration_set: the default one; empty for none.
        forwards: whether feedback is forwarded by mail.
        tags: as given.
    """

    name: str
    status: str = "SUCCESS"
    signs: bool = True
    dkim_status: str = "SUCCESS"
    selector: str = ""
    key_length: str = _DEFAULT_LENGTH
    mail_from: str = ""
    mail_from_status: str = "SUCCESS"
    on_mx_failure: str = "USE_DEFAULT_VALUE"
    configuration_set: str = ""
    forwards: bool = True
    tags: list[dict[str, Any]] = []

    @property
    def kind(self) -> str:
        """The IdentityType."""
        return "EMAIL_ADDRESS" if "@" in self.name else "DOMAIN"

    @property
    def is_verified(self) -> bool:
        """Whether mail may be sent from it."""
        return self.status == "SUCCESS"

    def document(self) -> dict[str, Any]:
        """Return the document of GetEmailIdentity."""
        found: dict[str, Any] = {
            "IdentityType": self.kind,
            "FeedbackForwardingStatus": self.forwards,
            "VerifiedForSendingStatus": self.is_verified,
            "VerificationStatus": self.status,
            "DkimAttributes": self.dkim(),
            "Policies": {},
            "Tags": self.tags,
        }
        if self.mail_from:
            found["MailFromAttributes"] = {
                "MailFromDomain": self.mail_from,
                "MailFromDomainStatus": self.mail_from_status,
                "BehaviorOnMxFailure": self.on_mx_failure,
            }
        if self.configuration_set:
            found["ConfigurationSetName"] = self.configuration_set
        return found

    def dkim(self) -> dict[str, Any]:
        """Return its DkimAttributes; the tokens of Easy DKIM are always the same for a name."""
        found: dict[str, Any] = {"SigningEnabled": self.signs, "Status": self.dkim_status}
        if self.selector:
            return {**found, "Tokens": [self.selector], "SigningAttributesOrigin": "EXTERNAL"}
        domain = split_address(self.name)[1]
        return {
            **found,
            "Tokens": [hashlib.sha256(f"{domain}/{number}".encode()).hexdigest()[:32] for number in range(3)],
            "SigningHostedZone": "dkim.amazonses.com",
            "SigningAttributesOrigin": "AWS_SES",
            "CurrentSigningKeyLength": self.key_length,
            "NextSigningKeyLength": self.key_length,
        }

    def put_signing(self, attributes: dict[str, Any], *, external: bool) -> None:
        """Set how DKIM signs, from DkimSigningAttributes.

        Args:
            attributes: of the request.
            external: whether the key is the owner's own.

        Raises:
            ApiError: BadRequestException: a member is missing or wrong.
        """
        path = "SigningAttributes."
        length = one_of(attributes, "NextSigningKeyLength", _LENGTHS, path=path)
        if not external:
            self.selector, self.key_length = "", length or self.key_length
            return
        selector = required(attributes, "DomainSigningSelector", str, path=path)
        if _SELECTOR.fullmatch(selector) is None:
            raise bad_request(f"{path}DomainSigningSelector <{selector}> is not a label of a domain.")
        _check_key(required(attributes, "DomainSigningPrivateKey", str, path=path))
        self.selector = selector

    def put_mail_from(self, request: dict[str, Any]) -> None:
        """Set the MAIL FROM domain, from PutEmailIdentityMailFromAttributes; none removes it."""
        domain = (optional(request, "MailFromDomain", str) or "").lower()
        if domain and not domain.endswith(f".{split_address(self.name)[1].lower()}"):
            raise bad_request(f"Provided MAIL-FROM domain <{domain}> is not subdomain of the domain of the identity.")
        behaviour = one_of(request, "BehaviorOnMxFailure", _MX_FAILURES)
        self.mail_from, self.on_mx_failure = domain, behaviour or "USE_DEFAULT_VALUE"


def make_identity(request: dict[str, Any]) -> IdentityRecord:
    """Make an identity from a CreateEmailIdentity request."""
    made = IdentityRecord(
        required(request, "EmailIdentity", str),
        configuration_set=optional(request, "ConfigurationSetName", str) or "",
        tags=items(request, "Tags", dict),
    )
    attributes = optional(request, "DkimSigningAttributes", dict)
    if attributes is not None:
        made.put_signing(attributes, external="DomainSigningSelector" in attributes)
    return made


def _check_key(key: str) -> None:
    """Refuse what is not the base64 text of a key on one line."""
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("DomainSigningPrivateKey must be base64 without line ends.") from None
