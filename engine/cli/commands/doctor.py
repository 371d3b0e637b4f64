"""`mailrun doctor`: checks each part of a workspace and of this machine, with a line for each."""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine import __version__
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen, read_settings
from engine.errors import ExitCode, MailrunError
from engine.ledger.migrate import HEAD
from engine.masking import mask_url
from engine.settings import Settings
from engine.system.process_limits import FILES_WANTED, raise_file_limit
from engine.system.temporary import make_temporary_folder
from engine.workspace import Workspace, list_other_writers


class Health(StrEnum):
    """The state of a part."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"  # a launch cannot run until it is fixed


class Finding(Struct, frozen=True):
    """The result for one part.

    Attributes:
        part: its name.
        health: its state.
        text: what there is, or what is wrong, without secrets.
        remedy: what to do; empty if nothing is wrong.
    """

    part: str
    health: Health
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return an element of `findings` in --json."""
        return {"part": self.part, "health": self.health, "text": self.text, "remedy": self.remedy or None}

    def to_lines(self) -> Iterator[str]:
        """Write it for people."""
        yield f"{self.health:<8} {self.part:<17} {self.text}"
        if self.remedy:
            yield f"{'':<26} do: {self.remedy}"


@with_common
def doctor(common: Common) -> None:
    """Check every part; print the results; exit with 78 if one prevents a launch."""
    findings = list(_find_all(common))
    if common.json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        print_lines(*(line for finding in findings for line in finding.to_lines()))
    if any(finding.health is Health.ERROR for finding in findings):
        sys.exit(ExitCode.CONFIGURATION)


def _find_all(common: Common) -> Iterator[Finding]:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("versions", Health.OK, f"mailrun {__version__}, ledger schema {HEAD}, {python}")
    settings = read_settings(common)
    yield Finding("workspace", Health.OK, str(settings.workspace))
    yield _find("temporary files", _check_temporary_folder)
    yield _find("open files", _check_open_files)
    with ExitStack() as stack:
        try:
            workspace = stack.enter_context(open_chosen(common))
        except MailrunError as error:
            yield _describe("store and ledger", error)
        else:
            yield Finding("store", Health.OK, workspace.store.describe(""))
            yield Finding("ledger", Health.OK, mask_url(settings.ledger_url))
            yield _find("unsubscribe keys", lambda: _check_keys(workspace))
    yield from _list_writers(settings)


def _find(part: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, Health.OK, look())
    except MailrunError as error:
        return _describe(part, error)


def _describe(part: str, error: MailrunError) -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(part, Health.ERROR, f"{error.what}{where}", error.remedy)


def _check_temporary_folder() -> str:
    with make_temporary_folder() as folder:
        return str(folder.parent)


def _check_open_files() -> str:
    return f"{raise_file_limit():,} can be open; a fast run needs up to {FILES_WANTED:,}"


def _check_keys(workspace: Workspace) -> str:
    return workspace.find_unsubscribe_keys().describe()


def _list_writers(settings: Settings) -> Iterator[Finding]:
    notes = list_other_writers(settings)
    for note in notes:
        text, _, remedy = note.partition("; ")
        yield Finding("other writers", Health.WARNING, text, remedy)
    if not notes:
        yield Finding("other writers", Health.OK, "no other user can write the store, the ledger or mailrun.toml")
