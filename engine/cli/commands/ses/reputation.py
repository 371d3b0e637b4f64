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
from engine.report.dmarc_figures import summarize_dmarc
from engine.report.own_figures import read_own_figures
from engine.report.reputation_page import ReputationReport
from engine.store.dmarc_reports import read_dmarc_reports


@with_common
def ses_reputation(common: Common, *, days: int) -> int:
    """Read the reputation; print it; return the exit code."""
    ses = asyncio.run(_read(days))
    report = _add_own(common, ses)
    if common.json:
        print_json(report.to_json())
    else:
        print_lines(*report.to_lines())
    return ExitCode.UNAVAILABLE if report.is_stopped else ExitCode.FINISHED


async def _read(days: int) -> SesReputation:
    async with open_services() as services:
        return await read_reputation(services, days=days, clock=SystemClock())


def _add_own(common: Common, ses: SesReputation) -> ReputationReport:
    """Add the figures of our own runs and of DMARC reports; where there is no workspace or ledger, say why."""
    since = ses.at - timedelta(days=ses.days)
    try:
        with open_chosen(common) as workspace:
            own = read_own_figures(workspace.ledger, since)
            dmarc = summarize_dmarc(read_dmarc_reports(workspace.store, since.date()))
            return ReputationReport(ses, own, dmarc=dmarc)
    except MailrunError as error:
        return ReputationReport(ses, None, f"{error.what}; {error.remedy}")
