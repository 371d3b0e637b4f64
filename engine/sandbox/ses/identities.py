"""Identities of the account, and whether an address is covered by one.

Source: SES developer guide, "Verified identities": a domain covers its addresses and subdomains; domains are compared
without case, local parts with it; a `+label` may be added to a verified address.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from engine.sandbox.http.replies import already_exists, bad_request, not_found
from engine.sandbox.ses.addresses import read_address, split_address


class Identities:
    """The identities of an account.

    Args:
        verified: the verified addresses and domains; None means that every address and domain is verified.
    """

    def __init__(self, verified: Iterable[str] | None) -> None:
        self._all_verified = verified is None
        self._by_key: dict[str, str] = {_key(name): name for name in verified or ()}  # -> the name as it was created

    def covers(self, address: str) -> bool:
        """Return whether an address may be used: it, its domain or a parent domain is verified."""
        if self._all_verified:
            return True
        local, domain = split_address(address)
        plain = local.partition("+")[0]
        if f"{local}@{domain}" in self._by_key or f"{plain}@{domain}" in self._by_key:
            return True
        labels = domain.split(".")
        return any(".".join(labels[start:]) in self._by_key for start in range(len(labels)))

    def names(self) -> list[str]:
        """Return the names of the identities as they were created, in order."""
        return sorted(self._by_key.values())

    def create(self, name: str) -> dict[str, Any]:
        """Create an identity, verified at once; return the document of CreateEmailIdentity."""
        if "@" in name:
            read_address(name)
        elif "." not in name or " " in name:
            raise bad_request(f"Invalid value for EmailIdentity: <{name}> is neither an address nor a domain.")
        if _key(name) in self._by_key:
            raise already_exists(f"Email identity {name} already exist.")
        self._by_key[_key(name)] = name
        return {"IdentityType": kind_of(name), "VerifiedForSendingStatus": True, "DkimAttributes": _dkim_of(name)}

    def get(self, name: str) -> dict[str, Any]:
        """Return the document of GetEmailIdentity."""
        if not self._all_verified and _key(name) not in self._by_key:
            raise not_found(f"Email identity <{name}> does not exist.")
        return {
            "IdentityType": kind_of(name),
            "FeedbackForwardingStatus": True,
            "VerifiedForSendingStatus": True,
            "VerificationStatus": "SUCCESS",
            "DkimAttributes": _dkim_of(name),
            "Policies": {},
            "Tags": [],
        }

    def delete(self, name: str) -> None:
        """Delete an identity."""
        if self._by_key.pop(_key(name), None) is None:
            raise not_found(f"Email identity <{name}> does not exist.")


def kind_of(name: str) -> str:
    """Return the IdentityType of a name."""
    return "EMAIL_ADDRESS" if "@" in name else "DOMAIN"


def _key(name: str) -> str:
    local, domain = split_address(name)
    return f"{local}@{domain}" if local else domain


def _dkim_of(name: str) -> dict[str, Any]:
    """Return Easy DKIM as a verified domain shows it; the tokens are always the same for a name."""
    domain = split_address(name)[1]
    tokens = [hashlib.sha256(f"{domain}/{number}".encode()).hexdigest()[:32] for number in range(3)]
    return {
        "SigningEnabled": True,
        "Status": "SUCCESS",
        "Tokens": tokens,
        "SigningHostedZone": "dkim.amazonses.com",
        "SigningAttributesOrigin": "AWS_SES",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
        "NextSigningKeyLength": "RSA_2048_BIT",
    }
