"""The unsubscribe link of each recipient, and the headers that go with it (RFC 2369, RFC 2919, RFC 8058)."""

import re
from urllib.parse import quote

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.headers import LONGEST_HEADER, LONGEST_VALUE
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign
from engine.campaign.spec_sections import UnsubscribeSpec
from engine.campaign.spec_values import TOKEN_PLACEHOLDER
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError

LONGEST_LINK = min(LONGEST_VALUE, LONGEST_HEADER - len("List-Unsubscribe"))
SES_PLACEHOLDER = "{{amazonSESUnsubscribeUrl}}"
_ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")  # RFC 8058


def make_unsubscribe_links(
    campaign: Campaign, signer: TokenSigner | None
) -> "UnsubscribeLinks | SesUnsubscribeLinks | None":
    """Return the object that makes a campaign's unsubscribe links; None when its messages have no links.

    Raises:
        ConfigurationError: the links need a signing key, and no key is set.
    """
    spec = campaign.spec.unsubscribe
    if spec is None:
        return None
    topic = campaign.spec.suppression.topic or campaign.name
    domain = parse_mailbox(campaign.spec.sender).address.rpartition("@")[2]
    label = re.sub(r"[^A-Za-z0-9-]+", "-", topic).strip("-")[:64] or campaign.name
    list_id = ("List-Id", f"<{label}.{domain}>")  # RFC 2919
    if spec.ses_contact_list is not None:
        return SesUnsubscribeLinks(list_id)
    if signer is None:
        raise ConfigurationError(
            f"the unsubscribe links of {campaign.name} need a signing key, and no key is set",
            where=str(campaign.folder / "campaign.toml"),
            remedy="set unsubscribe_keys or unsubscribe_keys_file in the settings",
        )
    return UnsubscribeLinks(spec, topic, signer, list_id)


class SesUnsubscribeLinks:
    """SES puts its own link and headers into every message."""

    def __init__(self, list_id: tuple[str, str]) -> None:
        self._link = (SES_PLACEHOLDER, (list_id,))

    def make_link(self, address: str) -> tuple[str, tuple[tuple[str, str], ...]]:  # noqa: ARG002 - as UnsubscribeLinks.make_link
        """Return the placeholder that SES replaces, and the headers."""
        return self._link


class UnsubscribeLinks:
    """Makes the unsubscribe link and the List-Unsubscribe headers (RFC 2369, RFC 8058)."""

    def __init__(self, spec: UnsubscribeSpec, topic: str, signer: TokenSigner, list_id: tuple[str, str]) -> None:
        self._topic = topic
        self._sign = signer.sign
        self._list_id = list_id
        self._url = TOKEN_PLACEHOLDER.split(spec.url) if spec.url else None
        self._mailto = f"mailto:{quote(spec.mailto, safe='@')}?subject=" if spec.mailto else ""

    def make_link(self, address: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the link for one recipient, and the headers."""
        token = self._sign(address, self._topic)
        if self._url is None:
            url = self._mailto + token
            return url, (self._list_id, ("List-Unsubscribe", _fit(f"<{url}>")))
        url = token.join(self._url)
        value = f"<{url}>, <{self._mailto}{token}>" if self._mailto else f"<{url}>"
        if len(value) > LONGEST_LINK:
            value = _fit(f"<{url}>")  # the https link is enough; both do not fit for addresses of about 200 characters
        return url, (self._list_id, ("List-Unsubscribe", value), _ONE_CLICK)


def _fit(value: str) -> str:
    if len(value) > LONGEST_LINK:
        raise RenderError(
            "[unsubscribe] url", None, f"the link is longer than the {LONGEST_LINK} characters that SES accepts"
        )
    return value
