"""Write the parts of messages as bytes: encoded in UTF-8, and escaped for the document that carries them.

Each character is encoded and escaped by itself, whatever is around it. So a part is the join of its written pieces, and
a piece that many messages have, such as the text of a template between two values, is written once.
"""

from collections.abc import Callable, Iterable
from math import inf

import orjson

from engine.campaign.content.printing.pieces import LongPartError, Static

LONGEST_KEPT = 32_768  # characters of a value that is kept
_MOST_NAMES = 2000  # of variables
_MOST_PIECES = 4096  # that are kept
_MOST_BYTES = 4 * 1024 * 1024


class PartWriter(dict[str, bytes]):
    """Writes parts piece by piece; as a dictionary, it has the pieces that it has written.

    What it keeps is bounded: when it is full, it starts again with nothing. Pieces of the templates are then written
    once more for some thousand values.

    Args:
        write_text: writes a text that no other message has; raises UnicodeEncodeError where it has a lone surrogate.

    Attributes:
        may_have_braces: a part may have `{{`: a piece has it, or begins or ends with `{`.
    """

    def __init__(self, write_text: Callable[[str], bytes]) -> None:
        super().__init__()
        self.write_text = write_text
        self._bytes = 0
        self._left = inf  # characters that the part's values that are not kept may still have
        self.may_have_braces = False

    def __missing__(self, piece: str) -> bytes:
        """Write a piece, and keep it.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
            LongPartError: see write.
        """
        is_static = type(piece) is Static
        is_long = len(piece) > LONGEST_KEPT and not is_static
        if is_long:
            self._left -= len(piece)
            if self._left < 0:
                raise LongPartError
        written = self.write_static(piece) if is_static else self.write_text(piece)
        if "{" in piece and ("{{" in piece or piece[0] == "{" or piece[-1] == "{"):
            self.may_have_braces = True
        if is_long:
            return written
        self._bytes += len(written)
        if self._bytes > _MOST_BYTES or len(self) >= _MOST_PIECES:
            self.clear()
            self._bytes = len(written)
        if self._bytes <= _MOST_BYTES:
            self[piece] = written
        return written

    def write_static(self, piece: str) -> bytes:
        """Write a template's own text.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
        """
        return self.write_text(piece)

    def write(self, pieces: Iterable[str], longest: float = inf) -> bytes:
        """Write a part that consists of some pieces.

        Args:
            pieces: of the part.
            longest: characters that all values of more than LONGEST_KEPT characters may have together.

        Raises:
            UnicodeEncodeError: it has a lone surrogate.
            LongPartError: these values are longer.
        """
        self._left = longest
        return b"".join(map(self.__getitem__, pieces))


def _write_json(text: str) -> bytes:
    try:
        return orjson.dumps(text)[1:-1]
    except orjson.JSONEncodeError:
        text.encode()  # raises what the caller expects
        raise


def _write_nested_json(text: str) -> bytes:
    written = _write_json(text)
    # A JSON text has no other characters to escape; each of its quotes has a backslash before it.
    return written.replace(b"\\", b"\\\\").replace(b'"', b'\\"') if b"\\" in written else written


def make_utf8_writer() -> PartWriter:
    """Make a writer of parts as they are, in UTF-8."""
    return PartWriter(str.encode)


def make_json_writer() -> PartWriter:
    """Make a writer of parts as they are inside a string of a JSON document."""
    return PartWriter(_write_json)


def make_nested_json_writer() -> PartWriter:
    """Make a writer of parts as they are inside a JSON document that is a string of another one."""
    return PartWriter(_write_nested_json)


class ValueWriter(PartWriter):
    """Writes the values of a part as variables of a JSON object, which is a string in another document.

    Each piece of static text is written as the beginning of a variable, which has what comes after it. Static text
    beyond a limit is written as a value.
    """

    def __init__(self) -> None:
        super().__init__(_write_nested_json)
        self._names: dict[str, str] = {}

    def write_static(self, piece: str) -> bytes:
        """Write the beginning of the variable that comes after a static text; see PartWriter."""
        name = self.find_name(piece)
        return self.write_text(piece) if name is None else begin_value(name)

    def find_name(self, piece: str) -> str | None:
        """Return the name of the variable that begins after a piece, of letters only; None where there is none."""
        if type(piece) is not Static:
            return None
        name = self._names.get(piece)
        if name is None and len(self._names) < _MOST_NAMES:
            name = self._names[piece] = f"v{make_letters(len(self._names))}"
        return name


def begin_value(name: str) -> bytes:
    """Write the end of the value before, and the beginning of a variable's."""
    return f'\\",\\"{name}\\":\\"'.encode()


def make_letters(number: int) -> str:
    """Write a number, from 0, as a, b, …, z, aa, ab and so on."""
    letters = ""
    while number >= 0:
        letters = chr(ord("a") + number % 26) + letters
        number = number // 26 - 1
    return letters
