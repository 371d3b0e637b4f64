"""The bar of a step, drawn by rich."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def make_step_bar(console: Console | None) -> Progress:
    """Make a bar that shows one step, and is removed when it stops.

    Args:
        console: where it is drawn; None for stderr.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    console = console or Console(stderr=True)
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True, auto_refresh=False)
