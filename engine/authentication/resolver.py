"""DNS questions of the checks: each answer is records, a certain absence, or unknown.

A time-out, a failing server or a missing network prove nothing, so none of them counts as a missing record.
"""

import asyncio
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
from msgspec import Struct

from engine.clock import Clock, SystemClock

QUERY_SECONDS = 5.0  # of one question, all tries together
ALL_SECONDS = 60.0  # of all questions of a command; then every answer is unknown
AT_ONCE = 32  # questions in flight
CHAIN_MAXIMUM = 16  # aliases that are followed, as recursive resolvers do


class Absence(StrEnum):
    """Why there is certainly no record."""

    NXDOMAIN = "nxdomain"  # the name does not exist
    NODATA = "nodata"  # the name exists without a record of this type
    INVALID_NAME = "invalid_name"  # no such name can exist: a label is empty or too long


class Doubt(StrEnum):
    """Why it is not known whether there is a record."""

    TIMEOUT = "timeout"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"  # the reply cannot be read
    CHAIN = "chain"  # the chain of CNAME records is a loop or too long
    NO_RESOLVER = "no_resolver"  # this machine names no server


class Records(Struct, frozen=True):
    r"""The records of a name.

    Attributes:
        name: as asked, in lower case without a final dot.
        values: one text for each record. TXT: its strings joined; bytes that are not UTF-8 as \xHH. MX: preference and
            host, see read_exchangers. Others as in a zone file. Names are in lower case without a final dot.
        chain: the CNAME targets on the way, the last owns the records; empty where the name owns them itself.
    """

    name: str
    values: tuple[str, ...]
    chain: tuple[str, ...] = ()


class Absent(Struct, frozen=True):
    """There is no such record.

    Attributes:
        name: as asked.
        reason: whether the name exists.
        chain: the CNAME targets on the way; not empty where an alias leads nowhere.
    """

    name: str
    reason: Absence
    chain: tuple[str, ...] = ()


class Unknown(Struct, frozen=True):
    """The question was not answered."""

    name: str
    reason: Doubt


Answer: TypeAlias = Records | Absent | Unknown


class Resolver(Protocol):
    """What asks DNS."""

    async def query(self, name: str, kind: str) -> Answer:
        """Ask for the records of a name.

        Args:
            name: with or without a final dot; not a Unicode name.
            kind: TXT, MX, CNAME, A, AAAA or PTR.
        """
        ...


class MailExchanger(Struct, frozen=True):
    """One MX record. The host is empty for the null MX (RFC 7505)."""

    preference: int
    host: str


def read_exchangers(records: Records) -> list[MailExchanger]:
    """Read the values of an answer to MX, in the order of preference."""
    pairs = (value.partition(" ") for value in records.values)
    return sorted(
        (MailExchanger(int(preference), host) for preference, _, host in pairs),
        key=lambda one: (one.preference, one.host),
    )


def open_nameservers(nameservers: Sequence[str]) -> dns.asyncresolver.Resolver:
    """Make a resolver of dnspython that asks these servers.

    Args:
        nameservers: `IP` or `IP:PORT`, an IPv6 address with a port in brackets; empty for those of the machine.

    Raises:
        dns.resolver.NoResolverConfiguration: the machine names none.
        OSError: what names them cannot be read.
    """
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host, port) for host, port in map(split_nameserver, nameservers)
        ]
    return resolver


