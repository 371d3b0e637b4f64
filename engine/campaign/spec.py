"""What campaign.toml says, checked, and a campaign folder read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from engine.addresses.mailbox import check_address, parse_mailbox
from engine.audience.spec import AudienceSpec, CapSpec, Section, SuppressionSpec
from engine.campaign.content.localisation import DEFAULT_LOCALE
from engine.campaign.files import is_part, read_file
from engine.campaign.headers import (
    FEEDBACK_TAGS,
    check_header_name,
    check_header_value,
    check_headers,
    check_tag_name,
    check_tag_value,
    check_tags,
)
from engine.campaign.locales import read_locales
from engine.campaign.spec_errors import describe_problems, read_toml, report_problems
from engine.campaign.time_zones import find_zone, find_zone_name
from engine.errors import ConfigurationError, DataError, UsageError, nearest
from engine.masking import show_address

# Campaign names and run keys become folder names and SES tag values.
_FILE = "campaign.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME_RULE = "1 to 64 letters, digits, - and _, the first a letter or digit"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KEY_FORMATS = {"date": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "hour": "%Y-%m-%dT%H"}
_CONTENT_ID = re.compile(r"[A-Za-z0-9._-]{1,78}")  # SESv2 Attachment.ContentId, and safe in <img src="cid:…">
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_COLUMN = "column:"
_WAIT = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
TOKEN_PLACEHOLDER = re.compile(r"\{\{\s*token\s*\}\}")


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that keeps the text as written once `check` accepts it."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_content_path(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or "\\" in path or pure.is_absolute() or ".." in pure.parts or not path.isprintable():
        raise ValueError("no path inside the campaign folder", "name a file of the campaign folder")
    if not is_part(path):
        raise ValueError(
            "a name of hidden, backup or lock files, which are not part of a campaign",
            "rename the file, or name another",
        )


def _check_inline_path(path: str) -> None:
    _check_content_path(path)
    if not _CONTENT_ID.fullmatch(PurePosixPath(path).name):
        raise ValueError("no name for an image inside a message", "use 1 to 78 letters, digits, ., - and _")


def _read_locale(tag: str) -> str:
    found = read_locales(tag)
    if len(found) != 1:
        raise ValueError("no known locale", "write it as vi or vi-VN")
    return str(found[0])


def _check_wait(text: str) -> None:
    if not _WAIT.fullmatch(text):
        raise ValueError("no time to wait", "write it as 90s, 30m, 2h or 1d")


def _check_key_template(template: str) -> None:
    for placeholder in _PLACEHOLDER.findall(template):
        if placeholder not in _KEY_FORMATS:
            known = ", ".join(f"{{{name}}}" for name in _KEY_FORMATS)
            raise ValueError(f"an unknown placeholder {{{placeholder}}}", f"there are: {known}")
    example = format_key(template, datetime(2026, 11, 24, 13, tzinfo=UTC))
    if not _NAME.fullmatch(example):
        raise ValueError(f'a key that comes out as "{example}"', f"use {_NAME_RULE}")


def _check_unsubscribe_url(url: str) -> None:
    if not TOKEN_PLACEHOLDER.search(url):
        raise ValueError("no {{ token }} in it", "put {{ token }} where the recipient's signed token belongs")
    plain = TOKEN_PLACEHOLDER.sub("TOKEN", url)
    if "{" in plain or not re.fullmatch(r"[!-~]+", plain) or any(mark in plain for mark in '<>,"'):
        raise ValueError("a character that a link cannot carry", "percent-encode it; {{ token }} is filled in alone")
    parts = urlsplit(plain)
    if parts.scheme != "https" or not parts.hostname or "TOKEN" in parts.netloc:
        raise ValueError(
            "no https link with a fixed host", "one-click unsubscribing (RFC 8058) needs https://HOST/…{{ token }}"
        )
    if "TOKEN" in parts.fragment:
        raise ValueError("{{ token }} after a #, which is never sent to a server", "put it into the path or the query")


def _check_time_of_day(text: str) -> None:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError("no time of day", 'write it as "09:00"')


def _check_timezone(name: str) -> None:
    if name.startswith(_COLUMN) and len(name) > len(_COLUMN):
        return
    if find_zone_name(name) is None:
        near = nearest(name, sorted(available_timezones())).partition("?")[0]
        hint = f"{near}? Or use" if near.startswith("did you mean") else "use"
        raise ValueError("no time zone", f'{hint} an IANA name such as "Europe/Berlin", or "column:NAME"')


def _check_deadline(text: str) -> None:
    if _TIME_OF_DAY.fullmatch(text):
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("no moment", 'write a time of day as "12:00", or a moment as "2026-12-24T18:00:00+01:00"')


def _check_domain(domain: str) -> None:
    if domain != domain.lower() or not _DOMAIN.fullmatch(domain):
        raise ValueError("no receiver domain", 'write it in lower case and Punycode, as [domains."gmail.com"]')


MailboxText = Annotated[str, _checked(parse_mailbox)]
AddressText = Annotated[str, _checked(check_address)]
ClockText = Annotated[str, _checked(_check_time_of_day)]
DomainText = Annotated[str, _checked(_check_domain)]
ContentPath = Annotated[str, _checked(_check_content_path)]
InlinePath = Annotated[str, _checked(_check_inline_path)]
HeaderName = Annotated[str, _checked(check_header_name)]
HeaderText = Annotated[str, _checked(check_header_value)]
TagName = Annotated[str, _checked(check_tag_name)]
TagText = Annotated[str, _checked(check_tag_value)]
Share = Annotated[float, Field(ge=0, le=1)]


class ContentSpec(Section):
    """`[content]`: the files of the campaign folder that make the message."""

    html: ContentPath | None = Field(
        default=None,
        description="template of the HTML part: body.html.j2, body.md.j2 (Markdown) or body.mjml.j2 (MJML)",
    )
    text: ContentPath | None = Field(
        default=None, description="template of the text part; without it, the text is derived from the HTML"
    )
    preheader: str | None = Field(
        default=None, min_length=1, description="template of the line that mail programs show beside the subject"
    )
    locale: str | None = Field(
        default=None,
        min_length=1,
        description="column of the recipient's locale, such as vi-VN: chooses body.vi.html.j2 and the formats",
    )
    default_locale: Annotated[str, AfterValidator(_read_locale)] = Field(
        default=DEFAULT_LOCALE, description="locale of recipients who have none"
    )
    attachments: Annotated[tuple[ContentPath, ...], Field(strict=False)] = Field(
        default=(), description="files of the campaign folder that go with every message"
    )
    inline: Annotated[tuple[InlinePath, ...], Field(strict=False)] = Field(
        default=(), description='images inside the message, for <img src="cid:NAME">'
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> "ContentSpec":
        if self.html is None and self.text is None:
            raise ValueError("neither html nor text", "name at least one template")
        if self.preheader is not None and self.html is None:
            raise ValueError("a preheader without html", "name an HTML template, or remove preheader")
        return self


class UnsubscribeSpec(Section):
    """`[unsubscribe]`: the ways out that the List-Unsubscribe header offers (RFC 2369, RFC 8058).

    Either mailrun's own, by link or mail or both, or SES's subscription management.
    """

    url: Annotated[str, _checked(_check_unsubscribe_url)] | None = Field(
        default=None, description="https link with {{ token }}; one-click requests (RFC 8058) are sent to it"
    )
    mailto: AddressText | None = Field(default=None, description="address that receives unsubscribe requests by mail")
    ses_contact_list: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="SES contact list: SES adds the unsubscribe link and headers itself, instead of url and mailto",
    )
    ses_topic: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="topic of that contact list"
    )

    @model_validator(mode="after")
    def _is_one_way(self) -> "UnsubscribeSpec":
        own = self.url is not None or self.mailto is not None
        if self.ses_contact_list is None and not own:
            raise ValueError("no unsubscribe link", 'add url = "https://…/{{ token }}"')
        if self.ses_contact_list is not None and own:
            raise ValueError(
                "two kinds of unsubscribe links", "keep url and mailto, or ses_contact_list: SES replaces our headers"
            )
        if self.ses_topic is not None and self.ses_contact_list is None:
            raise ValueError("a topic without its list", "name the ses_contact_list that has the topic")
        return self


class DeliverySpec(Section):
    """`[delivery]`: how the messages leave."""

    transport: Literal["ses", "smtp", "outbox"] = Field(
        default="ses", description="ses, smtp, or outbox: files are written and nothing is sent"
    )
    call: Literal["single", "bulk"] = Field(
        default="single", description="single: one message per call; bulk: up to 50 recipients per call"
    )
    outbox: Literal["eml", "mbox", "maildir"] = Field(default="eml", description="what transport outbox writes")
    configuration_set: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="SES configuration set"
    )
    rate_share: float = Field(
        default=1.0, gt=0, le=1, description="share of the account's send rate that the run may use"
    )
    max_rate: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="highest rate of the run, in recipients per second"
    )
    in_doubt: Literal["hold", "resend"] = Field(
        default="hold",
        description="hold recipients in doubt, or resend: send to them again, which may deliver a second copy",
    )
    at_quota: Literal["pause", "wait"] = Field(
        default="pause", description="at the end of the 24-hour quota: pause the run, or wait for free quota"
    )

    tags: dict[TagName, TagText] = Field(
        default_factory=dict, description="SES message tags, name to value; at most 7 beside mailrun's own"
    )
    feedback_id: Annotated[
        tuple[TagText, ...], Field(strict=False, max_length=len(FEEDBACK_TAGS)), BeforeValidator(_as_list)
    ] = Field(default=(), description="the first one or two parts of the Feedback-ID header")

    @property
    def message_tags(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the campaign's own tags; SES makes the Feedback-ID header of those of that name."""
        return (*self.tags.items(), *zip(FEEDBACK_TAGS, self.feedback_id, strict=False))

    @model_validator(mode="after")
    def _has_few_tags(self) -> "DeliverySpec":
        check_tags(self.tags, self.feedback_id)
        return self

    @model_validator(mode="after")
    def _bulk_is_of_ses(self) -> "DeliverySpec":
        if self.call == "bulk" and self.transport == "smtp":
            raise ValueError('call = "bulk" with transport = "smtp"', 'use transport = "ses", or call = "single"')
        return self


