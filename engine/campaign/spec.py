"""The validated content of campaign.toml, and the campaign folder around it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from engine.addresses.mailbox import parse_mailbox
from engine.audience.spec import AudienceSpec, CapSpec, Section, SuppressionSpec
from engine.campaign.files import read_file
from engine.campaign.headers import check_headers
from engine.campaign.spec_errors import describe_problems, read_toml, report_problems
from engine.campaign.spec_sections import (
    CanarySpec,
    ContentSpec,
    DeliverySpec,
    DomainSpec,
    GuardSpec,
    UnsubscribeSpec,
    WarmupSpec,
    WindowSpec,
)
from engine.campaign.spec_values import DomainText, HeaderName, HeaderText, MailboxText, checked
from engine.errors import ConfigurationError, DataError, UsageError, nearest
from engine.masking import show_address
from engine.notify_targets.sections import NotifySpec

# Campaign names and run keys become folder names and SES tag values.
_FILE = "campaign.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME_RULE = "1 to 64 letters, digits, - and _, the first a letter or digit"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KEY_FORMATS = {"date": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "hour": "%Y-%m-%dT%H"}


def _check_key_template(template: str) -> None:
    for placeholder in _PLACEHOLDER.findall(template):
        if placeholder not in _KEY_FORMATS:
            known = ", ".join(f"{{{name}}}" for name in _KEY_FORMATS)
            raise ValueError(f"has the unknown placeholder {{{placeholder}}}", f"use one of {known}")
    example = format_key(template, datetime(2026, 11, 24, 13, tzinfo=UTC))
    if not _NAME.fullmatch(example):
        raise ValueError(f'makes the invalid key "{example}"', f"use {_NAME_RULE}")


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
    key: Annotated[str, checked(_check_key_template)] = Field(
        default="{date}", description="default run key; {date}, {week}, {month} and {hour} are filled in, in UTC"
    )
    audience: AudienceSpec
    suppression: SuppressionSpec = SuppressionSpec()
    cap: CapSpec | None = Field(default=None, description="limit of messages that one address receives")
    content: ContentSpec
    unsubscribe: UnsubscribeSpec | None = Field(default=None, validate_default=True)
    headers: dict[HeaderName, HeaderText] = Field(
        default_factory=dict,
        description="header name = template of its value; at most 15 with the unsubscribe headers",
    )
    delivery: DeliverySpec = DeliverySpec()
    window: WindowSpec = WindowSpec()
    domains: dict[DomainText, DomainSpec] = Field(default_factory=dict, description="limits for each receiver domain")
    warmup: WarmupSpec | None = Field(
        default=None, description="daily limits while a domain or dedicated IP address is new"
    )
    guard: GuardSpec = GuardSpec()
    canary: CanarySpec | None = Field(
        default=None, description="send to a first part, wait for its events, then decide"
    )
    notify: NotifySpec | None = Field(default=None, description="receivers of notifications about the campaign's runs")

    @field_validator("headers")
    @classmethod
    def _check_all_headers(cls, headers: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        check_headers(headers, unsubscribes=info.data.get("unsubscribe") is not None)
        return headers

    @property
    def signs_links(self) -> bool:
        """Return whether messages have mailrun's unsubscribe tokens."""
        return self.unsubscribe is not None and self.unsubscribe.ses_contact_list is None

    @field_validator("unsubscribe")
    @classmethod
    def _matches_kind(cls, unsubscribe: UnsubscribeSpec | None, info: ValidationInfo) -> UnsubscribeSpec | None:
        kind = info.data.get("kind")
        if kind == "marketing" and unsubscribe is None:
            raise ValueError(
                "is missing in a marketing campaign",
                'add [unsubscribe] with url = "https://…/{{ token }}", or set kind = "transactional" if the mail is not'
                " marketing",
            )
        if kind == "transactional" and unsubscribe is not None:
            raise ValueError("is set in a transactional campaign", 'remove [unsubscribe], or set kind = "marketing"')
        return unsubscribe

    @property
    def sender_address(self) -> str:
        """The bare address of `from`."""
        return parse_mailbox(self.sender).address


class Campaign(Struct, frozen=True):
    """A campaign folder and the content of its campaign.toml."""

    name: str
    folder: Path
    spec: CampaignSpec

    def rename(self, name: str) -> "Campaign":
        """Return the campaign with the name it was launched with; the run's copy of its folder has another name."""
        return Campaign(name=name, folder=self.folder, spec=self.spec)


def load_campaign(folder: Path) -> Campaign:
    """Read and check a campaign folder's campaign.toml.

    Args:
        folder: the campaign's folder; its name is the campaign's name.

    Raises:
        UsageError: there is no such folder.
        ConfigurationError: campaign.toml is missing or has errors; all errors are reported together.
    """
    name = folder.absolute().name
    if not folder.is_dir():
        others = [toml.parent.name for toml in folder.parent.glob("[!.]*/campaign.toml")]
        raise UsageError(f"there is no campaign {name}", where=str(folder), remedy=nearest(name, others))
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" is not a valid campaign name', where=str(folder), remedy=f"rename the folder: {_NAME_RULE}"
        )
    spec = parse_spec(_read_text(folder), file=str(folder / _FILE))
    for mailbox in (spec.sender, *spec.reply_to):
        show_address(parse_mailbox(mailbox).address)
    if spec.unsubscribe is not None and spec.unsubscribe.mailto is not None:
        show_address(spec.unsubscribe.mailto)
    return Campaign(name=name, folder=folder, spec=spec)


def change_transport(spec: CampaignSpec, transport: str | None) -> CampaignSpec:
    """Return the spec with another transport, or unchanged for None.

    Raises:
        UsageError: the transport is unknown, or does not support the campaign's `call` or `pool`.
    """
    if transport is None:
        return spec
    document = spec.delivery.model_dump() | {"transport": transport}
    if transport == "outbox":
        document |= {"pool": None, "regions": ()}  # nothing is sent from them
    elif transport == "smtp" and spec.delivery.pool is not None:
        raise UsageError(
            f'the transport smtp does not work with pool = "{spec.delivery.pool}"',
            where="--transport",
            remedy="use ses or outbox, or remove [delivery] pool",
        )
    try:
        return spec.model_copy(update={"delivery": DeliverySpec.model_validate(document)})
    except ValidationError:
        setting = spec.delivery.not_by_smtp or f'call = "{spec.delivery.call}"'
        raise UsageError(
            f"the transport {transport} does not work with {setting}",
            where="--transport",
            remedy="use ses, smtp or outbox; only ses has bulk calls, regions and tracking by campaign",
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
            remedy="create it; from, subject, [audience] and [content] are required",
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
        UsageError: the key is not valid.
    """
    if not _NAME.fullmatch(key):
        raise UsageError(f'"{key}" is not a valid run key', where="--key", remedy=f"use {_NAME_RULE}")
    return key
