"""Commands about the SES account: its state, its set-up, its authentication, its addresses, its reputation."""

import click

from engine.cli.declare import declare, declare_group
from engine.cli.options import make_file_option
from engine.cli.tasks.ses_pools import pools
from engine.cli.tasks.ses_setup import setup

status = declare(
    "status",
    "ses.account_status:ses_status",
    """Show the state of the SES account.

    Shows the send rate, the 24-hour quota, production access, enforcement, the identities with the state of their
    DKIM and MAIL FROM, and the configuration sets. States are read of the first 20 identities, about one a second.
    They are those of one region: AWS_DEFAULT_REGION chooses another one. Nothing is changed.

    Exits with 69 if the account may not send.
    """,
    examples=["mailrun ses status", "mailrun ses status --json"],
)

verify = declare(
    "verify",
    "ses.verify:ses_verify",
    """Check the DNS records and the state of a sending domain.

    Checks what Gmail, Yahoo, Microsoft and SES look for: the identity, its DKIM records and their keys, MX and SPF of
    MAIL FROM, DMARC and its alignment with the From address, and with BIMI, MTA-STS and TLS reports what is optional.
    Without credentials or a region, DNS alone is checked. Nothing is changed.

    Name servers are those of `nameservers` in [dns] of mailrun.toml. A question that they do not answer is unknown:
    it is reported, and does not fail the command.

    With --message, a received message is examined instead: which header fields its DKIM signatures cover, whether they
    are valid and aligned, what its receiver states, its ARC chain, and the headers of one-click unsubscribing.

    Exits with 69 if a check fails, with 65 if only header fields of a message are wrong, and with 0 if none fails.
    """,
    click.Argument(["domain"], required=False),
    click.Option(["--from", "sender"], metavar="ADDRESS", help="From address of your mail. Default: one at DOMAIN."),
    click.Option(["--mail-from"], metavar="SUBDOMAIN", help="MAIL FROM domain. Default: the one that SES uses."),
    make_file_option("--message", "Examine this received message, an .eml file, instead of a domain.", exists=True),
    examples=[
        "mailrun ses verify acme.example",
        "mailrun ses verify acme.example --from news@mail.acme.example",
        "mailrun ses verify --message received.eml",
    ],
)

reputation = declare(
    "reputation",
    "ses.reputation:ses_reputation",
    """Show bounces, complaints and findings of the account.

    Shows the bounce and complaint rates as SES computes them (CloudWatch), by day, with the limits of SES and Gmail;
    metrics by receiver, identity and configuration set of the Virtual Deliverability Manager (VDM) where it is on;
    SES's recommendations and findings; the growth of the suppression list; and the figures of your own runs by receiver
    and by run. A part that cannot be read says why, and the others are shown.

    SES's figures are of one region: AWS_DEFAULT_REGION chooses another one.

    Exits with 69 if SES has stopped the account, or if a rate has reached the level at which it may.
    """,
    click.Option(
        ["--days"],
        type=click.IntRange(1, 60),
        default=30,
        metavar="N",
        help="How many days back, at most 60. Default: 30.",
    ),
    examples=["mailrun ses reputation", "mailrun ses reputation --days 7 --json"],
)

ses = declare_group(
    "ses",
    """Set up and watch the SES account.

    Region and credentials are those of the AWS environment or profile.
    """,
    [status, setup, verify, pools, reputation],
    examples=["mailrun ses status", "mailrun ses setup acme.example --events sqs", "mailrun ses verify acme.example"],
)
