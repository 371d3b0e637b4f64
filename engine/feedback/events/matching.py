"""Matches an event to its recipient: by mailrun's own tags first, then by message id.

An event belongs to a row of a run only if its address is that row's, or is the only recipient of the mail. Events about
other addresses are not applied.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from engine.addresses.parse import judge_addresses
from engine.errors import DataError
from engine.feedback.events.event_files import DAMAGED, EVENT_SCHEMA, blank_forgotten
from engine.feedback.events.message_ids import MessageIds, hash_ids
from engine.feedback.events.records import FeedbackEvent
from engine.feedback.events.row_index import FrozenPlan, RowIndex
from engine.ledger import leases, snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.ledger.suppressed.forgotten import FindForgotten
from engine.logs import get_logger
from engine.store.files import delete_tree
from engine.store.port import Store

OpenPlan = Callable[[Run], FrozenPlan]
"""Opens the frozen plan of a run that still has its files; raises DataError where they are damaged."""

log = get_logger()

INDEXES = "indexes"
_PLANS_OPEN = 16  # memory maps; the least used one is closed
_MARGIN_MS = 3_600_000
MATCHED = ("tag", "message_id")
# What matching adds to EVENT_SCHEMA.
PLACE_SCHEMA = {"lease": pl.UInt32, "index": pl.UInt32, "is_forgotten": pl.Boolean}
_RAW_SCHEMA = {
    "id": pl.String,
    "kind": pl.String,
    "subtype": pl.String,
    "at": pl.Int64,
    "sent_at": pl.Int64,
    "message_id": pl.String,
    "address": pl.String,
    "campaign": pl.String,
    "run_key": pl.String,
    "row": pl.UInt64,
    "feedback_id": pl.String,
    "status": pl.String,
    "detail": pl.String,
    "link": pl.String,
    "topics": pl.String,
    "sent_to": pl.String,
    "outgoing_ip": pl.String,
    "agent": pl.String,
    "position": pl.UInt16,
}


def make_frame(events: list[FeedbackEvent]) -> pl.DataFrame:
    """Put events into a frame, each id once."""
    columns = zip(*events, strict=True) if events else ((),) * len(_RAW_SCHEMA)
    series = [pl.Series(n, c, dtype=t) for (n, t), c in zip(_RAW_SCHEMA.items(), columns, strict=True)]
    frame = pl.DataFrame(series).unique("id", keep="first", maintain_order=True)
    times = [pl.col(name).cast(pl.Datetime("ms", "UTC")) for name in ("at", "sent_at")]
    return frame.with_columns(judge_addresses(frame["address"])["key"], *times)


class Matcher:
    """Matches events to the runs in the ledger.

    Args:
        ledger: which runs there are.
        store: has the outcomes; its local folder has the indexes.
        open_plan: opens a run's frozen plan.
        find_forgotten: finds the keys of erased people.
    """

    def __init__(
        self, ledger: Ledger, store: Store, open_plan: OpenPlan, find_forgotten: FindForgotten | None = None
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._open_plan = open_plan
        self._find_forgotten = find_forgotten
        self._places: dict[str, RowIndex] = {}
        self._matched: dict[str, RowIndex] = {}  # of the last batch; those of many runs are closed already
        self._damaged: set[str] = set()

    def match(self, events: pl.DataFrame) -> pl.DataFrame:
        """Match events.

        Args:
            events: as make_frame gives them.

        Returns:
            EVENT_SCHEMA and PLACE_SCHEMA, in the same order. Places are null where `match` is unknown_run,
            unknown_message, never_mailed, pruned or DAMAGED, `run` and `row` too, but for a damaged run; what was said
            about a forgotten person is blank.
        """
        self._matched.clear()
        numbered = events.with_row_index("_n")
        is_tagged = pl.col("campaign") != ""
        tagged = numbered.filter(is_tagged).with_columns(pl.concat_str("campaign", pl.lit("/"), "run_key").alias("run"))
        parts = [self._place(part, "tag") for part in tagged.partition_by("run", maintain_order=True)]
        untagged = numbered.filter(~is_tagged)
        if not untagged.is_empty():
            parts += self._match_ids(untagged)
        if not parts:
            return pl.DataFrame(schema={**EVENT_SCHEMA, **PLACE_SCHEMA})
        found = pl.concat(parts).sort("_n").select(*EVENT_SCHEMA, *PLACE_SCHEMA)
        return self._blank(found)

    def list_domains(self, run: str) -> frozenset[str]:
        """List a matched run's receivers that are counted by themselves."""
        return self._matched[run].domains

    def list_rows(self, run: str) -> dict[int, int]:
        """Return the sizes of a matched run's leases, by ordinal."""
        return self._matched[run].rows

    def plan(self, run: str) -> FrozenPlan:
        """Return a matched run's plan."""
        return self._matched[run].plan

    def close(self) -> None:
        """Close all indexes."""
        for places in self._places.values():
            places.close()
        self._places.clear()

    def _place(self, part: pl.DataFrame, how: str) -> pl.DataFrame:
        """Find the places of events that all name one run (`run`) and their rows."""
        name: str = part["run"].item(0)
        try:
            places = self._find_places(name)
        except DataError as error:  # of one run; the events of other runs are processed
            self._log_damaged(name, error)
            return _without_place(part, DAMAGED)
        if isinstance(places, str):
            return _without_place(part, places)
        part = _name_as_sent(part, places)
        found = places.find(part["row"], part["key"])
        is_ours = found["is_theirs"] | found["is_forgotten"]
        placed = part.hstack(found.select("lease", "index", "is_forgotten"))
        match = pl.when(is_ours).then(pl.lit(how)).otherwise(pl.lit("never_mailed")).alias("match")
        ours = [pl.when(is_ours).then(pl.col(c)).alias(c) for c in ("run", "row", "lease", "index")]
        return _ordered(placed.with_columns(match, *ours))

    def _log_damaged(self, run: str, error: DataError) -> None:
        if run not in self._damaged:
            self._damaged.add(run)
            log.warning("events.run_damaged", run=run, what=error.what, where=error.where, remedy=error.remedy)

    def _find_places(self, name: str) -> RowIndex | str:
        """Return a run's index, or why there is none."""
        run = snapshots.find_run(self._ledger, name)
        if run is None:
            return "unknown_run"
        if run.pruned_at is not None:
            return "pruned"
        places = self._places.pop(name, None)
        if places is not None and places.plan.version != run.manifest_digest:  # a person was erased since
            places.close()
            places = None
        if places is None:
            places = RowIndex(self._open_plan(run), self._shelf)
        self._places[name] = self._matched[name] = places  # the last in order: the most recently used
        if len(self._places) > _PLANS_OPEN:
            oldest = next(iter(self._places))
            self._places.pop(oldest).close()
        return places

    @property
    def _shelf(self) -> Path:
        return self._store.local_folder / INDEXES

    def _match_ids(self, events: pl.DataFrame) -> list[pl.DataFrame]:
        """Match events without tags by their message ids, in the runs of their time."""
        left = events.with_columns(hash_ids(events["message_id"])).drop("row")
        parts: list[pl.DataFrame] = []
        why = "unknown_message"
        for run in self._find_runs(left["sent_at"]):
            if left.is_empty():
                break
            try:
                found = self._find_rows(run, left.select("hash", "sent_at", "message_id"))
            except DataError as error:  # the events may belong to this run
                self._log_damaged(run.name, error)
                why = DAMAGED
                continue
            theirs = left.join(found, on="hash", how="inner", maintain_order="left")
            if not theirs.is_empty():
                parts.append(self._place(theirs.drop("hash").with_columns(pl.lit(run.name).alias("run")), "message_id"))
                left = left.join(found, on="hash", how="anti", maintain_order="left")
        unknown = left.drop("hash").with_columns(pl.lit(None, dtype=pl.UInt64).alias("row"))
        return [*parts, _without_place(unknown.with_columns(pl.lit(None, dtype=pl.String).alias("run")), why)]

    def _find_runs(self, times: pl.Series) -> list[Run]:
        first, last = times.cast(pl.Int64).min(), times.cast(pl.Int64).max()
        if not isinstance(first, int) or not isinstance(last, int):
            return []
        known = snapshots.list_runs(self._ledger)
        return [
            run
            for run in known
            if run.pruned_at is None
            and run.started_at is not None
            and run.started_at.timestamp() * 1000 - _MARGIN_MS <= last
            and (run.finished_at is None or run.finished_at.timestamp() * 1000 + _MARGIN_MS >= first)
        ]

    def _find_rows(self, run: Run, ids: pl.DataFrame) -> pl.DataFrame:
        segments = MessageIds(self._store, run.folder, self._shelf / run.name / "ids")
        states, results = self._read_leases(run)
        try:
            found = segments.find(ids, [s for s in states if s.settlement is not None])
        except DataError:
            changed, results = self._read_leases(run)
            if changed == states:
                raise
            found = segments.find(ids, [s for s in changed if s.settlement is not None])
        wanted = set(ids["message_id"])
        sent = [(r.message_id, r.row) for r in results if r.message_id in wanted]
        open_ids = pl.DataFrame(sent, schema={"message_id": pl.String, "row": pl.UInt64}, orient="row")
        here = open_ids.select(hash_ids(open_ids["message_id"]), "row")
        return pl.concat([found, here]).unique("hash", keep="first")

    def _read_leases(self, run: Run) -> tuple[list[LeaseState], list[Result]]:
        """Read a run's leases, and the results in the journals of those that are open."""
        with self._ledger.read() as tx:
            states = leases.list_leases(tx, run.name)
            begun = [s.ordinal for s in states if s.settlement is None and s.epoch > 0]
            return states, [r for o in begun for r in leases.replay_lease(tx, run.name, o).results.values()]

    def _blank(self, events: pl.DataFrame) -> pl.DataFrame:
        """Remove the data of erased people."""
        theirs = events["is_forgotten"].fill_null(value=False)
        if self._find_forgotten is not None:
            for keys in (events["key"], judge_addresses(events["sent_to"])["key"]):
                forgotten = self._find_forgotten(keys.drop_nulls().unique())["key"]
                theirs |= keys.is_in(forgotten.implode()).fill_null(value=False)
        if not theirs.any():
            return events
        return blank_forgotten(events, theirs).with_columns(theirs.alias("is_forgotten"))