class WindowSpec(Section):
    """`[window]`: when messages may be handed over."""

    opens: ClockText | None = Field(
        default=None,
        alias="from",
        description="time of day at which sending starts, such as 09:00; the window may pass midnight",
    )
    closes: ClockText | None = Field(default=None, alias="to", description="time of day at which sending stops")
    timezone: Annotated[str, _checked(_check_timezone)] = Field(
        default="UTC", description="IANA or Windows time zone, or column:NAME for the time zone of each recipient"
    )
    outside: Literal["wait", "pause"] = Field(
        default="wait", description="while the window is closed: wait, or pause the run"
    )
    not_after: Annotated[str, _checked(_check_deadline)] | None = Field(
        default=None,
        description="last time at which a message may be sent: a time of day, or a date and time with offset",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "WindowSpec":
        if (self.opens is None) != (self.closes is None):
            raise ValueError("half a window", "give both from and to")
        if self.opens is not None and self.opens == self.closes:
            raise ValueError("an empty window", "let from and to differ; a window may pass midnight")
        if self.column is not None and self.not_after is not None and len(self.not_after) == len("00:00"):
            raise ValueError(
                "not_after is a time of day, and every recipient has a time zone of their own",
                'give a moment with its offset, such as "2026-12-24T18:00:00+01:00"',
            )
        return self

    @property
    def column(self) -> str | None:
        """The audience's column with each recipient's time zone; None where one zone holds for all."""
        return self.timezone.removeprefix(_COLUMN) if self.timezone.startswith(_COLUMN) else None

    @property
    def zone(self) -> ZoneInfo:
        """The campaign's own time zone; UTC where every recipient has one."""
        zone = find_zone("UTC" if self.column else self.timezone)
        assert zone is not None  # noqa: S101 - checked
        return zone


class DomainSpec(Section):
    """`[domains."gmail.com"]`: what one receiver domain gets."""

    max_rate: float = Field(
        gt=0, allow_inf_nan=False, description="highest rate to this receiver domain, in recipients per second"
    )


class WarmupSpec(Section):
    """`[warmup]`: daily caps while a domain or dedicated IP address is new."""

    caps: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False, min_length=1)] = Field(
        description="recipients per day, from the first day on; after the last cap there is no limit"
    )


