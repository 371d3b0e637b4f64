"""The entry point: the commands, and the border where errors become messages and exit codes.

Command modules import nothing heavy at their top: `mailrun --help` answers in an instant.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn, TextIO

import click

from engine import __version__
from engine.cli import (
    audit,
    check,
    events,
    inbound,
    init,
    keeping,
    launch,
    life,
    plan,
    preview,
    resolve,
    sandbox,
    status,
    suppress,
    test,
    unsubscribe_server,
    work,
)
from engine.cli.printing import print_lines
from engine.errors import ExitCode, MailrunError, PausedError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mailrun")
def cli() -> None:
    """Send one campaign to one audience through Amazon SES, and account for every recipient.

    Start with: mailrun init, then mailrun launch campaigns/welcome --sandbox
    """


for _command in (
    init.init,
    plan.plan,
    preview.preview,
    check.check,
    test.test,
    launch.launch,
    work.work,
    status.status,
    life.pause,
    life.resume,
    life.cancel,
    resolve.resolve,
    audit.audit,
    events.events,
    inbound.inbound,
    suppress.suppress,
    unsubscribe_server.unsubscribe_server,
    keeping.forget,
    keeping.prune,
    sandbox.sandbox,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit as ExitCode says."""
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):  # until a launch listens, both end a command in the same way
        signal.signal(number, signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print_lines(error.format_message(), err=True)
        sys.exit(ExitCode.USAGE)
    except click.UsageError as error:
        _report(CommandLineError(error), ExitCode.USAGE)
    except MailrunError as error:
        _report(error, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        stopped = PausedError("stopped before anything was sent", remedy="start the command again")
        _report(stopped, stopped.exit_code)
    except Exception:  # noqa: BLE001 - a bug is told as one, as JSON too
        traceback.print_exc()
        bug = MailrunError("this is a bug in mailrun", remedy="report it with the lines above")
        _report(bug, ExitCode.BUG)
    sys.exit(code or ExitCode.FINISHED)


class CommandLineError(MailrunError):
    """A mistake on the command line, as click found it."""

    exit_code = ExitCode.USAGE

    def __init__(self, error: click.UsageError) -> None:
        command = error.ctx.command_path if error.ctx else "mailrun"
        super().__init__(error.format_message().rstrip("."), where=command, remedy=f"see {command} --help")


def _report(error: MailrunError, code: ExitCode) -> NoReturn:
    """Say what happened, where and what to do; on stdout as well where JSON was asked for."""
    print_lines(click.style("error: ", fg="red", bold=True) + error.what, err=True)
    if error.where:
        print_lines(f"   at: {error.where.replace(f'{_name_here()}/', '')}", err=True)
    print_lines(f"   do: {error.remedy}", err=True)
    if "--json" in sys.argv[1:]:
        told = {"what": error.what, "where": error.where, "remedy": error.remedy, "exit_code": int(code)}
        print_lines(json.dumps({"error": told}, ensure_ascii=False))
    sys.exit(code)


def _name_here() -> str:
    """Name this folder: paths under it are shown as people type them."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed under our feet
        return ""


def _open(stream: TextIO | None) -> TextIO:
    """Stand in for a stream that was closed before we began."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - till exit
