"""The report's place: in the store beside the run's other files, or a file of this machine."""

from pathlib import Path

from engine.errors import ConfigurationError
from engine.report.figures.document import Figures
from engine.report.run_report.report_page import render_report
from engine.store.files import write_file
from engine.store.port import Store

FILE = "report/report.html"


def write_report(store: Store, figures: Figures) -> str:
    """Write a run's report into the store, over an earlier one; returns its place, for people.

    Raises:
        MailrunError: the store cannot be written.
    """
    store.write(_name_key(figures.run), render_report(figures).encode())
    return store.describe(_name_key(figures.run))


def save_report(path: Path, figures: Figures) -> str:
    """Write a run's report into a file, whole or not at all, readable by its owner alone; returns its absolute path.

    Raises:
        ConfigurationError: the file cannot be written.
        PausedError: the disk is full or failing.
    """
    target = path.absolute()
    try:
        write_file(target, render_report(figures).encode())
    except ConfigurationError as error:
        raise ConfigurationError(
            "the report cannot be written there", where=f"--out {path}", remedy="name a file in a folder of yours"
        ) from error
    return str(target)


def remove_report(store: Store, run: str) -> None:
    """Remove a run's report from the store, if there is one: a person was erased from the run.

    Raises:
        MailrunError: the store cannot be written.
    """
    store.delete(_name_key(run))


def _name_key(run: str) -> str:
    return f"runs/{run}/{FILE}"
