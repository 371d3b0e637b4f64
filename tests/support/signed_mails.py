"""Mails that are signed as SES signs them, and a resolver that answers from a table."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from engine.authentication.resolver import Absence, Absent, Answer, Doubt, Records, Unknown

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SES_FIELDS = ("from", "to", "subject", "message-id", "date", "mime-version", "content-type", "feedback-id")
ONE_CLICK = ("list-unsubscribe", "list-unsubscribe-post")
LETTER = """\
Received: from a1-2.smtp-out.eu-west-1.amazonses.com (192.0.2.7) by mx.receiver.example; Tue, 24 Nov 2026 09:00:01 +0000
From: Acme News <news@acme.example>
To: ann@receiver.example
Subject: Hello
Message-ID: <0102018@eu-west-1.amazonses.com>
Date: Tue, 24 Nov 2026 09:00:00 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
List-Id: <news.acme.example>
List-Unsubscribe: <https://u.acme.example/u/TOKEN>, <mailto:u@acme.example?subject=TOKEN>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Feedback-ID: 1.eu-west-1.x:AmazonSES

Hello Ann
"""


@cache
def make_key(bits: int) -> tuple[bytes, str]:
    """Return a private key as PEM, and its DNS record; one for each length."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return pem, f"p={base64.b64encode(public).decode()}"


def sign(
    raw: bytes,
    domain: str = "acme.example",
    selector: str = "s1",
    *,
    bits: int = 2048,
    fields: tuple[str, ...] = SES_FIELDS + ONE_CLICK,
    has_length: bool = False,
) -> bytes:
    """Return the mail with a signature above it."""
    mail = dkim.DKIM(raw)
    header = mail.sign(
        selector.encode(),
        domain.encode(),
        make_key(bits)[0],
        canonicalize=(b"relaxed", b"simple"),
        include_headers=[name.encode() for name in fields],
        length=has_length,
    )
    return bytes(header) + raw


def make_ses_mail(text: str = LETTER) -> bytes:
    """Return a mail with SES's two signatures: of the sender's domain above, of amazonses.com below."""
    raw = text.replace("\n", "\r\n").encode()
    return sign(sign(raw, "amazonses.com", "ses1"), "acme.example", "s1")


def make_zone(bits: int = 2048, policy: str = "v=DMARC1; p=none") -> dict[tuple[str, str], str]:
    """Return the records that `make_ses_mail` needs."""
    return {
        ("s1._domainkey.acme.example", "TXT"): make_key(bits)[1],
        ("ses1._domainkey.amazonses.com", "TXT"): make_key(2048)[1],
        ("_dmarc.acme.example", "TXT"): policy,
    }


class TableResolver:
    """Answers from a table; names in `silent` are not answered."""

    def __init__(self, records: Mapping[tuple[str, str], str], silent: tuple[str, ...] = ()) -> None:
        self._records, self._silent = records, silent
        self.asked: list[str] = []

    async def query(self, name: str, kind: str) -> Answer:
        """Answer one question."""
        self.asked.append(name)
        if name in self._silent:
            return Unknown(name, Doubt.TIMEOUT)
        value = self._records.get((name, kind))
        return Absent(name, Absence.NXDOMAIN) if value is None else Records(name, (value,))
