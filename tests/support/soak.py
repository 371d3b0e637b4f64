"""The long form of the tests, `make soak`; `make test` runs a short form of the same stories."""

import os
from typing import Any

SOAK = bool(os.environ.get("SOAK"))


def choose(*cases: Any, short: int = 1) -> list[Any]:
    """Return all cases in the long form, and the first `short` of them otherwise."""
    return list(cases) if SOAK else list(cases[:short])
