"""The sections of mailrun.toml, such as `[events]`: in the environment MAILRUN_EVENTS_QUEUE and so on."""

import json
import re
from ipaddress import IPv4Network, ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

_TOPIC = r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:(?:[A-Za-z0-9_-]{1,256}|\*)"


_EMPTY = "an empty text"
_Names = str | tuple[str, ...]  # separated by commas or white space, or a list


def _divide_names(names: Any) -> Any:
    return tuple(filter(None, re.split(r"[\s,]+", names))) if isinstance(names, str) else names


class EventsSettings(BaseModel):
    """Where events come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: str = Field(default="", description="URL of the SQS queue of events")
    topics: tuple[str, ...] = Field(
        default=(),
        description=(
            "ARNs of the SNS topics that are trusted; arn:aws:sns:REGION:ACCOUNT:* is every topic of an account. "
            "Default: the topics of the queue's own account"
        ),
    )

    @field_validator("queue")
    @classmethod
    def _is_a_url(cls, queue: str) -> str:
        if queue and not re.fullmatch(r"https?://[^\s/]+/\S+", queue):
            raise ValueError(
                f"{queue} is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/NAME"
            )
        return queue

    @field_validator("topics", mode="before", json_schema_input_type=_Names)
    @classmethod
    def _divide(cls, topics: Any) -> Any:
        return _divide_names(topics)

    @field_validator("topics")
    @classmethod
    def _are_topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if not re.fullmatch(_TOPIC, topic):
                such = "arn:aws:sns:eu-west-1:123456789012:ses-events"
                raise ValueError(f"{topic or _EMPTY} is not the ARN of a topic, such as {such}")
        return topics


class InboundSettings(BaseModel):
    """Which servers and senders are trusted in inbound mail, and which buckets it may be in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    buckets: tuple[str, ...] | None = Field(
        default=None,
        description=(
            "S3 buckets that a notification of received mail may name. Not set: such messages stay in the queue; "
            "empty: they are set aside"
        ),
    )
    authserv_id: str = Field(
        default="",
        description=(
            "name that your mail server writes into Authentication-Results (RFC 8601); SES writes amazonses.com"
        ),
    )
    feedback_sources: tuple[str, ...] = Field(
        default=(), description="domains whose DKIM-signed feedback reports are accepted without a token"
    )
    raw_delivery: bool = Field(
        default=False,
        description=(
            "the queue receives raw notifications, and only the topic may write to it: trust the verdicts in them"
        ),
    )

    @field_validator("buckets", "feedback_sources", mode="before", json_schema_input_type=_Names)
    @classmethod
    def _divide(cls, names: Any) -> Any:
        return _divide_names(names) or ()

    @field_validator("buckets")
    @classmethod
    def _are_buckets(cls, buckets: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in buckets or ():
            if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", name):
                raise ValueError(f"{name or _EMPTY} is not the name of a bucket, such as acme-inbound")
        return buckets

    @field_validator("authserv_id")
    @classmethod
    def _is_one_word(cls, name: str) -> str:
        if name and not re.fullmatch(r"[^\s;\"()]+", name):
            raise ValueError(f"{name} is not a server name as in Authentication-Results, such as mx.acme.example")
        return name

    @field_validator("feedback_sources")
    @classmethod
    def _are_domains(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for name in sources:
            if not re.fullmatch(r"[^\s@.]+(\.[^\s@.]+)+", name):
                raise ValueError(f"{name or _EMPTY} is not a domain, such as fbl.example.com")
        return sources


class SuppressionSettings(BaseModel):
    """When transient bounces suppress an address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    soft_bounces: int = Field(
        default=3,
        ge=2,
        le=100,
        description="number of messages that bounce transiently before an address is suppressed",
    )
    soft_days: int = Field(default=30, ge=1, le=365, description="number of days in which they are counted")


class UnsubscribePageSettings(BaseModel):
    """What the pages behind an unsubscribe link show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: str = Field(default="", description="who sends the mail, shown on the unsubscribe pages")
    topics: dict[str, str] = Field(
        default_factory=dict, description="topic to the name that the pages show; in the environment a JSON object"
    )
    preferences_url: str = Field(
        default="", description="page where a reader chooses topics; {token} in it is replaced by the token of the link"
    )
    template: str = Field(
        default="", description="Jinja2 template of the pages, relative to the workspace. Default: mailrun's own"
    )

    @field_validator("topics", mode="before", json_schema_input_type=str | dict[str, str])
    @classmethod
    def _read_json(cls, topics: Any) -> Any:
        if not isinstance(topics, str):
            return topics
        try:
            return json.loads(topics)
        except ValueError:
            raise ValueError('write a JSON object: {"news": "Monthly newsletter"}') from None

    @field_validator("preferences_url")
    @classmethod
    def _is_a_web_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s/]+\S*", url):
            raise ValueError(f"{url} is not a web address, such as https://acme.example/preferences")
        return url


def _check_host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]+", name):
            raise ValueError(f"{name or _EMPTY} is not the name of a host, without http:// and port")
    return names


