"""`mailrun notify send`."""

import asyncio

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.delivery.retry import draw_jitter
from engine.errors import ExitCode
from engine.notify.desk import NoticeDesk
from engine.progress import step
from engine.quantities import format_count


@with_common
def send(common: Common) -> int:
    """Send what is due; print how many were accepted; return the exit code."""
    with open_chosen(common) as workspace:
        desk = NoticeDesk(
            settings=workspace.settings,
            ledger=workspace.ledger,
            store=workspace.store,
            clock=workspace.clock,
            jitter=draw_jitter,
        )
        with step("sending notifications"):
            counted = asyncio.run(desk.send_now())
    if common.json:
        print_json({"accepted": counted[True], "not_accepted": counted[False]})
    else:
        print_lines(f"{format_count(counted[True], 'notification')} accepted, {counted[False]:,} not accepted")
    return ExitCode.UNAVAILABLE if counted[False] else ExitCode.FINISHED
