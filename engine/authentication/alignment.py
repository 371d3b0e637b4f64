"""Alignment: whether a domain that a method proved counts for the domain in From.

Sources: RFC 7489 3.1 (alignment), 3.2 (the organizational domain, by the Public Suffix List).
"""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

_LONGEST_DOMAIN = 253


@lru_cache(maxsize=1)
def _read_list() -> PublicSuffixList:
    return PublicSuffixList()


def clean_domain(text: str) -> str:
    """Return a domain in lower case and ASCII; empty where it is not a domain.

    >>> clean_domain(" Bücher.Example. "), clean_domain("a b")
    ('xn--bcher-kva.example', '')
    """
    domain = text.strip(" \t<>").rstrip(".").lower()
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    labels = domain.split(".")
    is_domain = len(domain) <= _LONGEST_DOMAIN and all(
        0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() for label in labels
    )
    return domain if is_domain else ""


def find_organizational_domain(domain: str) -> str:
    """Return the domain below the public suffix; the domain itself where it is a public suffix.

    >>> find_organizational_domain("news.mail.acme.co.uk"), find_organizational_domain("co.uk")
    ('acme.co.uk', 'co.uk')
    """
    return _read_list().privatesuffix(domain) or domain


def is_aligned(proven: str, sender: str, *, strict: bool = False) -> bool:
    """Return whether a proven domain counts for the domain in From.

    Args:
        proven: `d=` of a valid signature, or the MAIL FROM domain that SPF passed for.
        sender: the domain in From.
        strict: they must be the same; otherwise their organizational domains must be.

    >>> is_aligned("mail.acme.co.uk", "acme.co.uk"), is_aligned("mail.acme.co.uk", "acme.co.uk", strict=True)
    (True, False)
    >>> is_aligned("other.co.uk", "acme.co.uk"), is_aligned("", "")
    (False, False)
    """
    mine, other = clean_domain(proven), clean_domain(sender)
    if not mine or not other:
        return False
    return mine == other or (not strict and find_organizational_domain(mine) == find_organizational_domain(other))
