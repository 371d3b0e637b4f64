"""Records of events with damage anywhere in them."""

import random
from typing import Any

from hypothesis import strategies as st

halves = st.text(st.characters(categories=["Cs", "L"]), max_size=12)  # halves of surrogate pairs: an emoji that was cut
times = st.builds(
    lambda year, offset: f"{year:04d}-12-31T23:59:59{offset}",
    st.sampled_from([1, 1969, 1970, 2026, 2200, 2201, 9999]),
    st.sampled_from(["", "Z", "+00:00", "-12:00", "+14:00", "+23:59", "-23:59"]),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=12)
    | halves
    | times
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def wreck(record: Any, dice: random.Random, value: Any) -> Any:
    """Insert a value somewhere into a record, or remove one."""
    if isinstance(record, dict) and record and dice.random() < 0.85:
        name = dice.choice(sorted(record))
        if dice.random() < 0.1:
            return {k: v for k, v in record.items() if k != name}
        return record | {name: wreck(record[name], dice, value)}
    if isinstance(record, list) and record and dice.random() < 0.7:
        return [wreck(record[0], dice, value), *record[1:]]
    return value
