"""The sections of campaign.toml, checked."""

from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from engine.audience.spec import Section
from engine.campaign.headers import FEEDBACK_TAGS, check_tags
from engine.campaign.locales import DEFAULT_LOCALE
from engine.campaign.spec_values import (
    COLUMN,
    SECONDS,
    WAIT,
    AddressText,
    ClockText,
    ContentPath,
    InlinePath,
    Share,
    TagName,
    TagText,
    as_list,
    check_deadline,
    check_timezone,
    check_unsubscribe_url,
    check_wait,
    checked,
    read_locale,
)
from engine.campaign.time_zones import find_zone

_HOST_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_LABELS = rf"^{_HOST_LABEL}(\.{_HOST_LABEL}){{0,3}}$"


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
        default=None, min_length=1, description="template of the line that mail programs show next to the subject"
    )
    locale: str | None = Field(
        default=None,
        min_length=1,
        description="column of the recipient's locale, such as vi-VN: chooses body.vi.html.j2 and the formats",
    )
    default_locale: Annotated[str, AfterValidator(read_locale)] = Field(
        default=DEFAULT_LOCALE, description="locale of recipients without one"
    )
    attachments: Annotated[tuple[ContentPath, ...], Field(strict=False)] = Field(
        default=(), description="files in the campaign folder that are attached to every message"
    )
    inline: Annotated[tuple[InlinePath, ...], Field(strict=False)] = Field(
        default=(), description='images inside the message, for <img src="cid:NAME">'
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> "ContentSpec":
        if self.html is None and self.text is None:
            raise ValueError("names neither html nor text", "set html, text or both to a template")
        if self.preheader is not None and self.html is None:
            raise ValueError("sets preheader without html", "set html to a template, or remove preheader")
        return self


class UnsubscribeSpec(Section):
    """`[unsubscribe]`: the links that the List-Unsubscribe header offers (RFC 2369, RFC 8058).

    Either mailrun's own links (https, mailto or both), or SES's subscription management.
    """

    url: Annotated[str, checked(check_unsubscribe_url)] | None = Field(
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
    def _has_one_kind_of_link(self) -> "UnsubscribeSpec":
        own = self.url is not None or self.mailto is not None
        if self.ses_contact_list is None and not own:
            raise ValueError("has no unsubscribe link", 'add url = "https://…/{{ token }}"')
        if self.ses_contact_list is not None and own:
            raise ValueError(
                "sets both mailrun's and SES's unsubscribe links", "remove url and mailto, or ses_contact_list"
            )
        if self.ses_topic is not None and self.ses_contact_list is None:
            raise ValueError(
                "sets ses_topic without ses_contact_list", "set ses_contact_list to the list that has the topic"
            )
        return self


RegionName = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")]


class DeliverySpec(Section):
    """`[delivery]`: how messages are sent."""

    transport: Literal["ses", "smtp", "outbox"] = Field(
        default="ses", description="ses, smtp, or outbox: files are written and nothing is sent"
    )
    call: Literal["single", "bulk"] = Field(
        default="single", description="single: one message per call; bulk: up to 50 recipients per call"
    )
    outbox: Literal["eml", "mbox", "maildir"] = Field(
        default="eml", description="format of the files that transport outbox writes"
    )
    configuration_set: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="SES configuration set"
    )
    endpoint_id: str | None = Field(
        default=None,
        pattern=_HOST_LABELS,
        description="id of an SES multi-region endpoint, such as abcdef12.g3h: SES splits the mail between two regions",
    )
    tenant: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="SES tenant that the mail is sent for"
    )
    open_tracking: bool | None = Field(
        default=None, description="whether SES tracks opens of this campaign. Default: as the configuration set says"
    )
    click_tracking: bool | None = Field(
        default=None, description="whether SES tracks clicks of this campaign. Default: as the configuration set says"
    )
    pool: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="pool of IP addresses that the campaign must be sent from; a launch from another one is refused",
    )
    regions: Annotated[tuple[RegionName, ...], Field(strict=False, max_length=16)] = Field(
        default=(), description="AWS regions that the run sends through at once. Default: the region of AWS's settings"
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
        default="pause", description="when the 24-hour quota is used up: pause the run, or wait for free quota"
    )

    tags: dict[TagName, TagText] = Field(
        default_factory=dict, description="SES message tags, name = value; at most 7 in addition to mailrun's own"
    )
    feedback_id: Annotated[
        tuple[TagText, ...],
        Field(strict=False, max_length=len(FEEDBACK_TAGS)),
        BeforeValidator(as_list, json_schema_input_type=str | tuple[str, ...]),
    ] = Field(default=(), description="the first one or two parts of the Feedback-ID header")

    @property
    def message_tags(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the campaign's own tags; SES makes the Feedback-ID header from the feedback tags."""
        return (*self.tags.items(), *zip(FEEDBACK_TAGS, self.feedback_id, strict=False))

    @model_validator(mode="after")
    def _pool_needs_ses(self) -> "DeliverySpec":
        if self.pool is not None and self.transport != "ses":
            raise ValueError(f'sets pool with transport = "{self.transport}"', 'use transport = "ses", or remove pool')
        return self

    @model_validator(mode="after")
    def _check_all_tags(self) -> "DeliverySpec":
        check_tags(self.tags, self.feedback_id)
        return self

    @property
    def has_reach(self) -> bool:
        """Whether the account must have a multi-region endpoint or a tenant."""
        return self.endpoint_id is not None or self.tenant is not None

    @property
    def not_by_smtp(self) -> str | None:
        """The first setting that only the API of SES has, as campaign.toml writes it; None where there is none."""
        if self.call == "bulk":
            return 'call = "bulk"'
        if self.endpoint_id is not None:
            return f'endpoint_id = "{self.endpoint_id}"'
        if self.regions:
            return "regions"
        for key, value in (("open_tracking", self.open_tracking), ("click_tracking", self.click_tracking)):
            if value is not None:
                return f"{key} = {str(value).lower()}"
        return None

    @model_validator(mode="after")
    def _check_regions(self) -> "DeliverySpec":
        if len(set(self.regions)) < len(self.regions):
            raise ValueError("names a region twice in regions", "name each region once")
        if self.regions and self.transport != "ses":
            raise ValueError(
                f'sets regions with transport = "{self.transport}"', 'use transport = "ses", or remove regions'
            )
        if self.regions and self.endpoint_id is not None:
            raise ValueError("sets both regions and endpoint_id", "remove one of them: each is for several regions")
        return self

    @model_validator(mode="after")
    def _some_settings_need_the_api(self) -> "DeliverySpec":
        setting = self.not_by_smtp if self.transport == "smtp" else None
        if setting is not None:
            remedy = 'call = "single"' if self.call == "bulk" else f"remove {setting.partition(' ')[0]}"
            raise ValueError(f'sets {setting} with transport = "smtp"', f'use transport = "ses", or {remedy}')
        return self


class WindowSpec(Section):
    """`[window]`: when messages may be sent."""

    opens: ClockText | None = Field(
        default=None,
        alias="from",
        description="time of day at which sending starts, such as 09:00; the window may pass midnight",
    )
    closes: ClockText | None = Field(default=None, alias="to", description="time of day at which sending stops")
    timezone: Annotated[str, checked(check_timezone)] = Field(
        default="UTC", description="IANA or Windows time zone, or column:NAME for the time zone of each recipient"
    )
    outside: Literal["wait", "pause"] = Field(
        default="wait", description="while the window is closed: wait, or pause the run"
    )
    not_after: Annotated[str, checked(check_deadline)] | None = Field(
        default=None,
        description="last time at which a message may be sent: a time of day, or a date and time with offset",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "WindowSpec":
        if (self.opens is None) != (self.closes is None):
            raise ValueError("sets only one of from and to", "set both from and to")
        if self.opens is not None and self.opens == self.closes:
            raise ValueError(
                "is empty: from and to are the same time", "set different times; a window may pass midnight"
            )
        if self.column is not None and self.not_after is not None and len(self.not_after) == len("00:00"):
            raise ValueError(
                "sets a time of day for not_after, but each recipient has their own time zone",
                'write not_after as a date and time with offset, such as "2026-12-24T18:00:00+01:00"',
            )
        return self

    @property
    def column(self) -> str | None:
        """The audience's column with each recipient's time zone; None when all recipients share one."""
        return self.timezone.removeprefix(COLUMN) if self.timezone.startswith(COLUMN) else None

    @property
    def zone(self) -> ZoneInfo:
        """The campaign's own time zone; UTC when each recipient has their own."""
        zone = find_zone("UTC" if self.column else self.timezone)
        assert zone is not None  # noqa: S101 - checked
        return zone


class DomainSpec(Section):
    """`[domains."gmail.com"]`: the limits of one receiver domain."""

    max_rate: float = Field(
        gt=0, allow_inf_nan=False, description="highest rate to this receiver domain, in recipients per second"
    )


class WarmupSpec(Section):
    """`[warmup]`: daily caps while a domain or dedicated IP address is new."""

    caps: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False, min_length=1)] = Field(
        description="recipients per day, from the first day on; after the last cap there is no limit"
    )


