"""`mailrun dashboard`."""

import sys

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.dashboard.server import Listening, serve_dashboard
from engine.masking import remember_secrets
from engine.notify.background import sending_notifications


@with_common
def dashboard(common: Common, *, bind: tuple[str, int], token: str | None, allow_hosts: tuple[str, ...]) -> None:
    """Serve the dashboard until SIGINT or SIGTERM."""
    host, port = bind
    remember_secrets([token or ""])
    with open_chosen(common) as workspace:
        chosen = workspace.settings.dashboard
        listening = Listening(
            host=host,
            port=port,
            token=chosen.token.get_secret_value() if token is None else token,
            allow_hosts=(*chosen.allow_hosts, *allow_hosts),
            trusts_proxy=chosen.behind_https,
        )

        def announce(url: str) -> None:
            if common.json:
                print_json({"url": url})
            else:
                print_lines(f"dashboard: {url}", "press Ctrl-C to stop")
            sys.stdout.flush()  # flushed now, so that the program that started the server can read the address

        with sending_notifications(workspace.settings, workspace.ledger, workspace.store, workspace.clock):
            serve_dashboard(workspace, listening, announce)
