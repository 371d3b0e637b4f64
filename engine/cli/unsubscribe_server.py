"""`mailrun unsubscribe-server`."""

import sys

import click

from engine.cli.options import Common, common_options


@click.command("unsubscribe-server")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; a proxy with TLS stands before it."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8026, show_default=True, help="0 chooses a free one.")
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Answer only to this Host: that of the links."
)
@common_options
def unsubscribe_server(common: Common, *, host: str, port: int, allow_hosts: tuple[str, ...]) -> None:
    """Answer the unsubscribe links of sent mail: a GET shows a page, a POST with one click unsubscribes (RFC 8058).

    It answers every Host, or with --allow-host only that one, names of loopback and, beyond loopback, IP addresses.

    SIGTERM and Ctrl-C let the requests that are there end.
    """
    from engine.cli.printing import print_json, print_lines  # noqa: PLC0415 - keeps --help fast
    from engine.cli.requests import open_chosen  # noqa: PLC0415
    from engine.feedback.unsubscribe.server import serve_links  # noqa: PLC0415

    with open_chosen(common) as workspace:
        keys = workspace.read_verifying_keys()

        def announce(url: str) -> None:
            if common.json:
                print_json({"url": url, "unsubscribe_keys": keys.to_json()})
            else:
                print_lines(f"listening: {url}", f"unsubscribe keys: {keys.describe()}", "Ctrl-C stops it")
            sys.stdout.flush()  # the program that started the server reads the address now

        serve_links(workspace, host=host, port=port, allow_hosts=allow_hosts, announce=announce)
