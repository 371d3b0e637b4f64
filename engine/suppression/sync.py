"""Synchronise the ledger's suppressions with the account's own suppression list, in both directions.

Pull: what was changed in the account since the last sync, page by page; each page is durable before the next is
requested, and an interrupted sync resumes at its page. Push: bounces and complaints for all mail that were not pushed
before, one call each, or by import jobs if there are many. An entry that rests on a mail without a mailrun token is not
pushed, because it would block the mail of every sender of the account. Nothing is removed on either side: `suppress
remove` does that, and the drift report lists the differences.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
import polars as pl
from msgspec import Struct, field
from msgspec.structs import asdict

from engine.account.suppression_list import (
    AccountSuppressionList,
    ExpiredTokenError,
    ListedAddress,
    RefusedAddressError,
)
from engine.addresses.parse import judge_addresses
from engine.clock import Clock
from engine.errors import PausedError
from engine.ledger.database import Ledger
from engine.ledger.suppressed.forgotten import FindForgotten
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppression_scope import Scope
from engine.ledger.suppressed.suppressions import Suppression, add_many_suppressions, iterate_suppressions
from engine.store.port import Store

STATE_FILE = "suppression-sync.json"
PUSHED_FILE = "suppression-pushed"  # and a digest of the account
_OLD_PUSHED_FILE = "suppression-told"  # the name in earlier versions: read if there is no newer file
SOURCE = "account"  # of entries that were pulled: they are not pushed back
OVERLAP = timedelta(minutes=10)  # read again: clocks differ, and an entry may become visible late
JOB_ADDRESSES = 100_000  # in one object: the developer guide's limit
PUSHED_AT_ONCE = 100  # pushed addresses between two records of the progress
JOB_POLL_SECONDS = 10.0
MOST_EXAMPLES = 20
_REASONS = {"BOUNCE": Reason.BOUNCE, "COMPLAINT": Reason.COMPLAINT}
_LISTED = {Reason.BOUNCE: "BOUNCE", Reason.COMPLAINT: "COMPLAINT"}

Upload = Callable[[str, bytes], str]
"""Writes an object (name, content) that SES can read; returns its s3:// address."""


class SyncState(Struct):
    """The progress of the syncs with one account.

    Attributes:
        pulled: the time before which every change of the account is in the ledger.
        pull_began, token: of an unfinished pull.
        jobs: unfinished import jobs.
    """

    pulled: str | None = None
    pull_began: str | None = None
    token: str | None = None
    jobs: list[str] = field(default_factory=list)


