"""Render one recipient's message from the content and the recipient's data."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from babel import Locale
from jinja2 import TemplateError
from msgspec import Struct

from engine.campaign.content import bounds as limits
from engine.campaign.content.environment import TemplateEnvironment, make_recipient, show_recipient
from engine.campaign.content.localisation import is_right_to_left
from engine.campaign.content.templates import SUBJECT, CampaignContent
from engine.campaign.content.watchdog import TimeUpError, Watchdog
from engine.campaign.headers import NOT_IN_HEADERS
from engine.campaign.locales import choose_language, parse_locale, read_locales
from engine.campaign.message import Message
from engine.campaign.part_writers import PartWriter, make_utf8_writer
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign, check_key
from engine.campaign.template_parts import HeaderParts, MessageNames, VariantParts
from engine.campaign.time_zones import find_zone
from engine.campaign.unsubscribe_links import Row, make_unsubscribe_links
from engine.campaign.unsubscribe_tokens import TokenSigner

LONGEST_SUBJECT = 998  # characters; RFC 5322 2.1.1
LONGEST_SECONDS = 2.0  # of processor time for one message; a usual one needs about 30 µs
_MOST_CHOICES = 1000  # locales whose variant is cached; there are about 800


class _Campaign:
    """What templates see as `campaign`: its name and kind, and the language that this message is written in."""

    __slots__ = ("dir", "kind", "language", "name")

    def __init__(self, campaign: Campaign, language: str | None) -> None:
        self.name = campaign.name
        self.kind = campaign.spec.kind
        self.language = language or campaign.spec.content.default_locale
        self.dir = "rtl" if is_right_to_left(self.language) else "ltr"


class _Run(Struct, frozen=True):
    """What templates see as `run`."""

    name: str
    key: str


class Renderer:
    """Renders the messages of one run.

    Args:
        content: the campaign's compiled templates.
        campaign: the campaign.
        run_key: the run's key.
        signer: signs the unsubscribe links; a marketing campaign needs one.
        seconds: of processor time for one message; None for the default.
        writer: of the transport that sends the messages; None for one of plain UTF-8.
        run: the digest of the run that opt-outs are counted for; None for messages of no run, such as a preview's.

    Raises:
        ConfigurationError: the campaign has unsubscribe links, and there is no signer.
    """

    def __init__(  # noqa: PLR0913 - what rendering depends on, named one by one
        self,
        content: CampaignContent,
        campaign: Campaign,
        *,
        run_key: str,
        signer: TokenSigner | None,
        seconds: float | None = None,
        writer: PartWriter | None = None,
        run: bytes | None = None,
    ) -> None:
        check_key(run_key)
        self.seconds = LONGEST_SECONDS if seconds is None else seconds
        self._writer = make_utf8_writer() if writer is None else writer
        self._formats = content.formats
        self._locale_column = campaign.spec.content.locale
        self._zone_column = campaign.spec.window.column
        self._default_locale = campaign.spec.content.default_locale
        self._variants = {language: VariantParts(variant) for language, variant in content.variants.items()}
        self._choices: dict[Any, tuple[VariantParts, Locale]] = {}
        self._only_choice = None if self._locale_column else self._choose({})
        self._watchdog = Watchdog(self.seconds)
        self._links = make_unsubscribe_links(campaign, signer, run)
        self._tags = (("mailrun-campaign", campaign.name), ("mailrun-key", run_key))
        self._own_tags = campaign.spec.delivery.message_tags
        self._headers = HeaderParts(content)
        shown_run = _Run(f"{campaign.name}/{run_key}", run_key)
        self._recipient = make_recipient({}, "")  # shows one recipient after another
        shared = {"run": shown_run, "recipient": self._recipient}
        self._shared = {
            language: {**variant.subject.globals, **shared, "campaign": _Campaign(campaign, language)}
            for language, variant in content.variants.items()
        }

    def render(
        self,
        recipient: Mapping[str, Any],
        row: int,
        address: str,
        *,
        reader: str | None = None,
        place: Row | None = None,
    ) -> Message:
        """Make the message to one recipient.

        Args:
            recipient: the recipient's columns, by name; a null is None.
            row: the recipient's row in the plan.
            address: the recipient's address.
            reader: the address of the unsubscribe link, when a proof is sent to another person.
            place: the recipient's lease and the place in it; None for a message of no run.

        Raises:
            RenderError: it cannot be made.
        """
        parts, self._formats.locale = self._only_choice or self._choose(recipient)
        self._formats.columns = recipient
        limits.made.total = 0
        try:
            return self._watchdog.run(self._make, parts, recipient, row, address, reader or address, place)
        except TimeUpError as error:
            raise parts.locate(error, self.seconds) from error

    def list_unsubscribe(self, address: str) -> str | None:
        """Return the List-Unsubscribe header of the message to an address; None when the campaign has none."""
        headers = () if self._links is None else self._links.make_link(address)[1]
        return next((value for name, value in headers if name == "List-Unsubscribe"), None)

    def locate(self, template: str, line: int) -> tuple[str, int]:
        """Return the file and line in the author's template for a line of a compiled template."""
        parts = [part for parts in self._variants.values() for part in parts.list_parts()]
        for part in sorted(
            parts, key=lambda part: part.name != template
        ):  # first the template itself, then parts that may include it
            environment = part.template.environment
            with suppress(TemplateError):
                compiled = part.template if part.name == template else environment.get_template(template)
                if isinstance(environment, TemplateEnvironment):
                    return environment.locate(template, compiled.get_corresponding_lineno(line))
        return template, line

    def _choose(self, recipient: Mapping[str, Any]) -> tuple[VariantParts, Locale]:
        """Choose the variant and the locale of a recipient."""
        wanted = recipient.get(self._locale_column or "")
        choice = self._choices.get(wanted)
        if choice is None:
            preferences = read_locales(str(wanted)) if wanted is not None else ()
            languages = [one for one in self._variants if one is not None]
            language = choose_language(preferences, languages, self._default_locale)
            locale = parse_locale(str(preferences[0])) if preferences else None
            choice = self._variants[language], locale or self._formats.default
            if len(self._choices) < _MOST_CHOICES:
                self._choices[wanted] = choice
        return choice

    def _make(  # noqa: PLR0913, PLR0917 - as `render` has them; called for each message
        self,
        parts: VariantParts,
        recipient: Mapping[str, Any],
        row: int,
        address: str,
        reader: str,
        place: Row | None,
    ) -> Message:
        if not (address.isascii() and address.isprintable()) and NOT_IN_HEADERS.search(address):
            raise RenderError("address", None, "the address has control characters")
        if self._zone_column is not None:
            _refuse_unknown_zone(self._zone_column, recipient.get(self._zone_column))
        language, writer = parts.language, self._writer
        names = MessageNames(recipient)
        names.update(self._shared[language])
        show_recipient(self._recipient, recipient, address)
        headers: tuple[tuple[str, str], ...] = ()
        if self._links is not None:
            names["unsubscribe_url"], headers = self._links.make_link(reader, place)
        else:
            names.pop("unsubscribe_url", None)  # a column must not replace the unsubscribe link
        subject = parts.subject.render_text(names)
        if len(subject) > LONGEST_SUBJECT or not (subject.isascii() and subject.isprintable()):
            _check_subject(subject)
        html = None if parts.html is None else parts.html.render(names, writer)
        headers += self._headers.render(names)
        text = parts.render_text(names, html, writer)
        tags = (*self._tags, ("mailrun-row", str(row)), *self._own_tags)
        return Message(row, address, subject, html, text, headers, tags, language)


def _refuse_unknown_zone(column: str, name: Any) -> None:
    if find_zone(name) is None:
        found = f"{column} is empty" if name is None else f'{column} is "{name}", which is not a time zone'
        raise RenderError("[window] timezone", None, f"{found}; write an IANA name such as Europe/Berlin")


def _check_subject(subject: str) -> None:
    if found := NOT_IN_HEADERS.search(subject):
        raise RenderError(SUBJECT, None, f"it has a line break or control character (U+{ord(found[0]):04X})")
    if len(subject) > LONGEST_SUBJECT:
        raise RenderError(SUBJECT, None, f"it is longer than {LONGEST_SUBJECT} characters")
