"""Arguments and options that several commands share. Imports nothing heavy."""

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from engine.on_demand import OnDemand

_UNITS = {"d": "days", "w": "weeks", "h": "hours", "m": "minutes"}
_OCTETS = 4  # of an IPv4 address

complete_campaign = OnDemand("engine.cli.completion.campaigns:complete_campaign")
complete_path = OnDemand("engine.cli.completion.campaigns:complete_path")
_parse_listen = OnDemand("engine.setting_sections:parse_listen")
complete_run = OnDemand("engine.cli.completion.runs:complete_run")
complete_target = OnDemand("engine.cli.completion.targets:complete_target")


def make_common_options() -> list[click.Option]:
    """Make the options for workspace, store, ledger and output; `with_common` gathers them."""
    return [
        click.Option(
            ["--workspace"],
            type=click.Path(path_type=Path, file_okay=False),
            envvar="MAILRUN_WORKSPACE",
            show_envvar=True,
            help="Folder with campaigns/ and audiences/. Default: the nearest one around the campaign or this folder.",
        ),
        click.Option(
            ["--store"],
            shell_complete=complete_path,
            metavar="FOLDER",
            help="Folder or s3://BUCKET/PREFIX for runs and outcomes. Default: .mailrun in the workspace."
            " [env var: MAILRUN_STORE]",
        ),
        click.Option(
            ["--ledger"],
            metavar="URL",
            help="URL of the ledger. Default: an SQLite file in the store. [env var: MAILRUN_LEDGER]",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document on stdout."),
        click.Option(["-v", "--verbose"], is_flag=True, help="Log details and durations on stderr."),
    ]


def make_campaign_parameters() -> list[click.Parameter]:
    """Make CAMPAIGN, and the options that override its campaign.toml."""
    return [
        click.Argument(["campaign"], shell_complete=complete_campaign),
        click.Option(
            ["--audience"],
            metavar="PATH",
            shell_complete=complete_path,
            help="File, glob, folder or s3:// address to send to. Default: the campaign's audience.",
        ),
        click.Option(["--key"], metavar="KEY", help="Key of the run. Default: the campaign's, such as the date."),
        click.Option(
            ["--limit"],
            type=click.IntRange(min=0),
            metavar="N",
            help="Keep a random sample of N recipients. Default: all.",
        ),
        click.Option(
            ["--lenient"],
            is_flag=True,
            help="Skip damaged rows instead of rejecting the file; every skipped row is reported.",
        ),
        click.Option(
            ["--transport"],
            type=click.Choice(["ses", "smtp", "outbox"]),
            help="Transport to send with; outbox writes files and sends nothing. Default: the campaign's transport.",
        ),
        click.Option(["--sandbox"], is_flag=True, help="Use an embedded local SES; no message leaves this machine."),
    ]


def make_parent_option() -> click.Option:
    """Make `--exit-with-parent`, of a command that sends."""
    return click.Option(
        ["--exit-with-parent"],
        is_flag=True,
        help="Stop as after SIGTERM when the parent process ends, such as a scheduler's task.",
    )


def make_metrics_option() -> click.Option:
    """Make `--metrics-listen`, of a command that works for a while."""
    return click.Option(
        ["--metrics-listen"],
        metavar="HOST:PORT",
        callback=_check_listen,
        help="Serve metrics for Prometheus at this address, such as 127.0.0.1:9464; port 0 chooses a free one."
        " [env var: MAILRUN_METRICS_LISTEN]",
    )


def _check_listen(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            _parse_listen(value)
        except ValueError as error:
            raise click.UsageError(f"invalid --metrics-listen: {error}") from None
    return value


def make_event_topic_option() -> click.Option:
    """Make `--topic`, of a command that reads notifications from SNS."""
    return click.Option(
        ["--topic", "topics"],
        multiple=True,
        metavar="ARN",
        help="SNS topic whose notifications are trusted; repeat for more. Default: the topics of the queue's account."
        " [env var: MAILRUN_EVENTS_TOPICS]",
    )


def make_run_argument(*, required: bool = True) -> click.Argument:
    """Make RUN."""
    return click.Argument(["run"], required=required, shell_complete=complete_run)


def make_address_argument(name: str, **given: Any) -> click.Argument:
    """Make ADDRESS, or ADDRESS...; `-` stands for the lines of standard input.

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
            raise click.UsageError(f"standard input has {len(lines)} addresses, one per line: write one")
        return lines[0]

    return click.Argument([name], callback=read, **given)


def make_alternatives(name: str, **helps: str) -> list[click.Option]:
    """Make flags that exclude each other; the given one sets `name` to its own name.

    Args:
        name: of the parameter.
        **helps: flag, with underscores, to its help.
    """
    return [_make_alternative(flag.replace("_", "-"), name, text) for flag, text in helps.items()]


def _make_alternative(word: str, name: str, text: str) -> click.Option:
    def choose(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
        chosen = context.params.setdefault(name, None)
        if value and chosen is not None:
            raise click.UsageError(f"--{chosen} and --{word} exclude each other: give one of them")
        if value:
            context.params[name] = word

    names = [f"--{word}", f"{name}_{word.replace('-', '_')}"]
    return click.Option(names, is_flag=True, expose_value=False, callback=choose, help=text)


class Age(click.ParamType[timedelta]):
    """An age such as 90d, 12w or 48h."""

    name = "age"
    units = "dwh"
    examples = "90d, 12w or 48h"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(rf"(\d{{1,5}})([{self.units}])", str(value).strip())
        if found is None:
            self.fail(f"invalid {self.name}: {value}; write it as {self.examples}", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class IpAddress(click.ParamType[str]):
    """An IPv4 address."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        parts = str(value).split(".")
        are_octets = all(re.fullmatch(r"0|[1-9][0-9]{0,2}", part) and int(part) < 256 for part in parts)
        if len(parts) != _OCTETS or not are_octets:
            self.fail(f"invalid address: {value}; write it as 198.51.100.7", param, ctx)
        return str(value)


class Bind(click.ParamType[tuple[str, int]]):
    """HOST:PORT; an IPv6 address in brackets. The value is the host without brackets, and the port."""

    name = "address"
    _pattern = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return the host and the port."""
        if isinstance(value, tuple):
            return str(value[0]), int(value[1])
        found = self._pattern.fullmatch(str(value))
        if found is None or int(found[3]) >= 1 << 16:
            self.fail(f"{value!r} is not HOST:PORT, such as 127.0.0.1:8027 or [::1]:8027", param, ctx)
        return found[1] or found[2], int(found[3])


class Wait(Age):
    """A wait such as 30m or 2h; an age has no m, which may mean a month."""

    name = "time"
    units = "hm"
    examples = "30m or 2h"


def make_file_option(flag: str, text: str, *, exists: bool = False) -> click.Option:
    """Make an option that names a file."""
    kind = click.Path(path_type=Path, dir_okay=False, exists=exists)
    return click.Option([flag], type=kind, metavar="FILE", help=text)