class Synced(Struct):
    """The result of a sync.

    Attributes:
        listed: entries of the account's list that were read.
        added: of them, new to the ledger.
        invalid: of them, addresses that mailrun cannot mail; some of them in `examples`.
        forgotten: of them, erased people: they stay suppressed, and their address is not stored.
        put: pushed to the account, one by one.
        refused: addresses that SES rejected as invalid; they are not pushed again. Some of them in `refused_examples`.
        imported, import_failed: pushed by import jobs, and rejected there; the latter are pushed one by one later.
        waiting: not pushed yet; name a bucket, or sync again.
        only_here, only_there: after a full listing, how many differ; None without one.
        drift: examples of these, with the side that has them.
        calls: made to SES.
    """

    listed: int = 0
    added: int = 0
    invalid: int = 0
    forgotten: int = 0
    put: int = 0
    refused: int = 0
    imported: int = 0
    import_failed: int = 0
    waiting: int = 0
    only_here: int | None = None
    only_there: int | None = None
    examples: list[str] = field(default_factory=list)
    refused_examples: list[str] = field(default_factory=list)
    drift: list[dict[str, str]] = field(default_factory=list)
    calls: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the members as a document."""
        return asdict(self)


class Sync(Struct, frozen=True):
    """One sync.

    Attributes:
        account: the account and region of the list; each has its own state.
        most_calls: the most addresses that are pushed one by one; more wait for import jobs, or for the next sync.
        upload: for import jobs; None without a bucket.
        find_forgotten: finds the keys of erased people; None if nobody was erased.
    """

    ledger: Ledger
    store: Store
    listing: AccountSuppressionList
    clock: Clock
    account: str
    most_calls: int
    upload: Upload | None = None
    find_forgotten: FindForgotten | None = None

    async def run(self, *, pull: bool, push: bool, full: bool) -> Synced:
        """Synchronise both lists.

        Args:
            pull: from the account.
            push: to the account.
            full: list everything, whenever it was changed, and report what differs.

        Raises:
            ServiceError: SES cannot be reached or refuses; the next sync resumes there.
        """
        synced, state = Synced(), self._load()
        there: list[pl.DataFrame] = []
        if pull or full:
            await self._pull(state, synced, there if full else None)
        if push:
            await self._push(state, synced)
        if full:
            self._report_drift(synced, there)
        synced.calls = self.listing.calls
        return synced

    async def _pull(self, state: SyncState, synced: Synced, there: list[pl.DataFrame] | None) -> None:
        if there is not None or state.pull_began is None:
            state.pull_began, state.token = self.clock.now().isoformat(), None
        while True:
            start = None if there is not None or state.pulled is None else _moment(state.pulled) - OVERLAP
            try:
                page = await self.listing.list_page(start=start, token=state.token)
            except ExpiredTokenError:
                state.token = None
                continue
            frame = self._take(page.entries, synced)
            if there is not None:
                there.append(frame)
            state.token = page.next_token
            if page.next_token is None:
                state.pulled, state.pull_began = state.pull_began, None
                self._save(state)
                return
            if there is None:  # a full listing is needed whole: an interrupted one begins again
                self._save(state)

    def _take(self, entries: list[ListedAddress], synced: Synced) -> pl.DataFrame:
        """Add a page to the ledger, durably; return its keys and addresses, without those of erased people."""
        frame = judge_addresses(pl.Series([entry.address for entry in entries], dtype=pl.String))
        keys = frame.get_column("key").drop_nulls()
        forgotten = set() if self.find_forgotten is None else set(self.find_forgotten(keys).get_column("key"))
        suppressions = []
        for entry, key in zip(entries, frame.get_column("key"), strict=True):
            synced.listed += 1
            if key is None:
                synced.invalid += 1
                synced.examples += [entry.address] if len(synced.examples) < MOST_EXAMPLES else []
                continue
            if key in forgotten:
                synced.forgotten += 1
                continue
            reason = _REASONS.get(entry.reason, Reason.PROVIDER)
            suppressions.append(Suppression(key, "", reason, SOURCE, entry.at.astimezone(UTC), None, entry.address))
        with self.ledger.write() as tx:
            synced.added += add_many_suppressions(tx, suppressions)
        raw = pl.Series("raw", [entry.address for entry in entries], pl.String)
        named = frame.select("key").with_columns(raw).drop_nulls("key")
        return named.filter(~pl.col("key").is_in(list(forgotten)))

    async def _push(self, state: SyncState, synced: Synced) -> None:
        await self._wait_for_jobs(state, synced)
        pushed = self._load_pushed()
        waiting = self._find_unpushed(pushed)
        try:
            if self.upload is not None and len(waiting) > self.most_calls:
                imported = await self._import(waiting, state, synced)
                pushed.update(map(_digest, imported))
                synced.waiting = len(waiting) - len(imported)
                return
            for number, item in enumerate(waiting[: self.most_calls], 1):
                address = _address_for_ses(item)
                try:
                    await self.listing.put(address, _LISTED[Reason(item.reason)])
                    synced.put += 1
                except RefusedAddressError:  # one of them must not stop those after it
                    synced.refused += 1
                    synced.refused_examples += [address] if len(synced.refused_examples) < MOST_EXAMPLES else []
                pushed.add(_digest(item))
                if number % PUSHED_AT_ONCE == 0:
                    self._save_pushed(pushed)
            synced.waiting = max(len(waiting) - self.most_calls, 0)
        finally:
            self._save_pushed(pushed)

    def _find_unpushed(self, pushed: set[int]) -> list[Suppression]:
        """Bounces and complaints for all mail that were neither pushed to the account nor pulled from it, by time."""
        found = [
            item
            for block in iterate_suppressions(self.ledger)
            for item in block
            if _is_for_the_account(item) and item.is_certain and item.source != SOURCE and _digest(item) not in pushed
        ]
        return sorted(found, key=lambda item: (item.at, item.key))

    async def _import(self, waiting: list[Suppression], state: SyncState, synced: Synced) -> list[Suppression]:
        """Push by import jobs; return what the account has now."""
        assert self.upload is not None  # noqa: S101 - for the type checker
        began, failed_before = self.clock.now(), synced.import_failed
        stamp = began.strftime("%Y%m%dT%H%M%SZ")
        for number, part in enumerate(_divide(waiting, JOB_ADDRESSES)):
            lines = "".join(f"{_address_for_ses(item)},{_LISTED[Reason(item.reason)]}\n" for item in part)
            url = self.upload(f"mailrun-suppressions-{stamp}-{number:04d}.csv", lines.encode())
            state.jobs.append(await self.listing.create_import_job(url))
            self._save(state)
        await self._wait_for_jobs(state, synced)
        if synced.import_failed == failed_before:
            return waiting
        listed = await self._list_since(began - OVERLAP)  # a job reports how many failed, and not which
        return [item for item in waiting if _address_for_ses(item) in listed]

    async def _list_since(self, start: datetime) -> set[str]:
        listed: set[str] = set()
        token: str | None = None
        while True:
            try:
                page = await self.listing.list_page(start=start, token=token)
            except ExpiredTokenError:
                token = None
                continue
            listed.update(entry.address for entry in page.entries)
            token = page.next_token
            if token is None:
                return listed

    async def _wait_for_jobs(self, state: SyncState, synced: Synced) -> None:
        while state.jobs:
            job = await self.listing.get_import_job(state.jobs[0])
            status = job.get("JobStatus")
            if status in ("CREATED", "PROCESSING"):
                await self.clock.sleep(JOB_POLL_SECONDS)
                continue
            failed = job.get("FailedRecordsCount", 0)
            synced.imported += job.get("ProcessedRecordsCount", 0) - failed
            synced.import_failed += failed
            done = state.jobs.pop(0)
            self._save(state)
            if status != "COMPLETED":
                why = job.get("FailureInfo", {}).get("ErrorMessage", "SES gives no reason")
                raise PausedError(
                    f"SES's import job {done} ended as {status}: {why}",
                    where="CreateImportJob",
                    remedy="make sure that SES may read the bucket (same region, bucket policy), then sync again",
                )

    def _report_drift(self, synced: Synced, there: list[pl.DataFrame]) -> None:
        account = pl.concat([pl.DataFrame(schema={"key": pl.String, "raw": pl.String}), *there]).unique("key")
        blocks = iterate_suppressions(self.ledger)
        keys = [item.key for block in blocks for item in block if _is_for_the_account(item)]
        here = pl.DataFrame({"key": pl.Series(keys, dtype=pl.String)}).unique("key")
        missing_there, missing_here = here.join(account, on="key", how="anti"), account.join(here, on="key", how="anti")
        synced.only_here, synced.only_there = missing_there.height, missing_here.height
        for side, keys_of in (("here", missing_there), ("account", missing_here)):
            shown = keys_of.sort("key").get_column("key").head(MOST_EXAMPLES)
            synced.drift += [{"address": key, "only": side} for key in shown]

    def _load(self) -> SyncState:
        try:
            states = orjson.loads(self.store.read(STATE_FILE) or b"{}")
            return SyncState(**states.get(self.account, {}))
        except (orjson.JSONDecodeError, TypeError, AttributeError):
            return SyncState()  # a damaged state only costs time: everything is pulled and pushed again

    def _load_pushed(self) -> set[int]:
        """Read the pushed entries: a number for each."""
        data = self.store.read(self._pushed_file)
        if data is None:
            data = self.store.read(f"{_OLD_PUSHED_FILE}-{self._account_digest}.parquet")
        try:
            return set() if data is None else set(pl.read_parquet(data).get_column("entry").to_list())
        except pl.exceptions.PolarsError:
            return set()  # as above

    def _save_pushed(self, pushed: set[int]) -> None:
        buffer = io.BytesIO()
        pl.DataFrame({"entry": pl.Series(sorted(pushed), dtype=pl.UInt64)}).write_parquet(buffer)
        self.store.write(self._pushed_file, buffer.getvalue())

    @property
    def _pushed_file(self) -> str:
        return f"{PUSHED_FILE}-{self._account_digest}.parquet"

    @property
    def _account_digest(self) -> str:
        return blake2b(self.account.encode(), digest_size=8).hexdigest()

    def _save(self, state: SyncState) -> None:
        try:
            states = orjson.loads(self.store.read(STATE_FILE) or b"{}")
        except orjson.JSONDecodeError:
            states = {}
        self.store.write(STATE_FILE, orjson.dumps({**states, self.account: asdict(state)}))


def _is_for_the_account(item: Suppression) -> bool:
    """Return whether SES's list accepts the entry: a bounce or a complaint of an address, for all mail."""
    return item.reason in _LISTED and item.scope is Scope.ALL and not item.is_of_a_domain


def _address_for_ses(item: Suppression) -> str:
    """Return the address as it was received, which SES compares; the key if the address is not ASCII."""
    return item.address if item.address and item.address.isascii() else item.key


def _digest(item: Suppression) -> int:
    """Return a number for an entry; an entry that was removed and added again gets another number."""
    text = f"{item.key}\0{item.reason}\0{item.at.isoformat()}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _divide(items: list[Suppression], size: int) -> Iterator[Iterable[Suppression]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
