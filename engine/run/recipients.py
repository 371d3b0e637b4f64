"""The recipients of a lease, as rendering needs them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import polars as pl

from engine.audience.planning.plan_files import content_of
from engine.audience.reading.boolean_texts import iterate_rows


class Recipient(NamedTuple):
    """One row of the plan, as rendering needs it."""

    row: int
    address: str
    content: Mapping[str, Any]


_MAKE = partial(tuple.__new__, Recipient)  # half the time of calling the class


def iterate_recipients(lease: pl.DataFrame, columns: Sequence[str]) -> Iterator[Recipient]:
    """Yield the recipients of a lease's frame."""
    content = iterate_rows(content_of(lease, columns)) if columns else repeat({}, lease.height)
    return map(_MAKE, zip(lease["row"].to_list(), lease["address"].to_list(), content, strict=True))
