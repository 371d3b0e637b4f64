"""Address lists of header fields (RFC 5322 3.4): the addresses, without names and comments.

Anyone can send a mail here: every function reads its text a fixed number of times.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from engine.feedback.inbound.header_fields import UnreadableMailError


def read_addresses(text: str) -> list[str]:
    """Return the addresses of an address list (RFC 5322 3.4), without names and comments.

    Empty where the list ends within quotation marks, a comment or angle brackets, because its content is then unclear.
    An entry that is not one mailbox gives an empty text, so that the number of entries is known.

    >>> read_addresses('"Ann, B." <ann@b.example>, group: cid@d.example;, two words')
    ['ann@b.example', 'cid@d.example', '']
    """
    try:
        return _read_entries(chain(_mark_syntax(text), ((",", True),)))
    except UnreadableMailError:
        return []


def _read_entries(marked: Iterable[tuple[str, bool]]) -> list[str]:
    """Read an address list whose characters are marked (`_mark_syntax`), up to a comma at its end."""
    found: list[str] = []
    plain: list[str] = []  # outside of angle brackets
    inside: list[str] | None = None
    angles: list[str] = []
    for character, is_syntax in marked:
        if inside is not None:
            if is_syntax and character == ">":
                angles.append("".join(inside).strip())
                inside = None
            else:
                inside.append(character)
        elif not is_syntax or character not in "<,;:":
            plain.append(character)
        elif character == "<":
            inside = []
        else:
            if character != ":":  # a group's name stands before it
                found += _read_entry("".join(plain), angles)
            plain, angles = [], []
    return found if inside is None else []


def _read_entry(plain: str, angles: list[str]) -> list[str]:
    """Return the address of an entry; an empty text where it is not one mailbox, no text where it is empty."""
    if angles:
        return [angles[0] if len(angles) == 1 else ""]
    words = plain.split()
    return [words[0] if len(words) == 1 else ""] if words else []


def _mark_syntax(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the characters outside of comments, and whether each is outside of quotation marks.

    Raises:
        UnreadableMailError: a comment or a quotation does not end.
    """
    comments, quoted, escaped = 0, False, False
    for character in text:
        was_escaped, escaped = escaped, False
        if not was_escaped and character == "\\" and (comments or quoted):
            escaped = True
        elif not was_escaped and character == '"' and not comments:
            quoted = not quoted
        elif not was_escaped and character in "()" and not quoted:
            comments = max(0, comments + (1 if character == "(" else -1))
            continue
        if not comments:
            yield character, not quoted and not was_escaped
    if comments or quoted:
        raise UnreadableMailError("a comment or a quotation does not end")
