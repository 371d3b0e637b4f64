"""The account's configuration sets."""

import re
from collections.abc import Iterable
from typing import Any

from engine.sandbox.http.replies import ApiError, already_exists, bad_request, not_found
from engine.sandbox.ses.members import items, one_of, optional, required

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_DESTINATIONS = 10
EVENT_TYPES = {
    "SEND": "Send", "REJECT": "Reject", "BOUNCE": "Bounce", "COMPLAINT": "Complaint", "DELIVERY": "Delivery",
    "OPEN": "Open", "CLICK": "Click", "RENDERING_FAILURE": "Rendering Failure", "DELIVERY_DELAY": "DeliveryDelay",
    "SUBSCRIPTION": "Subscription",
}  # fmt: skip
_DESTINATIONS = (
    "SnsDestination", "EventBridgeDestination", "KinesisFirehoseDestination", "CloudWatchDestination",
    "PinpointDestination",
)  # fmt: skip
_OPTIONS = (
    "TrackingOptions", "DeliveryOptions", "ReputationOptions", "SendingOptions", "Tags", "SuppressionOptions",
    "VdmOptions", "ArchivingOptions", "MessageSecurityOptions",
)  # fmt: skip
# Last part of the path of a PUT, to the options that it replaces.
OPTIONS = {
    "delivery-options": "DeliveryOptions", "reputation-options": "ReputationOptions",
    "suppression-options": "SuppressionOptions", "tracking-options": "TrackingOptions", "vdm-options": "VdmOptions",
}  # fmt: skip
_TLS = ("REQUIRE", "OPTIONAL")
_REASONS = ("BOUNCE", "COMPLAINT")


class ConfigurationSets:
    """The configuration sets of an account.

    Args:
        names: those that exist; None means that a set of any name exists.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._any_name = names is None
        self._destinations: dict[str, dict[str, dict[str, Any]]] = {}
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
        _check_options(request)
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
        self._destinations.pop(name, None)

    def publishes(self, name: str | None, kind: str) -> bool:
        """Return whether events of a type are published for mail through a set: those that its destinations name.

        Without a set, or where it has no destination, all are published, so that the sandbox shows them.
        """
        destinations = self._destinations.get(name or "")
        return not destinations or any(
            one["Enabled"] and kind in map(EVENT_TYPES.get, one["MatchingEventTypes"]) for one in destinations.values()
        )

    def put_destination(self, name: str, request: dict[str, Any], destination: str | None = None) -> None:
        """Create an event destination, or update one that is named."""
        self.get(name)
        known = self._destinations.setdefault(name, {})
        title = destination or required(request, "EventDestinationName", str)
        _check_name(title)
        if destination is None and title in known:
            raise already_exists(f"Event destination <{title}> already exists.")
        if destination is not None and title not in known:
            raise not_found(f"Event destination <{title}> does not exist.")
        if destination is None and len(known) >= MAX_DESTINATIONS:
            raise ApiError("LimitExceededException", f"A set has at most {MAX_DESTINATIONS} destinations.")
        known[title] = _read_destination(title, required(request, "EventDestination", dict))

    def destinations(self, name: str) -> list[dict[str, Any]]:
        """Return the event destinations of a set."""
        self.get(name)
        return list(self._destinations.get(name, {}).values())

    def delete_destination(self, name: str, destination: str) -> None:
        """Delete an event destination."""
        self.get(name)
        if self._destinations.get(name, {}).pop(destination, None) is None:
            raise not_found(f"Event destination <{destination}> does not exist.")

    def set_sending(self, name: str, *, enabled: bool) -> None:
        """Switch sending through a set on or off."""
        self._sets[name] = {**self.get(name), "SendingOptions": {"SendingEnabled": enabled}}

    def put_options(self, name: str, option: str, request: dict[str, Any]) -> None:
        """Replace the options of one kind.

        Args:
            name: of the set.
            option: such as DeliveryOptions.
            request: such as of PutConfigurationSetDeliveryOptions.
        """
        given = optional(request, "VdmOptions", dict) or {} if option == "VdmOptions" else request
        _check_options({option: given})
        kept = {member: value for member, value in given.items() if value is not None}
        self._sets[name] = {**self.get(name), option: kept}


def _check_options(request: dict[str, Any]) -> None:
    """Refuse options with a wrong value."""
    delivery = optional(request, "DeliveryOptions", dict) or {}
    one_of(delivery, "TlsPolicy", _TLS, path="DeliveryOptions.")
    optional(delivery, "SendingPoolName", str, path="DeliveryOptions.")
    optional(optional(request, "ReputationOptions", dict) or {}, "ReputationMetricsEnabled", bool)
    suppression = optional(request, "SuppressionOptions", dict) or {}
    if set(items(suppression, "SuppressedReasons", str)) - set(_REASONS):
        raise bad_request(f"SuppressionOptions.SuppressedReasons must be of {', '.join(_REASONS)}.")
    optional(optional(request, "TrackingOptions", dict) or {}, "CustomRedirectDomain", str)


def _read_destination(name: str, given: dict[str, Any]) -> dict[str, Any]:
    types = items(given, "MatchingEventTypes", str, path="EventDestination.")
    unknown = sorted(set(types) - set(EVENT_TYPES))
    if unknown or not types:
        raise bad_request(f"EventDestination.MatchingEventTypes must be of {', '.join(EVENT_TYPES)}.")
    kinds = [kind for kind in _DESTINATIONS if given.get(kind) is not None]
    if len(kinds) != 1:
        raise bad_request(f"EventDestination must have exactly one of {', '.join(_DESTINATIONS)}.")
    enabled = bool(optional(given, "Enabled", bool, path="EventDestination."))
    return {"Name": name, "Enabled": enabled, "MatchingEventTypes": types, kinds[0]: given[kinds[0]]}


def _new(name: str, request: dict[str, Any]) -> dict[str, Any]:
    options = {option: request[option] for option in _OPTIONS if request.get(option) is not None}
    sending = {"SendingEnabled": True, **options.pop("SendingOptions", {})}
    return {"ConfigurationSetName": name, "Tags": [], **options, "SendingOptions": sending}


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise bad_request(f"ConfigurationSetName <{name}>: only letters, digits, - and _ are allowed, up to 64.")
