"""`mailrun ses setup`."""

import asyncio
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from engine.account.services import AwsServices, open_services
from engine.account.setup import cloudformation, terraform
from engine.account.setup.resource import SetupStep
from engine.account.setup.wanted import WantedState
from engine.account.setup.whole.composition import find_place, list_resources
from engine.account.setup.whole.overall import Setup, SetupResult
from engine.account.setup.whole.wanted_reading import read_wanted
from engine.cli.commands.ses.setup_output import describe_progress, describe_result, to_json, write_zone_file
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import read_settings
from engine.errors import ConfigurationError, ExitCode, MailrunError, UsageError
from engine.settings import Settings, load_settings


@with_common
def ses_setup(
    common: Common, *, apply: bool, route53: bool, zone: bool, format_name: str | None, **options: Any
) -> int:
    """Plan a set-up, carry it out, or write it as a file; print it; return the exit code."""
    if zone and (common.json or apply or format_name):
        raise click.UsageError("--zone prints only the zone file: leave out --json, --apply and --as")
    if format_name and (common.json or apply or route53):
        raise click.UsageError("--as prints only the file: leave out --json, --apply and --route53")
    settings = _read_settings(common)
    given = {name: value for name, value in options.items() if value not in (None, False)}
    wanted = read_wanted(settings.ses.model_copy(update=given))
    key_file = settings.store_folder / "dkim" / f"{wanted.domain}.{wanted.dkim_selector}.pem"
    if format_name:
        print_lines(_write_file(wanted, key_file, format_name).rstrip("\n"))
        return ExitCode.FINISHED
    result = asyncio.run(_work(wanted, key_file, apply=apply, route53=route53))
    result = replace(result, settings=_list_missing(result.settings, settings))
    if zone:
        print_lines(write_zone_file(result).rstrip("\n"))
    elif common.json:
        print_json(to_json(result))
    else:
        print_lines(*describe_result(result))
    return ExitCode.CONFIGURATION if apply and result.conflicts else ExitCode.FINISHED


def _read_settings(common: Common) -> Settings:
    """Read the settings; an account can be set up before there is a workspace."""
    try:
        return read_settings(common)
    except UsageError:
        if common.workspace is not None:
            raise
        return load_settings(Path.cwd(), store=common.store, ledger=common.ledger)


def _list_missing(wanted: dict[str, dict[str, Any]], settings: Settings) -> dict[str, dict[str, Any]]:
    """Leave out the settings that mailrun.toml has already."""
    missing: dict[str, dict[str, Any]] = {}
    for section, values in wanted.items():
        present = getattr(settings, section)
        lacking = {key: value for key, value in values.items() if not _includes(getattr(present, key), value)}
        if lacking:
            missing[section] = lacking
    return missing


def _includes(present: Any, wanted: Any) -> bool:
    return set(wanted) <= set(present or ()) if isinstance(wanted, list) else bool(present == wanted)


def _write_file(wanted: WantedState, key_file: Path, format_name: str) -> str:
    """Write the wanted state as a file of Terraform or CloudFormation; the account is not asked."""
    if wanted.dkim_selector:
        raise ConfigurationError(
            "a DKIM key of your own cannot be written as a file: everyone who reads the file could sign as you",
            where="--dkim-selector, or [ses] dkim_selector",
            remedy="leave it out for Easy DKIM, or run the set-up with --apply",
        )
    if format_name == "terraform":
        return terraform.write_configuration(list_resources(wanted, terraform.PLACE, key_file))
    return cloudformation.write_template(list_resources(wanted, cloudformation.PLACE, key_file))


async def _work(wanted: WantedState, key_file: Path, *, apply: bool, route53: bool) -> SetupResult:
    async with open_services() as services:
        resources = list_resources(wanted, await find_place(services, wanted), key_file)
        setup = Setup(wanted=wanted, resources=resources, key_file=key_file, route53=route53)
        return await (_carry_out(setup, services) if apply else setup.plan(services))


async def _carry_out(setup: Setup, services: AwsServices) -> SetupResult:
    done: list[SetupStep] = []

    def report(step: SetupStep) -> None:
        done.append(step)
        print_lines(describe_progress(step), err=True)

    try:
        return await setup.carry_out(services, report)
    except MailrunError:
        if 0 < len(done) < len(setup.resources):
            print_lines(
                f"{len(done)} of {len(setup.resources)} resources are as wanted; run it again to resume", err=True
            )
        raise
