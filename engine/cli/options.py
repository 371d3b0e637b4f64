"""Options that several commands share."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.cli.suggestions import find_given
from engine.system.given_paths import look_at

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Where a command works, and how it reports."""

    workspace: Path | None
    store: str | None
    ledger: str | None
    json: bool
    verbose: bool


def complete_path(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Let the shell complete a path, for a parameter that may be an s3:// address as well."""
    from engine.cli import completing  # noqa: PLC0415 - only when a shell asks

    return completing.complete_path(context, parameter, incomplete)


def _make_common_options() -> list[Callable[[Command], Command]]:
    return [
        click.option(
            "--workspace",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="MAILRUN_WORKSPACE",
            show_envvar=True,
            help="Folder with campaigns/ and audiences/. Default: the one around the campaign or around here.",
        ),
        click.option(
            "--store",
            shell_complete=complete_path,
            metavar="FOLDER",
            help="Folder or s3://BUCKET/PREFIX for runs and outcomes. Default: .mailrun in the workspace."
            " [env var: MAILRUN_STORE]",
        ),
        click.option(
            "--ledger",
            metavar="URL",
            help="URL of the ledger. Default: SQLite in the store. [env var: MAILRUN_LEDGER]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Log details and durations on stderr."),
    ]


def common_options(command: Command) -> Command:
    """Give a command the options for workspace, store, ledger and output, as one `common` argument.

    The same options may stand before the command's name; those after it count first.
    """

    @wraps(command)
    def gathered(*, workspace: Path | None, **rest: Any) -> Any:
        context = click.get_current_context()
        for name in ("store", "ledger", "as_json", "verbose"):
            rest.pop(name)
        from engine.cli.steps import report_steps  # noqa: PLC0415 - only when a command really runs
        from engine.logs import configure_logs  # noqa: PLC0415 - as above

        workspace = find_given(context, "workspace") or workspace
        if workspace is not None:
            look_at(workspace, "--workspace")
        common = Common(
            workspace=workspace,
            store=find_given(context, "store"),
            ledger=find_given(context, "ledger"),
            json=bool(find_given(context, "as_json")),
            verbose=bool(find_given(context, "verbose")),
        )
        configure_logs(verbose=common.verbose)
        with report_steps():
            return command(common=common, **rest)

    return _apply(_make_common_options(), gathered)


def group_options(group: Command) -> Command:
    """Give a group of commands the common options, for `mailrun --json status` and `mailrun suppress --json list`.

    Raises:
        UsageError: the command that follows does not have such an option.
    """

    @wraps(group)
    def checked(**given: Any) -> Any:
        context = click.get_current_context()
        called, group_ = str(context.invoked_subcommand), context.command
        command = group_.get_command(context, called) if isinstance(group_, click.Group) else None
        for option in context.command.params:
            name = str(option.name)
            if (
                command is not None
                and name in given
                and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
                and all(one.name != name for one in command.params)
            ):
                raise click.UsageError(f"{called} does not have the option {option.opts[-1]}", context)
        return group()

    return _apply(_make_common_options(), checked)


def _complete_campaign(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from engine.cli.completing import complete_campaign  # noqa: PLC0415 - only when a shell asks

    return complete_campaign(context, parameter, incomplete)


def _complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from engine.cli.completing import complete_run  # noqa: PLC0415 - as above

    return complete_run(context, parameter, incomplete)


def campaign_options(command: Command) -> Command:
    """Give a command CAMPAIGN and what may differ from its campaign.toml."""
    options = [
        click.argument("campaign", shell_complete=_complete_campaign),
        click.option(
            "--audience",
            metavar="PATH",
            shell_complete=complete_path,
            help="File, glob, folder or s3:// to send to, instead of the campaign's.",
        ),
        click.option("--key", metavar="KEY", help="The run's key; the campaign says the default, such as the date."),
        click.option(
            "--limit",
            type=click.IntRange(min=0),
            metavar="N",
            help="Keep N recipients, a fair sample.",
        ),
        click.option(
            "--lenient",
            is_flag=True,
            help="Skip damaged rows instead of refusing the file; every skipped row is reported.",
        ),
        click.option(
            "--transport",
            type=click.Choice(["ses", "smtp", "outbox"]),
            help="The transport, instead of the campaign's; outbox writes files and sends nothing.",
        ),
        click.option("--sandbox", is_flag=True, help="Use an embedded local SES; no message leaves this machine."),
    ]
    return _apply(options, command)


def parent_option(command: Command) -> Command:
    """Give a command that sends `--exit-with-parent`."""
    return click.option(
        "--exit-with-parent",
        is_flag=True,
        help="Stop in order when the process that started this one ends, as a scheduler's task does.",
    )(command)


def address_argument(name: str, **given: Any) -> Callable[[Command], Command]:
    """Give a command ADDRESS, or ADDRESS...; `-` stands for the lines of standard input.

    Every user of a machine sees the arguments of its processes (`ps`), and a shell keeps them in its history.

    Args:
        name: of the parameter.
        **given: of click's argument; `nargs=-1` for several addresses.
    """

    def read(_context: click.Context, _argument: click.Parameter, value: Any) -> Any:
        if value not in ("-", ("-",)):
            return value
        lines = tuple(line.strip() for line in sys.stdin if line.strip())
        if isinstance(value, tuple) and lines:
            return lines
        if len(lines) != 1:
            raise click.UsageError(f"standard input has {len(lines)} addresses, one a line: write one")
        return lines[0]

    return click.argument(name, callback=read, **given)


def run_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """Give a command RUN."""
    return click.argument("run", required=required, shell_complete=_complete_run)


def _apply(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def alternative(flag: str, name: str, *, help: str) -> Callable[[Command], Command]:  # noqa: A002 - as click calls it
    """Give a command a flag that sets `name` to its own word, and goes with no other flag of that name."""
    word = flag.removeprefix("--")

    def choose(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
        chosen = context.params.setdefault(name, None)
        if value and chosen is not None:
            raise click.UsageError(f"--{chosen} and {flag} exclude each other: give one of them")
        if value:
            context.params[name] = word

    return click.option(
        flag, f"{name}_{word.replace('-', '_')}", is_flag=True, expose_value=False, callback=choose, help=help
    )
