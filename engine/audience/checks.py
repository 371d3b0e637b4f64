"""`[audience.checks]`: checks of addresses beyond syntax, once per distinct domain."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from functools import cache
from threading import Lock

import polars as pl

from engine.audience.providers import OTHER_PROVIDERS, PROVIDER_DOMAINS, is_national
from engine.audience.spec import CheckAction, ChecksSpec
from engine.on_demand import OnDemand
from engine.quantities import format_count

_BLOCKLIST = OnDemand("disposable_email_domains:blocklist")  # large, and few campaigns check for them


class Check(StrEnum):
    """The checks, in order of precedence."""

    MX = "mx"
    DISPOSABLE = "disposable"
    TYPO = "typo"
    ROLE = "role"


# RFC 2142, and other local parts that name a role and not a person.
ROLES = frozenset(
    """
    abuse accounts accounting admin administrator billing compliance contact devnull dns enquiries ftp help helpdesk
    hello hostmaster hr info inoc investorrelations ispfeedback ispsupport jobs legal list list-request mail
    mailer-daemon maildaemon marketing media news newsletter no-reply noc nobody noreply null office phish phishing
    postmaster press privacy registrar remove root sales security service spam support sysadmin tech trouble
    undisclosed-recipients unsubscribe usenet uucp webmaster www
    """.split()  # noqa: SIM905 - a list of words is read as words
)
_NOTED = 5
_TAKES_NO_MAIL = "the domain {} accepts no mail: DNS has no mail server for it"
_WORDS = {
    Check.DISPOSABLE: "the domain {} provides disposable addresses",
    Check.ROLE: "{}@ is a role address, not a person",
}

# Domains -> those that certainly accept no mail, and those that could not be resolved.
LookUp = Callable[[Collection[str]], tuple[Collection[str], Collection[str]]]


class AddressChecks:
    """The checks that a campaign enables. Thread-safe.

    Args:
        spec: the enabled checks, each with `exclude` or `warn`.
        look_up: finds domains without mail servers; used where `mx` is on.
    """

    def __init__(self, spec: ChecksSpec, look_up: LookUp | None = None) -> None:
        self._actions: Mapping[Check, CheckAction] = {check: getattr(spec, check.value) for check in Check}
        self._allowed = frozenset(item.lower() for item in spec.allow)
        self._look_up = look_up
        self._lock = Lock()
        self._known: dict[str, dict[Check, str]] = {}
        self._unknown = 0
        self._warned: dict[Check, Counter[str]] = {check: Counter() for check in Check}

    @property
    def are_on(self) -> bool:
        """Whether any check is enabled."""
        return any(action is not CheckAction.OFF for action in self._actions.values())

    def judge(self, keys: pl.Series) -> pl.Series:
        """Check addresses.

        Args:
            keys: normalised, in lower case; null where there is no address.

        Returns:
            `fault`: the finding of a check that excludes, or null. Findings of checks that warn are counted.
        """
        parts = pl.DataFrame({"key": keys}).select(
            domain=pl.col("key").str.extract("@(.*)$"), local=pl.col("key").str.extract(r"^([^@+]*)")
        )
        found = parts.join(
            self._judge_domains(parts.get_column("domain").drop_nulls().unique()),
            on="domain",
            how="left",
            maintain_order="left",
        )
        role = pl.when(pl.col("local").is_in(sorted(ROLES - self._allowed)) & pl.col("domain").is_not_null())
        found = found.with_columns(role.then(pl.format(_WORDS[Check.ROLE], "local")).alias(Check.ROLE.value))
        faults = []
        for check, action in self._actions.items():
            if action is CheckAction.EXCLUDE:
                faults.append(pl.col(check.value))
            elif action is CheckAction.WARN:
                self._count(check, found.get_column(check.value).drop_nulls())
        return found.select(fault=pl.coalesce(*faults, pl.lit(None, dtype=pl.String))).to_series()

    def begin_again(self) -> None:
        """Reset the counts before the rows are read again."""
        self._warned = {check: Counter() for check in Check}

    def notes(self) -> list[str]:
        """Report the findings of the checks that warn: domains, never addresses."""
        notes = []
        for check, found in self._warned.items():
            if found:
                most = "; ".join(
                    f"{words} ({count:,})"
                    for words, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_NOTED]
                )
                more = f"; and {len(found) - _NOTED:,} more" if len(found) > _NOTED else ""
                rows = format_count(found.total(), "row")
                notes.append(f"{rows} with an address that fails the check {check}: {most}{more}")
        if self._unknown:
            notes.append(f"not resolved in DNS, and treated as valid: {format_count(self._unknown, 'domain')}")
        return notes

    def _count(self, check: Check, found: pl.Series) -> None:
        counts = dict(found.value_counts().iter_rows())
        with self._lock:
            self._warned[check].update(counts)

    def _judge_domains(self, domains: pl.Series) -> pl.DataFrame:
        """Return a row per domain and a column per check of domains: the finding, or null."""
        names = domains.to_list()
        with self._lock:
            new = sorted(name for name in names if name not in self._known)
            self._known.update(zip(new, self._classify_domains(new), strict=True))
        found = [self._known[name] for name in names]
        checks = [check for check in Check if check is not Check.ROLE]
        columns = {check.value: pl.Series([item.get(check) for item in found], dtype=pl.String) for check in checks}
        return pl.DataFrame({"domain": domains} | columns)

    def _classify_domains(self, domains: list[str]) -> Iterable[dict[Check, str]]:
        asked = [domain for domain in domains if domain not in self._allowed]
        dead: Collection[str] = ()
        if self._look_up and self._actions[Check.MX] is not CheckAction.OFF and asked:
            dead, unknown = self._look_up(asked)
            self._unknown += len(unknown)
        return [self._look_at(domain, is_dead=domain in dead) for domain in domains]

    def _look_at(self, domain: str, *, is_dead: bool) -> dict[Check, str]:
        found: dict[Check, str] = {}
        if domain in self._allowed:
            return found
        if is_dead:
            found[Check.MX] = _TAKES_NO_MAIL.format(domain)
        if self._actions[Check.DISPOSABLE] is not CheckAction.OFF and is_disposable(domain, self._allowed):
            found[Check.DISPOSABLE] = _WORDS[Check.DISPOSABLE].format(domain)
        if self._actions[Check.TYPO] is not CheckAction.OFF and (meant := find_typo(domain)):
            found[Check.TYPO] = f"the domain {domain} looks mistyped: did you mean {meant}?"
        return found


@cache
def _read_disposable() -> frozenset[str]:
    return frozenset(_BLOCKLIST.load())


def is_disposable(domain: str, allowed: Collection[str] = ()) -> bool:
    """Whether a domain or one of its parents is on the list of disposable domains and not allowed."""
    labels = domain.split(".")
    around = [".".join(labels[begin:]) for begin in range(len(labels) - 1)]
    return not any(name in allowed for name in around) and any(name in _read_disposable() for name in around)


def find_typo(domain: str) -> str | None:
    """Return the large provider's domain from which this one differs by a single typing error.

    A typing error is one letter added, missing or replaced, or two letters swapped. Real domains of providers are never
    reported: neither the known ones, nor the national domains of an international provider (`is_national`).

    >>> find_typo("gmial.com"), find_typo("hotmail.con"), find_typo("gmx.net"), find_typo("acme.example")
    ('gmail.com', 'hotmail.com', None, None)
    >>> find_typo("hotmail.be"), find_typo("yahoo.com.ve"), find_typo("hotmail.co")
    (None, None, 'hotmail.com')
    """
    if domain in PROVIDER_DOMAINS or domain in OTHER_PROVIDERS or len(domain) > _LONGEST_PROVIDER + 1:
        return None
    if is_national(domain):
        return None
    variants = {domain, *_with_a_letter_less(domain), *_with_two_swapped(domain)}
    candidates = {
        meant
        for variant in variants
        for meant in _index_typing_errors().get(variant, ())
        if _is_one_typing_error(domain, meant)
    }
    return min(candidates, key=list(PROVIDER_DOMAINS).index, default=None)


_LONGEST_PROVIDER = max(map(len, PROVIDER_DOMAINS))
# Almost any two short domains differ by a single letter.
_SHORTEST_PROVIDER = 8


@cache
def _index_typing_errors() -> dict[str, list[str]]:
    """Map the providers' domains, and each without one letter, to the domains that they come from."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for domain in PROVIDER_DOMAINS:
        if len(domain) >= _SHORTEST_PROVIDER:
            for variant in {domain, *_with_a_letter_less(domain)}:
                found[variant].append(domain)
    return dict(found)


def _is_one_typing_error(one: str, other: str) -> bool:
    """Whether one letter added, missing or replaced, or two letters swapped, turns one text into the other."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == len(other) == 2 and one == other[::-1])


def _with_a_letter_less(domain: str) -> list[str]:
    return [domain[:place] + domain[place + 1 :] for place in range(len(domain))]


def _with_two_swapped(domain: str) -> list[str]:
    return [
        domain[:place] + domain[place + 1] + domain[place] + domain[place + 2 :] for place in range(len(domain) - 1)
    ]
