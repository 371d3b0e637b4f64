"""What happens to accepted mail: bounces, complaints, opens and the rest, by receiver domain and rate, from one seed.

The random draws of an address are a keyed hash of it, so that the same seed gives the same address the same fate in any
order of messages, and however often their events are made.
"""

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import fields

from engine.sandbox.ses.simulator import SIMULATOR_DOMAIN, mailbox_of

EVENT_TYPES = (
    "Send", "Delivery", "Bounce", "Complaint", "Reject", "Open", "Click", "DeliveryDelay", "Subscription",
    "Rendering Failure",
)  # fmt: skip
BEHAVIOUR_FILE = "behaviour.json"  # in the record's folder, for sandboxes without another behaviour
ENVELOPES = ("raw", "sns", "eventbridge")
SIGNATURE_VERSIONS = ("1", "2")
BOUNCES = MappingProxyType(
    {
        "Permanent": (
            "General", "NoEmail", "Suppressed", "OnAccountSuppressionList", "OnTenantSuppressionList",
            "EmailValidationSuppressed", "UnsubscribedRecipient",
        ),
        "Transient": (
            "General", "MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected",
            "CustomTimeoutExceeded",
        ),
        "Undetermined": ("Undetermined",),
    }
)  # fmt: skip
COMPLAINTS = ("abuse", "auth-failure", "fraud", "not-spam", "other", "virus")
MOST_SHUFFLED = 10_000  # events that are held to shuffle them, which bounds the memory
_RATES = ("reject", "delay", "out_of_office", "open", "click", "unsubscribe")
_CERTAIN = 1 << 64


class BehaviourRule(Struct, frozen=True):
    """What happens to mail to a domain; every rate is the share of its addresses.

    Attributes:
        bounces: `TYPE/SUBTYPE` to rate, such as `Permanent/General`; the others receive it.
        complaints: feedback type, such as `abuse`, to rate, of those who received it.
        reject: SES finds a virus.
        delay: the delivery is delayed first.
        out_of_office: an automatic reply comes after the delivery.
        open, click: of those who received it; a click implies an open.
        unsubscribe: by SES's own subscription management, of those who received it.
        after: event type to seconds between acceptance and event; 0 for the types that are not named.
    """

    bounces: Mapping[str, float] = field(default_factory=dict)
    complaints: Mapping[str, float] = field(default_factory=dict)
    reject: float = 0.0
    delay: float = 0.0
    out_of_office: float = 0.0
    open: float = 0.0
    click: float = 0.0
    unsubscribe: float = 0.0
    after: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        """Whether everything is delivered, and nothing else happens."""
        return not (self.bounces or self.complaints or any(getattr(self, name) for name in _RATES))


class Fate(Struct, frozen=True):
    """What happens to one recipient's message.

    Attributes:
        bounce: type and subtype, where it bounces in place of being delivered.
        complaint: the feedback type, where its recipient complains.
        complaint_subtype: `OnAccountSuppressionList` where SES did not attempt it, because of an earlier complaint.
        others: further names of `_RATES` that occur.
    """

    bounce: tuple[str, str] | None = None
    complaint: str | None = None
    complaint_subtype: str | None = None
    others: frozenset[str] = frozenset()


DELIVERED = Fate()
_SIMULATED = {
    "bounce": Fate(bounce=("Permanent", "General")),
    "complaint": Fate(complaint="abuse"),
    "ooto": Fate(others=frozenset({"out_of_office"})),
    "suppressionlist": Fate(bounce=("Permanent", "Suppressed")),
}


