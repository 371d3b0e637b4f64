"""Write the parts of messages as bytes: encoded in UTF-8, and escaped for the document that carries them.

Each character is encoded and escaped by itself, whatever is around it. So a part is the join of its written pieces, and
a piece that many messages have, such as the text of a template between two values, is written once.
"""

from collections.abc import Callable, Iterable

import orjson

_MOST_PIECES = 4096  # that are kept
_MOST_BYTES = 4 * 1024 * 1024
_JSON_PLAIN = bytes({*range(0x20, 0x100)} - {*b'"\\'})


class PartWriter(dict[str, bytes]):
    """Writes parts piece by piece; as a dictionary, it has the pieces that it has written.

    What it keeps is bounded: when it is full, it starts again with nothing. Pieces of the templates are then written
    once more for some thousand values.

    Args:
        plain: the bytes that need no escaping.
        escape: escapes a piece that has other bytes.

    Attributes:
        may_have_braces: a part may have `{{`: a piece has it, or begins or ends with `{`.
    """

    def __init__(self, plain: bytes | None = None, escape: Callable[[str], bytes] = str.encode) -> None:
        super().__init__()
        self._plain = plain
        self._escape = escape
        self._bytes = 0
        self.may_have_braces = False

    def __missing__(self, piece: str) -> bytes:
        """Write a piece, and keep it.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
        """
        written = self.write_text(piece)
        if "{" in piece and ("{{" in piece or piece[0] == "{" or piece[-1] == "{"):
            self.may_have_braces = True
        self._bytes += len(written)
        if self._bytes > _MOST_BYTES or len(self) >= _MOST_PIECES:
            self.clear()
            self._bytes = len(written)
        if self._bytes <= _MOST_BYTES:
            self[piece] = written
        return written

    def write(self, pieces: Iterable[str]) -> bytes:
        """Write a part that consists of some pieces.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
        """
        return b"".join(map(self.__getitem__, pieces))

    def write_text(self, text: str) -> bytes:
        """Write a text that no other message has.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
        """
        written = text.encode()
        return written if self._plain is None or not written.translate(None, self._plain) else self._escape(text)


def _escape_json(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def _escape_nested_json(text: str) -> bytes:
    # A JSON text has no other characters to escape.
    return _escape_json(text).replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def make_utf8_writer() -> PartWriter:
    """Make a writer of parts as they are, in UTF-8."""
    return PartWriter()


def make_json_writer() -> PartWriter:
    """Make a writer of parts as they are inside a string of a JSON document."""
    return PartWriter(_JSON_PLAIN, _escape_json)


def make_nested_json_writer() -> PartWriter:
    """Make a writer of parts as they are inside a JSON document that is a string of another one."""
    return PartWriter(_JSON_PLAIN, _escape_nested_json)
