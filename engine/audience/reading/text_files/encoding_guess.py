"""Guess a text's encoding: accept only one that clearly fits better than all others, and reject anything else."""

import re

from msgspec import Struct

from engine.audience.reading.text_files.letters import JUDGES, SCRIPTS
from engine.errors import DataError

# Ends every note about a guess: `check` reports notes with it as findings.
IF_WRONG = 'set encoding = "…" in [audience] if names look wrong'
# Bytes that no multi-byte encoding has as a second one.
_BETWEEN = re.compile(rb"[\x00-\x2f\x3a-\x3f]+")
_INNER = re.compile(r"[@|_\[\]{}~^` \\\u3000]+")
_NO_BREAK = "\u00a0"  # encodings in which it is byte A0; others have a letter there
_MOST_WORDS = 5_000
_MOST_ODD = 0.1  # share of words that do not fit the encoding
_MOST_RARE, _MANY_WORDS = 0.75, 8  # the same with rare characters, and the number of words required
_LEAST_FOR = 0.1  # share of the words that differ between two encodings and fit one of them
_LEAST_RATIO = 4
_LEAST_CHARACTERS, _LEAST_WEIGHT, _CLEAR_WEIGHT = 5, 0.3, 2.0
# Scripts without capitals, in which most bytes are letters.
_RARE, _LEAST_WORDS = ("cp1255", "cp1256", "cp874"), 6
_MOST_SHOWN, _MOST_CANDIDATES = 40, 4


class _Reading(Struct, frozen=True):
    """The words decoded with an encoding."""

    encoding: str
    words: tuple[str | None, ...]
    is_good: tuple[bool, ...]
    weight: float

    @property
    def odd(self) -> float:
        return 1 - sum(self.is_good) / len(self.is_good)


def guess_encoding(sample: bytes, name: str) -> tuple[str, str]:
    """Guess the encoding of lines that are not UTF-8.

    Args:
        sample: lines with other bytes than ASCII.
        name: the file, for messages.

    Returns:
        A codec of Python, and a note for the operator.

    Raises:
        DataError: no encoding fits the text, or several fit and decode it differently.
    """
    words = _find_words(sample)
    readings = [_read(encoding, words) for encoding in JUDGES] if words else []
    likely = [reading for reading in readings if reading.odd <= _allow_odd(reading)]
    best = next((one for one in likely if all(_beats(one, other) for other in likely if other is not one)), None)
    if best is None or not _has_evidence(best, readings):
        raise _refuse(sample, words, likely, name)
    named = name_encoding(best.encoding)
    shown = _show_cell(sample, words, best)
    return best.encoding, f"{name}: read as {named}, as its bytes suggest ({shown}); {IF_WRONG}"


def name_encoding(codec: str) -> str:
    """Return the common name of a codec.

    >>> name_encoding("cp1252"), name_encoding("mac_roman")
    ('windows-1252', 'mac-roman')
    """
    return codec.replace("cp125", "windows-125").replace("_", "-")


def _find_words(sample: bytes) -> list[bytes]:
    found = dict.fromkeys(word for word in _BETWEEN.split(sample) if not word.isascii())
    return list(found)[:_MOST_WORDS]


def _read(encoding: str, words: list[bytes]) -> _Reading:
    read = tuple(_decode(word, encoding) for word in words)
    judge = JUDGES[encoding]
    if encoding.startswith("cp125"):
        read = tuple(word and word.replace(_NO_BREAK, " ") for word in read)
    good = tuple(
        word is not None and all(judge(part) for part in _INNER.split(word) if not part.isascii()) for word in read
    )
    script = SCRIPTS.get(encoding)
    return _Reading(encoding, read, good, script.weigh("".join(word or "" for word in read)) if script else 0)


def _decode(word: bytes, encoding: str) -> str | None:
    try:
        return word.decode(encoding)
    except UnicodeDecodeError:
        return None


def _allow_odd(reading: _Reading) -> float:
    """Allow some rare characters, as in names of some languages; a text of only rare ones is a wrong guess."""
    return _MOST_RARE if reading.encoding in SCRIPTS and len(reading.words) >= _MANY_WORDS else _MOST_ODD


def _beats(one: _Reading, other: _Reading) -> bool:
    """Whether an encoding is clearly better than another one."""
    places = [place for place, word in enumerate(one.words) if word != other.words[place]]
    if not places:  # both decode the same: take the first
        return list(JUDGES).index(one.encoding) < list(JUDGES).index(other.encoding)
    if one.encoding in SCRIPTS and other.encoding in SCRIPTS:
        return one.weight > other.weight * _CLEAR_WEIGHT
    speak_for = sum(one.is_good[place] and not other.is_good[place] for place in places)
    against = sum(other.is_good[place] and not one.is_good[place] for place in places)
    return speak_for >= max(1, len(places) * _LEAST_FOR) and speak_for >= against * _LEAST_RATIO


def _has_evidence(reading: _Reading, readings: list[_Reading]) -> bool:
    """Whether there is enough text that it is not valid by chance."""
    if reading.encoding in _RARE:
        return len(reading.words) >= _LEAST_WORDS
    if reading.encoding not in SCRIPTS:
        return True
    characters = {letter for word in reading.words for letter in word or "" if not letter.isascii()}
    least = _LEAST_WEIGHT if len(reading.words) < _MANY_WORDS else _LEAST_WEIGHT / 2
    is_clear = all(reading.weight > one.weight * _CLEAR_WEIGHT for one in readings if one is not reading)
    return len(characters) >= _LEAST_CHARACTERS and reading.weight >= least and is_clear


def _refuse(sample: bytes, words: list[bytes], likely: list[_Reading], name: str) -> DataError:
    remedy = 'save the file as UTF-8, or set [audience] encoding = "…", such as "windows-1252"'
    readings_of_cell: dict[str, str] = {}
    for reading in likely:
        readings_of_cell.setdefault(_show_cell(sample, words, reading, likely), name_encoding(reading.encoding))
    if not readings_of_cell:
        what = "the file is not UTF-8, and its encoding cannot be determined"
        return DataError(what, where=name, remedy=remedy)
    pairs = list(readings_of_cell.items())[:_MOST_CANDIDATES]
    what = "the file is not UTF-8, and has too little text to detect its encoding: " + ", ".join(
        f"{cell} in {encoding}" for cell, encoding in pairs
    )
    choices = " or ".join(f'"{encoding}"' for _, encoding in pairs)
    return DataError(what, where=name, remedy=f"save the file as UTF-8, or set [audience] encoding = {choices}")


def _show_cell(sample: bytes, words: list[bytes], reading: _Reading, others: list[_Reading] | None = None) -> str:
    """Show a decoded cell: not an address, and if possible one that the other encodings decode differently."""
    places = [place for place, is_good in enumerate(reading.is_good) if is_good]
    distinct = [place for place in places if others and len({one.words[place] for one in others}) > 1]
    places = distinct or places
    place = next((place for place in places if b"@" not in words[place]), places[0])
    word = next(part for part in _INNER.split(reading.words[place] or "") if not part.isascii())
    begin = sample.find(words[place])
    line = sample[sample.rfind(b"\n", 0, begin) + 1 :].partition(b"\n")[0].decode(reading.encoding, "replace")
    cell = next((cell for cell in re.split(r'[;,\t|"]', line) if word in cell and "@" not in cell), word).strip()
    return f'"{cell if len(cell) <= _MOST_SHOWN else cell[: _MOST_SHOWN - 1] + "…"}"'
