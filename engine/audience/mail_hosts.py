"""MX lookups: which domains accept mail (RFC 5321 5.1, RFC 7505)."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import polars as pl

from engine.audience.planning.plan_files import write_plan_file
from engine.logs import get_logger

log = get_logger()

AT_ONCE = 64  # queries in flight: a number that a caching resolver accepts from one client
SECONDS = 5.0  # per domain, all attempts together
# After this many unresolved domains in a row, assume that there is no DNS and stop asking.
FAILURES_TO_GIVE_UP = 100
REMEMBERED_FOR = timedelta(days=7)
_CACHE_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "domain": pl.String,
    "takes_mail": pl.Boolean,
    "at": pl.Datetime("us", "UTC"),
}


class _Answer(Enum):
    TAKES_MAIL = True
    TAKES_NONE = False
    UNKNOWN = None


class MailHosts:
    """Looks up domains concurrently, each at most once a week.

    Args:
        cache: the file that caches the answers; None for no cache.
        now: the time, aware.
        resolver: the resolver; None for the machine's own.
    """

    def __init__(self, cache: Path | None, now: datetime, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._cache, self._now, self._resolver = cache, now, resolver
        self._known = dict[str, bool]()
        self._new = dict[str, bool]()
        self._failures = 0
        if cache is not None:
            self._known = self._read_cache(cache)

    def look_up(self, domains: Collection[str]) -> tuple[Collection[str], Collection[str]]:
        """Find the domains that certainly accept no mail, and those that could not be resolved.

        A domain accepts mail if it has an MX record, or an address and no MX record. NXDOMAIN and the null MX mean that
        it does not; a timeout, a failing server or a missing network prove nothing.
        """
        asked = [domain for domain in domains if domain not in self._known]
        answers = asyncio.run(self._query_all(asked)) if asked else {}
        learnt = {domain: answer.value for domain, answer in answers.items() if answer.value is not None}
        self._known.update(learnt)
        self._new.update(learnt)
        unknown = {domain for domain, answer in answers.items() if answer is _Answer.UNKNOWN}
        return {domain for domain in domains if self._known.get(domain) is False}, unknown

    def save_cache(self) -> None:
        """Write the new answers and those that have not expired to the cache."""
        if self._cache is None or not self._new:
            return
        kept = self._read(self._cache).filter(~pl.col("domain").is_in(list(self._new)))
        new = pl.DataFrame(
            {"domain": list(self._new), "takes_mail": list(self._new.values()), "at": [self._now] * len(self._new)},
            schema=_CACHE_SCHEMA,
        )
        self._cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_plan_file(self._cache, pl.concat([kept, new]), row_group_rows=100_000)

    def _read_cache(self, cache: Path) -> dict[str, bool]:
        return dict(self._read(cache).select("domain", "takes_mail").iter_rows())

    def _read(self, cache: Path) -> pl.DataFrame:
        nothing = pl.DataFrame(schema=_CACHE_SCHEMA)
        if not cache.is_file():
            return nothing
        try:
            frame = pl.read_parquet(cache, glob=False).select(*_CACHE_SCHEMA)
        except pl.exceptions.PolarsError as error:  # the cache only saves time and is written again
            log.warning("mx_cache.damaged", path=str(cache), error=str(error))
            return nothing
        return frame.filter(pl.col("at") > self._now - REMEMBERED_FOR)

    async def _query_all(self, domains: Iterable[str]) -> dict[str, _Answer]:
        try:
            resolver = self._resolver or dns.asyncresolver.Resolver()
        except (dns.resolver.NoResolverConfiguration, OSError):
            return dict.fromkeys(domains, _Answer.UNKNOWN)
        resolver.lifetime = SECONDS
        free = asyncio.Semaphore(AT_ONCE)
        names = list(domains)
        return dict(zip(names, await asyncio.gather(*(self._ask(resolver, name, free) for name in names)), strict=True))

    async def _ask(self, resolver: dns.asyncresolver.Resolver, domain: str, free: asyncio.Semaphore) -> _Answer:
        async with free:
            if self._failures >= FAILURES_TO_GIVE_UP:
                return _Answer.UNKNOWN
            answer = await _query_mx(resolver, domain)
        self._failures = self._failures + 1 if answer is _Answer.UNKNOWN else 0
        return answer


async def _query_mx(resolver: dns.asyncresolver.Resolver, domain: str) -> _Answer:
    try:
        found = await resolver.resolve(dns.name.from_text(domain), dns.rdatatype.MX, search=False)
    except dns.resolver.NXDOMAIN:
        return _Answer.TAKES_NONE
    except dns.resolver.NoAnswer:
        return await _query_address(resolver, domain)
    except (dns.exception.DNSException, OSError):
        return _Answer.UNKNOWN
    is_null = all(record.exchange == dns.name.root for record in found)
    return _Answer.TAKES_NONE if is_null else _Answer.TAKES_MAIL


async def _query_address(resolver: dns.asyncresolver.Resolver, domain: str) -> _Answer:
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            await resolver.resolve(dns.name.from_text(domain), kind, search=False)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue
        except (dns.exception.DNSException, OSError):
            return _Answer.UNKNOWN
        return _Answer.TAKES_MAIL
    return _Answer.TAKES_NONE
