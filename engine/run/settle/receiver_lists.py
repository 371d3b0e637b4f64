"""Lists from the receiving side: SES events, the sandbox's record, or any CSV with message ids, rows or addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from engine.campaign.headers import PROOF_TAG
from engine.csv_formulas import read_defused
from engine.errors import DataError

LIST_SCHEMA = {"row": pl.UInt64, "message_id": pl.String, "address": pl.String, "is_ours": pl.Boolean}
_NAMES = {"row": "row", "message_id": "message_id", "messageid": "message_id", "address": "address", "email": "address"}
# Events of messages that SES accepted; a Bounce or a Complaint also belongs to a message that was sent.
_TAKEN = {"Send", "Delivery", "Bounce", "Complaint", "Open", "Click", "DeliveryDelay", "Subscription"}

_Entry = tuple[int | None, str | None, str | None, bool]


def read_list(path: Path, run: str) -> pl.DataFrame:
    """Read the receiving side's list of a run.

    * JSON lines: the sandbox's record (`message_id`, `tags`), or SES events as event publishing writes them, plain or
      inside an SNS notification. Those of other runs and of proofs are skipped by their tags. One that has none of our
      tags may be of another system.
    * CSV with a header: `row`, `message_id`, `address` (or `email`), any of them.
      Without a header: a message id a line.

    Returns:
        LIST_SCHEMA; null where the list has no value. `is_ours` is false where only a known message id can show that
        the message belongs to the run.

    Raises:
        DataError: the file cannot be read, or holds nothing of the kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), remedy="give a readable file") from None
    if data.lstrip()[:1] == b"{":
        entries = list(_read_json(data, path, run))
        return pl.DataFrame(entries, schema=LIST_SCHEMA, orient="row").unique(maintain_order=True)
    return _read_csv(data, path)


def _read_json(data: bytes, path: Path, run: str) -> Iterator[_Entry]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
            if isinstance(document.get("Message"), str):  # an SNS notification around the event
                document = orjson.loads(document["Message"])
            entry = _read_entry(document, run)
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
            raise DataError(
                "is neither an SES event nor a line of the sandbox's record",
                where=f"{path}, line {number}",
                remedy="give one JSON document per line, or a CSV file",
            ) from None
        if entry is not None:
            yield entry


def _read_entry(document: dict[str, Any], run: str) -> _Entry | None:
    kind = document.get("eventType") or document.get("notificationType")
    if kind is not None and kind not in _TAKEN:
        return None  # a Reject or a rendering failure: SES did not send it
    mail = document.get("mail", document)
    tags = {name: value[0] if isinstance(value, list) else value for name, value in (mail.get("tags") or {}).items()}
    campaign, key = tags.get("mailrun-campaign"), tags.get("mailrun-key")
    if (campaign is not None or key is not None) and f"{campaign}/{key}" != run:
        return None
    if PROOF_TAG in tags:
        return None
    message_id = mail.get("messageId") or mail.get("message_id")
    if not isinstance(message_id, str):
        raise TypeError(message_id)
    row = tags.get("mailrun-row")
    return (None if row is None else int(row), message_id, None, campaign is not None)


def _read_csv(data: bytes, path: Path) -> pl.DataFrame:
    first = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().lower()
    headed = any(name.strip().strip('"') in _NAMES for name in first.split(","))
    try:
        frame = pl.read_csv(data, has_header=headed, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, ValueError) as error:
        what = f"is not a CSV file: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(path), remedy="give a file with a header") from None
    known = {name: _NAMES[name.strip().lower()] for name in frame.columns if name.strip().lower() in _NAMES}
    if not headed and frame.columns:
        known = {frame.columns[0]: "message_id"}
    frame = frame.select(pl.col(name).str.strip_chars().alias(known[name]) for name in known)
    frame = frame.with_columns(read_defused(frame[name]) for name in frame.columns if name == "address")  # our exports
    frame = frame.with_columns(is_ours=True)  # a person made the list for this run
    empty = [pl.lit(None, dtype=pl.String).alias(name) for name in LIST_SCHEMA if name not in frame.columns]
    try:
        return frame.with_columns(*empty).select(pl.col(name).cast(kind) for name, kind in LIST_SCHEMA.items())
    except pl.exceptions.PolarsError:
        raise DataError(
            "a row is not a number",
            where=f"{path}, column row",
            remedy="correct the column, then run the same command again",
        ) from None
