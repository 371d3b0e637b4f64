"""Commands that watch a run and account for it."""

import click

from engine.cli.declare import declare
from engine.cli.options import Bind, Wait, make_alternatives, make_file_option, make_run_argument

status = declare(
    "status",
    "status.all_runs:status",
    """Show the state of one run or of all runs.

    For RUN (CAMPAIGN/KEY): its accounts, its workers, the figures of the guard, and the decisions that were made.
    Without RUN: one line for each run. With --watch, again every two seconds, until no run is sending; stop it with
    Ctrl-C, which changes nothing.
    """,
    make_run_argument(required=False),
    click.Option(
        ["--outgoing-addresses"],
        is_flag=True,
        help="With RUN: count deliveries, bounces and complaints by the IP address that sent them. Reads all events.",
    ),
    click.Option(["--watch"], is_flag=True, help="Show it again every two seconds, until no run is sending."),
    examples=["mailrun status", "mailrun status welcome/2026-12-01", "mailrun status welcome/2026-12-01 --watch"],
)

report = declare(
    "report",
    "report.one_run:report",
    """Write the report of a run, one HTML page for people.

    Counts the figures of RUN again, and writes report/report.html into its folder in the store. The page loads nothing
    from anywhere, and contains no whole address.
    """,
    make_run_argument(),
    make_file_option("--out", "Write the page to FILE instead, readable by you alone."),
    click.Option(
        ["--open", "open_it"],
        is_flag=True,
        help="Open the page in the browser. On a machine without a screen, only its place is printed.",
    ),
    examples=[
        "mailrun report welcome/2026-12-01 --open",
        "mailrun report welcome/2026-12-01 --out welcome.html",
        "mailrun report welcome/2026-12-01 --json",
    ],
)

audit = declare(
    "audit",
    "audit:audit",
    """Verify the accounts of a run from its files.

    Reads every file of RUN, and checks every digest, every row and every sum. A damaged outcomes file is moved aside.

    Exits with 65 if something is damaged or does not add up, and names it.
    """,
    make_run_argument(),
    make_file_option(
        "--against",
        "Compare with the receiver's own list in FILE: SES events or the sandbox's record as JSON lines, or CSV with"
        " message ids.",
        exists=True,
    ),
    examples=[
        "mailrun audit welcome/2026-12-01",
        "mailrun audit welcome/2026-12-01 --against events.jsonl",
    ],
)

resolve = declare(
    "resolve",
    "resolve:resolve",
    """List or settle the recipients that are in doubt.

    A recipient of RUN is in doubt if a message was handed to the transport and no answer came. Without an option the
    command lists them. Every decision is recorded with its author and time.
    """,
    make_run_argument(),
    *make_alternatives(
        "verdict",
        sent="They arrived: count them as sent.",
        resend="Send to them again; some may get a second copy.",
        skip="Never send to them; count them as failed.",
        after_restore="After a restore of the ledger: hold recipients in doubt whose outcome was lost.",
        from_events="Settle recipients that SES events prove; apply in_doubt of campaign.toml to the rest.",
    ),
    click.Option(
        ["--after"],
        type=Wait(),
        default="30m",
        show_default=True,
        metavar="TIME",
        help="With --from-events: how long to wait for events after a call before in_doubt applies, such as 30m or 2h.",
    ),
    make_file_option(
        "--file",
        "Settle only those in FILE: CSV with a column row or address, or SES events as JSON lines. Default: all.",
        exists=True,
    ),
    make_file_option("--export", "Write those in doubt to FILE as CSV, with whole addresses."),
    examples=[
        "mailrun resolve welcome/2026-12-01",
        "mailrun resolve welcome/2026-12-01 --from-events --after 2h",
    ],
)

dashboard = declare(
    "dashboard",
    "dashboard:dashboard",
    """Serve a web page that shows runs while they send.

    It shows the runs with live progress, their errors and previews. It changes nothing, except that you can pause,
    resume and approve a run. It listens on loopback; other addresses, and names of a proxy, need a token.
    """,
    click.Option(
        ["--bind"],
        type=Bind(),
        default="127.0.0.1:8027",
        show_default=True,
        metavar="HOST:PORT",
        help="Address to listen on; port 0 chooses a free one.",
    ),
    click.Option(
        ["--token"],
        metavar="TOKEN",
        help="Secret that opens the dashboard. Other users of this machine see it: better set the variable."
        " [env var: MAILRUN_DASHBOARD_TOKEN]",
    ),
    click.Option(
        ["--allow-host", "allow_hosts"],
        multiple=True,
        metavar="NAME",
        help="Answer to this Host as well, the one of a proxy; repeat for more.",
    ),
    examples=["mailrun dashboard", "mailrun dashboard --bind 0.0.0.0:8027 --allow-host mailrun.example.com"],
)
