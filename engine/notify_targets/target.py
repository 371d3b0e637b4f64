"""A target: the receiver of a notification, of which events, and how."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    WithJsonSchema,
    model_validator,
)

Happening = Literal["started", "resumed", "paused", "guard", "finished", "stalled"]
EVENTS: tuple[Happening, ...] = ("started", "paused", "guard", "finished", "stalled")  # by default
TargetKind = Literal["slack", "teams", "json", "email", "sns"]
SECRET_CHARACTERS = 16
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
_TOPIC_PATTERN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$"

_HOSTS_HERE = ("localhost", "127.0.0.1", "::1")
_NEEDS = {"email": ("from", "to"), "sns": ("topic",)}
_HAS = {
    "slack": ("url", "url_file"),
    "teams": ("url", "url_file"),
    "json": ("url", "url_file", "secret_file"),
    **_NEEDS,
}


class TargetError(ValueError):
    """What is wrong with a target (a predicate), and what to do."""

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


def check_webhook(url: str, kind: str) -> str:
    """Return the URL of a webhook; https, and http to this machine or for `json`.

    Raises:
        TargetError: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        is_url = bool(parts.hostname) and re.fullmatch(r"[!-~]+", url) is not None and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.scheme not in ("http", "https"):
        raise TargetError("is not the URL of a webhook", "write https://HOST/PATH")
    if parts.scheme == "http" and kind != "json" and parts.hostname not in _HOSTS_HERE:
        raise TargetError("is not encrypted", "write https://")
    return url


def check_pattern(text: str, pattern: str, what: str, remedy: str) -> str:
    """Check a text by a pattern that the JSON Schema has, too; return it.

    Raises:
        TargetError: it does not match; a line end never does, though `$` allows one in Python.
    """
    if "\n" in text or not re.search(pattern, text):
        raise TargetError(what, remedy)
    return text


def _check_name(name: str) -> str:
    return check_pattern(name, NAME_PATTERN, "is not a name for a target", "use 1 to 32 letters, digits, - and _")


def _check_address(text: str) -> str:
    if not re.fullmatch(r"[^\s<>]+@[^\s<>@]+|[^<>\x00-\x1f]+ <[^\s<>]+@[^\s<>@]+>", text) or len(text) > 320:
        raise TargetError("is not an e-mail address", "write it as user@example.com")
    return text


def _check_topic(topic: str) -> str:
    remedy = "write it as arn:aws:sns:eu-west-1:123456789012:mailrun"
    return check_pattern(topic, _TOPIC_PATTERN, "is not the ARN of an SNS topic", remedy)


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


TargetName = Annotated[str, AfterValidator(_check_name)]
_Mailbox = Annotated[str, AfterValidator(_check_address)]


def _require(kind: str) -> dict[str, Any]:
    return {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": [*_NEEDS[kind]]}}


class NotifyTarget(BaseModel):
    """`[notify.targets.NAME]`: one receiver of notifications."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"allOf": [_require(kind) for kind in _NEEDS]}
    )

    kind: TargetKind = Field(description="slack, teams, json (a signed webhook), email (through SES) or sns")
    on: Annotated[
        tuple[Happening, ...],
        Strict(strict=False),
        BeforeValidator(
            _as_list, json_schema_input_type=Happening | Annotated[tuple[Happening, ...], Field(min_length=1)]
        ),
    ] = Field(
        default=EVENTS,
        description="events: started, resumed, paused, guard, finished, stalled. Default: all but resumed",
    )
    url: SecretStr | None = Field(
        default=None, description="URL of the webhook; in campaign.toml only for json, because it is a secret elsewhere"
    )
    url_file: str = Field(default="", description="file with the URL, relative to the workspace")
    secret_file: str = Field(default="", description="file with the secret that signs json, relative to the workspace")
    sender: _Mailbox | None = Field(default=None, alias="from", description="sender of email: an identity of SES")
    to: Annotated[
        tuple[_Mailbox, ...],
        Strict(strict=False),
        BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...]),
    ] = Field(default=(), max_length=50, description="addresses that receive email")
    topic: (
        Annotated[str, AfterValidator(_check_topic), WithJsonSchema({"type": "string", "pattern": _TOPIC_PATTERN})]
        | None
    ) = Field(default=None, description="ARN of the SNS topic")

    @model_validator(mode="after")
    def _matches_its_kind(self) -> "NotifyTarget":
        if not self.on:
            raise TargetError("has an empty list on", "name an event in it, or remove the target")
        given = {name for name in ("url", "url_file", "secret_file", "to", "topic") if getattr(self, name)}
        given |= {"from"} if self.sender else set()
        for name in sorted(given - set(_HAS[self.kind])):
            raise TargetError(f'has {name} with kind = "{self.kind}"', f"remove {name}")
        for name in _NEEDS.get(self.kind, ()):
            if name not in given:
                raise TargetError(f'has no {name} with kind = "{self.kind}"', f"set {name}")
        if self.url is not None:
            if self.url_file:
                raise TargetError("has both url and url_file", "remove one of them")
            check_webhook(self.url.get_secret_value(), self.kind)
        return self


def list_target_keys() -> list[str]:
    """List the keys of a target, as a file has them."""
    return [field.alias or name for name, field in NotifyTarget.model_fields.items()]
