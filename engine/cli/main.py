"""The entry point: the commands, and the border where errors become messages and exit codes.

Command modules import nothing heavy at their top: `mailrun --help` answers in an instant.
"""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from engine import __version__
from engine.cli import audit, init, keeping, launch, life, plan, preview, resolve, sandbox, status, work
from engine.errors import ExitCode, MailrunError


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
    launch.launch,
    work.work,
    status.status,
    life.pause,
    life.resume,
    life.cancel,
    resolve.resolve,
    audit.audit,
    keeping.forget,
    keeping.prune,
    sandbox.sandbox,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit as design: see ExitCode."""
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        _report(CommandLineError(error), ExitCode.USAGE)
    except MailrunError as error:
        _report(error, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(ExitCode.PAUSED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; nobody is left to tell
        sys.exit(ExitCode.FINISHED)
    sys.exit(code or ExitCode.FINISHED)


class CommandLineError(MailrunError):
    """A mistake on the command line, as click found it."""

    exit_code = ExitCode.USAGE

    def __init__(self, error: click.UsageError) -> None:
        command = error.ctx.command_path if error.ctx else "mailrun"
        super().__init__(error.format_message().rstrip("."), where=command, remedy=f"see {command} --help")


def _report(error: MailrunError, code: ExitCode) -> NoReturn:
    """Say what happened, where and what to do; on stdout as well where JSON was asked for."""
    click.echo(click.style("error: ", fg="red", bold=True) + error.what, err=True)
    if error.where:
        here = f"{Path.cwd()}/"  # paths are long; those under this folder are shown as people type them
        click.echo(f"   at: {error.where.replace(here, '')}", err=True)
    click.echo(f"   do: {error.remedy}", err=True)
    if "--json" in sys.argv[1:]:
        told = {"what": error.what, "where": error.where, "remedy": error.remedy, "exit_code": int(code)}
        click.echo(json.dumps({"error": told}, ensure_ascii=False))
    sys.exit(code)
