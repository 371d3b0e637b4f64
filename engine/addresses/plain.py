"""Plain addresses, which need no rules: most of any audience, and most that people type."""

import re

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
MAX_LABEL_BYTES = 63  # RFC 1035 2.3.4
# SES accepts a plain address unchanged: its domain has no capitals, and no part can be too long. An xn-- label is not
# plain, because it may be invalid Punycode. The pattern means the same in Python and in Polars.
PLAIN = rf"^{ATOM}(?:\.{ATOM})*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{{2,}}$"
PLAIN_BYTES = MAX_LABEL_BYTES + 2  # an address with a label or local part that is too long has more bytes
_PLAIN = re.compile(PLAIN)


def is_plain(address: str) -> bool:
    """Return whether an address is plain.

    >>> [is_plain(address) for address in ("Ann@example.com", "ann@Example.com", " ann@example.com", "ann")]
    [True, False, False, False]
    """
    return len(address) <= PLAIN_BYTES and _PLAIN.fullmatch(address) is not None
