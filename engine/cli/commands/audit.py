"""`mailrun audit`."""

from pathlib import Path

from engine.cli import output
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.requests import open_chosen
from engine.errors import ExitCode
from engine.report.run_accounts import require_run
from engine.run.settle.audit import audit_run
from engine.run.settle.receiver_lists import read_list


@with_common
def audit(run: str, against: Path | None, common: Common) -> int:
    """Prove the accounts of RUN from its files: every digest, every row, every sum.

    Exits with 65 and names what is damaged or does not add up. A damaged outcomes file is set aside.
    """
    received = None if against is None else read_list(against, run)
    with open_chosen(common) as place:
        found = audit_run(place.ledger, require_run(place.ledger, run), place.store, received)
    if common.json:
        print_json(found.to_json())
    else:
        output.print_accounts(found.accounts)
        if found.comparison is not None:
            compared = found.comparison.to_json()
            print_lines(
                "the receiver's list: " + ", ".join(f"{n:,} {w.replace('_', ' ')}" for w, n in compared.items())
            )
        print_lines(*(f"PROBLEM: {problem}" for problem in found.problems))
        print_lines("not proved" if found.problems else f"proved from the files in {found.accounts.store}")
    return ExitCode.DATA if found.problems else ExitCode.FINISHED
