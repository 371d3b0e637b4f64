"""`mailrun audit`."""

from pathlib import Path

import click

from engine.cli.options import Common, common_options, run_argument
from engine.cli.printing import print_json, print_lines
from engine.errors import ExitCode


@click.command()
@run_argument()
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="The receiving side's own list: SES events or the sandbox's record as JSON lines, or CSV with message ids.",
)
@common_options
def audit(run: str, against: Path | None, common: Common) -> int:
    """Prove the accounts of RUN from its files: every digest, every row, every sum.

    Exits with 65 and names what is damaged or does not add up. A damaged outcomes file is set aside.
    """
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.requests import open_chosen  # noqa: PLC0415
    from engine.report.run_accounts import require_run  # noqa: PLC0415
    from engine.run.settle.audit import audit_run  # noqa: PLC0415
    from engine.run.settle.receiver_lists import read_list  # noqa: PLC0415

    received = None if against is None else read_list(against, run)
    with open_chosen(common) as place:
        with place.ledger.read() as tx:
            known = require_run(tx, run)
        found = audit_run(place.ledger, known, place.store, received)
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
