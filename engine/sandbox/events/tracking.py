"""Links whose clicks SES tracks, and their tags.

Source: SES developer guide, "Amazon SES email sending metrics FAQs": links of HTML parts are tracked, at most 250 of a
message; `ses:no-track` excludes a link, `ses:tags="name:value;…"` gives it tags; names and values have letters, digits,
`-` and `_`. The attributes are removed before the message is sent.
"""

import re
from html import unescape
from itertools import islice
from typing import NamedTuple

MOST_TRACKED = 250
_TAG = re.compile(r"([A-Za-z0-9_-]{1,256}):([A-Za-z0-9_-]{1,256})")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_ANCHOR = re.compile(r"""<a(?=[\s/])(?:"[^"]*"|'[^']*'|[^<>"'])*>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\s([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_OWN = frozenset({"ses:tags", "ses:no-track"})


class TrackedLink(NamedTuple):
    """A link whose clicks are events.

    Attributes:
        url: where it leads.
        tags: name -> values; None where it has none.
    """

    url: str
    tags: dict[str, list[str]] | None


def list_tracked(html: str) -> list[TrackedLink]:
    """List the tracked links of an HTML part, in order."""
    anchors = _ANCHOR.finditer(_COMMENT.sub("", html))
    return list(islice((link for found in anchors if (link := _read_link(found[0]))), MOST_TRACKED))


def remove_own_attributes(html: str) -> str:
    """Return an HTML part as recipients get it where clicks are tracked; the links themselves stay as they are."""
    return _ANCHOR.sub(lambda found: _ATTRIBUTE.sub(_keep_other, found[0]), html)


def _keep_other(found: re.Match[str]) -> str:
    return "" if found[1].lower() in _OWN else found[0]


def _read_link(anchor: str) -> TrackedLink | None:
    attributes: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(anchor):
        attributes.setdefault(name.lower(), "".join(values))
    url = unescape(attributes.get("href", "")).strip()
    if not url.lower().startswith(("http://", "https://")) or "ses:no-track" in attributes:
        return None
    return TrackedLink(url, _read_tags(unescape(attributes.get("ses:tags", ""))))


def _read_tags(text: str) -> dict[str, list[str]] | None:
    tags: dict[str, list[str]] = {}
    for part in text.split(";"):
        if found := _TAG.fullmatch(part.strip()):
            tags.setdefault(found[1], []).append(found[2])
    return tags or None