class GuardSpec(Section):
    """`[guard]`: shares of the sent messages at which the run pauses itself."""

    max_bounce_rate: Share = Field(default=0.05, description="share of permanent bounces at which the run is paused")
    max_complaint_rate: Share = Field(default=0.001, description="share of complaints at which the run is paused")
    max_failure_rate: Share = Field(
        default=0.02, description="share of messages refused, failed or in doubt at which the run is paused"
    )
    max_refusal_rate: Share | None = Field(
        default=None, description="share of refused messages alone at which the run is paused"
    )


class CanarySpec(Section):
    """`[canary]`: the first part of a run, whose events decide whether the rest follows."""

    recipients: int = Field(default=1000, ge=1, description="number of recipients that are sent to first")
    wait: Annotated[str, _checked(_check_wait)] = Field(
        default="30m", description="how long to wait for their events: 90s, 30m, 2h or 1d"
    )

    @property
    def wait_time(self) -> timedelta:
        """How long events are awaited."""
        found = _WAIT.fullmatch(self.wait)
        assert found is not None  # noqa: S101 - checked
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


class CampaignSpec(Section):
    """The whole of campaign.toml."""

    sender: MailboxText = Field(alias="from", description="sender, such as Acme News <news@acme.example>")
    reply_to: Annotated[tuple[MailboxText, ...], Field(strict=False)] = Field(
        default=(), description="mailboxes for replies"
    )
    subject: str = Field(min_length=1, description="Jinja2 template of the subject")
    kind: Literal["marketing", "transactional"] = Field(
        default="marketing",
        description="marketing needs an unsubscribe link; transactional has none, and ignores opt-outs from a topic",
    )
    key: Annotated[str, _checked(_check_key_template)] = Field(
        default="{date}", description="default run key; {date}, {week}, {month} and {hour} are filled in, in UTC"
    )
    audience: AudienceSpec
    suppression: SuppressionSpec = SuppressionSpec()
    cap: CapSpec | None = Field(default=None, description="limit of messages that one address receives")
    content: ContentSpec
    unsubscribe: UnsubscribeSpec | None = Field(default=None, validate_default=True)
    headers: dict[HeaderName, HeaderText] = Field(
        default_factory=dict,
        description="name of a header to the template of its value; at most 15 with the unsubscribe headers",
    )
    delivery: DeliverySpec = DeliverySpec()
    window: WindowSpec = WindowSpec()
    domains: dict[DomainText, DomainSpec] = Field(default_factory=dict, description="limits of single receiver domains")
    warmup: WarmupSpec | None = Field(
        default=None, description="daily limits while a domain or dedicated IP address is new"
    )
    guard: GuardSpec = GuardSpec()
    canary: CanarySpec | None = Field(
        default=None, description="send to a first part, wait for its events, then decide"
    )

    @field_validator("headers")
    @classmethod
    def _are_few_headers(cls, headers: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        check_headers(headers, unsubscribes=info.data.get("unsubscribe") is not None)
        return headers

    @property
    def signs_links(self) -> bool:
        """Tell whether messages carry unsubscribe tokens of ours."""
        return self.unsubscribe is not None and self.unsubscribe.ses_contact_list is None

    @field_validator("unsubscribe")
    @classmethod
    def _fits_the_kind(cls, unsubscribe: UnsubscribeSpec | None, info: ValidationInfo) -> UnsubscribeSpec | None:
        kind = info.data.get("kind")
        if kind == "marketing" and unsubscribe is None:
            raise ValueError(
                "a marketing campaign without [unsubscribe]",
                'add [unsubscribe] with url = "https://…/{{ token }}", or set kind = "transactional" where it is that',
            )
        if kind == "transactional" and unsubscribe is not None:
            raise ValueError(
                "a transactional campaign with [unsubscribe]", 'remove [unsubscribe], or set kind = "marketing"'
            )
        return unsubscribe

    @property
    def sender_address(self) -> str:
        """The bare address of `from`."""
        return parse_mailbox(self.sender).address


@dataclass(frozen=True)
class Campaign:
    """A campaign folder and what its campaign.toml says."""

    name: str
    folder: Path
    spec: CampaignSpec

    def rename(self, name: str) -> "Campaign":
        """Return the campaign under the name that it was launched by; a run keeps its folder under another."""
        return Campaign(name=name, folder=self.folder, spec=self.spec)


def load_campaign(folder: Path) -> Campaign:
    """Read and check a campaign folder's campaign.toml.

    Args:
        folder: the campaign's folder; its name is the campaign's name.

    Raises:
        UsageError: there is no such folder.
        ConfigurationError: campaign.toml is missing, or is wrong: all its problems at once.
    """
    name = folder.absolute().name
    if not folder.is_dir():
        others = [toml.parent.name for toml in folder.parent.glob("[!.]*/campaign.toml")]
        raise UsageError(f"there is no campaign {name}", where=str(folder), remedy=nearest(name, others))
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a campaign', where=str(folder), remedy=f"rename the folder: {_NAME_RULE}"
        )
    spec = parse_spec(_read_text(folder), file=str(folder / _FILE))
    for mailbox in (spec.sender, *spec.reply_to):
        show_address(parse_mailbox(mailbox).address)
    if spec.unsubscribe is not None and spec.unsubscribe.mailto is not None:
        show_address(spec.unsubscribe.mailto)
    return Campaign(name=name, folder=folder, spec=spec)


