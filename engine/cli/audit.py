"""`mailrun audit`."""

import click

from engine.cli.options import Common, common_options
from engine.errors import ExitCode


@click.command()
@click.argument("run")
@common_options
def audit(run: str, common: Common) -> int:
    """Prove the accounts of RUN from its files: every digest, every row, every sum.

    Exits with 65 and names what is damaged or does not add up.
    """
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.compose import open_place  # noqa: PLC0415
    from engine.run.accounting import require_run  # noqa: PLC0415
    from engine.run.audit import audit_run  # noqa: PLC0415

    with open_place(common) as place, place.ledger.read() as tx:
        found = audit_run(tx, require_run(tx, run), place.store)
    if common.json:
        output.print_json(found.to_json())
    else:
        output.print_accounts(found.accounts)
        output.print_lines(*(f"PROBLEM: {problem}" for problem in found.problems))
        output.print_lines("not proved" if found.problems else f"proved from the files in {found.accounts.store}")
    return ExitCode.DATA if found.problems else ExitCode.FINISHED
