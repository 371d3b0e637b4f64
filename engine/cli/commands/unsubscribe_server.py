"""`mailrun unsubscribe-server`."""

import sys

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.feedback.unsubscribe.server import serve_links
from engine.metrics.meter import Meter
from engine.metrics.monitoring import Monitored, monitor


@with_common
def unsubscribe_server(
    common: Common, *, host: str, port: int, allow_hosts: tuple[str, ...], metrics_listen: str | None
) -> None:
    """Serve unsubscribe links until SIGINT or SIGTERM."""
    with open_chosen(common) as workspace:
        keys = workspace.read_verifying_keys()

        def announce(url: str) -> None:
            if common.json:
                print_json({"url": url, "unsubscribe_keys": keys.to_json()})
            else:
                print_lines(f"listening: {url}", f"unsubscribe keys: {keys.describe()}", "press Ctrl-C to stop")
            sys.stdout.flush()  # flushed now, so that the program that started the server can read the address

        command = Monitored(workspace=workspace, command="unsubscribe-server", meter=Meter(), listen=metrics_listen)
        with monitor(command):
            serve_links(workspace, host=host, port=port, allow_hosts=allow_hosts, announce=announce)
