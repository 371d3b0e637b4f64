"""Every error that mailrun reports to a person.

The tree; catch the base to report anything that is not a bug:

* MailrunError                what happened, where, what to do; carries the exit code
    - UsageError (64)         the command line names something that does not exist
        - CancelledError      a person answered no when asked to confirm a launch
    - DataError (65)          audience, template, plan or outcome files are wrong or damaged
    - ServiceError (69)       SES cannot be reached, or the account may not send
    - PausedError (75)        the work stopped half-way; the next launch resumes it
        - UnreachableError    a server that the work needs does not answer: trying again may help
    - ConfigurationError (78) campaign.toml, settings, credentials, ledger or store are wrong

Exit codes follow sysexits.h, as the command line's contract fixes them.
"""

import re
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from engine.masking import mask_text

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class ExitCode(IntEnum):
    """The meaning of a command's exit code."""

    FINISHED = 0
    BUG = 1
    FINISHED_WITH_LOSSES = 3  # some recipients refused, failed or in doubt
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    PAUSED = 75
    CONFIGURATION = 78


class MailrunError(Exception):
    """Something that a person can fix.

    Its texts go to terminals, logs and the ledger: addresses, tokens and secrets in them are masked.

    Args:
        what: what happened, one sentence without a full stop.
        where: the file, key and line, or the address of a service; empty where there is none.
        remedy: what to do, one sentence without a full stop.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, what: str, *, where: str = "", remedy: str) -> None:
        self.what, self.where, self.remedy = mask_text(what), escape_controls(mask_text(where)), mask_text(remedy)
        super().__init__(self.what)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}; {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle every attribute of the error: it may come from another process."""
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(kind: type[MailrunError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> MailrunError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(fields)
    return error


class UsageError(MailrunError):
    """The command line names something that does not exist."""

    exit_code = ExitCode.USAGE


class CancelledError(UsageError):
    """A person answered no when asked to confirm a launch: nothing is wrong."""

    def __init__(self) -> None:
        super().__init__("Cancelled: nothing was sent.", remedy="launch again when you are sure")


class DataError(MailrunError):
    """Audience, template, plan or outcome files are wrong or damaged."""

    exit_code = ExitCode.DATA


class ServiceError(MailrunError):
    """SES cannot be reached, or the account may not send."""

    exit_code = ExitCode.UNAVAILABLE


class PausedError(MailrunError):
    """The work stopped half-way; launching again resumes it."""

    exit_code = ExitCode.PAUSED


class UnreachableError(PausedError):
    """A server that the work needs does not answer: trying again may help."""


class ConfigurationError(MailrunError):
    """campaign.toml, settings, credentials, ledger or store are wrong."""

    exit_code = ExitCode.CONFIGURATION


def docs_page(name: str) -> str:
    """Return the path of a page of the documentation on this machine, for an error to point to.

    Args:
        name: such as `operations.md`.
    """
    package = Path(__file__).parent
    installed = package / "docs"  # put there when the wheel is built
    return str((installed if installed.is_dir() else package.parent / "docs") / name)


def nearest(word: str, candidates: list[str]) -> str:
    """Return the remedy for an unknown name: the most similar candidate, and the list of all candidates.

    >>> nearest("max_rat", ["max_rate", "call"])
    'did you mean max_rate? Available: call, max_rate'
    """
    listed = ", ".join(sorted(candidates)) or "none"
    close = get_close_matches(word, candidates, n=1)
    return f"did you mean {close[0]}? Available: {listed}" if close else f"available: {listed}"


def escape_controls(text: str) -> str:
    r"""Escape line ends, other control characters and bidirectional formatting characters.

    A file name that contains them would start a line of its own in a terminal.

    >>> print(escape_controls("body\nerror: x"))
    body\x0aerror: x
    """
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def escape_undecodable(text: str) -> str:
    r"""Write the bytes of an argument, a variable or a file name that are not UTF-8 as escapes.

    >>> print(escape_undecodable("caf\udce9.csv"))
    caf\xe9.csv
    """
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
