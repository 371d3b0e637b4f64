"""The account's configuration sets."""

import re
from collections.abc import Iterable
from typing import Any

from engine.sandbox.replies import ApiError, already_exists, bad_request, not_found

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPTIONS = (
    "TrackingOptions", "DeliveryOptions", "ReputationOptions", "SendingOptions", "Tags", "SuppressionOptions",
    "VdmOptions", "ArchivingOptions", "MessageSecurityOptions",
)  # fmt: skip


class ConfigurationSets:
    """The configuration sets of an account.

    Args:
        names: those that exist; None means that a set of any name exists.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._any_name = names is None
        self._sets: dict[str, dict[str, Any]] = {name: _new(name, {}) for name in names or ()}

    def names(self) -> list[str]:
        """Return the names, in order, of the sets that were named in the settings or created since."""
        return sorted(self._sets)

    def check_may_send(self, name: str | None) -> None:
        """Refuse a send through a set that does not exist or is switched off."""
        if name is None:
            return
        if not self.get(name)["SendingOptions"]["SendingEnabled"]:
            raise ApiError("SendingPausedException", f"Sending is paused for configuration set <{name}>.")

    def create(self, request: dict[str, Any]) -> None:
        """Create a set from a CreateConfigurationSet request."""
        name = request.get("ConfigurationSetName")
        if not isinstance(name, str):
            raise bad_request("ConfigurationSetName must be a string.")
        _check_name(name)
        if name in self._sets:
            raise already_exists(f"Configuration set <{name}> already exists.")
        self._sets[name] = _new(name, request)

    def get(self, name: str) -> dict[str, Any]:
        """Return the document of GetConfigurationSet."""
        if name in self._sets:
            return self._sets[name]
        if not self._any_name:
            raise not_found(f"Configuration set <{name}> does not exist.")
        _check_name(name)
        return _new(name, {})

    def delete(self, name: str) -> None:
        """Delete a set."""
        if self._sets.pop(name, None) is None:
            raise not_found(f"Configuration set <{name}> does not exist.")

    def set_sending(self, name: str, *, enabled: bool) -> None:
        """Switch sending through a set on or off."""
        self._sets[name] = {**self.get(name), "SendingOptions": {"SendingEnabled": enabled}}


def _new(name: str, request: dict[str, Any]) -> dict[str, Any]:
    options = {option: request[option] for option in _OPTIONS if request.get(option) is not None}
    sending = {"SendingEnabled": True, **options.pop("SendingOptions", {})}
    return {"ConfigurationSetName": name, "Tags": [], **options, "SendingOptions": sending}


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise bad_request(f"ConfigurationSetName <{name}>: only letters, digits, - and _ are allowed, up to 64.")