_HostNames = Annotated[
    tuple[str, ...], BeforeValidator(_divide_names, json_schema_input_type=_Names), AfterValidator(_check_host_names)
]


class SesSettings(BaseModel):
    """What `mailrun ses setup` makes of the SES account. Options of the command override it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str = Field(default="", description="domain that mail is sent from, such as acme.example")
    mail_from: str = Field(
        default="bounce",
        description="subdomain for the envelope sender (MAIL FROM): bounce is bounce.DOMAIN. Use it for nothing else",
    )
    mail_from_failure: Literal["use_default", "reject"] = Field(
        default="use_default",
        description="while the MX record of MAIL FROM is missing: send through amazonses.com, or reject the message",
    )
    dkim_selector: str = Field(
        default="",
        description="selector of your own DKIM key, which the setup generates (BYODKIM). Default: Easy DKIM of SES",
    )
    dmarc: str = Field(
        default="", description="DMARC record, such as v=DMARC1; p=none; rua=mailto:dmarc@acme.example. Default: advice"
    )
    configuration_set: str = Field(
        default="mailrun", description="configuration set, which becomes the default of the domain"
    )
    tls: Literal["require", "optional"] | None = Field(
        default=None,
        description="whether SES delivers over TLS only. Default: as it is; a new configuration set has optional",
    )
    pool: str = Field(default="", description="pool of dedicated IP addresses. Default: as it is")
    tracking_domain: str = Field(
        default="", description="domain of the links and pixels that count clicks and opens. Default: as it is"
    )
    events: Literal["sqs", "eventbridge", "firehose"] | None = Field(
        default=None, description="how events are published: for events pull (sqs, eventbridge) or import (firehose)"
    )
    events_name: str = Field(default="mailrun-events", description="name of the queue, topic, rule or stream of events")
    events_bucket: str = Field(
        default="", description="bucket that Firehose writes events to. Default: mailrun-events-ACCOUNT-REGION"
    )
    inbound: bool = Field(default=False, description="whether SES receives mail for inbound pull")
    inbound_domain: str = Field(
        default="inbound", description="subdomain that receives mail: inbound is inbound.DOMAIN"
    )
    inbound_name: str = Field(
        default="mailrun-inbound", description="name of the queue, topic and receipt rule of received mail"
    )
    inbound_rule_set: str = Field(
        default="mailrun", description="receipt rule set that the rule belongs to; one is active in an account"
    )
    inbound_bucket: str = Field(
        default="", description="bucket of received mail. Default: mailrun-inbound-ACCOUNT-REGION"
    )
    own_addresses: Annotated[tuple[str, ...], BeforeValidator(_divide_names, json_schema_input_type=_Names)] = Field(
        default=(),
        description=(
            "ranges of IP addresses that you brought to SES (BYOIP), such as 198.51.100.0/24: mailrun ses pools marks"
            " them, because SES does not"
        ),
    )

    @field_validator("own_addresses")
    @classmethod
    def _are_ranges(cls, ranges: tuple[str, ...]) -> tuple[str, ...]:
        for text in ranges:
            try:
                IPv4Network(text)
            except ValueError:
                raise ValueError(f"{text} is not a range of IPv4 addresses, such as 198.51.100.0/24") from None
        return ranges


class DnsSettings(BaseModel):
    """Which name servers are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nameservers: Annotated[tuple[str, ...], BeforeValidator(_divide_names, json_schema_input_type=_Names)] = Field(
        default=(),
        description=(
            "name servers that sender checks and the audience's MX check ask, as IP or IP:PORT (IPv6: [IP]:PORT), "
            "in order. Default: the system's"
        ),
    )

    @field_validator("nameservers")
    @classmethod
    def _are_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            if not _is_nameserver(server):
                raise ValueError(
                    f"{server or _EMPTY} is not the address of a name server, such as 192.0.2.53 or 127.0.0.1:5353"
                )
        return servers


