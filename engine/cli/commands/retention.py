"""`mailrun forget` and `mailrun prune`: remove personal data."""

import sys
from datetime import timedelta

import click

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.errors import ExitCode
from engine.progress import step
from engine.quantities import format_count
from engine.report.figures.figures_file import refresh_figures
from engine.run.retain import prune as pruning
from engine.run.retain.forget import forget_address
from engine.system.streams import is_terminal


@with_common
def forget(address: str, common: Common) -> int:
    """Erase an address; print from where; return the exit code."""
    with open_chosen(common) as workspace:
        with step("erasing"):
            found = forget_address(address, workspace.ledger, workspace.store, workspace.clock)
        # Without the person.
        refresh_figures(workspace.ledger, workspace.store, workspace.clock, found.runs, is_forced=True)
    if common.json:
        found_runs = {"runs": found.runs, "postponed": found.postponed, "elsewhere": found.elsewhere}
        print_json({**found_runs, "removed": found.shelves, "events": found.events})
    else:
        print_lines(
            *(f"{name}: {format_count(rows, 'row')} erased" for name, rows in found.runs.items()),
            *(f"removed: {path}" for path in found.shelves),
            *(
                f"{_describe_elsewhere(name, at)}: run mailrun forget there, too"
                for name, at in found.elsewhere.items()
            ),
            *(f"{name} is being sent: run mailrun forget again when it has ended" for name in found.postponed),
            *([f"{format_count(found.events, 'event')} erased"] if found.events else []),
            f"erased from {format_count(len(found.runs), 'run')}; suppressed from now on",
            "the audience's own files are not changed: remove the address from them, too",
        )
    return ExitCode.PAUSED if found.postponed else ExitCode.FINISHED


def _describe_elsewhere(name: str, place: str) -> str:
    if not place:
        return f"the files of {name} are not in this store, or another ledger launched them"
    return f"{name} belongs to another store or ledger, {place}"


@with_common
def prune(older_than: timedelta, common: Common, *, yes: bool) -> None:
    """Remove what is older than an age; print what was removed."""
    with open_chosen(common) as workspace:
        prunable = pruning.find_prunable(
            workspace.ledger, workspace.store, older_than=older_than, clock=workspace.clock
        )
        names = [run.name for run in prunable.runs]
        if names and not yes and is_terminal(sys.stdin):
            click.confirm(
                f"Remove the files of {format_count(len(names), 'run')}, {names[0]} the oldest?", abort=True, err=True
            )
        with step("removing files"):
            pruned = pruning.prune(prunable, workspace.ledger, workspace.store, workspace.clock)
    if common.json:
        days = {"events": pruned.events, "history": pruned.history}
        listed = {name: [day.isoformat() for day in some] for name, some in days.items()}
        beside = {"aside": pruned.aside, "removed": pruned.shelves, "unfinished": pruned.unfinished}
        print_json({"pruned": names, "elsewhere": prunable.elsewhere, **listed, **beside})
    else:
        left = (f"{_describe_elsewhere(name, at)}: not changed" for name, at in prunable.elsewhere.items())
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
