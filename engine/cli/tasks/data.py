"""Commands that remove personal data."""

import click

from engine.cli.declare import declare
from engine.cli.options import Age, make_address_argument

forget = declare(
    "forget",
    "retention:forget",
    """Erase an address from all runs.

    Erases ADDRESS from plans, outcomes, events and previews. The accounts stay balanced, and the address stays
    suppressed as a keyed hash. Write - in place of ADDRESS to read it from standard input.

    Exits with 75 if a run that is being sent was left out: run the command again when it has ended.
    """,
    make_address_argument("address"),
    examples=["mailrun forget ann@example.com", "mailrun forget - < address.txt"],
)

prune = declare(
    "prune",
    "retention:prune",
    """Remove old events, plans and files of ended runs.

    Removes events, plans, previews, quarantined files, and the files of runs that ended more than AGE ago. The counts
    of the runs stay, and their keys are never sent again. What killed commands left behind is removed at any age, once
    no process uses it.
    """,
    click.Option(
        ["--older-than"],
        type=Age(),
        required=True,
        metavar="AGE",
        help="Remove data of runs that ended longer ago than AGE, such as 90d, 12w or 48h.",
    ),
    click.Option(["--yes"], is_flag=True, help="Do not ask before files are removed."),
    examples=["mailrun prune --older-than 90d", "mailrun prune --older-than 12w --yes"],
)
