"""Commands that process feedback: SES events, inbound mail, and clicks on unsubscribe links."""

import click

from engine.cli.declare import declare, declare_group
from engine.cli.options import complete_path, make_event_topic_option, make_metrics_option


def _make_follow_option() -> click.Option:
    return click.Option(["--follow"], is_flag=True, help="Keep reading when the queue is empty, until stopped.")


events = declare_group(
    "events",
    """Process SES events such as deliveries and bounces.

    Events are deliveries, bounces, complaints, opens, clicks and unsubscribe requests. They settle recipients in doubt,
    and suppress addresses that bounce or complain.
    """,
    [
        declare(
            "pull",
            "events:pull_events",
            """Process events from an SQS queue.

            Reads until the queue is empty. A message is deleted once its events are stored durably.

            Exits with 65 if a message was quarantined.
            """,
            click.Option(
                ["--queue"], metavar="URL", help="SQS queue that SES events go to. [env var: MAILRUN_EVENTS_QUEUE]"
            ),
            make_event_topic_option(),
            _make_follow_option(),
            make_metrics_option(),
            click.Option(
                ["--sandbox"], is_flag=True, help="Read the events of runs that were sent to the embedded sandbox."
            ),
            examples=[
                "mailrun events pull --queue https://sqs.eu-west-1.amazonaws.com/123456789012/ses-events",
                "mailrun events pull --sandbox",
            ],
        ),
        declare(
            "import",
            "events:import_events",
            """Process events from files.

            Reads JSON documents, plain or compressed with gzip, such as Firehose writes. You can import a file again:
            an event counts once.

            Exits with 65 if a document was quarantined.
            """,
            click.Argument(["place"], metavar="PATH|s3://BUCKET/PREFIX/", shell_complete=complete_path),
            make_event_topic_option(),
            examples=["mailrun events import events/", "mailrun events import s3://acme-events/2026/12/"],
        ),
    ],
    examples=["mailrun events pull --sandbox", "mailrun events import events/"],
)

inbound = declare_group(
    "inbound",
    """Process replies and complaints that arrive by mail.

    A reply to the unsubscribe address, and a feedback report of a mail provider, suppress the recipient.
    """,
    [
        declare(
            "pull",
            "inbound:pull_mails",
            """Process mail from an SQS queue.

            Reads the notifications of an SES receipt rule until the queue is empty. The mail is in the notification, or
            in the S3 object that it names. A message is deleted once its result is stored durably.
            """,
            click.Option(
                ["--queue"],
                required=True,
                metavar="URL",
                help="SQS queue with the notifications of a receipt rule.",
            ),
            make_event_topic_option(),
            _make_follow_option(),
            make_metrics_option(),
            examples=[
                "mailrun inbound pull --queue https://sqs.eu-west-1.amazonaws.com/123456789012/inbound",
                "mailrun inbound pull --queue https://sqs.eu-west-1.amazonaws.com/123456789012/inbound --follow",
            ],
        ),
        declare(
            "import",
            "inbound:import_mails",
            """Process mail from files.

            Reads a mail, an mbox file, a Maildir folder, or the objects that an SES receipt rule has written. You can
            import a mail again: nothing changes.

            A mail without an unsubscribe token counts only if the Authentication-Results of your mail server prove its
            sender. Name that server in `[inbound] authserv_id`.
            """,
            click.Argument(["place"], metavar="PATH|s3://BUCKET/PREFIX/", shell_complete=complete_path),
            examples=["mailrun inbound import replies.mbox", "mailrun inbound import s3://acme-inbound/mail/"],
        ),
    ],
    examples=["mailrun inbound import replies.mbox"],
)

unsubscribe_server = declare(
    "unsubscribe-server",
    "unsubscribe_server:unsubscribe_server",
    """Serve the unsubscribe links of sent mail.

    GET shows a page; POST with one click unsubscribes (RFC 8058). Put it behind a proxy that speaks TLS. SIGTERM and
    Ctrl-C finish the requests that have begun.

    It answers every Host, or with --allow-host only that one, the names of loopback, and IP addresses if it listens
    beyond loopback.
    """,
    click.Option(["--host"], default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.Option(
        ["--port"],
        type=click.IntRange(0, 65535),
        default=8026,
        show_default=True,
        help="Port to listen on; 0 chooses a free one.",
    ),
    click.Option(
        ["--allow-host", "allow_hosts"],
        multiple=True,
        metavar="NAME",
        help="Answer only to this Host, the one of the links; repeat for more. Default: every Host.",
    ),
    make_metrics_option(),
    examples=[
        "mailrun unsubscribe-server",
        "mailrun unsubscribe-server --host 0.0.0.0 --allow-host news.example.com",
    ],
)
