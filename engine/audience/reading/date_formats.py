"""Formats of dates as people write them: dd.mm.yyyy."""

import re

# The longest first: yyyy is not twice yy. mm is months; after an hour it is minutes.
_LETTERS = (
    ("yyyy", "%Y"), ("yy", "%y"), ("mmmm", "%B"), ("mmm", "%b"), ("mm", "%m"), ("m", "%m"), ("dd", "%d"), ("d", "%d"),
    ("hh", "%H"), ("h", "%H"), ("ss", "%S"), ("am/pm", "%p"),
)  # fmt: skip
_TOKEN = re.compile("|".join(letters for letters, _ in _LETTERS) + r"|[^a-z]|(.)", re.IGNORECASE)


def read_date_format(text: str) -> str:
    """Convert a format to strptime's: from letters, such as dd.mm.yyyy; a format with a % is unchanged.

    Raises:
        ValueError: it is not a format of dates.

    >>> read_date_format("dd.mm.yyyy"), read_date_format("M/D/YY hh:mm AM/PM"), read_date_format("%d %b %Y")
    ('%d.%m.%Y', '%m/%d/%y %I:%M %p', '%d %b %Y')
    """
    strptime_format = text if "%" in text else _read_letters(text)
    if not all(re.search(part, strptime_format) for part in ("%[Yy]", "%[mbBh]", "%-?[de]")):
        raise ValueError("needs a day, a month and a year", 'write it such as "dd.mm.yyyy"')
    return strptime_format


def _read_letters(text: str) -> str:
    parts: list[str] = []
    for found in _TOKEN.finditer(text):
        if found[1]:
            raise ValueError(f"has the unknown letter {found[1]}", 'write it such as "dd.mm.yyyy hh:mm"')
        part = dict(_LETTERS).get(found[0].lower(), found[0])
        is_minutes = part == "%m" and parts[-2:-1] == ["%H"]
        parts.append("%M" if is_minutes else part)
    return "".join("%I" if part == "%H" and "%p" in parts else part for part in parts)
