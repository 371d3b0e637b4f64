"""Settings: flags, then MAILRUN_* in the environment, then mailrun.toml in the workspace."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from engine.errors import ConfigurationError, nearest
from engine.locations import check_ledger, check_store, expand_home, find_ledger_file, resolve_ledger
from engine.masking import mask_url, remember_secrets
from engine.notify_targets.sections import NotifySettings
from engine.notify_targets.target import list_target_keys
from engine.read_limits import ReadLimits
from engine.setting_sections import (
    DashboardSettings,
    DnsSettings,
    EventsSettings,
    InboundSettings,
    MetricsSettings,
    SandboxAccessSettings,
    SesSettings,
    SuppressionSettings,
    UnsubscribePageSettings,
    UnsubscribeServerSettings,
)
from engine.setting_sources import SETTINGS_FILE, find_source, name_variable, read_settings_file
from engine.system.environment import PREFIX, check_environment

KEY_BYTES_MINIMUM = 16


class Settings(BaseModel):
    """The settings of a workspace: what a command needs in addition to its arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workspace: Path = Field(
        description="folder with campaigns/ and audiences/. Default: the one around the current folder"
    )
    store: str = Field(
        default=".mailrun", min_length=1, description="folder, relative to the workspace, or s3://BUCKET/PREFIX"
    )
    scratch: str = Field(
        default="",
        description=(
            "folder on this machine for copies of objects, previews and temporary files. Default: .mailrun in the "
            "workspace, and the system's folder for temporary files"
        ),
    )
    ledger: str = Field(
        default="",
        description=(
            "sqlite:///path.db (relative to the workspace), sqlite:////absolute/path.db or "
            "postgresql://user@host/database. Default: SQLite in the store, or in .mailrun where the store is a "
            "bucket"
        ),
    )
    smtp_url: str = Field(
        default="",
        description=(
            "SMTP server: smtp://HOST:587 (STARTTLS), smtps://HOST:465 (TLS) or smtp+plain://HOST:25. Default: SES "
            "in the account's region"
        ),
    )
    smtp_username: str = Field(default="", description="user name at that server")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="password at that server")
    smtp_ca_bundle: str = Field(
        default="", description="file of PEM certificates to trust there. Default: the system's"
    )
    unsubscribe_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description=(
            "keys of unsubscribe links, newest first: the first signs, all verify, and so does the store's own key. "
            "Separate keys by commas or white space, or write a JSON list"
        ),
    )
    unsubscribe_keys_file: Path | None = Field(default=None, description="file with such keys, one per line")
    report_at_end: bool = Field(
        default=True, description="whether a launch writes the report of its run when it ends, pauses or is cancelled"
    )
    events: EventsSettings = EventsSettings()
    inbound: InboundSettings = InboundSettings()
    dns: DnsSettings = DnsSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    limits: ReadLimits = ReadLimits()
    unsubscribe_page: UnsubscribePageSettings = UnsubscribePageSettings()
    unsubscribe_server: UnsubscribeServerSettings = UnsubscribeServerSettings()
    ses: SesSettings = SesSettings()
    metrics: MetricsSettings = MetricsSettings()
    sandbox: SandboxAccessSettings = SandboxAccessSettings()
    dashboard: DashboardSettings = DashboardSettings()
    notify: NotifySettings = NotifySettings()

    @field_validator("store", "scratch", "ledger", mode="before")
    @classmethod
    def _strip(cls, place: Any) -> Any:
        return place.strip() if isinstance(place, str) else place  # a line's end, as secrets are mounted

    @field_validator("unsubscribe_keys", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _divide(cls, keys: Any) -> Any:
        if not isinstance(keys, str):
            return keys
        return json.loads(keys) if keys.startswith("[") else tuple(re.split(r"[\s,]+", keys.strip()))

    @field_validator("unsubscribe_keys")
    @classmethod
    def _are_long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < KEY_BYTES_MINIMUM for key in keys):
            raise ValueError(f"a key must have at least {KEY_BYTES_MINIMUM} characters")
        return keys

    def read_unsubscribe_keys(self) -> tuple[bytes, ...]:
        """Return the configured signing keys, the newest first; none where the store's own is to be used.

        Raises:
            ConfigurationError: both settings are given, or the file cannot be read or holds no key.
        """
        keys = tuple(key.get_secret_value().encode() for key in self.unsubscribe_keys)
        if self.unsubscribe_keys_file is None:
            return keys
        where = f"unsubscribe_keys_file, {self.workspace / self.unsubscribe_keys_file}"
        if keys:
            raise ConfigurationError(
                "unsubscribe_keys and unsubscribe_keys_file are both set", where=where, remedy="remove one of them"
            )
        try:
            lines = (self.workspace / self.unsubscribe_keys_file).read_bytes().split()
        except OSError as error:
            raise ConfigurationError(
                f"the unsubscribe keys cannot be read: {error.strerror}", where=where, remedy="make the file readable"
            ) from None
        if not lines or min(map(len, lines)) < KEY_BYTES_MINIMUM:
            what = f"a key must have at least {KEY_BYTES_MINIMUM} characters" if lines else "the file has no key"
            raise ConfigurationError(what, where=where, remedy="create one, for instance with: openssl rand -hex 32")
        remember_secrets(line.decode("utf-8", "replace") for line in lines)
        return tuple(lines)

    @property
    def store_folder(self) -> Path:
        """The store's folder; for a bucket, the folder of its local copies and of files of this machine."""
        if not self.in_bucket:
            return self.workspace / expand_home(self.store, "store")
        return self.scratch_folder or self.workspace / ".mailrun"

    @property
    def scratch_folder(self) -> Path | None:
        """The folder that `scratch` names; None where it is not set."""
        return self.workspace / expand_home(self.scratch, "scratch") if self.scratch else None

    @property
    def in_bucket(self) -> bool:
        """Whether the store is in a bucket."""
        return self.store.startswith("s3://")

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        if self.ledger:
            return resolve_ledger(self.ledger, str(self.workspace.absolute()))
        # Never in `scratch`, which may be lost with the pod: a ledger must last as long as the store.
        folder = self.workspace / ".mailrun" if self.in_bucket else self.store_folder
        return f"sqlite:///{folder.absolute() / 'ledger.db'}"

    @property
    def ledger_file(self) -> Path | None:
        """The ledger's file where it is SQLite."""
        return find_ledger_file(self.ledger_url)


