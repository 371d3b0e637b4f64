"""`mailrun forget`, `prune`: personal data that must go."""

import sys
from datetime import timedelta

import click

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.requests import open_chosen
from engine.errors import ExitCode
from engine.progress import step
from engine.quantities import format_count
from engine.run.retain import prune as pruning
from engine.run.retain.forget import forget_address
from engine.system.streams import is_terminal


@with_common
def forget(address: str, common: Common) -> int:
    """Erase ADDRESS from the plans and outcomes of all runs and from previews; the accounts stay balanced.

    It stays suppressed, as a keyed hash. Runs that are being sent now are left out, exit code 75: forget again later.
    With - in place of ADDRESS it is read from standard input.
    """
    with open_chosen(common) as place, step("erasing"):
        found = forget_address(address, place.ledger, place.store, place.clock)
    if common.json:
        told = {"runs": found.runs, "postponed": found.postponed, "elsewhere": found.elsewhere}
        print_json({**told, "removed": found.shelves, "events": found.events})
    else:
        print_lines(
            *(f"{name}: {format_count(rows, 'row')} erased" for name, rows in found.runs.items()),
            *(f"removed: {path}" for path in found.shelves),
            *(f"{_tell_elsewhere(name, at)}: forget there as well" for name, at in found.elsewhere.items()),
            *(f"{name} is being sent: forget again when it has ended" for name in found.postponed),
            *([f"{format_count(found.events, 'event')} erased"] if found.events else []),
            f"erased from {format_count(len(found.runs), 'run')}; suppressed from now on",
            "the audience's own files are yours to change",
        )
    return ExitCode.PAUSED if found.postponed else ExitCode.FINISHED


def _tell_elsewhere(name: str, place: str) -> str:
    if not place:
        return f"the files of {name} are not in this store, or not those that this ledger launched"
    return f"{name} belongs to another store or ledger, {place}"


@with_common
def prune(older_than: timedelta, common: Common, *, yes: bool) -> None:
    """Remove events, plans and previews, what was set aside, and the files of runs that ended, so long ago.

    The runs' counts stay, and their keys are never sent again. What killed commands left is removed whatever its age,
    once it is certain that nobody works with it any more.
    """
    with open_chosen(common) as place:
        prunable = pruning.find_prunable(place.ledger, place.store, older_than=older_than, clock=place.clock)
        names = [run.name for run in prunable.runs]
        if names and not yes and is_terminal(sys.stdin):
            click.confirm(
                f"Remove the files of {format_count(len(names), 'run')}, {names[0]} the oldest?", abort=True, err=True
            )
        with step("removing files"):
            pruned = pruning.prune(prunable, place.ledger, place.store, place.clock)
    if common.json:
        days = {"events": pruned.events, "history": pruned.history}
        told = {name: [day.isoformat() for day in some] for name, some in days.items()}
        beside = {"aside": pruned.aside, "removed": pruned.shelves, "unfinished": pruned.unfinished}
        print_json({"pruned": names, "elsewhere": prunable.elsewhere, **told, **beside})
    else:
        left = (f"{_tell_elsewhere(name, at)}: left alone" for name, at in prunable.elsewhere.items())
        print_lines(*(f"pruned {name}" for name in names), *left, f"{format_count(len(names), 'run')} pruned")
        for what, some in (("events", pruned.events), ("history", pruned.history)):
            if some:
                print_lines(f"{what} of {format_count(len(some), 'day')} removed, {some[0]} the oldest")
        print_lines(*([f"{format_count(pruned.aside, 'quarantined file')} removed"] if pruned.aside else []))
        print_lines(*(f"removed: {path}" for path in pruned.shelves))
        if pruned.unfinished:
            print_lines(
                f"{format_count(pruned.unfinished, 'file or folder', 'files and folders')} of killed commands removed"
            )