class DnsResolver:
    """Asks name servers over UDP, and over TCP where an answer is truncated. Asks each question once.

    Args:
        nameservers: `IP` or `IP:PORT`, an IPv6 address with a port in brackets; empty for those of the machine.
        query_seconds: for one question.
        all_seconds: for all questions from the first on; later ones are answered with a time-out.
        clock: for all_seconds.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        *,
        query_seconds: float = QUERY_SECONDS,
        all_seconds: float = ALL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._nameservers = tuple(nameservers)
        self._query_seconds, self._all_seconds = query_seconds, all_seconds
        self._clock = clock or SystemClock()
        self._end: float | None = None
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._free = asyncio.Semaphore(AT_ONCE)
        self._asked = dict[tuple[str, str], asyncio.Task[Answer]]()

    async def query(self, name: str, kind: str) -> Answer:
        """Answer from what this command has asked before, else ask; see Resolver."""
        key = (name.lower().removesuffix("."), kind)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._ask(*key))
        return await asyncio.shield(self._asked[key])

    async def _ask(self, name: str, kind: str) -> Answer:
        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            return Absent(name, Absence.INVALID_NAME)
        try:
            resolver = self._resolver = self._resolver or self._open()
        except (dns.resolver.NoResolverConfiguration, OSError):
            return Unknown(name, Doubt.NO_RESOLVER)
        async with self._free:
            return await self._follow(resolver, name, asked, kind)

    def _open(self) -> dns.asyncresolver.Resolver:
        resolver = open_nameservers(self._nameservers)
        resolver.timeout = self._query_seconds / 2  # of one try
        resolver.use_search_by_default = False
        return resolver

    async def _follow(self, resolver: dns.asyncresolver.Resolver, name: str, asked: dns.name.Name, kind: str) -> Answer:
        """Ask, and ask again for the target where the server gives an alias without what it leads to."""
        chain: list[dns.name.Name] = []
        end = self._clock.monotonic() + min(self._query_seconds, self._remaining())
        while len(chain) <= CHAIN_MAXIMUM:
            reply = await _ask_servers(resolver, asked, kind, end - self._clock.monotonic())
            if isinstance(reply, Doubt):
                return Unknown(name, reply)
            chain += reply.chain
            if reply.values:
                return Records(name, reply.values, _name_all(chain))
            if reply.absence is not None:
                return Absent(name, reply.absence, _name_all(chain))
            asked = chain[-1]
            if chain.count(asked) > 1:
                break
        return Unknown(name, Doubt.CHAIN)

    def _remaining(self) -> float:
        now = self._clock.monotonic()
        if self._end is None:
            self._end = now + self._all_seconds
        return self._end - now


def split_nameserver(text: str) -> tuple[str, int]:
    """Split `IP`, `IP:PORT` or `[IP]:PORT`.

    Raises:
        ValueError: the port is not a number.
    """
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or 53)
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, int(port)
    return text, 53


class _Reply(Struct, frozen=True):
    """What servers say of a name: records, an absence, or neither, where an alias ends the reply."""

    chain: list[dns.name.Name]
    values: tuple[str, ...] = ()
    absence: Absence | None = None


async def _ask_servers(
    resolver: dns.asyncresolver.Resolver, asked: dns.name.Name, kind: str, seconds: float
) -> _Reply | Doubt:
    if seconds <= 0:
        return Doubt.TIMEOUT
    try:
        async with asyncio.timeout(seconds + 1):
            found = await resolver.resolve(asked, kind, search=False, raise_on_no_answer=False, lifetime=seconds)
    except dns.resolver.NXDOMAIN as error:
        responses = error.kwargs.get("responses") or {}
        return _Reply(next((_read_chain(one, asked) for one in responses.values()), []), absence=Absence.NXDOMAIN)
    except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
        return _explain(error)
    chain = [] if kind == "CNAME" else _read_chain(found.response, asked)
    if found.rrset is not None:
        return _Reply(chain, tuple(map(_write, found.rrset)))
    is_absent = not chain or _says_nodata(found.response)
    return _Reply(chain, absence=Absence.NODATA if is_absent else None)


def _read_chain(response: dns.message.Message, asked: dns.name.Name) -> list[dns.name.Name]:
    """List the targets of the aliases in a reply, from the name asked on; a loop ends where it begins again."""
    targets = {
        rrset.name: rrset[0].target for rrset in response.answer if rrset.rdtype == dns.rdatatype.CNAME and len(rrset)
    }
    chain: list[dns.name.Name] = []
    while asked in targets and len(chain) <= CHAIN_MAXIMUM:
        asked = targets[asked]
        chain.append(asked)
    return chain


def _says_nodata(response: dns.message.Message) -> bool:
    """Return whether the end of the chain is known to have no record: the zone's SOA stands there (RFC 2308 2.2)."""
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def _name_all(names: Iterable[dns.name.Name]) -> tuple[str, ...]:
    return tuple(map(_name, names))


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _write(record: dns.rdata.Rdata) -> str:
    match record.rdtype:
        case dns.rdatatype.TXT:
            return b"".join(record.strings).decode("utf-8", "backslashreplace")  # type: ignore[attr-defined]
        case dns.rdatatype.MX:
            host = record.exchange  # type: ignore[attr-defined]
            return f"{record.preference} {'' if host == dns.name.root else _name(host)}"  # type: ignore[attr-defined]
        case dns.rdatatype.CNAME | dns.rdatatype.PTR:
            return _name(record.target)  # type: ignore[attr-defined]
    return record.to_text()


def _explain(error: Exception) -> Doubt:
    match error:
        case dns.resolver.NoNameservers():
            reasons = [_explain_reply(one[3]) for one in error.kwargs.get("errors") or []]
            return reasons[0] if reasons else Doubt.SERVFAIL
        case dns.exception.Timeout() | TimeoutError():
            return Doubt.TIMEOUT
        case OSError() | EOFError():
            return Doubt.UNREACHABLE
        case dns.message.ChainTooLong():
            return Doubt.CHAIN
    return Doubt.MALFORMED


def _explain_reply(reply: Any) -> Doubt:
    """Explain why one server did not help: a reply code as text, or what was raised."""
    if isinstance(reply, Exception):
        return _explain(reply)
    return Doubt.REFUSED if str(reply) == "REFUSED" else Doubt.SERVFAIL
