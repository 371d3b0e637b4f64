"""Addresses as SES accepts them: 7-bit, `local@domain.tld`, with or without a display name.

The texts of the errors are those that the service has been seen to answer. Source: RFC 5321 4.5.3.1 for the lengths;
SES API v2, `Destination`, for the rest.
"""

import re

from engine.sandbox.http.replies import bad_request

MAX_LOCAL_CHARACTERS = 64
MAX_DOMAIN_CHARACTERS = 255
MAX_LABEL_CHARACTERS = 63
MAX_ADDRESS_CHARACTERS = 320

_PLAIN = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+"
)
_NAMED = re.compile(
    r"""(?:\s*"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[ -~])*"\s*   # a quoted display name
          |[^"<>,;:@\[\]\\\x00-\x1f\x7f-\U0010ffff]*)          # or plain words
        <([^<>]*)>\s*""",
    re.VERBOSE,
)
_LOCAL_SPECIALS = frozenset('()<>,;:\\"[]')
_DOMAIN = re.compile(r"[A-Za-z0-9.-]*")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[ -~])*"')


def read_address(mailbox: str) -> str:
    """Return the address of a mailbox such as `Acme <a@b.example>` or `a@b.example`.

    Raises:
        ApiError: BadRequestException, for everything that SES would refuse.
    """
    address = mailbox
    if mailbox.endswith(">") or "<" in mailbox:
        match = _NAMED.fullmatch(mailbox)
        if match is None:
            raise bad_request("Illegal address")
        address = match[1]
    if _PLAIN.fullmatch(address) is None:
        _explain(address)
    _check_lengths(address)
    return address


def split_address(address: str) -> tuple[str, str]:
    """Return local part and lower-case domain."""
    local, _, domain = address.rpartition("@")
    return local, domain.lower()


def _check_lengths(address: str) -> None:
    if len(address) <= MAX_LOCAL_CHARACTERS:
        return
    local, domain = split_address(address)
    if len(local) > MAX_LOCAL_CHARACTERS:
        raise bad_request(f"Local address length is more than {MAX_LOCAL_CHARACTERS} characters long")
    if len(domain) > MAX_DOMAIN_CHARACTERS or max(map(len, domain.split("."))) > MAX_LABEL_CHARACTERS:
        raise bad_request("Domain name, or a label in it, is too long")
    if len(address) > MAX_ADDRESS_CHARACTERS:
        raise bad_request(f"Address length is more than {MAX_ADDRESS_CHARACTERS} characters long")


def _explain(address: str) -> None:
    """Raise with the reason why an address is refused; return if it is unusual but valid (a quoted local part)."""
    if not address:
        raise bad_request("Empty address")
    local, at, domain = address.rpartition("@")
    if not at:
        # JavaMail, whose texts SES answers, looks for control characters and spaces before it looks for the @.
        _explain_local(address)
        raise bad_request("Missing final '@domain'")
    _explain_local(local)
    _explain_domain(domain)


def _explain_local(local: str) -> None:
    if not local:
        raise bad_request("Missing local name")
    if _QUOTED_LOCAL.fullmatch(local):
        return
    if "," in local:
        raise bad_request("Illegal address")
    if any(character <= " " or character >= "\x7f" for character in local):
        raise bad_request("Local address contains control or whitespace")
    if "@" in local or not _LOCAL_SPECIALS.isdisjoint(local):
        raise bad_request("Local address contains illegal character")
    if local.startswith("."):
        raise bad_request("Local address starts with dot")
    if local.endswith("."):
        raise bad_request("Local address ends with dot")
    if ".." in local:
        raise bad_request("Local address contains dot-dot")


def _explain_domain(domain: str) -> None:
    if not domain or domain.endswith("."):
        raise bad_request("Missing domain")
    if any(character <= " " or character == "\x7f" for character in domain):
        raise bad_request("Domain contains control or whitespace")
    if _DOMAIN.fullmatch(domain) is None:
        raise bad_request("Domain contains illegal character")
    if domain.startswith("."):
        raise bad_request("Domain starts with dot")
    if ".." in domain:
        raise bad_request("Domain contains dot-dot")
    if "." not in domain:
        raise bad_request("Illegal address")
