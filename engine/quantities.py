"""Numbers in readable form."""


def format_count(number: int, singular: str, plural: str = "") -> str:
    """Format a count with its noun.

    Args:
        number: how many.
        singular: the noun for one.
        plural: for any other number; the singular with an `s` where it is empty.

    >>> format_count(1, "row"), format_count(10_000, "row"), format_count(0, "entry", "entries")
    ('1 row', '10,000 rows', '0 entries')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_number(number: float) -> str:
    """Format a number with its significant digits, never as a power of ten.

    >>> [format_number(n) for n in (10_000.0, 1234.56, 13.94, 5.0, 0.25, 0.0004)]
    ['10,000', '1,235', '13.9', '5', '0.25', '0.0004']
    """
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    if abs(number) >= 1:
        return f"{number:.1f}".removesuffix(".0")
    return f"{number:.6f}".rstrip("0").rstrip(".")


def format_share(part: float, whole: float) -> str:
    """Format a part of a whole as percentage, so that what is not nothing never reads as nothing, nor as all.

    >>> [format_share(part, 100_000) for part in (0, 1, 120, 4200, 50_000, 99_999, 100_000)]
    ['0%', '<0.01%', '0.12%', '4.2%', '50%', '>99.9%', '100%']
    >>> format_share(0, 0)
    'n/a'
    """
    if not whole:
        return "n/a"
    percentage = 100 * part / whole
    if 0 < percentage < 0.01:
        return "<0.01%"
    if 99.9 < percentage < 100:
        return ">99.9%"
    digits = f"{percentage:.2f}" if percentage < 1 else f"{percentage:.1f}"
    return f"{digits.rstrip('0').rstrip('.')}%"
