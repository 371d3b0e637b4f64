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


Link = tuple[str, tuple[tuple[str, str], ...]]
"""A link, and the headers that go with it."""
Row = tuple[int, int]
"""The row of a run that a message is for: ordinal of its lease, and its place in it, in the plan's order, from 0."""


def make_unsubscribe_links(
    campaign: Campaign, signer: TokenSigner | None, run: bytes | None = None
) -> "UnsubscribeLinks | SesUnsubscribeLinks | None":
    """Return the object that makes a campaign's unsubscribe links; None when its messages have no links.

    Args:
        campaign: the campaign.
        signer: makes the tokens.
        run: the digest of the run that opt-outs are counted for; None for messages of no run.

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
    return UnsubscribeLinks(spec, topic, signer, list_id, run)


class SesUnsubscribeLinks:
    """SES puts its own link and headers into every message."""

    def __init__(self, list_id: tuple[str, str]) -> None:
        self._link = (SES_PLACEHOLDER, (list_id,))

    def make_link(self, address: str, row: Row | None = None) -> Link:  # noqa: ARG002 - as UnsubscribeLinks.make_link
        """Return the placeholder that SES replaces, and the headers."""
        return self._link


class UnsubscribeLinks:
    """Makes the unsubscribe link and the List-Unsubscribe headers (RFC 2369, RFC 8058).

    A token that names the run is longer. Where the header would be too long with it, the token names no run: what fits
    into a header never depends on the run.
    """

    def __init__(
        self, spec: UnsubscribeSpec, topic: str, signer: TokenSigner, list_id: tuple[str, str], run: bytes | None = None
    ) -> None:
        self._topic = topic
        self._sign = signer.sign
        self._sign_of_run = None if run is None else signer.bind_run(topic, run).sign
        self._list_id = list_id
        self._url = TOKEN_PLACEHOLDER.split(spec.url) if spec.url else None
        self._mailto = f"mailto:{quote(spec.mailto, safe='@')}?subject=" if spec.mailto else ""

    def make_link(self, address: str, row: Row | None = None) -> Link:
        """Return the link for one recipient, and the headers.

        Args:
            address: the recipient.
            row: the row of the run; None for a message of no run.

        Raises:
            RenderError: the link is too long.
        """
        if row is not None and self._sign_of_run is not None:
            token = self._sign_of_run(address, *row)
        else:
            token = self._sign(address, self._topic)
        url, value = self._offer(token)
        if len(value) > LONGEST_LINK:
            url, value = self._shorten(address, token)
        if self._url is None:
            return url, (self._list_id, ("List-Unsubscribe", value))
        return url, (self._list_id, ("List-Unsubscribe", value), _ONE_CLICK)

    def _offer(self, token: str) -> tuple[str, str]:
        """Return the link with a token, and the whole value of the header."""
        if self._url is None:
            url = self._mailto + token
            return url, f"<{url}>"
        url = token.join(self._url)
        return url, f"<{url}>, <{self._mailto}{token}>" if self._mailto else f"<{url}>"

    def _shorten(self, address: str, token: str) -> tuple[str, str]:
        """Return the link and the value with what fits: both links before the https link alone, then the run.

        The https link alone is enough; both do not fit for addresses of about 200 characters.
        """
        offers = [self._offer(one) for one in dict.fromkeys((token, self._sign(address, self._topic)))]
        if self._url is not None:
            offers += [(url, f"<{url}>") for url, _ in offers]
        for url, value in offers:
            if len(value) <= LONGEST_LINK:
                return url, value
        raise RenderError(
            "[unsubscribe] url", None, f"the link is longer than the {LONGEST_LINK} characters that SES accepts"
        )