def _is_nameserver(text: str) -> bool:
    in_brackets = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?", text)
    with_port = re.fullmatch(r"([0-9.]+):(\d{1,5})", text)
    host, port = (in_brackets or with_port or re.match(r"(.*)()", text)).groups()  # type: ignore[union-attr]
    try:
        ip_address(host)
    except ValueError:
        return False
    return 0 < int(port or 53) < 1 << 16


class SandboxAccessSettings(BaseModel):
    """Who may use `mailrun sandbox`. Empty values are generated at each start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_key: str = Field(
        default="", description="access key id of the sandbox's clients. Default: random at each start"
    )
    secret: SecretStr = Field(
        default=SecretStr(""), description="secret access key of the sandbox's clients. Default: random at each start"
    )
    token: SecretStr = Field(
        default=SecretStr(""), description="token of the inbox and the control endpoint. Default: random at each start"
    )
    allow_hosts: _HostNames = Field(
        default=(), description="host names that the sandbox answers to in addition to loopback"
    )


class UnsubscribeServerSettings(BaseModel):
    """How `mailrun unsubscribe-server` is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow_hosts: _HostNames = Field(
        default=(),
        description="host names that the server answers to; others are refused. Default: every name",
    )


class DashboardSettings(BaseModel):
    """Who may use `mailrun dashboard`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr = Field(
        default=SecretStr(""),
        description="secret that opens the dashboard, at least 16 characters. Default: none is needed on loopback",
    )
    allow_hosts: _HostNames = Field(
        default=(), description="host names that the dashboard answers to in addition to loopback, such as a proxy's"
    )
    behind_https: bool = Field(
        default=False,
        description="a proxy that speaks HTTPS sets X-Forwarded-Proto: cookies are then for HTTPS alone",
    )


def parse_listen(text: str) -> tuple[str, int]:
    """Read HOST:PORT, :PORT or PORT; the host is loopback where none is given, and IPv6 is in brackets.

    Raises:
        ValueError: it is not an address to listen on.

    >>> parse_listen("9464"), parse_listen("[::1]:9464")
    (('127.0.0.1', 9464), ('::1', 9464))
    """
    found = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):)?(\d{1,5})", text.strip())
    if found is None or int(found[3]) >= 1 << 16:
        raise ValueError(f"{text or _EMPTY} is not an address to listen on, such as 127.0.0.1:9464")
    return found[1] or found[2] or "127.0.0.1", int(found[3])


class MetricsSettings(BaseModel):
    """Where metrics and traces go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = Field(
        default="",
        description=(
            "HOST:PORT where commands that send or process feedback serve their metrics; --metrics-listen overrides it"
        ),
    )
    file: str = Field(
        default="",
        description=(
            "file for node_exporter's textfile collector, relative to the workspace, or a folder that gets one file for"
            " each campaign"
        ),
    )
    otlp: str = Field(
        default="",
        description=(
            "collector that metrics and traces are pushed to by OTLP over HTTP, such as http://127.0.0.1:4318; needs"
            " the extra otel. Default: what OTEL_EXPORTER_OTLP_ENDPOINT says"
        ),
    )
    seconds: float = Field(
        default=15.0, ge=1.0, le=3600.0, description="seconds between two writes of the file, and between two pushes"
    )

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        if listen:
            parse_listen(listen)
        return listen

    @field_validator("otlp")
    @classmethod
    def _is_a_url(cls, otlp: str) -> str:
        if otlp and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", otlp):
            raise ValueError(f"{otlp} is not the address of a collector, such as http://127.0.0.1:4318")
        return otlp
