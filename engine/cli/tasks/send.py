"""Commands that send a run, and that control it while it is sent."""

import click

from engine.cli.declare import declare
from engine.cli.options import make_campaign_parameters, make_metrics_option, make_parent_option, make_run_argument


def _make_reason_option() -> click.Option:
    return click.Option(["--reason"], default="", metavar="TEXT", help="Reason, shown by `mailrun status`.")


launch = declare(
    "launch",
    "launch:launch",
    """Send a campaign, or resume its run.

    Plans CAMPAIGN and sends it as the run CAMPAIGN/KEY. Launching the same key again resumes the run, or reports that
    it is finished.

    The first Ctrl-C or SIGTERM finishes the calls in flight and exits with 75; the second one stops at once.
    """,
    *make_campaign_parameters(),
    click.Option(["--yes"], is_flag=True, help="Do not ask before a new run is sent."),
    click.Option(
        ["--workers"],
        type=click.IntRange(min=1, max=64),
        metavar="N",
        help="Number of sender processes. Default: one, and more when one is not enough for the rate.",
    ),
    click.Option(
        ["--approve"],
        is_flag=True,
        help="Send the rest after the canary, or resume after the guard has paused the run; recorded.",
    ),
    make_metrics_option(),
    make_parent_option(),
    examples=[
        "mailrun launch welcome --sandbox",
        "mailrun launch welcome --key 2026-12-01 --yes",
    ],
)

work = declare(
    "work",
    "launch:work",
    """Join a run as an additional worker.

    RUN is CAMPAIGN/KEY. The worker may be another process, or another machine with the same ledger and store. Workers
    are equal: they share the work and the account's rate, and the others take over the work of one that dies.
    """,
    make_run_argument(),
    click.Option(
        ["--workers"],
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of sender processes. Default: one, and more when one is not enough for the rate.",
    ),
    make_metrics_option(),
    make_parent_option(),
    examples=["mailrun work welcome/2026-12-01", "mailrun work welcome/2026-12-01 --workers 4"],
)

pause = declare(
    "pause",
    "control:pause",
    """Pause a run.

    Every worker of RUN, on every machine, finishes its calls in flight and waits for `mailrun resume`.
    """,
    make_run_argument(),
    _make_reason_option(),
    examples=['mailrun pause welcome/2026-12-01 --reason "wrong subject"'],
)

resume = declare(
    "resume",
    "control:resume",
    """Resume a paused run.

    Workers of RUN that wait continue to send. If no worker is left, the command prints how to start one.
    """,
    make_run_argument(),
    examples=["mailrun resume welcome/2026-12-01"],
)

cancel = declare(
    "cancel",
    "control:cancel",
    """Cancel a run permanently.

    The workers of RUN finish their calls in flight and send nothing more. The other recipients stay unsent, and the run
    cannot be resumed.
    """,
    make_run_argument(),
    _make_reason_option(),
    examples=['mailrun cancel welcome/2026-12-01 --reason "sent to the wrong list"'],
)
