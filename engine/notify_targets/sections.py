"""Receivers of notifications about a run: `[notify]` of mailrun.toml and of campaign.toml."""

import json
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from engine.notify_targets.target import (
    NAME_PATTERN,
    SECRET_CHARACTERS,
    NotifyTarget,
    TargetError,
    TargetName,
    check_pattern,
)

LINK_PARTS = ("run", "campaign", "key")
_WAIT_PATTERN = "^[1-9][0-9]{0,4}[smhd]$"
# For editors; `_check_link` decides.
_LINK_PATTERN = r"^(https?://[^\s]+)?$"
_NAMES: dict[str, Any] = {"propertyNames": {"pattern": NAME_PATTERN}}


def _check_link(link: str) -> str:
    plain = re.sub(r"\{([^{}]*)\}", lambda found: "x" if found[1] in LINK_PARTS else "{", link)
    if link and not re.fullmatch(r"https?://[^\s/{}\"'<>]+(/[^\s{}\"'<>]*)?", plain):
        raise TargetError("is not a link", 'write it as "https://dash.acme.example/runs/{run}"')
    return link


def _check_wait(text: str) -> str:
    return check_pattern(text, _WAIT_PATTERN, "is not a duration", "write it as 90s, 15m, 2h or 1d")


def read_json_object(value: Any) -> Any:
    """Read a JSON object from the environment; leaves what a file gave as it is.

    Raises:
        TargetError: it is not a JSON object.
    """
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TargetError("is not a JSON object", 'write it as {"NAME": …}')
    return found


_Link = Annotated[str, AfterValidator(_check_link), WithJsonSchema({"type": "string", "pattern": _LINK_PATTERN})]
_Duration = Annotated[str, AfterValidator(_check_wait), WithJsonSchema({"type": "string", "pattern": _WAIT_PATTERN})]


class _Notify(BaseModel):
    """What `[notify]` has in both files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: _Link = Field(default="", description="link of a notification; {run}, {campaign} and {key} are filled in")
    stalled_after: _Duration = Field(
        default="15m", description="how long a run may send nothing before it counts as stalled: 90s, 15m, 2h or 1d"
    )


class NotifySettings(_Notify):
    """`[notify]` of mailrun.toml: receivers of notifications about runs."""

    targets: Annotated[dict[TargetName, NotifyTarget], BeforeValidator(read_json_object)] = Field(
        default_factory=dict,
        description="name to target, as [notify.targets.NAME]; in the environment a JSON object",
        json_schema_extra=_NAMES,
    )
    urls: Annotated[dict[TargetName, SecretStr], BeforeValidator(read_json_object)] = Field(
        default_factory=dict, description="URLs of webhooks by name of target; in the environment a JSON object"
    )
    secrets: Annotated[dict[TargetName, SecretStr], BeforeValidator(read_json_object)] = Field(
        default_factory=dict,
        description="secrets of json by name of target, of 16 characters or more; in the environment a JSON object",
    )
    sandbox: bool = Field(default=False, description="whether runs of launch --sandbox are notified of as well")

    @model_validator(mode="after")
    def _are_long_enough(self) -> "NotifySettings":
        for name, secret in self.secrets.items():
            if len(secret.get_secret_value()) < SECRET_CHARACTERS:
                raise TargetError(
                    f"secrets: that of {name} is too short", f"use at least {SECRET_CHARACTERS} characters"
                )
        return self

    def list_secrets(self) -> list[str]:
        """List what must not be printed."""
        urls = [one.url for one in self.targets.values() if one.url is not None]
        return [one.get_secret_value() for one in (*urls, *self.urls.values(), *self.secrets.values())]


class NotifySpec(_Notify):
    """`[notify]` of campaign.toml: receivers of notifications about its runs, in addition to mailrun.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    link: _Link | None = Field(  # type: ignore[assignment]
        default=None,
        description="link of a notification; {run}, {campaign} and {key} are filled in. Default: mailrun.toml's",
    )
    stalled_after: _Duration | None = Field(  # type: ignore[assignment]
        default=None,
        description="how long the run may send nothing before it counts as stalled. Default: mailrun.toml's",
    )
    inherit: bool = Field(default=True, description="whether the targets of mailrun.toml are notified as well")
    targets: dict[TargetName, NotifyTarget] = Field(
        default_factory=dict,
        description="name to target, as [notify.targets.NAME]; it replaces the target of that name in mailrun.toml",
        json_schema_extra=_NAMES,
    )

    @model_validator(mode="after")
    def _have_no_secrets(self) -> "NotifySpec":
        for name, target in self.targets.items():
            if target.url is not None and target.kind != "json":
                raise TargetError(
                    f"has the URL of {name}, which is a secret, and the campaign is copied into the store",
                    "write url_file, or set MAILRUN_NOTIFY_URLS",
                )
        return self

    def dump(self) -> str:
        """Return the JSON that `read_spec` reads."""
        document = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, target in self.targets.items():
            if target.url is not None:
                document["targets"][name]["url"] = target.url.get_secret_value()
        return json.dumps(document, ensure_ascii=False)


def read_spec(document: str) -> NotifySpec:
    """Read `[notify]` of a campaign from JSON that was made of a valid one."""
    return NotifySpec.model_validate_json(document)


def parse_wait(text: str) -> float:
    """Return a duration such as 15m in seconds."""
    return int(text[:-1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}[text[-1]]
