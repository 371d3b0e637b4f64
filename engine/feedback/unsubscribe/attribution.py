"""Finds the runs that tokens name, to count opt-outs for them; a token that cannot be counted still suppresses."""

from datetime import datetime

from engine.campaign.unsubscribe_tokens import TokenRow
from engine.errors import MailrunError
from engine.ledger.database import Ledger
from engine.ledger.identity import list_run_digests
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod
from engine.logs import get_logger

log = get_logger()
_MOST_UNKNOWN = 10_000  # digests that are remembered


class RunAttribution:
    """Finds the runs that tokens name. An error here never stops an opt-out.

    Args:
        ledger: has the runs.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._names: dict[bytes, str | None] = {}
        self._unknown: set[bytes] = set()

    def find(self, row: TokenRow | None, method: OptOutMethod, at: datetime) -> OptOut | None:
        """Return the opt-out of a token's row; None where it names no run of this ledger.

        The ledger is read for the first token of a run alone, in a transaction of its own.
        """
        if row is None:
            return None
        try:
            run = self._find_run(row.run)
        except MailrunError as error:
            log.warning("unsubscribe.uncounted", what=error.what, note="the opt-out is not counted for its run")
            return None
        return None if run is None else OptOut(run, row.lease, row.index, at, method)

    def _find_run(self, digest: bytes) -> str | None:
        if digest not in self._names and digest not in self._unknown:
            with self._ledger.read() as tx:
                self._names = list_run_digests(tx)
            if digest not in self._names:  # a run is older than its tokens: it will not come later
                if len(self._unknown) >= _MOST_UNKNOWN:
                    self._unknown.clear()
                self._unknown.add(digest)
        return self._names.get(digest)
