"""Number the links of an HTML part, once per template, so that SES's click events name the position.

SES copies the tags of a link, `<a ses:tags="name:value;…" href=…>`, into `linkTags` of its click events. Whether it
removes the attribute is not documented; mail programs ignore it. Sources: "Can I tag links with unique identifiers?" in
https://docs.aws.amazon.com/ses/latest/dg/faqs-metrics.html, and "Contents of event data", click object.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from engine.campaign.content.element_edits import ELEMENT, TokenOrigins, apply_edits, hide_comments
from engine.campaign.content.template_tokens import TemplateToken, mask
from engine.campaign.spec import CampaignSpec

LINK_TAG = "mailrun-link"
LAST_POSITION = 9999
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_HIDDEN = re.compile(r"<(style|script|title|textarea)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_NOT_TRACKED = ("#", "mailto:", "tel:", "sms:", "cid:", "data:", "javascript:")
_SES_PLACEHOLDER = "amazonSESUnsubscribeUrl"


class LinkTagging(Struct, frozen=True):
    """How the links of a campaign are tagged.

    Attributes:
        ses_unsubscribes: whether SES replaces the unsubscribe link with its own: it is then not tagged.
    """

    ses_unsubscribes: bool


def choose_tagging(spec: CampaignSpec) -> LinkTagging | None:
    """Return how a campaign's links are tagged; None where SES does not track its clicks, or another server sends it.

    Whether the configuration set tracks clicks is not known here. If it does not, the attribute stays in the message,
    and mail programs ignore it.
    """
    delivery = spec.delivery
    if delivery.transport != "ses" or delivery.configuration_set is None or delivery.click_tracking is False:
        return None
    return LinkTagging(spec.unsubscribe is not None and spec.unsubscribe.ses_contact_list is not None)


def tag_links(document: Sequence[TemplateToken], sources: Mapping[str, str], tagging: LinkTagging) -> dict[str, str]:
    """Write the position of each link into its `ses:tags`.

    Every `<a>` with `href` has a position, 1 for the first one, but those in comments. Of a link in a loop, all copies
    have the same; of alternatives, each has its own.

    Args:
        document: the templates assembled into one document (`template_tokens.assemble`).
        sources: name -> source of these templates.
        tagging: of the campaign.

    Returns:
        Name -> source, of those that have changed.
    """
    origins = TokenOrigins(document)
    edits: dict[str, dict[int, str]] = {}
    for start, text in _list_insertions(document, tagging):
        token, offset = origins.find(start - 1)  # the character before is the template's own
        if token.file in sources:
            # A file that is included twice has its links twice: use the first.
            edits.setdefault(token.file, {}).setdefault(token.start + offset + 1, text)
    return apply_edits(sources, edits)


def _list_insertions(document: Sequence[TemplateToken], tagging: LinkTagging) -> Iterator[tuple[int, str]]:
    """Yield the offset in the document and the text to insert there, for each link that is tagged."""
    source = "".join(token.text for token in document)
    plain = _HIDDEN.sub(lambda found: " " * len(found[0]), hide_comments(mask(document)))
    position = 0
    for found in ELEMENT.finditer(plain):
        if found[1].lower() != "a":
            continue
        attributes = {one[1].lower(): one for one in reversed(list(_ATTRIBUTE.finditer(plain, *found.span(2))))}
        if "href" not in attributes:
            continue
        position += 1
        target = source[slice(*_span_of_value(attributes["href"]))].strip()
        tags, tag = attributes.get("ses:tags"), f"{LINK_TAG}:{position}"
        if position > LAST_POSITION or "ses:no-track" in attributes or not _is_tracked(target, tagging):
            continue
        if tags is None:
            yield found.end(1), f' ses:tags="{tag}"'
        elif tags[2] is not None and LINK_TAG not in tags[2]:
            yield _span_of_value(tags)[0], f"{tag};"


def _is_tracked(target: str, tagging: LinkTagging) -> bool:
    """Return whether SES tracks a link: of the web, and not its own unsubscribe link."""
    if not target or target.lower().startswith(_NOT_TRACKED):
        return False
    return not (tagging.ses_unsubscribes and ("unsubscribe_url" in target or _SES_PLACEHOLDER in target))


def _span_of_value(attribute: re.Match[str]) -> tuple[int, int]:
    """Return where the value of an attribute is; an empty span where it has none."""
    return next((attribute.span(group) for group in (3, 4, 5) if attribute[group] is not None), (0, 0))
