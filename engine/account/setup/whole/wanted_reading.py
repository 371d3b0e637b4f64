"""The wanted state, from `[ses]` in mailrun.toml and the options of the command."""

import re

import idna

from engine.account.setup.wanted import EventsService, TlsPolicy, WantedState
from engine.errors import ConfigurationError, UsageError, escape_controls
from engine.setting_sections import SesSettings

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_DOMAIN = 253
_OPTIONS = frozenset({"mail_from", "configuration_set", "pool", "dkim_selector", "dmarc"})  # of the command


def read_wanted(settings: SesSettings) -> WantedState:
    """Read the wanted state.

    Args:
        settings: `[ses]`, with the options of the command in it.

    Raises:
        UsageError: there is no domain.
        ConfigurationError: a name is not valid; the error has its key.
    """
    if not settings.domain:
        raise UsageError("no domain is named", where="[ses] domain", remedy="name it: mailrun ses setup acme.example")
    domain = read_domain(settings.domain, "DOMAIN, or [ses] domain")
    return WantedState(
        domain=domain,
        mail_from=_read_subdomain(settings.mail_from, domain, "mail_from"),
        mail_from_rejects=settings.mail_from_failure == "reject",
        dkim_selector=_read_selector(settings.dkim_selector),
        dmarc=_read_dmarc(settings.dmarc),
        configuration_set=_read_name(settings.configuration_set, "configuration_set"),
        tls=None if settings.tls is None else TlsPolicy(settings.tls.upper()),
        pool=_read_name(settings.pool, "pool") if settings.pool else "",
        tracking_domain=(
            read_domain(settings.tracking_domain, "[ses] tracking_domain") if settings.tracking_domain else ""
        ),
        events=None if settings.events is None else EventsService(settings.events),
        events_name=_read_name(settings.events_name, "events_name"),
        events_bucket=settings.events_bucket,
        inbound_domain=_read_subdomain(settings.inbound_domain, domain, "inbound_domain") if settings.inbound else "",
        inbound_name=_read_name(settings.inbound_name, "inbound_name"),
        inbound_rule_set=_read_name(settings.inbound_rule_set, "inbound_rule_set"),
        inbound_bucket=settings.inbound_bucket,
    )


def read_domain(text: str, where: str) -> str:
    """Return a domain in A-labels and lower case.

    Args:
        text: as a person writes it.
        where: the key or option, for the error.

    Raises:
        ConfigurationError: it is not a domain.

    >>> read_domain("Bücher.example.", "DOMAIN")
    'xn--bcher-kva.example'
    """
    name = text.strip().rstrip(".").lower()
    try:
        name = name if name.isascii() and "xn--" not in name else idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        name = ""
    labels = name.split(".")
    is_wrong = len(labels) < 2 or len(name) > _LONGEST_DOMAIN or not all(map(_LABEL.fullmatch, labels))
    if is_wrong or labels[-1].isdigit():  # an IP address: no top-level domain is a number (RFC 3696, section 2)
        shown = escape_controls(text) or "an empty text"
        raise ConfigurationError(f"{shown} is not a domain", where=where, remedy="write it like acme.example")
    return name


def _read_subdomain(text: str, domain: str, key: str) -> str:
    """Return a whole subdomain, from its first labels or the whole name."""
    name = text.strip().rstrip(".").lower()
    if name in ("", domain):
        raise ConfigurationError(
            f"{key} must be a subdomain of {domain}", where=_locate(key), remedy=f"write it like bounce.{domain}"
        )
    return read_domain(name if name.endswith(f".{domain}") else f"{name}.{domain}", _locate(key))


def _locate(key: str) -> str:
    """Name the option, where the command has one, and the key."""
    return f"--{key.replace('_', '-')}, or [ses] {key}" if key in _OPTIONS else f"[ses] {key}"


def _read_selector(text: str) -> str:
    if text and _LABEL.fullmatch(text.lower()) is None:
        raise ConfigurationError(
            f"{escape_controls(text)} is not a selector",
            where=_locate("dkim_selector"),
            remedy="use letters, digits and -, up to 63",
        )
    return text.lower()


def _read_name(text: str, key: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ConfigurationError(
            f"{escape_controls(text)} is not a valid name",
            where=_locate(key),
            remedy="use letters, digits, - and _, up to 64",
        )
    return text


def _read_dmarc(text: str) -> str:
    """Return the text of a DMARC record: it begins with its version and the policy (RFC 7489, section 6.3)."""
    record = text.strip()
    if record and (
        re.match(r"v=DMARC1\s*;\s*p=(none|quarantine|reject)\s*(;|$)", record) is None or not _is_plain(record)
    ):
        raise ConfigurationError(
            "dmarc is not a DMARC record",
            where=_locate("dmarc"),
            remedy="write it like v=DMARC1; p=none; rua=mailto:dmarc@acme.example",
        )
    return record


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
