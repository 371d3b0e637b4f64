"""`mailrun config`: every setting with its value and its source."""

from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct
from pydantic import BaseModel, SecretStr

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import read_settings
from engine.cli.suggestions import find_given
from engine.masking import MASK, mask_secrets, mask_url
from engine.setting_sources import Source, find_source
from engine.settings import Settings, list_settings
from engine.store.keys import UNSUBSCRIBE_KEY

_URLS = ("ledger", "smtp_url", "events.queue", "store")


class Shown(Struct, frozen=True):
    """A setting as people may see it.

    Attributes:
        key: its name, those of sections as `events.queue`.
        value: of JSON's types, without secrets.
        used: what a command uses if it is not the value itself, such as the default ledger.
    """

    key: str
    value: Any
    source: Source
    used: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `settings` in --json."""
        used = {"used": self.used} if self.used else {}
        return {"value": self.value, **used, "source": self.source.kind, "where": self.source.place or None}

    def to_line(self, width: int) -> str:
        """Write it on one line for people."""
        value = ", ".join(map(str, self.value)) if isinstance(self.value, list) else str(self.value or "")
        used = f"{value} ({self.used})" if value and self.used else value or self.used or "(none)"
        return f"{self.key:<{width}}  {used}  [{self.source.place or self.source.kind}]"


@with_common
def config(common: Common) -> None:
    """Print all settings."""
    settings = read_settings(common)
    shown = list(list_shown(settings, common))
    if common.json:
        print_json({"settings": {one.key: one.to_json() for one in shown}})
        return
    width = max(len(one.key) for one in shown)
    print_lines(*(one.to_line(width) for one in shown))


def list_shown(settings: Settings, common: Common) -> Iterator[Shown]:
    """List all settings in the order of the reference."""
    yield Shown("workspace", str(settings.workspace), _find_workspace_source(common))
    used = {
        "ledger": "" if settings.ledger else mask_url(settings.ledger_url),
        "store": "" if settings.in_bucket else str(settings.store_folder),
        "unsubscribe_keys": _describe_keys(settings),
        "scratch": str(settings.store_folder) if settings.in_bucket else str(settings.scratch_folder or ""),
    }
    for key in list_settings():
        value: Any = settings
        for name in key.split("."):
            value = getattr(value, name)
        source = find_source(key, settings.workspace, {"store": common.store, "ledger": common.ledger})
        shown = _mask(key, value)
        yield Shown(key, shown, source, "" if used.get(key) == shown else used.get(key, ""))


def _describe_keys(settings: Settings) -> str:
    own = f"{UNSUBSCRIBE_KEY} of the store"
    if settings.unsubscribe_keys or settings.unsubscribe_keys_file:
        return f"the first key signs; {own}, if there is one, still verifies"
    return f"{own} signs and verifies"


def _mask(key: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else None
    if isinstance(value, tuple):
        return [_mask(key, one) for one in value]
    if isinstance(value, BaseModel):
        return {name: _mask(key, one) for name in value.model_fields_set if (one := getattr(value, name)) is not None}
    if isinstance(value, dict):
        return {name: _mask(key, one) for name, one in value.items()} or None
    if value is None or isinstance(value, int | float | bool):
        return value
    return (mask_url(str(value)) if key in _URLS else mask_secrets(str(value))) or None


def _find_workspace_source(common: Common) -> Source:
    if common.workspace is None:
        return Source("default", "the nearest folder with campaigns/")
    is_given = find_given(click.get_current_context(), "workspace") is not None
    return Source("option", "--workspace") if is_given else Source("variable", "MAILRUN_WORKSPACE")
