"""`[audience.checks]`: checks of addresses beyond their grammar, once for each distinct domain."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from functools import cache
from threading import Lock

import polars as pl
from disposable_email_domains import blocklist

from engine.audience.providers import OTHER_PROVIDERS, PROVIDER_DOMAINS, is_national
from engine.audience.spec import CheckAction, ChecksSpec
from engine.quantities import format_count


class Check(StrEnum):
    """What is looked for, in order of precedence."""

    MX = "mx"
    DISPOSABLE = "disposable"
    TYPO = "typo"
    ROLE = "role"


# RFC 2142, and other local parts of an office rather than a person.
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
_TAKES_NO_MAIL = "the domain {} takes no mail: DNS has no mail server for it"
_WORDS = {
    Check.DISPOSABLE: "the domain {} gives throw-away addresses",
    Check.ROLE: "{}@ is a role, not a person",
}

# Domains -> those of them that certainly take no mail, and those of which nothing could be learnt.
LookUp = Callable[[Collection[str]], tuple[Collection[str], Collection[str]]]


class AddressChecks:
    """The checks that a campaign asks for; many threads may judge at once.

    Args:
        spec: which checks, and what they do.
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
        """Whether anything is asked for."""
        return any(action is not CheckAction.OFF for action in self._actions.values())

    def judge(self, keys: pl.Series) -> pl.Series:
        """Check addresses.

        Args:
            keys: normalised, in lower case; null where there is no address.

        Returns:
            `fault`: what a check that excludes has found, or null. What a check that warns has found is counted.
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
        """Forget what was counted: the rows are read once more."""
        self._warned = {check: Counter() for check in Check}

    def notes(self) -> list[str]:
        """Tell what the checks that warn have found; domains, no addresses."""
        notes = []
        for check, found in self._warned.items():
            if found:
                most = "; ".join(
                    f"{words} ({count:,})"
                    for words, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_NOTED]
                )
                more = f"; and {len(found) - _NOTED:,} more" if len(found) > _NOTED else ""
                rows = format_count(found.total(), "row")
                notes.append(f"{rows} with an address that the check {check} objects to: {most}{more}")
        if self._unknown:
            notes.append(f"not resolved in DNS, and treated as valid: {format_count(self._unknown, 'domain')}")
        return notes

    def _count(self, check: Check, found: pl.Series) -> None:
        counts = dict(found.value_counts().iter_rows())
        with self._lock:
            self._warned[check].update(counts)

    def _judge_domains(self, domains: pl.Series) -> pl.DataFrame:
        """A row for each domain, a column for each check of domains: words, or null."""
        names = domains.to_list()
        with self._lock:
            new = sorted(name for name in names if name not in self._known)
            self._known.update(zip(new, self._look_into(new), strict=True))
        found = [self._known[name] for name in names]
        checks = [check for check in Check if check is not Check.ROLE]
        columns = {check.value: pl.Series([item.get(check) for item in found], dtype=pl.String) for check in checks}
        return pl.DataFrame({"domain": domains} | columns)

    def _look_into(self, domains: list[str]) -> Iterable[dict[Check, str]]:
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
            found[Check.TYPO] = f"the domain {domain} looks mistyped: did they mean {meant}?"
        return found


@cache
def _read_disposable() -> frozenset[str]:
    return frozenset(blocklist)


def is_disposable(domain: str, allowed: Collection[str] = ()) -> bool:
    """Whether a domain, or one that it lies in, is on the list of throw-away domains and not allowed."""
    labels = domain.split(".")
    around = [".".join(labels[begin:]) for begin in range(len(labels) - 1)]
    return not any(name in allowed for name in around) and any(name in _read_disposable() for name in around)


def find_typo(domain: str) -> str | None:
    """The large provider's domain from which this one differs by one slip of a finger.

    One letter more, less or other, or two letters swapped. Domains that really are providers' are none, however alike:
    neither those that are known, nor a country's domain of a provider that has some (`is_national`).

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
    candidates = {meant for variant in variants for meant in _slips().get(variant, ()) if _is_one_slip(domain, meant)}
    return min(candidates, key=list(PROVIDER_DOMAINS).index, default=None)


_LONGEST_PROVIDER = max(map(len, PROVIDER_DOMAINS))
# A slip makes almost any two short domains alike.
_SHORTEST_PROVIDER = 8


@cache
def _slips() -> dict[str, list[str]]:
    """The providers' domains, and each with a letter less -> the domains that it comes from."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for domain in PROVIDER_DOMAINS:
        if len(domain) >= _SHORTEST_PROVIDER:
            for variant in {domain, *_with_a_letter_less(domain)}:
                found[variant].append(domain)
    return dict(found)


def _is_one_slip(one: str, other: str) -> bool:
    """Whether a letter more, less or other, or two letters swapped, makes one text the other."""
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
