"""Planning: from the audience's files to the frozen plan, in memory that does not grow with the audience."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.audience.checks import AddressChecks, LookUp
from engine.audience.planning.arrangement import Arrangement, parse_order
from engine.audience.planning.caps import Cap, set_aside_history, shelve_messages
from engine.audience.planning.excluded_rows import ExcludedRows
from engine.audience.planning.first_pass import RowRules, judge_batch
from engine.audience.planning.insights import Insights, ShelvedInsights, shelve_insights
from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.opened_audience import Audience, estimate_text
from engine.audience.planning.partitions import Partitions, choose_bits
from engine.audience.planning.plan_columns import check_columns, column_notes, content_columns
from engine.audience.planning.plan_files import divide, prove_balance
from engine.audience.planning.recipients import Written, write_recipients
from engine.audience.planning.scratch import Scratch
from engine.audience.planning.second_pass import BatchPosition, SetRules, merge_counts
from engine.audience.planning.suppressed_rows import set_aside_suppressions
from engine.audience.planning.threads import work_through
from engine.audience.reading.conditions.conditions import columns_in
from engine.audience.reading.tables import read_batches
from engine.audience.reading.types import ColumnTypes
from engine.audience.spec import MOST_CAP_DAYS, AudienceSpec, CapSpec, SuppressionSpec
from engine.ledger.suppressed.forgotten import FindForgotten
from engine.ledger.suppressed.suppression_scope import CampaignKind
from engine.ledger.suppressed.suppressions import Suppression
from engine.progress import Step, step
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.files import translate_os_errors


class Plan(Struct, frozen=True):
    """A plan: its counts, its leases and its files.

    Attributes:
        columns: the audience's columns that the recipients carry, under their own names.
        rows_read: all rows of the sources; accepted + the sum of excluded.
        accepted: the recipients.
        excluded: reason -> rows, in order of precedence, without zeros.
        leases: the recipients in order, without gaps.
        files: the plan's files, inside its folder.
        notes: notes for the operator, such as suppression entries without an address.
    """

    columns: tuple[str, ...]
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    leases: tuple[LeaseRange, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Lists(Struct, frozen=True, kw_only=True):
    """Lists that rows are compared with in addition to the campaign's own files.

    Attributes:
        suppressions: the ledger's list, block by block.
        find_forgotten: finds the keys of erased recipients, which are suppressed.
        cap: the campaign's frequency cap.
        insights: what SES said of addresses never mailed before; None where the check is off.
        store: the store's folder, with the history of messages, for the cap and for insights.
        now: the end of the history's days.
        look_up: looks up domains, for the check `mx`.
        limits: the size limits of a suppression file.
    """

    suppressions: Iterable[Sequence[Suppression]] = ()
    find_forgotten: FindForgotten | None = None
    cap: CapSpec | None = None
    insights: Insights | None = None
    store: Path | None = None
    now: datetime | None = None
    look_up: LookUp | None = None
    limits: ReadLimits = DEFAULT_LIMITS


def plan_audience(  # noqa: PLR0913 - all inputs of planning, keyword-only
    *,
    audience: AudienceSpec,
    suppression: SuppressionSpec,
    workspace: Path,
    opened: Audience,
    columns: frozenset[str] | None,
    folder: Path,
    order_key: str,
    limit: int | None,
    kind: CampaignKind = "marketing",
    lists: Lists | None = None,
    downloads: Path | None = None,
) -> Plan:
    """Read the sources, accept or exclude every row, and write the plan durably.

    The recipients are ordered by a hash of their address, keyed with `order_key`, or by `order_by`: the same inputs
    give the same plan, whatever the number of threads.

    Args:
        audience: `[audience]` of the campaign; its `source` is ignored, `opened` is read.
        suppression: `[suppression]` of the campaign.
        workspace: the folder that paths of suppression files are relative to.
        opened: the files.
        columns: the audience's columns that content uses; None keeps all.
        folder: where to write; it exists. Scratch files are made next to it and removed.
        order_key: the key that makes the order specific to this campaign.
        limit: the recipients to keep, the first by their hash; None keeps all.
        kind: the campaign's: opt-outs from a topic do not apply to transactional mail.
        lists: the ledger's suppressions, the cap.
        downloads: the folder for copies of S3 objects; None if there are none.

    Returns:
        The counts and leases. `folder` then has `recipients-NNNN.parquet` (`row` UInt64, `file` String, `line`
        UInt64, `address` String, `key` String, and the content columns under `stored_name`), together in the plan's
        order, a row group for each lease; and `excluded-NNNN.parquet` (`row`, `file`, `line`, `address` String: as it
        was read, or as it was understood where it could be; `reason` String, `detail` String), sorted by row.

    Raises:
        DataError: a file is damaged, or the campaign's settings do not fit it.
        PausedError: the disk is full or failing.
        ConfigurationError: the folder cannot be written.
    """
    lists = lists or Lists()
    content = content_columns(columns, opened)
    check_columns(audience, opened, content)
    partitions = Partitions(order_key, audience.dedupe, choose_bits(estimate_text(opened.sources)))
    rules = _make_row_rules(audience, opened, content, partitions, lists)
    with translate_os_errors(folder), ExitStack() as stack:
        scratch = _ScratchMaker(folder, stack)
        with step("reading suppressions"):
            suppressions = set_aside_suppressions(
                suppression,
                lists.suppressions,
                workspace=workspace,
                downloads=downloads,
                partitions=partitions,
                shelves=scratch.make("suppressions"),
                kind=kind,
                limits=lists.limits,
            )
        files = [source.name for source in opened.sources]
        excluded = ExcludedRows(scratch.make("excluded"), files)
        rows: Scratch[BatchPosition] = scratch.make("rows")
        with step("reading the audience", "rows") as reading:
            read = _read_rows(opened, rules, rows, excluded, reading)
        sets = SetRules(
            files=files,
            rows=rows,
            suppressions=suppressions,
            find_forgotten=lists.find_forgotten,
            cap=_read_cap(lists, partitions, scratch),
            hold_out=audience.hold_out,
            partitions=partitions,
            insights=_read_insights(lists, partitions, scratch),
        )
        arrangement = _arrange(audience, read.sample, partitions, scratch)
        with step("writing the plan", "partitions", partitions.count) as writing:
            written = write_recipients(
                folder, sets, excluded, content=content, limit=limit, arrangement=arrangement, count=writing.advance
            )
            excluded_files = excluded.write(folder)
    notes = (*_list_notes(opened, rules), *suppressions.notes, *rules.checks.notes())
    if lists.insights is not None:
        notes = (*notes, *lists.insights.notes())
    plan = _make_plan(content, read, written, excluded_files, notes)
    prove_balance(folder, rows_read=plan.rows_read, accepted=plan.accepted, excluded=plan.excluded)
    return plan


def _make_plan(
    content: tuple[str, ...], read: "_Read", written: Written, excluded_files: Iterable[str], notes: tuple[str, ...]
) -> Plan:
    return Plan(
        columns=content,
        rows_read=read.rows,
        accepted=sum(file.rows for file in written.files),
        excluded=merge_counts(read.counts, written.counts),
        leases=divide(written.files),
        files=(*(file.name for file in written.files), *excluded_files),
        notes=notes,
    )


class _ScratchMaker:
    """Creates scratch files next to a folder; closing the stack removes them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def make(self, name: str) -> Scratch[Any]:
        """Create a scratch file."""
        path = self._folder.with_name(f".{self._folder.name}.{name}.scratch")
        return self._stack.enter_context(Scratch(path))


