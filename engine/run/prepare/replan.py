"""Plans without a run, for `plan`, `preview`, `check` and `test`: each replaces the campaign's last one."""

import asyncio
import shutil
from pathlib import Path

from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.run.manifest import Manifest
from engine.run.prepare.planning import PlanRequest, write_plan
from engine.stopping.abandonable import run_in_daemon_thread, wait_unless_stopped
from engine.stopping.signals import stop_on_signals
from engine.stopping.stop import Stop
from engine.store.files import locked, translate_os_errors
from engine.store.port import Store

SHELVES = ("plans", "previews", "checks", "proofs")  # folders of the store, of this machine alone
_AGAIN = "run the same command again"


def describe_plan(manifest: Manifest, folder: Path) -> Accounts:
    """Make the accounts of a plan without a run: nothing is sent."""
    return Accounts(
        run=manifest.run,
        state=RunState.PLANNED,
        reason=None,
        rows_read=manifest.rows_read,
        accepted=manifest.accepted,
        excluded=manifest.excluded,
        outcomes={},
        store=str(folder),
    )


def replan(request: PlanRequest, store: Store, shelf: str) -> tuple[Manifest, Path]:
    """Plan into a folder of the store that holds the latest such plan of a campaign and no run.

    Call it in the main thread: it handles signals while it plans.

    Args:
        request: what to plan.
        store: where.
        shelf: one of SHELVES.

    Returns:
        The manifest, and the folder.

    Raises:
        DataError: audience or templates are wrong.
        PausedError: a signal stopped it; nothing is left behind.
    """
    return asyncio.run(_replan(request, store, shelf))


async def _replan(request: PlanRequest, store: Store, shelf: str) -> tuple[Manifest, Path]:
    folder, stop = store.local_folder / shelf / request.campaign.name, Stop()
    with stop_on_signals(stop), store.stage(request.name) as staging:
        work = run_in_daemon_thread(lambda: write_plan(request, staging), name="planning")
        manifest = await wait_unless_stopped(work, stop, doing="the audience was planned", remedy=_AGAIN)
        with translate_os_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(folder.parent):
                shutil.rmtree(folder, ignore_errors=True)
                staging.rename(folder)
    return manifest, folder
