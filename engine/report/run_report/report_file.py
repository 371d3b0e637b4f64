"""Writes the report: into the store beside the run's other files, or into a file of this machine."""

from pathlib import Path

from engine.errors import ConfigurationError
from engine.report.figures.document import Figures
from engine.report.run_report.report_page import render_report
from engine.report.run_report.report_place import name_key
from engine.store.files import write_file
from engine.store.port import Store


def write_report(store: Store, figures: Figures) -> str:
    """Write a run's report into the store, over an earlier one; returns its place, for people.

    Raises:
        MailrunError: the store cannot be written.
    """
    store.write(name_key(figures.run), render_report(figures).encode())
    return store.describe(name_key(figures.run))


def save_report(path: Path, figures: Figures) -> str:
    """Write a run's report into a file, whole or not at all, readable by its owner alone; returns its absolute path.

    A link stays, and the file that it leads to is replaced.

    Raises:
        ConfigurationError: the file cannot be written.
        PausedError: the disk is full or failing.
    """
    target = _find_target(path)
    if target is None:
        raise ConfigurationError(
            "the report cannot be written there: it is a folder, a device or a pipe, or its name is too long",
            where=f"--out {path}",
            remedy="name a file, such as report.html",
        )
    try:
        write_file(target, render_report(figures).encode())
    except ConfigurationError as error:
        raise ConfigurationError(
            "the report cannot be written there", where=f"--out {path}", remedy="name a file in a folder of yours"
        ) from error
    return str(target)


def _find_target(path: Path) -> Path | None:
    """Return the file to write; None for what must not be replaced by a file, and for a name that cannot be."""
    try:
        target = path.resolve() if path.is_symlink() else path.absolute()
        return target if target.is_file() or not target.exists() else None
    except (OSError, RuntimeError):  # links in a circle
        return None