def remove_indexes(store: Store, run: str) -> None:
    """Remove a run's indexes: its plan has changed or is gone."""
    delete_tree(store.local_folder / INDEXES / run)  # local, also of a store in a bucket


def _name_as_sent(part: pl.DataFrame, places: RowIndex) -> pl.DataFrame:
    """Give events that name another than the row's address, and whose mail went to the row's, the key of that."""
    named, sent = part["key"], judge_addresses(part["sent_to"])["key"]
    if sent.null_count() == part.height:
        return part
    is_named = places.find(part["row"], named)["is_theirs"]
    is_sent = places.find(part["row"], sent)["is_theirs"] & ~is_named
    return part.with_columns(
        pl.when(is_sent).then(sent).otherwise(named).alias("key"),
        pl.when(~is_named).then("sent_to").alias("sent_to"),
    )


def _without_place(part: pl.DataFrame, why: str) -> pl.DataFrame:
    nothing = [pl.lit(None, dtype=kind).alias(name) for name, kind in PLACE_SCHEMA.items()]
    kept = () if why != DAMAGED else ("run", "row")  # so that its events can be imported again
    blank = [pl.lit(None, dtype=EVENT_SCHEMA[name]).alias(name) for name in ("run", "row") if name not in kept]
    return _ordered(part.with_columns(*nothing, *blank, pl.lit(why).alias("match")))


def _ordered(part: pl.DataFrame) -> pl.DataFrame:
    return part.select("_n", *(pl.col(n).cast(t) for n, t in EVENT_SCHEMA.items()), *PLACE_SCHEMA)
