"""`mailrun audit`."""

from pathlib import Path

from engine.cli import run_output
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.errors import ExitCode
from engine.report.run_accounts import require_run
from engine.run.settle.audit import audit_run
from engine.run.settle.receiver_lists import read_list


@with_common
def audit(run: str, against: Path | None, common: Common) -> int:
    """Verify a run from its files; print its accounts and every problem; return the exit code."""
    received = None if against is None else read_list(against, run)
    with open_chosen(common) as workspace:
        found = audit_run(workspace.ledger, require_run(workspace.ledger, run), workspace.store, received)
    if common.json:
        print_json(found.to_json())
    else:
        run_output.print_accounts(found.accounts)
        if found.comparison is not None:
            compared = found.comparison.to_json()
            print_lines("receiver's list: " + ", ".join(f"{n:,} {w.replace('_', ' ')}" for w, n in compared.items()))
        print_lines(*(f"PROBLEM: {problem}" for problem in found.problems))
        print_lines("not proved" if found.problems else f"proved from the files in {found.accounts.store}")
    return ExitCode.DATA if found.problems else ExitCode.FINISHED
