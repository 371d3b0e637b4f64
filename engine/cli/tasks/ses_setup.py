"""`mailrun ses setup`."""

import click

from engine.cli.declare import declare

setup = declare(
    "setup",
    "ses.setup:ses_setup",
    """Plan and carry out the set-up of the SES account.

    Compares the account with the wanted state, and prints what to create, change and keep, and the DNS records to
    publish. Without --apply nothing is changed. With it, everything is created or changed that differs; nothing is ever
    deleted. If it fails half-way, run it again: it resumes.

    The wanted state is the options, then [ses] in mailrun.toml.

    Exits with 78 if something in the account is in the way.
    """,
    click.Argument(["domain"], required=False),
    click.Option(
        ["--mail-from"],
        metavar="SUBDOMAIN",
        help="Subdomain of the envelope sender, used for nothing else. Default: bounce.",
    ),
    click.Option(["--configuration-set"], metavar="NAME", help="Configuration set of the domain. Default: mailrun."),
    click.Option(["--pool"], metavar="NAME", help="Pool of dedicated IP addresses to send from. Default: as it is."),
    click.Option(
        ["--tls"],
        type=click.Choice(["require", "optional"]),
        help="Deliver over TLS only, or where a receiver has it. Default: as it is.",
    ),
    click.Option(
        ["--dkim-selector"],
        metavar="NAME",
        help="Selector of your own DKIM key, which is generated and kept in the store. Default: Easy DKIM of SES.",
    ),
    click.Option(["--dmarc"], metavar="RECORD", help="DMARC record. Default: advice, any record of yours is kept."),
    click.Option(
        ["--events"],
        type=click.Choice(["sqs", "eventbridge", "firehose"]),
        help="Publish events of all types to a queue, or to a bucket by Firehose. Opens and clicks are tracked then."
        " Default: none.",
    ),
    click.Option(["--inbound"], is_flag=True, help="Receive mail of a subdomain, for `mailrun inbound pull`."),
    click.Option(["--apply"], is_flag=True, help="Create and change what differs."),
    click.Option(
        ["--route53"], is_flag=True, help="Look the records up in Route 53; with --apply, create what is missing."
    ),
    click.Option(
        ["--as", "format_name"],
        type=click.Choice(["terraform", "cloudformation"]),
        help="Print only the wanted state, as a file for Terraform (JSON syntax) or CloudFormation.",
    ),
    click.Option(["--zone"], is_flag=True, help="Print only the DNS records, as a zone file."),
    examples=[
        "mailrun ses setup acme.example",
        "mailrun ses setup acme.example --events sqs --route53 --apply",
        "mailrun ses setup acme.example --as terraform",
    ],
)