class _Read(Struct):
    """The result of the first pass."""

    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    sample: list[pl.DataFrame] = field(default_factory=list)


def _read_rows(
    opened: Audience, rules: RowRules, rows: Scratch[BatchPosition], excluded: ExcludedRows, reading: Step
) -> _Read:
    """Read all rows; read them again if the types of the first rows do not fit all rows."""
    while True:
        read = _Read()
        batches = read_batches(opened.tables, _columns_to_read(rules), opened.columns)
        for judged in work_through(batches, lambda batch: judge_batch(batch, rules)):
            excluded.begin_batch(read.rows)
            place = BatchPosition(judged.table, read.rows, judged.has_capitals)
            for partition, part in judged.parts:
                rows.put(partition, part, place)
            if judged.excluded is not None:
                excluded.put(judged.excluded, read.rows)
            if judged.sample is not None:
                read.sample.append(judged.sample)
            read.counts = merge_counts(read.counts, judged.counts)
            read.rows += judged.height
            reading.done = read.rows
        if rules.types.is_settled():
            return read
        rows.clear()
        excluded.clear()
        rules.checks.begin_again()


def _columns_to_read(rules: RowRules) -> list[str]:
    audience = rules.audience
    return list(dict.fromkeys([audience.address, *rules.content, *audience.required, *rules.types.columns]))


def _make_row_rules(
    audience: AudienceSpec, opened: Audience, content: Sequence[str], partitions: Partitions, lists: Lists
) -> RowRules:
    order_by = [order.column for order in parse_order(audience.order_by)]
    used = columns_in(audience.where, list(opened.columns)) if audience.where else frozenset()
    return RowRules(
        audience=audience,
        content=content,
        order_by=order_by,
        types=ColumnTypes({*order_by, *used}, are_text=all(source.is_untyped for source in opened.sources)),
        checks=AddressChecks(audience.checks, lists.look_up),
        partitions=partitions,
    )


def _read_cap(lists: Lists, partitions: Partitions, scratch: _ScratchMaker) -> Cap | None:
    if lists.cap is None or lists.store is None or lists.now is None:
        return None
    return set_aside_history(lists.cap, lists.store, lists.now, partitions=partitions, shelves=scratch.make("history"))


def _read_insights(lists: Lists, partitions: Partitions, scratch: _ScratchMaker) -> ShelvedInsights | None:
    if lists.insights is None:
        return None
    mailed: Scratch[None] | None = None
    if lists.store is not None and lists.now is not None:
        mailed = scratch.make("mailed")
        shelve_messages(lists.store, lists.now - timedelta(days=MOST_CAP_DAYS), partitions=partitions, shelves=mailed)
    return shelve_insights(lists.insights, mailed, partitions)


def _arrange(
    audience: AudienceSpec, sample: Sequence[pl.DataFrame], partitions: Partitions, scratch: _ScratchMaker
) -> Arrangement | None:
    orders = parse_order(audience.order_by)
    if not orders or not sample:
        return None
    return Arrangement(orders, pl.concat(sample, how="vertical_relaxed"), partitions.count, scratch.make("arrangement"))


def _list_notes(opened: Audience, rules: RowRules) -> list[str]:
    notes = [note for table in opened.tables for note in table.notes]
    return [*notes, *column_notes(opened, _columns_to_read(rules))]
