"""Finds the rows of a run by SES's message ids, for events without mailrun's tags: segments on the disk, by time.

A segment has the ids of some settled leases, as 64-bit hashes. It is made once from their outcomes, and read only for
events of mails that SES accepted at its time. Ids of open leases are read from their journals.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TypedDict

import polars as pl

from engine.addresses.hashing import hash_keys
from engine.errors import DataError
from engine.ledger.leases import LeaseState
from engine.store.files import PRIVATE_FOLDER, translate_os_errors, write_file
from engine.store.outcomes_files import OutcomesFiles, parse_name
from engine.store.port import Store

LEASES_IN_A_SEGMENT = 64
_MARGIN_MS = 3_600_000  # between our clock and SES's, and for a call that waited
_HASH_KEY = "message"
IDS_SCHEMA = {"hash": pl.UInt64, "row": pl.UInt64}


class _Segment(TypedDict):
    file: str
    outcomes: list[str]
    first: int
    last: int


class MessageIds:
    """The message ids of one run.

    Args:
        store: where its outcomes are.
        run_folder: the run's, within the store.
        shelf: a local folder for the segments.
    """

    def __init__(self, store: Store, run_folder: str, shelf: Path) -> None:
        self._store = store
        self._run_folder = run_folder
        self._shelf = shelf
        self._list = shelf / "segments.json"

    def find(self, ids: pl.DataFrame, settled: Sequence[LeaseState]) -> pl.DataFrame:
        """Find the rows of messages.

        Args:
            ids: `hash` (of hash_ids) and `sent_at` of messages.
            settled: the run's settled leases.

        Returns:
            IDS_SCHEMA, those that are found.

        Raises:
            DataError: an outcomes file is missing or damaged, or was replaced since the ledger was read.
        """
        if ids.is_empty():
            return pl.DataFrame(schema=IDS_SCHEMA)
        times = ids["sent_at"].cast(pl.Int64)
        first, last = int(times.min() or 0) - _MARGIN_MS, int(times.max() or 0) + _MARGIN_MS  # type: ignore[call-overload, arg-type, unused-ignore] # of integers
        found = [pl.DataFrame(schema=IDS_SCHEMA)]
        for segment in self._bring_up_to_date(settled):
            if segment["first"] <= last and segment["last"] >= first:
                entries = pl.scan_ipc(self._shelf / segment["file"])
                found.append(entries.filter(pl.col("hash").is_in(ids["hash"].implode())).collect())
        return pl.concat(found).unique("hash", keep="first")

    def _bring_up_to_date(self, settled: Sequence[LeaseState]) -> list[_Segment]:
        try:
            segments: list[_Segment] = json.loads(self._list.read_bytes())
        except (OSError, ValueError):
            segments = []
        known = {name for segment in segments for name in segment["outcomes"]}
        names = [name for state in settled if (name := _name(state)) is not None]
        new = [name for name in names if name not in known]
        if not new:
            return segments
        full = [segment for segment in segments if len(segment["outcomes"]) >= LEASES_IN_A_SEGMENT]
        begun = [segment for segment in segments if len(segment["outcomes"]) < LEASES_IN_A_SEGMENT]
        current = set(names)
        names = [name for segment in begun for name in segment["outcomes"] if name in current] + new
        groups = [names[at : at + LEASES_IN_A_SEGMENT] for at in range(0, len(names), LEASES_IN_A_SEGMENT)]
        with translate_os_errors(self._shelf):
            self._shelf.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            segments = full + [self._make(group) for group in groups]
            write_file(self._list, json.dumps(segments).encode())
            for path in self._shelf.glob("*.arrow"):
                if path.name not in {segment["file"] for segment in segments}:
                    path.unlink(missing_ok=True)
        return segments

    def _make(self, names: list[str]) -> _Segment:
        frames = [pl.DataFrame(schema={"message_id": pl.String, "row": pl.UInt64, "at": pl.Datetime("ms", "UTC")})]
        files = OutcomesFiles(self._store, self._run_folder)
        for name in names:
            file, epoch, digest = name.split(" ")
            found = parse_name(file)
            data = None if found is None else files.read(found[0], int(epoch), file, digest)
            if data is None:
                remedy = "run mailrun audit for its run"
                raise DataError("is missing or damaged", where=files.describe(file), remedy=remedy)
            frames.append(_read_outcomes(data, files.describe(file)))
        sent = pl.concat(frames).drop_nulls("message_id")
        entries = sent.select(hash_ids(sent["message_id"]), "row").sort("hash")
        file = f"{blake2b(' '.join(names).encode(), digest_size=16).hexdigest()}.arrow"
        entries.write_ipc(self._shelf / file)
        first, last = sent["at"].cast(pl.Int64).min(), sent["at"].cast(pl.Int64).max()
        return _Segment(file=file, outcomes=names, first=first or 0, last=last or 0)  # type: ignore[typeddict-item] # of integers


def _name(state: LeaseState) -> str | None:
    """Return a name for the outcomes of a lease from file, epoch and digest: a file may be replaced."""
    settlement = state.settlement
    if settlement is None:
        return None
    return f"{settlement.outcomes_file} {state.epoch} {settlement.outcomes_digest}"


def _read_outcomes(data: bytes, name: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(data, columns=["message_id", "row", "at"])
    except pl.exceptions.PolarsError as error:
        raise DataError(f"is damaged: {error}", where=name, remedy="run mailrun audit for its run") from error


def hash_ids(ids: pl.Series) -> pl.Series:
    """Hash message ids, for the column `hash`; an id of SES is ASCII."""
    return hash_keys(ids.str.replace_all(r"[^\x20-\x7e]", "?"), _HASH_KEY).alias("hash")
