"""The context of sending a run: the workspace's store, ledger, clock and settings, and the stop."""

from msgspec import Struct

from engine.clock import Clock
from engine.ledger.database import Ledger
from engine.notify.background import Notifications
from engine.settings import Settings
from engine.stopping.stop import Stop
from engine.store.port import Store
from engine.workspace import Workspace


class SendContext(Struct, frozen=True, kw_only=True):
    """The context of sending a run.

    Attributes:
        settings: with the SMTP server, where one is named.
        store: has the run's files.
        ledger: has its state.
        clock: both of its times.
        stop: ends sending in order.
        notifications: of what happens to runs.
    """

    settings: Settings
    store: Store
    ledger: Ledger
    clock: Clock
    stop: Stop
    notifications: Notifications


def make_context(workspace: Workspace, stop: Stop) -> SendContext:
    """Make the context of a launch or a worker from its open workspace."""
    return SendContext(
        settings=workspace.settings,
        store=workspace.store,
        ledger=workspace.ledger,
        clock=workspace.clock,
        stop=stop,
        notifications=Notifications(workspace.settings, workspace.ledger, workspace.store, workspace.clock),
    )
