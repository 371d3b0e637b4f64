"""`mailrun work`."""

import click

from engine.cli.options import Common, common_options, parent_option, run_argument


@click.command()
@run_argument()
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes that send; more are started by need."
)
@parent_option
@common_options
def work(run: str, common: Common, *, workers: int | None, exit_with_parent: bool) -> int:
    """Be another worker of RUN (CAMPAIGN/KEY): another process, or another machine with the same ledger and store.

    Workers are equal: they share the work and the account's rate, and one that dies is replaced by the others.
    """
    from engine.cli.commands.launch import work_on  # noqa: PLC0415 - keeps --help fast

    return work_on(run, common, workers=workers, exit_with_parent=exit_with_parent)
