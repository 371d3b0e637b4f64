"""What SES knows of a sending domain, as the checks need it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

EASY_DKIM_ZONE = "dkim.amazonses.com"
_READY = "SUCCESS"


class DkimFacts(Struct, frozen=True):
    """How SES signs.

    Attributes:
        enabled: whether it signs at all.
        status: SUCCESS, PENDING, FAILED, TEMPORARY_FAILURE or NOT_STARTED.
        tokens: three of Easy DKIM, or the selector of a key of your own.
        zone: where Easy DKIM's keys are published; empty for a key of your own.
    """

    enabled: bool
    status: str
    tokens: tuple[str, ...]
    zone: str = EASY_DKIM_ZONE

    @property
    def signs(self) -> bool:
        """Whether mail is signed now."""
        return self.enabled and self.status == _READY


class DomainFacts(Struct, frozen=True, kw_only=True):
    """A sending domain, as SES and the caller describe it. Names are in lower case, without a final dot.

    Attributes:
        domain: of the identity, which signs: d= in DKIM.
        from_domain: of the From address.
        reply_domain: that receives replies.
        region: of SES; empty where it is not known.
        mail_from: the MAIL FROM domain; empty where there is none, or where it is not known.
        mail_from_status: as SES says; empty where it is not known.
        is_identity: whether SES has this identity; None where SES is not called.
        sends: whether SES may send from it; None where SES is not called.
        dkim: None where SES is not called.
    """

    domain: str
    from_domain: str
    reply_domain: str
    region: str = ""
    mail_from: str = ""
    mail_from_status: str = ""
    is_identity: bool | None = None
    sends: bool | None = None
    dkim: DkimFacts | None = None

    @property
    def has_account(self) -> bool:
        """Whether SES is called."""
        return self.is_identity is not None


def describe_domain(
    domain: str, *, from_domain: str = "", reply_domain: str = "", mail_from: str = "", region: str = ""
) -> DomainFacts:
    """Describe a domain that SES is not called about.

    Args:
        domain: of the identity.
        from_domain: empty for the same.
        reply_domain: empty for the From domain.
        mail_from: the MAIL FROM domain.
        region: of SES.
    """
    sender = from_domain or domain
    return DomainFacts(
        domain=domain, from_domain=sender, reply_domain=reply_domain or sender, region=region, mail_from=mail_from
    )


def add_identity(facts: DomainFacts, name: str, identity: Mapping[str, Any] | None) -> DomainFacts:
    """Add what SES says about the identity.

    Args:
        facts: of describe_domain; its MAIL FROM domain takes precedence.
        name: of the identity that SES has: the domain or one above it.
        identity: the reply of GetEmailIdentity; None where SES has none.
    """
    if identity is None:
        return replace(facts, is_identity=False, sends=False)
    signing = identity.get("DkimAttributes") or {}
    origin = str(signing.get("SigningAttributesOrigin", "AWS_SES"))
    zone = "" if origin == "EXTERNAL" else str(signing.get("SigningHostedZone") or EASY_DKIM_ZONE).rstrip(".").lower()
    attributes = identity.get("MailFromAttributes") or {}
    of_ses = str(attributes.get("MailFromDomain") or "").lower()
    given = facts.mail_from
    return replace(
        facts,
        domain=name,
        is_identity=True,
        sends=bool(identity.get("VerifiedForSendingStatus")),
        mail_from=given or of_ses,
        mail_from_status=str(attributes.get("MailFromDomainStatus") or "") if given in {"", of_ses} else "",
        dkim=DkimFacts(
            enabled=bool(signing.get("SigningEnabled")),
            status=str(signing.get("Status", "NOT_STARTED")),
            tokens=tuple(str(token).lower() for token in signing.get("Tokens") or ()),
            zone=zone,
        ),
    )
