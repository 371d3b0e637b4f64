#!/usr/bin/env bash
# checkdmarc: a name server that does not answer for an SPF include makes the record a permanent error.
#
# Guess before the run: the record is reported as not checked, or an exception of DNS is raised, because RFC 7208 2.6.6
#   calls a failing look-up a temporary error (temperror), which a later check may not see.
# Behaviour: the result says that the include target "has no SPF record" and names the permanent error of RFC 7208 5.2,
#   with the time-out only at the end of the text. `valid` is False, as for a broken record. A monitor that alerts on
#   `valid`, or a gate before a launch, fails for a slow name server of somebody else.
# Versions: checkdmarc 6.0.4, dnspython 2.8.0.
# Output seen:
#   valid: False
#   permerror: True, has no SPF record: True, timed out: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check checkdmarc==6.0.4 dnspython==2.8.0 dnslib==0.9.26
cat > check.py <<'PY'
import threading

import checkdmarc.spf
import dns.resolver
from dnslib import QTYPE, RR, TXT
from dnslib.server import BaseResolver, DNSLogger, DNSServer

ENDED = threading.Event()


class Zone(BaseResolver):
    def resolve(self, request, handler):
        reply, name = request.reply(), str(request.q.qname).rstrip(".")
        if name == "slow.example":
            ENDED.wait(60)
        if name == "acme.example" and request.q.qtype == QTYPE.TXT:
            reply.add_answer(RR(request.q.qname, QTYPE.TXT, rdata=TXT("v=spf1 include:slow.example -all"), ttl=1))
        return reply


server = DNSServer(Zone(), address="127.0.0.1", port=0, logger=DNSLogger("-request,-reply,-truncated"))
server.start_thread()
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], server.server.server_address[1]
found = checkdmarc.spf.check_spf("acme.example", resolver=resolver, timeout=1.0)
ENDED.set()
text = found["error"]
print(f"valid: {found['valid']}")
seen = ["permerror" in text, "has no SPF record" in text, "timed out" in text]
print(f"permerror: {seen[0]}, has no SPF record: {seen[1]}, timed out: {seen[2]}")
raise SystemExit(not (found["valid"] is False and all(seen)))
PY
venv/bin/python check.py
