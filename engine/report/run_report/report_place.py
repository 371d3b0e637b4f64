"""The report's place in the store, and its removal. Imports nothing heavy."""

from engine.store.port import Store

FILE = "report/report.html"


def name_key(run: str) -> str:
    """Return the store's key of a run's report.

    >>> name_key("welcome/2026-12-01")
    'runs/welcome/2026-12-01/report/report.html'
    """
    return f"runs/{run}/{FILE}"


def is_written(store: Store, run: str) -> bool:
    """Return whether a run has a report.

    Raises:
        MailrunError: the store cannot be read.
    """
    folder, _, name = name_key(run).rpartition("/")
    return name in store.list_names(folder, name)


def remove_report(store: Store, run: str) -> None:
    """Remove a run's report, if there is one: a person was erased from the run.

    Raises:
        MailrunError: the store cannot be written.
    """
    store.delete(name_key(run))
