"""Transfer encodings (RFC 2045 6) and charsets of what a sender wrote.

Anyone can send a mail here: every function reads its text a fixed number of times.
"""

import binascii

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
# The codecs that a sender may choose: each decodes in linear time. Python has others that do not (idna, punycode), and
# for an unknown name it looks for a module.
CHARSETS = frozenset(
    [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "latin-1",
        "latin1",
        "iso-8859-1",
        "iso-8859-2",
        "iso-8859-3",
        "iso-8859-4",
        "iso-8859-5",
        "iso-8859-6",
        "iso-8859-7",
        "iso-8859-8",
        "iso-8859-9",
        "iso-8859-10",
        "iso-8859-11",
        "iso-8859-13",
        "iso-8859-14",
        "iso-8859-15",
        "iso-8859-16",
        "windows-1250",
        "windows-1251",
        "windows-1252",
        "windows-1253",
        "windows-1254",
        "windows-1255",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "tis-620",
        "cp1250",
        "cp1251",
        "cp1252",
        "koi8-r",
        "koi8-u",
        "big5",
        "gb2312",
        "gbk",
        "gb18030",
        "euc-jp",
        "euc-kr",
        "shift_jis",
        "iso-2022-jp",
        "ks_c_5601-1987",
    ]
)


def decode_transfer(content: bytes, encoding: str) -> bytes:
    """Decode content as a Content-Transfer-Encoding says; unchanged where that names no encoding."""
    match encoding.lower():
        case "base64":
            return decode_base64(content)
        case "quoted-printable":
            return binascii.a2b_qp(content)
    return content


def decode_base64(content: bytes) -> bytes:
    """Decode base64; ignores other characters, and an incomplete end."""
    letters = content.translate(None, _NOT_BASE64)
    letters = letters[: -1 if len(letters) % 4 == 1 else None]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def decode_charset(content: bytes, charset: str) -> str:
    """Decode bytes by a known charset; as Latin-1 where the charset is not known."""
    name = charset.strip().lower()
    return content.decode(name if name in CHARSETS else "latin-1", "replace")
