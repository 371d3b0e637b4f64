"""Encoded words in header fields (RFC 2047).

Anyone can send a mail here: every function reads its text a fixed number of times.
"""

import binascii

from engine.feedback.inbound.transfer_encodings import decode_base64, decode_charset


def decode_words(text: str) -> str:
    """Decode the encoded words of a header field (RFC 2047); other text is unchanged.

    >>> decode_words("=?utf-8?q?caf=C3=A9?= =?us-ascii?b?IQ==?= =?x?")
    'café! =?x?'
    """
    pieces = text.split("?")  # = charset encoding text =
    decoded: list[str] = []
    kept: list[str] = []  # of plain text, since the last encoded word
    at = 0
    while at + 4 < len(pieces):
        before, charset, encoding, word, after = pieces[at : at + 5]
        if before.endswith("=") and encoding.lower() in ("q", "b") and after.startswith("="):
            kept.append(before[:-1])
            between = "?".join(kept)
            decoded += () if decoded and not between.strip() else (between,)
            decoded.append(_decode_word(word, charset, is_base64=encoding in "bB"))
            kept = []
            pieces[at + 4] = after[1:]
            at += 4
        else:
            kept.append(before)
            at += 1
    return "".join((*decoded, "?".join((*kept, *pieces[at:]))))


def _decode_word(word: str, charset: str, *, is_base64: bool) -> str:
    raw = word.encode("utf-8", "replace")
    content = decode_base64(raw) if is_base64 else binascii.a2b_qp(raw, header=True)
    return decode_charset(content, charset.partition("*")[0])