class Behaviour(Struct, frozen=True):
    """What happens to all mail, and how its events are delivered.

    Attributes:
        seed: of the random draws.
        default: for every domain without its own rule.
        domains: domain, in lower case, to rule.
        duplicates: the share of events that are delivered twice.
        shuffle: so many events are held and delivered in random order; 1 keeps the order.
        envelope: one of `ENVELOPES`, for the queue.
        signature_version: of the SNS envelope.
        auto_suppress: permanent bounces and complaints are added to the account's suppression list.
    """

    seed: int = 0
    default: BehaviourRule = BehaviourRule()
    domains: Mapping[str, BehaviourRule] = field(default_factory=dict)
    duplicates: float = 0.0
    shuffle: int = 1
    envelope: str = "raw"
    signature_version: str = "1"
    auto_suppress: bool = True

    @classmethod
    def from_document(cls, document: Any) -> "Behaviour":
        """Return a behaviour from a JSON document.

        Raises:
            ValueError: a member is unknown or wrong; the text names it.
        """
        known = _members_of(cls, document, "behaviour")
        if "default" in known:
            known["default"] = _read_rule(known["default"], "default")
        if "domains" in known:
            domains = _mapping("domains", known["domains"])
            known["domains"] = {name.lower(): _read_rule(rule, f"domains.{name}") for name, rule in domains.items()}
        _check_integer(known, "seed", least=-(2**63), most=2**63 - 1)
        _check_integer(known, "shuffle", least=1, most=MOST_SHUFFLED)
        _check_word(known, "envelope", ENVELOPES)
        _check_word(known, "signature_version", SIGNATURE_VERSIONS)
        if not isinstance(known.get("auto_suppress", True), bool):
            raise ValueError("auto_suppress must be true or false")  # noqa: TRY004 - one kind of error for a bad document
        if "duplicates" in known:
            known["duplicates"] = _rate("duplicates", known["duplicates"])
        return cls(**known)

    def document(self) -> dict[str, Any]:
        """Return the behaviour as a JSON document."""
        document = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        document["default"] = _describe(self.default)
        document["domains"] = {name: _describe(rule) for name, rule in self.domains.items()}
        return document

    @property
    def is_quiet(self) -> bool:
        """Whether all mail but the simulator's is delivered, and nothing else happens."""
        return self.default.is_quiet and all(rule.is_quiet for rule in self.domains.values())

    def rule_of(self, address: str) -> BehaviourRule:
        """Return the rule of an address."""
        return self.domains.get(address.rpartition("@")[2].lower(), self.default)

    def delays(self) -> set[float]:
        """Return every number of seconds after which any event comes."""
        return {0.0, *(seconds for rule in (self.default, *self.domains.values()) for seconds in rule.after.values())}

    def fate_of(self, address: str, *, suppressed: str | None = None) -> Fate:
        """Return what happens to a message to an address.

        Args:
            address: the recipient.
            suppressed: why it was on the account's suppression list, `BOUNCE` or `COMPLAINT`; None if it was not.
        """
        if suppressed is not None:
            return _ON_LIST[suppressed]
        if address.lower().endswith(SIMULATOR_DOMAIN):
            return _SIMULATED.get(mailbox_of(address), DELIVERED)
        rule = self.rule_of(address)
        return DELIVERED if rule.is_quiet else self._roll(rule, address)

    def _roll(self, rule: BehaviourRule, address: str) -> Fate:
        digest = blake2b(address.lower().encode(), key=self.seed.to_bytes(8, "big", signed=True)).digest()
        dice = [int.from_bytes(digest[at : at + 8], "big") for at in range(0, 64, 8)]
        happens = {name for name, die in zip(_RATES, dice[2:], strict=True) if die < getattr(rule, name) * _CERTAIN}
        if "reject" in happens:
            return Fate(others=frozenset({"reject"}))
        if bounce := _choose(rule.bounces, dice[0]):
            kind, _, subtype = bounce.partition("/")
            return Fate(bounce=(kind, subtype), others=frozenset(happens & {"delay"}))
        if "click" in happens:
            happens.add("open")
        return Fate(complaint=_choose(rule.complaints, dice[1]), others=frozenset(happens))


_ON_LIST = {
    "BOUNCE": Fate(bounce=("Permanent", "OnAccountSuppressionList")),
    "COMPLAINT": Fate(complaint="abuse", complaint_subtype="OnAccountSuppressionList"),
}


def _choose(rates: Mapping[str, float], die: int) -> str | None:
    """Return the name whose share of the range a draw falls into; None where it falls into none."""
    end = 0.0
    for name, rate in rates.items():
        end += rate
        if die < end * _CERTAIN:
            return name
    return None


def _describe(rule: BehaviourRule) -> dict[str, Any]:
    document = {entry.name: getattr(rule, entry.name) for entry in fields(rule)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in document.items() if value}


def _read_rule(document: Any, where: str) -> BehaviourRule:
    known = _members_of(BehaviourRule, document, where)
    allowed = {f"{kind}/{subtype}" for kind, subtypes in BOUNCES.items() for subtype in subtypes}
    for name, names in (("bounces", allowed), ("complaints", set(COMPLAINTS))):
        if name in known:
            known[name] = _read_rates(f"{where}.{name}", known[name], names)
    for name in _RATES:
        if name in known:
            known[name] = _rate(f"{where}.{name}", known[name])
    if "after" in known:
        after = _mapping(f"{where}.after", known["after"])
        known["after"] = {kind: _seconds(f"{where}.after.{kind}", kind, value) for kind, value in after.items()}
    return BehaviourRule(**known)


def _read_rates(where: str, document: Any, names: set[str]) -> dict[str, float]:
    rates = {name: _rate(f"{where}.{name}", value) for name, value in _mapping(where, document).items()}
    unknown = sorted(set(rates) - names)
    if unknown:
        raise ValueError(f"{where}: {unknown[0]} is unknown; use {', '.join(sorted(names))}")
    if sum(rates.values()) > 1 + 1e-9:
        raise ValueError(f"{where}: the rates add up to more than 1")
    return rates


def _members_of(cls: type, document: Any, where: str) -> dict[str, Any]:
    names = [entry.name for entry in fields(cls)]
    unknown = sorted(set(_mapping(where, document)) - set(names))
    if unknown:
        raise ValueError(f"{unknown[0]} is not a member of {where}; use {', '.join(names)}")
    return dict(document)


def _mapping(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a JSON object")  # noqa: TRY004 - one kind of error for a bad document
    return value


def _rate(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{where} must be a number from 0 to 1")
    return float(value)


def _seconds(where: str, kind: str, value: Any) -> float:
    if kind not in EVENT_TYPES:
        raise ValueError(f"{where}: unknown event type; use {', '.join(EVENT_TYPES)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"{where} must be a number of seconds from 0")
    return float(value)


def _check_integer(document: Mapping[str, Any], name: str, *, least: int, most: int) -> None:
    value = document.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be an integer from {least} to {most}")


def _check_word(document: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if document.get(name, allowed[0]) not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
