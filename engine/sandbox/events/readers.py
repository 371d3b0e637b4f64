"""The programs that open messages and click links: people's own, and machines.

Which program an address has is a keyed hash of it, so that it is the same for every message. The shares follow what
senders of newsletters see; the user agents are those that the programs send.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

PERSON_SECONDS, SCANNER_SECONDS = 20.0, 1.0
_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"
)
_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.0 Mobile/15E148 Safari/604.1"
)
_OUTLOOK = (
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; Microsoft Outlook 16.0; ms-office)"
)
_GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
_GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
_YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"


class Reader(NamedTuple):
    """How an address opens messages and clicks links.

    Attributes:
        opens: user agent that requests the image.
        clicks: user agent that requests a link.
        clicks_all: follows every link, as scanners do; people follow one.
        click_seconds: from the acceptance of the message to the click, at least.
    """

    opens: str
    clicks: str
    clicks_all: bool = False
    click_seconds: float = PERSON_SECONDS


APPLE = Reader("Mozilla/5.0", _IPHONE)  # Mail Privacy Protection opens; its user clicks
GMAIL = Reader(_GMAIL, _CHROME)
GMAIL_PREFETCH = Reader(_GMAIL_PREFETCH, _CHROME)
YAHOO = Reader(_YAHOO, _CHROME)
BROWSER = Reader(_CHROME, _CHROME)
OUTLOOK = Reader(_OUTLOOK, _CHROME)
NAMED_SCANNER = Reader("Barracuda Sentinel (EE)", "Barracuda Sentinel (EE)", True, SCANNER_SECONDS)  # noqa: FBT003
HIDDEN_SCANNER = Reader("Mozilla/5.0", _CHROME, True, SCANNER_SECONDS)  # noqa: FBT003

Shares = Sequence[tuple[Reader, float]]
OF_ALL: Shares = (
    (APPLE, 0.45), (GMAIL, 0.25), (GMAIL_PREFETCH, 0.03), (YAHOO, 0.04), (BROWSER, 0.09), (OUTLOOK, 0.07),
    (NAMED_SCANNER, 0.03), (HIDDEN_SCANNER, 0.04),
)  # fmt: skip
_OF_GMAIL: Shares = ((GMAIL, 0.65), (GMAIL_PREFETCH, 0.05), (APPLE, 0.3))
_OF_YAHOO: Shares = ((YAHOO, 0.6), (APPLE, 0.4))
_OF_APPLE: Shares = ((APPLE, 0.95), (BROWSER, 0.05))
_OF_DOMAINS: Mapping[str, Shares] = MappingProxyType(
    dict.fromkeys(("gmail.com", "googlemail.com"), _OF_GMAIL)
    | dict.fromkeys(("yahoo.com", "aol.com"), _OF_YAHOO)
    | dict.fromkeys(("icloud.com", "me.com", "mac.com"), _OF_APPLE)
)


def find_reader(address: str) -> Reader:
    """Return how an address opens and clicks."""
    address = address.lower()
    shares = _OF_DOMAINS.get(address.rpartition("@")[2], OF_ALL)
    die, end = _roll(address, b"reader") / 2**64, 0.0
    for reader, share in shares:
        end += share
        if die < end:
            return reader
    return shares[0][0]


def choose_links(address: str, count: int) -> list[int]:
    """Return which of a message's links an address clicks, by number from 0."""
    if find_reader(address).clicks_all:
        return list(range(count))
    return [_roll(address.lower(), b"link") % count] if count else []


def _roll(address: str, key: bytes) -> int:
    return int.from_bytes(blake2b(address.encode(), digest_size=8, key=key).digest(), "big")
