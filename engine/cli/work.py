"""`mailrun work`."""

import click

from engine.cli.options import Common, common_options


@click.command()
@click.argument("run")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes that send; more are started by need."
)
@common_options
def work(run: str, common: Common, *, workers: int | None) -> int:
    """Be another worker of RUN (CAMPAIGN/KEY): another process, or another machine with the same ledger and store.

    Workers are equal: they share the work and the account's rate, and one that dies is replaced by the others.
    """
    from engine.cli.launching import work_on  # noqa: PLC0415 - keeps --help fast

    return work_on(run, common, workers=workers)
