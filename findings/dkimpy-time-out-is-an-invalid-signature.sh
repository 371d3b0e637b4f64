#!/usr/bin/env bash
# dkimpy: a time-out while the key is looked up gives the result of a forged message.
#
# Guess before the run: `verify` raises `dkim.DnsTimeoutError`, which the package exports, so that a caller can tell an
#   unanswered question (RFC 8601 2.7.1: temperror) from a broken signature (fail).
# Behaviour: `dkim.verify` and `DKIM.verify` both return False. The exception is caught inside and only logged; without a
#   logger of one's own nothing remains of it. A checker that treats False as forged rejects mail in each DNS outage.
# Versions: dkimpy 1.1.8, Python 3.
# Output seen:
#   with the key: True
#   after a time-out: False, False
#   with another body: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dkimpy==1.1.8 dnspython==2.8.0 cryptography==46.0.3
cat > verify.py <<'PY'
import base64

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
message = b"From: news@acme.example\r\nSubject: November\r\n\r\nHello\r\n"
signed = dkim.sign(message, b"s1", b"acme.example", pem, include_headers=[b"from", b"subject"]) + message


def answer(name, timeout=5):
    return record


def time_out(name, timeout=5):
    raise dkim.DnsTimeoutError("the name server did not answer")


good = dkim.verify(signed, dnsfunc=answer)
late = (dkim.verify(signed, dnsfunc=time_out), dkim.DKIM(signed).verify(dnsfunc=time_out))
forged = dkim.verify(signed.replace(b"Hello", b"Howdy"), dnsfunc=answer)
print(f"with the key: {good}")
print(f"after a time-out: {late[0]}, {late[1]}")
print(f"with another body: {forged}")
raise SystemExit(not (good is True and late == (False, False) and forged is False))
PY
venv/bin/python verify.py
