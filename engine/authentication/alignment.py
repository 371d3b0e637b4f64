"""Whether two domains align: the same name, or the same organizational domain by the Public Suffix List."""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def _load_list() -> PublicSuffixList:
    return PublicSuffixList()


def find_organizational_domain(domain: str) -> str:
    """Return the public suffix and one label more; the domain itself where it is a public suffix (RFC 7489 3.2).

    >>> find_organizational_domain("news.acme.co.uk")
    'acme.co.uk'
    """
    name = domain.lower().removesuffix(".")
    return _load_list().privatesuffix(name) or name


def is_aligned(domain: str, from_domain: str, *, strict: bool) -> bool:
    """Return whether a domain that was authenticated aligns with the From domain.

    Args:
        domain: d= of DKIM, or the MAIL FROM domain.
        from_domain: of the From address.
        strict: both must be the same (adkim=s, aspf=s), RFC 7489 3.1.
    """
    first, second = (one.lower().removesuffix(".") for one in (domain, from_domain))
    return first == second or (not strict and find_organizational_domain(first) == find_organizational_domain(second))