def load_settings(workspace: Path, **flags: Any) -> Settings:
    """Read the settings.

    Args:
        workspace: the workspace's folder.
        **flags: what the command line gave; None means not given.

    Raises:
        ConfigurationError: a wrong or unknown value or variable, with its name and source.
    """
    check_environment(os.environ, list_variables())
    given = {name: value for name, value in flags.items() if value is not None}
    found = read_settings_file(workspace / SETTINGS_FILE)
    for name, keys in _read_sections(os.environ).items():
        in_file = found.get(name)
        found[name] = in_file | keys if isinstance(in_file, dict) else keys
    try:
        settings = Settings.model_validate(found | _read_variables(os.environ) | given | {"workspace": workspace})
    except ValidationError as error:
        raise _describe_mistake(error, workspace, given) from None
    secrets = (settings.smtp_password, *settings.unsubscribe_keys)
    remember_secrets(secret.get_secret_value() for secret in secrets)
    remember_secrets(settings.notify.list_secrets())
    check_store(settings.store, find_source("store", workspace, given).name_with_key("store"))
    if "://" in settings.scratch:
        where = find_source("scratch", workspace, given).name_with_key("scratch")
        what = f"scratch must be a folder on this machine, not {mask_url(settings.scratch)}"
        raise ConfigurationError(what, where=where, remedy="give a folder; only the store can be a bucket")
    for key, place in (("store", settings.store), ("scratch", settings.scratch)):
        expand_home(place, find_source(key, workspace, given).name_with_key(key))
    if settings.ledger:
        check_ledger(settings.ledger, find_source("ledger", workspace, given).name_with_key("ledger"))
    return settings


def _describe_mistake(error: ValidationError, workspace: Path, given: Mapping[str, Any]) -> ConfigurationError:
    problem = error.errors()[0]
    path = [part for part in problem["loc"] if isinstance(part, str) and part != "[key]"]
    key, known = ".".join(path), list_settings()
    setting = next((name for name in known if key.startswith(f"{name}.")), key)  # a table such as notify.targets
    part = path[setting.count(".") + 1 :]
    where = find_source(setting, workspace, given, part).name_with_key(key)
    if problem["type"] == "extra_forbidden":
        remedy = nearest(path[-1], list_target_keys()) if part else nearest(key, known)
        return ConfigurationError(f"{key} is not a setting", where=where, remedy=remedy)
    detail = problem["msg"].removeprefix("Value error, ")
    variable = name_variable(setting)
    remedy = "correct or remove it" + (f"; {variable} in the environment replaces it" if variable not in where else "")
    return ConfigurationError(f"the setting {key} is wrong: {detail}", where=where, remedy=remedy)


def list_variables() -> list[str]:
    """List the names of the environment variables that are settings."""
    return [name_variable(key) for key in ("workspace", *list_settings())]


def list_settings() -> list[str]:
    """List all settings, those of sections as `events.queue`."""
    names = []
    for name in Settings.model_fields:
        section = _find_section(name)
        names += [name] if section is None else [f"{name}.{key}" for key in section.model_fields]
    return [name for name in names if name != "workspace"]


def _find_section(name: str) -> type[BaseModel] | None:
    """Return the model of a section such as `events`; None for a setting outside the sections."""
    kind = Settings.model_fields[name].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the settings outside the sections from the environment; their names may be in small letters there.

    Raises:
        ConfigurationError: a variable names a section.
    """
    prefix, found = PREFIX.lower(), dict[str, str]()
    for variable, value in environment.items():
        name = variable.lower().removeprefix(prefix)
        if not variable.lower().startswith(prefix) or name not in Settings.model_fields:
            continue
        if _find_section(name) is not None:
            raise ConfigurationError(
                "one variable cannot set a section of settings",
                where="the environment",
                remedy="set its keys one by one, such as MAILRUN_EVENTS_QUEUE",
            )
        found[name] = value
    return found


def _read_sections(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read the keys of sections from the environment: MAILRUN_EVENTS_QUEUE is `[events] queue`."""
    found: dict[str, dict[str, str]] = {}
    for key in list_settings():
        section, _, name = key.partition(".")
        value = environment.get(name_variable(key)) if name else None
        if value is not None:
            found.setdefault(section, {})[name] = value
    return found
