"""The entry point: where errors become messages and exit codes."""

import atexit
import gc
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from engine.cli.console import is_output_all, print_json, print_lines
from engine.cli.interruption import INTERRUPTION
from engine.cli.table import cli
from engine.errors import CancelledError, DataError, ExitCode, MailrunError, PausedError, UsageError, escape_undecodable
from engine.masking import show_address
from engine.on_demand import OnDemand
from engine.system.allocator import keep_freed_memory
from engine.system.process_limits import describe_limit
from engine.system.streams import find_lost_output, make_output_lasting
from engine.system.unhandled import catch_unhandled, describe_exception

_write_command = OnDemand("engine.cli.suggestions:write_command")  # a command that prints its help does not need it


def main() -> NoReturn:
    """Run the command line and exit as ExitCode says."""
    keep_freed_memory()
    gc.set_threshold(1_000_000)  # imports make 200,000 objects that stay: do not look for cycles in them
    atexit.register(gc.freeze)  # Python would look for cycles in all of them at its end, for half a second
    make_output_lasting()
    INTERRUPTION.install()
    catch_unhandled()
    try:
        _refuse_undecodable(sys.argv[1:])
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print_lines(error.format_message(), err=True)
        sys.exit(ExitCode.USAGE)
    except click.UsageError as error:
        _report(CommandLineError(error), ExitCode.USAGE)
    except MailrunError as error:
        shown = error if isinstance(error, PausedError) else describe_limit(error) or error
        _report(shown, shown.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        # click replaces the exception that names the signal by its own Abort
        stopped = PausedError(str(error.__cause__ or error) or "stopped", remedy="run the same command again")
        _report(stopped, stopped.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug is reported as one, as JSON too
        if (limit := describe_limit(error)) is not None:
            _report(limit, limit.exit_code)
        if (name := _find_undecodable(error)) is not None:
            what = f"the name {escape_undecodable(name)} is not valid UTF-8"
            _report(DataError(what, remedy="rename the file or folder"), ExitCode.DATA)
        bug = MailrunError("this is a bug in mailrun", remedy="report it with the traceback")
        _report(bug, ExitCode.BUG, describe_exception(type(error), error, error.__traceback__))
    sys.exit(_check_output(code or ExitCode.FINISHED))


def _check_output(code: int) -> int:
    """Report that stdout was lost; the exit code is the command's own, unless the command only prints."""
    lost = find_lost_output()
    if lost is None:
        return code
    print_lines(
        click.style("error: ", fg="red", bold=True) + f"the result could not be printed: {lost.strerror}",
        "   at: stdout",
        f"   do: the command's work is done (exit code {code}); show it with: {_write_command('status')}",
        err=True,
    )
    return ExitCode.PAUSED if code == ExitCode.FINISHED and is_output_all() else code


class CommandLineError(MailrunError):
    """A mistake on the command line, as click found it."""

    exit_code = ExitCode.USAGE

    def __init__(self, error: click.UsageError) -> None:
        command = error.ctx.command_path if error.ctx else "mailrun"
        super().__init__(
            " ".join(error.format_message().split()).rstrip(".,"), where=command, remedy=f"see {command} --help"
        )


def _report(error: MailrunError, code: ExitCode, trace: str = "") -> NoReturn:
    """Print what happened, where, and what to do next, on stderr.

    With `--json` it is one line of JSON there, as logs are, and the document on stdout.
    """
    if "--json" in _find_options(sys.argv[1:]):
        described = {"what": error.what, "where": error.where, "remedy": error.remedy, "exit_code": int(code)}
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = {"event": "error", "level": "error", "at": at, "error": described}
        print_lines(json.dumps(line | ({"traceback": trace} if trace else {}), ensure_ascii=False), err=True)
        print_json({"error": described})
        sys.exit(code)
    if isinstance(error, CancelledError):
        print_lines(error.what, err=True)
        sys.exit(code)
    if trace:
        print_lines(trace.rstrip(), err=True)
    print_lines(click.style("error: ", fg="red", bold=True) + error.what, err=True)
    if error.where:
        print_lines(f"   at: {error.where.replace(f'{_name_here()}/', '')}", err=True)
    print_lines(f"   do: {error.remedy}", err=True)
    sys.exit(code)


def _find_options(arguments: list[str]) -> list[str]:
    """Return the arguments before `--`, after which nothing is an option."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _refuse_undecodable(arguments: list[str]) -> None:
    """Refuse arguments with bytes that are not UTF-8; Python passes them on as characters that cannot be encoded.

    Raises:
        UsageError: naming the first one.
    """
    for argument in arguments:
        if escape_undecodable(argument) != argument:
            show_address(escape_undecodable(argument))  # as it was typed
            raise UsageError(
                f"the argument {escape_undecodable(argument)} is not valid UTF-8",
                where="the command line",
                remedy="write it in UTF-8; rename a file whose name is in another encoding",
            )


def _find_undecodable(error: Exception) -> str | None:
    """Return the name with bytes that are not UTF-8 that caused an error; None where none did."""
    linked: BaseException | None = error
    while linked is not None:
        if isinstance(linked, UnicodeEncodeError) and escape_undecodable(linked.object) != linked.object:
            return linked.object
        linked = linked.__cause__ or linked.__context__
    return None


def _name_here() -> str:
    """Name this folder: paths under it are shown as people type them."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed while the command ran
        return ""
