"""Commands about the SES account: its state, its set-up, its authentication, its addresses, its reputation."""

from engine.cli.declare import declare, declare_group

status = declare(
    "status",
    "ses_status:ses_status",
    """Show the state of the SES account.

    Shows the send rate, the 24-hour quota, production access, enforcement, the identities with their DKIM and MAIL FROM
    state, and the configuration sets. Nothing is changed.

    Exits with 69 if the account may not send.
    """,
    examples=["mailrun ses status", "mailrun ses status --json"],
)

ses = declare_group(
    "ses",
    """Set up and watch the SES account.

    Region and credentials are those of the AWS environment or profile.
    """,
    [status],
    examples=["mailrun ses status"],
)
