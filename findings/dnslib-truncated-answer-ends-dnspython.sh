#!/usr/bin/env bash
# dnslib and dnspython: a truncated answer of dnslib's server never leads to a question over TCP.
#
# Guess before the run: the server cuts an answer that is too long for UDP and sets TC; dnspython asks again over TCP and
#   gets the whole answer, as with any name server (RFC 7766 5).
# Behaviour: the cut answer has no question section any more. dnspython takes an answer without the question for one that
#   is not meant for it, waits for another until its time is over, asks over UDP again, and never tries TCP. A test server
#   that truncates therefore shows a time-out where a real name server shows a long record (a DKIM key, an SPF record).
# Versions: dnslib 0.9.26, dnspython 2.8.0.
# Output seen:
#   with udplen 512: LifetimeTimeout, asked over udp only: True
#   over TCP from the start: 40 records
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dnslib==0.9.26 dnspython==2.8.0
cat > resolve.py <<'PY'
import dns.resolver
from dnslib import QTYPE, RR, TXT
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer


class Handler(DNSHandler):
    udplen = 512


class Zone(BaseResolver):
    def __init__(self):
        self.asked = []

    def resolve(self, request, handler):
        self.asked.append(handler.protocol)
        reply = request.reply()
        for number in range(40):
            reply.add_answer(RR(request.q.qname, QTYPE.TXT, rdata=TXT(f"{number:03d}{'x' * 60}"), ttl=1))
        return reply


zone, quiet = Zone(), DNSLogger("-request,-reply,-truncated")
udp = DNSServer(zone, address="127.0.0.1", port=0, handler=Handler, logger=quiet)
port = udp.server.server_address[1]
tcp = DNSServer(zone, address="127.0.0.1", port=port, tcp=True, logger=quiet)
udp.start_thread()
tcp.start_thread()
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 5.0
try:
    outcome = str(len(resolver.resolve("acme.example", "TXT")))
except dns.resolver.LifetimeTimeout as error:
    outcome = type(error).__name__
only_udp = set(zone.asked) == {"udp"}
print(f"with udplen 512: {outcome}, asked over udp only: {only_udp}")
whole = len(resolver.resolve("acme.example", "TXT", tcp=True))
print(f"over TCP from the start: {whole} records")
raise SystemExit(not (outcome == "LifetimeTimeout" and only_udp and whole == 40))
PY
venv/bin/python resolve.py
