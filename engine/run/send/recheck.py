"""Recipients who were suppressed during a run: looked up shortly before their message is sent.

The plan leaves out the addresses that were on the ledger's list when it was made. Addresses that were added since (by
an event, an opt-out, a person), or forgotten, are found here: each recipient's key is looked up at most FRESH_SECONDS
before the message is sent, together with those of the next recipients. That takes one small statement for some hundred
recipients, depends neither on the order of insertions nor on another machine's clock, and works with any number of
workers.
"""

import asyncio
from collections.abc import Callable, Iterable

from msgspec import Struct

from engine.clock import Clock
from engine.ledger.recorder import Recorder
from engine.ledger.suppressed.forgotten import find_forgotten_keys
from engine.ledger.suppressed.suppression_scope import CampaignKind
from engine.ledger.suppressed.suppressions import KEYS_AT_ONCE, find_blocking, is_anyone_forgotten, list_keys
from engine.run.send.open_lease import OpenLease

FRESH_SECONDS = 2.0
_FEWEST_KEYS = 20
_FORGOTTEN = "forgotten"


class Watchlist(Struct):
    """Finds recipients who must not be mailed any more.

    Attributes:
        recorder: reads the ledger, and waits while it is unreachable.
        clock: monotonic time.
        topic: the campaign's, whose opt-outs apply.
        kind: the campaign's.
        rate: returns the recipients a second of this worker.
        read_secret: reads the store's key for forgotten addresses.
    """

    recorder: Recorder
    clock: Clock
    topic: str
    kind: CampaignKind
    rate: Callable[[], float]
    read_secret: Callable[[], bytes]
    _secret: bytes | None = None

    async def find_reasons(self, opened: OpenLease, rows: Iterable[int]) -> dict[int, str]:
        """Return which of some recipients must not be mailed, and why, after they have waited: row -> reason."""
        found = dict[int, str]()
        for row in rows:
            if not self.is_fresh(opened, row, self.clock.monotonic()):
                await self.look_up(opened, row)
            if row in opened.suppressed:
                found[row] = opened.suppressed[row]
        return found

    @staticmethod
    def is_fresh(opened: OpenLease, row: int, now: float) -> bool:
        """Return whether a recipient was looked up at most FRESH_SECONDS before a monotonic time."""
        return opened.looked_at.get(row, float("-inf")) >= now - FRESH_SECONDS

    async def look_up(self, opened: OpenLease, row: int) -> None:
        """Look up a recipient, and as many after it as are sent to within FRESH_SECONDS."""
        count = min(KEYS_AT_ONCE, max(_FEWEST_KEYS, int(self.rate() * FRESH_SECONDS)))
        keys, now = opened.list_next(row, count), self.clock.monotonic()
        reasons = await self._read_reasons(set(keys.values()))
        opened.looked_at.update(dict.fromkeys(keys, now))
        if opened.suppressed:
            for each in opened.suppressed.keys() & keys.keys():
                del opened.suppressed[each]
        if reasons:
            opened.suppressed.update({each: reasons[key] for each, key in keys.items() if key in reasons})

    async def _read_reasons(self, keys: set[str]) -> dict[str, str]:
        entries, is_secret_needed = await self.recorder.transact(
            lambda tx: (find_blocking(tx, keys), is_anyone_forgotten(tx))
        )
        reasons = {item.key: str(item.reason) for item in entries if item.applies_to(self.topic, self.kind)}
        found = dict[str, str]()
        if reasons:
            blocking = ((key, next((each for each in list_keys(key) if each in reasons), None)) for key in keys)
            found = {key: reasons[each] for key, each in blocking if each is not None}
        if not is_secret_needed:
            return found
        if self._secret is None:
            self._secret = await asyncio.to_thread(self.read_secret)
        secret = self._secret
        forgotten = await self.recorder.transact(lambda tx: find_forgotten_keys(tx, keys, secret))
        return found | dict.fromkeys(forgotten, _FORGOTTEN)
