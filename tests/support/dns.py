"""An authoritative name server on loopback, over UDP and TCP."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dnslib import AAAA, CNAME, MX, PTR, QTYPE, RCODE, RR, SOA, TXT, A, DNSHeader, DNSRecord

NO_REPLY, SERVFAIL, REFUSED, GARBAGE = "no reply", "SERVFAIL", "REFUSED", "garbage"
_UDP_BYTES = 512
_CHAIN_MAXIMUM = 20


class Zone:
    """What the server knows. Every name is absolute, in lower case, without a final dot.

    An empty name between two labels exists (NODATA); other names do not (NXDOMAIN). `*.example.com` matches every name
    below that does not exist. CNAMEs are followed, as a recursive server does.

    Attributes:
        asked: the questions, in order, such as ("example.com", "TXT", "udp").
    """

    def __init__(self, records: Mapping[tuple[str, str], str | Sequence[str]] | None = None) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._records = dict[tuple[str, str], list[str]]()
        self._failures = dict[tuple[str, str | None], str]()
        self.follows_aliases = True
        for (name, kind), values in (records or {}).items():
            self.add(name, kind, *([values] if isinstance(values, str) else values))

    def add(self, name: str, kind: str, *values: str) -> None:
        """Add records: TXT as text (divided into strings of 255 bytes), MX as "10 mail.example.com"."""
        self._records.setdefault((name, kind), []).extend(values)

    def replace(self, name: str, kind: str, *values: str) -> None:
        """Put records in the place of those that are there; none removes them."""
        self._records.pop((name, kind), None)
        if values:
            self.add(name, kind, *values)

    def fail(self, name: str, how: str, kind: str | None = None) -> None:
        """Answer questions about a name with SERVFAIL or REFUSED, with GARBAGE, or not at all (NO_REPLY).

        Args:
            name: of the questions.
            how: one of the four constants.
            kind: only questions of this type.
        """
        self._failures[name, kind] = how

    def answer(self, question: DNSRecord, transport: str) -> bytes | None:
        """Answer one question; None where it is not answered."""
        name, kind = str(question.q.qname).removesuffix(".").lower(), str(QTYPE[question.q.qtype])
        self.asked.append((name, kind, transport))
        header = DNSHeader(id=question.header.id, qr=1, aa=1, ra=1, rd=question.header.rd)
        reply = DNSRecord(header, q=question.q)
        for _ in range(_CHAIN_MAXIMUM):
            match self._failures.get((name, kind), self._failures.get((name, None))):
                case "no reply":
                    return None
                case "garbage":
                    return bytes(struct.pack("!H", question.header.id) + b"\x84\x00\xff\xff" + b"\xc0\x00" * 8)
                case str(code):
                    reply.header.rcode = getattr(RCODE, code)
                    return bytes(reply.pack())
            owner = self._find_owner(name)
            values = self._records.get((owner, kind))
            alias = self._records.get((owner, "CNAME"))
            if values is None and alias is not None and self.follows_aliases:
                reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(alias[0]), ttl=60))
                name = alias[0]
                continue
            if values is None and alias is not None:
                reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(alias[0]), ttl=60))
                break
            for value in values or ():
                reply.add_answer(RR(name, getattr(QTYPE, kind), rdata=_make(kind, value), ttl=60))
            if not values:
                reply.header.rcode = RCODE.NOERROR if self._exists(name) else RCODE.NXDOMAIN
                reply.add_auth(RR("example", QTYPE.SOA, rdata=SOA("ns.example", "admin.example", (1, 60, 60, 60, 60))))
            break
        packed = bytes(reply.pack())
        if transport == "udp" and len(packed) > _UDP_BYTES:  # dnslib's own truncate drops the question
            reply.header.tc = 1
            return bytes(DNSRecord(reply.header, q=question.q).pack())
        return packed

    def _find_owner(self, name: str) -> str:
        if self._exists(name):
            return name
        labels = name.split(".")
        wildcards = (".".join(["*", *labels[i:]]) for i in range(1, len(labels)))
        return next((one for one in wildcards if self._exists(one)), name)

    def _exists(self, name: str) -> bool:
        return any(owner == name or owner.endswith("." + name) for owner, _ in self._records)


def _make(kind: str, value: str) -> Any:
    match kind:
        case "TXT":
            data = value.encode("utf-8", "surrogateescape")
            return TXT([data[i : i + 255] for i in range(0, len(data), 255)] or [b""])
        case "MX":
            preference, _, host = value.partition(" ")
            return MX(host, int(preference))
    return {"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR}[kind](value)


@contextmanager
def serve_dns(zone: Zone) -> Iterator[str]:
    """Serve a zone; give `127.0.0.1:PORT`, as `[dns] nameservers` takes it."""

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, connection = self.request
            reply = zone.answer(DNSRecord.parse(data), "udp")
            if reply is not None:
                connection.sendto(reply, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(2):
                data = self.rfile.read(struct.unpack("!H", length)[0])
                reply = zone.answer(DNSRecord.parse(data), "tcp")
                if reply is None:
                    return
                self.wfile.write(struct.pack("!H", len(reply)) + reply)

    with _bind_both(Datagram, Stream) as (udp, tcp):
        threads = [threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True) for one in (udp, tcp)]
        for thread in threads:
            thread.start()
        try:
            yield f"127.0.0.1:{udp.port}"
        finally:
            for server in (udp, tcp):
                server.shutdown()
            for thread in threads:
                thread.join()


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    port: int

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        super().server_bind()
        self.port = int(self.socket.getsockname()[1])


@contextmanager
def _bind_both(
    datagram: type[socketserver.BaseRequestHandler], stream: type[socketserver.BaseRequestHandler]
) -> Iterator[tuple[_Udp, _Tcp]]:
    """Bind UDP and TCP to the same port."""
    for _ in range(20):
        udp = _Udp(("127.0.0.1", 0), datagram)
        try:
            tcp = _Tcp(("127.0.0.1", udp.port), stream)
        except OSError:  # another program has this port
            udp.server_close()
            continue
        with udp, tcp:
            yield udp, tcp
        return
    raise OSError("no port is free for both UDP and TCP")
