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
