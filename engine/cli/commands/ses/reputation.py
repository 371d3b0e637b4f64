"""`mailrun ses reputation`."""

import asyncio
from datetime import timedelta

from engine.account.reputation.picture import SesReputation, read_reputation
from engine.account.services import open_services
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.clock import SystemClock
from engine.errors import ExitCode, MailrunError
from engine.report.own_figures import OwnReputation, read_own_figures
from engine.report.reputation_page import ReputationReport


@with_common
def ses_reputation(common: Common, *, days: int) -> int:
    """Read the reputation; print it; return the exit code."""
    ses = asyncio.run(_read(days))
    own, problem = _read_own(common, ses)
    report = ReputationReport(ses, own, problem)
    if common.json:
        print_json(report.to_json())
    else:
        print_lines(*report.to_lines())
    return ExitCode.UNAVAILABLE if report.is_stopped else ExitCode.FINISHED


async def _read(days: int) -> SesReputation:
    async with open_services() as services:
        return await read_reputation(services, days=days, clock=SystemClock())


def _read_own(common: Common, ses: SesReputation) -> tuple[OwnReputation | None, str]:
    """Read the figures of our own runs; where there is no workspace or ledger, return why."""
    try:
        with open_chosen(common) as workspace:
            return read_own_figures(workspace.ledger, ses.at - timedelta(days=ses.days)), ""
    except MailrunError as error:
        return None, f"{error.what}; {error.remedy}"
