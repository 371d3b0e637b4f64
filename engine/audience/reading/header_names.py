"""Names of columns: visible characters only, each name once."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

# Letters by category, but invisible: fillers, and the combining grapheme joiner.
_UNSEEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_JOINERS = frozenset("\u200c\u200d")  # they change the appearance of words in Persian or Hindi
_SPACES = re.compile(r"[^\S\n\t\r ]")


class ColumnNames(Struct, frozen=True):
    """The names of a file's columns.

    Attributes:
        columns: in the file's order, each once.
        twice: names that the file has more than once; the later ones are numbered.
        nameless: generated names of columns without a name.
    """

    columns: tuple[str, ...]
    twice: tuple[str, ...] = ()
    nameless: tuple[str, ...] = ()


def clean_name(name: str) -> str:
    r"""Normalise a name: composed letters (NFC), plain spaces, no invisible marks, no blanks around it.

    >>> clean_name("\ufeffemail\u200b"), clean_name("first\u00a0name "), len(clean_name("Pre\u0301nom"))
    ('email', 'first name', 6)
    """
    if name.isascii():
        return name.strip()
    seen = "".join(letter for place, letter in enumerate(name) if not _is_unseen(name, place))
    return unicodedata.normalize("NFC", _SPACES.sub(" ", seen)).strip()


def is_same_name(one: str, other: str) -> bool:
    """Whether two names differ only in case and in invisible characters."""
    return clean_name(one).casefold() == clean_name(other).casefold()


def _is_unseen(name: str, place: int) -> bool:
    letter = name[place]
    if letter in _JOINERS:
        beside = (name[place - 1 : place], name[place + 1 : place + 2])
        return not all(other and not other.isascii() and other.isalnum() for other in beside)
    return letter in _UNSEEN_LETTERS or unicodedata.category(letter) == "Cf"


def name_each_once(names: Sequence[str], hidden: Sequence[bool] = ()) -> ColumnNames:
    """Give every column a different name.

    Args:
        names: the names in the file.
        hidden: which of the columns are hidden; of two columns with the same name, the visible one keeps it.
    """
    cleaned = [clean_name(name) for name in names]
    seen_first = sorted(range(len(names)), key=lambda place: bool(hidden and hidden[place]))
    taken: dict[int, str] = {}
    seen, nameless = Counter[str](), []
    for place in seen_first:
        column = cleaned[place]
        name = column or f"column_{place + 1}"
        seen[name] += 1
        while seen[name] > 1 or name in taken.values():
            name = f"{column} ({seen[column or name]})"
            seen[name] += 1
        taken[place] = name
        nameless += [] if column else [name]
    shown = [column for place, column in enumerate(cleaned) if column and not (hidden and hidden[place])]
    twice = tuple(sorted({column for column in shown if shown.count(column) > 1}))
    return ColumnNames(tuple(taken[place] for place in range(len(names))), twice, tuple(nameless))


def guess_header(rows: Iterable[tuple[int, Sequence[str | None]]]) -> int | None:
    """Guess the header's line if it is not the first one: below a title that fills fewer cells.

    Args:
        rows: the file's first lines: number and cells.
    """
    filled = [(line, [cell for cell in cells if cell and cell.strip()]) for line, cells in rows]
    filled = [(line, cells) for line, cells in filled if cells]
    widest = max((len(cells) for _, cells in filled), default=0)
    line, names = next(((line, cells) for line, cells in filled if len(cells) == widest), (0, []))
    is_first = not filled or line == filled[0][0]
    return None if is_first or any("@" in name for name in names) else line
