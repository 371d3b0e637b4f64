"""Plain text as Markdown."""

import html
import re
from collections.abc import Iterable, Sequence


def escape(text: str) -> str:
    """Escape what Markdown would read as markup; `code` stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else html.escape(part, quote=False).replace("*", r"\*") for part in parts
    )


def make_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_make_cell, line)) + " |" for line in lines)


def _make_cell(text: str) -> str:
    """Write a cell on one line, without `|`, which ends a cell even inside code."""
    bars = re.sub(r"`([^`]*\|[^`]*)`", lambda found: f"<code>{html.escape(found[1], quote=False)}</code>", text)
    return bars.replace("\n", " ").replace("|", "&#124;")