def change_transport(spec: CampaignSpec, transport: str | None) -> CampaignSpec:
    """Return the spec with another way out; None leaves it.

    Raises:
        UsageError: there is no such way out, or it cannot be had with the campaign's `call`.
    """
    if transport is None:
        return spec
    document = spec.delivery.model_dump() | {"transport": transport}
    try:
        return spec.model_copy(update={"delivery": DeliverySpec.model_validate(document)})
    except ValidationError:
        raise UsageError(
            f'the transport {transport} cannot be had with call = "{spec.delivery.call}"',
            where="--transport",
            remedy="use ses, smtp or outbox; bulk calls are of ses",
        ) from None


def parse_spec(source: str, *, file: str) -> CampaignSpec:
    """Check the text of a campaign.toml.

    Raises:
        ConfigurationError: naming `file`, line and key of everything that is wrong.
    """
    data: dict[str, Any] = read_toml(source, file=file)
    try:
        return CampaignSpec.model_validate(data)
    except ValidationError as error:
        problems = describe_problems(error, model=CampaignSpec, source=source)
    raise report_problems(problems, file=file)


def _read_text(folder: Path) -> str:
    try:
        content = read_file(folder, _FILE)
    except DataError as error:
        raise ConfigurationError(error.what, where=error.where, remedy=error.remedy) from error
    if content is None:
        raise ConfigurationError(
            "the campaign folder has no campaign.toml",
            where=str(folder / _FILE),
            remedy="write one; from, subject, [audience] and [content] are required",
        )
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"campaign.toml is not UTF-8 (byte {error.start})", where=str(folder / _FILE), remedy="save it as UTF-8"
        ) from None


def format_key(template: str, now: datetime) -> str:
    """Fill in a key template: {date}, {week} (ISO 8601), {month} and {hour} of `now`.

    >>> format_key("{week}", datetime(2026, 11, 24, 13, tzinfo=UTC))
    '2026-W48'
    """
    return _PLACEHOLDER.sub(lambda found: now.strftime(_KEY_FORMATS[found[1]]), template)


def check_key(key: str) -> str:
    """Return a run key that can be a folder name and an SES tag value.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(key):
        raise UsageError(f'"{key}" cannot be a run key', where="--key", remedy=f"use {_NAME_RULE}")
    return key