class GuardSpec(Section):
    """`[guard]`: the shares of messages at which mailrun pauses the run."""

    max_bounce_rate: Share = Field(default=0.05, description="share of permanent bounces at which the run is paused")
    max_complaint_rate: Share = Field(default=0.001, description="share of complaints at which the run is paused")
    max_failure_rate: Share = Field(
        default=0.02, description="share of messages refused, failed or in doubt at which the run is paused"
    )
    max_refusal_rate: Share | None = Field(
        default=None, description="share of refused messages at which the run is paused"
    )
    max_ses_bounce_rate: Share = Field(
        default=0.05, description="the account's bounce rate, as SES computes it, at which the run is paused; 1: never"
    )
    max_ses_complaint_rate: Share = Field(
        default=0.001,
        description="the account's complaint rate, as SES computes it, at which the run is paused; 1: never",
    )


class CanarySpec(Section):
    """`[canary]`: the first part of a run, whose events decide whether the rest is sent."""

    recipients: int = Field(default=1000, ge=1, description="number of recipients in the first part")
    wait: Annotated[str, checked(check_wait)] = Field(
        default="30m", description="how long to wait for the events of the first part: 90s, 30m, 2h or 1d"
    )

    @property
    def wait_time(self) -> timedelta:
        """The time to wait for events."""
        found = WAIT.fullmatch(self.wait)
        assert found is not None  # noqa: S101 - checked
        return timedelta(seconds=int(found[1]) * SECONDS[found[2]])
