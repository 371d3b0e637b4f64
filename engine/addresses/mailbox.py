"""Mailboxes as campaign.toml writes them: `news@acme.example` or `Acme News <news@acme.example>`."""

import re
from email.header import Header
from email.utils import formataddr

from msgspec import Struct

# RFC 5322 3.2.3 dot-atom, without obsolete forms; SES accepts 7-bit ASCII and requires a dot in the domain.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})+)")
_QUOTED = r'"(?P<quoted>(?:[^"\\]|\\.)*)"'
_PLAIN = r'(?P<plain>[^"<>@,;:\\()\[\]]*)'
_NAMED = re.compile(rf"(?:{_QUOTED}|{_PLAIN})\s*<(?P<address>[^<>]*)>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST_LOCAL = 64  # RFC 5321 4.5.3.1.1
_LONGEST_ADDRESS = 254  # RFC 5321 4.5.3.1.3: a path of 256 with its angle brackets


class Mailbox(Struct, frozen=True):
    """A name, perhaps empty and perhaps not ASCII, and an ASCII address."""

    name: str
    address: str

    def encode(self) -> str:
        """Return the header form: the name quoted where it must be, RFC 2047-encoded where it is not ASCII.

        >>> Mailbox("Karen, Chan", "k@acme.example").encode()
        '"Karen, Chan" <k@acme.example>'
        """
        if self.name.isascii():
            return formataddr((self.name, self.address))
        words = Header(self.name, "utf-8").encode(maxlinelen=75, linesep="")  # RFC 2047 2: a word has 75 at most
        return f"{words} <{self.address}>"


def parse_mailbox(text: str) -> Mailbox:
    """Read an RFC 5322 mailbox: an address, or a name and an address in angle brackets.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if _CONTROL.search(text):
        raise ValueError("has control characters", "remove line breaks and invisible characters")
    named = _NAMED.fullmatch(text.strip())
    if named is None:
        if "<" in text:
            raise ValueError(
                "is not a mailbox", 'write Name <user@example.com>; a name with , or ; needs "quotes" around it'
            )
        return Mailbox("", check_address(text.strip()))
    name = named["plain"] if named["quoted"] is None else re.sub(r"\\(.)", r"\1", named["quoted"])
    return Mailbox(name.strip(), check_address(named["address"].strip()))


def check_address(address: str) -> str:
    """Return an address that SES accepts as a sender or for replies.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if not address.isascii():
        raise ValueError("has non-ASCII characters", "write the domain in Punycode (xn--…)")
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise ValueError("is not an email address", "write it as user@example.com")
    if len(parts["local"]) > _LONGEST_LOCAL or len(address) > _LONGEST_ADDRESS:
        raise ValueError("is too long", "use at most 64 characters before the @ and at most 254 in all")
    return address


def domain_of(address: str) -> str:
    """Return the domain of an address, in lower case."""
    return address.rpartition("@")[2].lower()
