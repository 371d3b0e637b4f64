"""The entry point: the commands, and the border where errors become messages and exit codes.

Command modules import nothing heavy at their top: `mailrun --help` answers in an instant.
"""

import json
import sys
import traceback
from pathlib import Path
from typing import NoReturn

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
from engine.cli.interruption import INTERRUPTION
from engine.cli.printing import is_output_all, name_command, print_lines
from engine.cli.streams import find_lost_output, make_output_lasting
from engine.errors import ExitCode, MailrunError, PausedError
from engine.process_limits import describe_limit


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
    make_output_lasting()
    INTERRUPTION.install()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print_lines(error.format_message(), err=True)
        sys.exit(ExitCode.USAGE)
    except click.UsageError as error:
        _report(CommandLineError(error), ExitCode.USAGE)
    except MailrunError as error:
        _report(error, error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        stopped = PausedError(str(error) or "stopped", remedy="run the command again")
        _report(stopped, stopped.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug is told as one, as JSON too
        if (limit := describe_limit(error)) is not None:
            _report(limit, limit.exit_code)
        traceback.print_exc()
        bug = MailrunError("this is a bug in mailrun", remedy="report it with the lines above")
        _report(bug, ExitCode.BUG)
    sys.exit(_check_output(code or ExitCode.FINISHED))


def _check_output(code: int) -> int:
    """Say that stdout was lost; the exit code stays what the command did, unless printing was all that it did."""
    lost = find_lost_output()
    if lost is None:
        return code
    print_lines(
        click.style("error: ", fg="red", bold=True) + f"the result could not be printed: {lost.strerror}",
        "   at: stdout",
        f"   do: what the command did is done (exit code {code}); see it with: {name_command()} status",
        err=True,
    )
    return ExitCode.PAUSED if code == ExitCode.FINISHED and is_output_all() else code


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
