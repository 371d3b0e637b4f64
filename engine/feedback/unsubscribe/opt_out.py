"""Opt-outs by link: written to the ledger's suppression list, and counted for the run whose message had the link."""

from datetime import timedelta
from functools import partial

import polars as pl

from engine.addresses.parse import judge_addresses
from engine.feedback.unsubscribe.attribution import RunAttribution
from engine.feedback.unsubscribe.tokens import FoundToken
from engine.ledger.suppressed.forgotten import make_find_forgotten
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, try_to_record_opt_outs
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppressions import (
    Suppression,
    add_suppressions,
    find_suppressions,
    remove_some_suppressions,
)
from engine.store.keys import read_forget_key
from engine.workspace import Workspace

SOURCE = "unsubscribe link"
UNDO_WITHIN = timedelta(hours=1)  # a page that stays open longer cannot undo anything


class LedgerOptOuts:
    """Writes opt-outs to the ledger's suppression list, durably.

    Args:
        workspace: ledger, store and clock.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._attribution = RunAttribution(workspace.ledger)

    def opt_out(self, address: str, topic: str) -> None:
        """Suppress the person of a valid token for its topic."""
        self._record(address, topic)

    def opt_out_of_run(self, found: FoundToken, method: OptOutMethod) -> None:
        """Suppress the person of a valid token for its topic, and count the opt-out for the run that it names."""
        self._record(found.address, found.topic, self._attribution.find(found.row, method, self._workspace.clock.now()))

    def _record(self, address: str, topic: str, counted: OptOut | None = None) -> None:
        workspace, key = self._workspace, _find_key(address)
        if key is None or is_forgotten(workspace, key):
            return  # a forgotten address stays suppressed, and no trace of it is kept
        entry = Suppression(key, topic, Reason.UNSUBSCRIBE, SOURCE, workspace.clock.now(), None, address)
        with workspace.ledger.write() as tx:
            try_to_record_opt_outs(tx, [] if counted is None else [counted])
            add_suppressions(tx, [entry])

    def probe(self) -> None:
        """Open the transaction that an opt-out needs, and change nothing in it."""
        with self._workspace.ledger.write() as tx:
            find_suppressions(tx, [""], to_change=True)

    def undo(self, address: str, topic: str) -> bool:
        """Remove an opt-out that this link made within the last hour; also True where it is removed already.

        It stays counted for the run: counts say what happened, and are never taken back.
        """
        workspace, key = self._workspace, _find_key(address)
        if key is None or is_forgotten(workspace, key):
            return False
        since = workspace.clock.now() - UNDO_WITHIN
        with workspace.ledger.write() as tx:
            entries = find_suppressions(tx, [key], to_change=True)
            mine = [one for one in entries if one.topic == topic]
            if any(one.reason != Reason.UNSUBSCRIBE or one.source != SOURCE or one.at < since for one in mine):
                return False
            remove_some_suppressions(tx, mine)
        return True


def _find_key(address: str) -> str | None:
    key: str | None = judge_addresses(pl.Series([address], dtype=pl.String))["key"].item(0)
    return key


def is_forgotten(workspace: Workspace, key: str) -> bool:
    """Return whether `mailrun forget` has erased an address."""
    find = make_find_forgotten(workspace.ledger, partial(read_forget_key, workspace.store))
    return find is not None and find(pl.Series("key", [key], pl.String)).height > 0
