"""Planning: from the audience's files to the frozen plan, in memory that does not grow with the audience."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from engine.audience.checks import AddressChecks, LookUp
from engine.audience.planning.arrangement import Arrangement, parse_order
from engine.audience.planning.caps import Cap, set_aside_history
from engine.audience.planning.excluded_rows import ExcludedRows
from engine.audience.planning.first_pass import RowRules, judge_batch
from engine.audience.planning.partitions import Partitions, choose_bits
from engine.audience.planning.plan_files import LeaseRange, content_of, divide, prove_balance, read_lease, stored_name
from engine.audience.planning.recipients import rows_per_lease, write_recipients
from engine.audience.planning.scratch import MEMORY_BYTES, Room, Scratch
from engine.audience.planning.second_pass import BatchPosition, SetRules, merge_counts
from engine.audience.planning.suppressed_rows import set_aside_suppressions
from engine.audience.planning.threads import work_through
from engine.audience.reading.conditions.conditions import columns_in
from engine.audience.reading.header_names import is_same_name
from engine.audience.reading.renames import rename_columns
from engine.audience.reading.sources import AudienceSource, Format, refuse_unknown_column, translate_read_errors
from engine.audience.reading.tables import Table, open_table, read_batches, reading_of, unite
from engine.audience.reading.text_files.text_blocks import is_compressed
from engine.audience.reading.types import ColumnTypes
from engine.audience.reading.written_forms import WrittenForms
from engine.audience.spec import AudienceSpec, CapSpec, SuppressionSpec
from engine.errors import DataError, nearest
from engine.ledger.forgotten import FindForgotten
from engine.ledger.suppressions import CampaignKind, Suppression
from engine.progress import Step, step
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.files import translate_os_errors

__all__ = [
    "Audience",
    "LeaseRange",
    "Lists",
    "Plan",
    "content_of",
    "open_audience",
    "plan_audience",
    "read_lease",
    "rows_per_lease",
    "stored_name",
]

_SAMPLE_ROWS = 1000
# How much larger a file's rows are than the file, roughly.
_GROWTH = {Format.CSV: 1, Format.NDJSON: 1, Format.PARQUET: 4, Format.ARROW: 2, Format.EXCEL: 6}
_COMPRESSION = 6
# Of more text than this a part in memory saves little time; that memory is better spent on larger blocks, whose
# partitions come in larger pieces.
_LARGE_BYTES = 1 << 30
LARGE_BLOCK_BYTES = 24 << 20


@dataclass(frozen=True)
class Plan:
    """What planning found, and where the plan's rows are.

    Attributes:
        columns: the audience's columns that the recipients carry, under their own names.
        rows_read: all rows of the sources; accepted + the sum of excluded.
        accepted: the recipients.
        excluded: reason -> rows, in order of precedence, without zeros.
        leases: the recipients in order, without gaps.
        files: the plan's files, inside its folder.
        notes: sentences worth telling, such as suppression entries that hold no address.
    """

    columns: tuple[str, ...]
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    leases: tuple[LeaseRange, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audience:
    """Sources whose columns are known.

    Attributes:
        tables: one for each source, in the order in which their rows count.
        columns: the columns that all of them have, in the order of the first, and types that fit all.
        lenient: leave out what is damaged where it would be refused.
        mixed: columns whose types have nothing in common, with what Polars says.
    """

    tables: tuple[Table, ...]
    columns: dict[str, pl.DataType]
    lenient: bool
    mixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[AudienceSource, ...]:
        """The files."""
        return tuple(table.source for table in self.tables)


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What rows are held against beside the campaign's own files.

    Attributes:
        suppressions: the ledger's list, block by block.
        find_forgotten: tells which keys belong to people who were forgotten; they are suppressed.
        cap: the campaign's frequency cap.
        store: the store's folder, whose history the cap looks at.
        now: the time that the cap counts back from.
        look_up: looks up domains, for the check `mx`.
        limits: how large a suppression file may be.
    """

    suppressions: Iterable[Sequence[Suppression]] = ()
    find_forgotten: FindForgotten | None = None
    cap: CapSpec | None = None
    store: Path | None = None
    now: datetime | None = None
    look_up: LookUp | None = None
    limits: ReadLimits = DEFAULT_LIMITS


def open_audience(sources: Sequence[AudienceSource], audience: AudienceSpec, *, lenient: bool = False) -> Audience:
    """Tell the sources' columns, without their rows.

    Raises:
        DataError: a file cannot be read, or there is no column of addresses.
    """
    reading = reading_of(audience, lenient=lenient, block_bytes=LARGE_BLOCK_BYTES if _is_large(sources) else None)
    tables = rename_columns([open_table(source, reading) for source in sources], audience.renames)
    forms = WrittenForms(date_format=audience.date_format, decimal=audience.decimal)
    tables = forms.read(tables, lenient=lenient)
    columns, mixed = unite(tables)
    opened = Audience(tables, dict(columns), lenient, mixed)
    if audience.address not in opened.columns:
        raise _no_address_column(audience.address, opened)
    return opened


def plan_audience(  # noqa: PLR0913 - the whole of planning, named one by one
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
    """Read the sources, give every row its place, and write the plan durably.

    The recipients are ordered by a hash of their address, keyed with `order_key`, or by `order_by`: the same inputs
    give the same plan, whatever the number of threads.

    Args:
        audience: `[audience]` of the campaign; its `source` is not looked at, `opened` is what is read.
        suppression: `[suppression]` of the campaign.
        workspace: where the paths of suppression files begin.
        opened: the files.
        columns: the audience's columns that content uses; None keeps all.
        folder: where to write; it exists. Scratch files are made beside it and removed.
        order_key: what makes the order this campaign's own.
        limit: the recipients to keep, the first by their hash; None keeps all.
        kind: the campaign's: opt-outs from a topic do not apply to transactional mail.
        lists: the ledger's suppressions, the cap.
        downloads: where copies of objects go; None where there are none.

    Returns:
        The counts and leases. In `folder` are then `recipients-NNNN.parquet` (`row` UInt64, `file` String, `line`
        UInt64, `address` String, `key` String, and the content columns under `stored_name`), together in the plan's
        order, a row group for each lease; and `excluded-NNNN.parquet` (`row`, `file`, `line`, `address` String: as it
        was read, or as it was understood where it could be; `reason` String, `detail` String), sorted by row.

    Raises:
        DataError: a file or the campaign's words about it are wrong.
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    lists = lists or Lists()
    content = _content_columns(columns, opened)
    _check_columns(audience, opened, content)
    partitions = Partitions(order_key, audience.dedupe, choose_bits(_estimate_text(opened.sources)))
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
        excluded = ExcludedRows(scratch.make("excluded"))
        rows: Scratch[BatchPosition] = scratch.make("rows")
        with step("reading the audience", "rows") as reading:
            read = _read_rows(opened, rules, rows, excluded, reading)
        sets = SetRules(
            files=rules.files,
            rows=rows,
            suppressions=suppressions,
            find_forgotten=lists.find_forgotten,
            cap=_read_cap(lists, partitions, scratch),
            hold_out=audience.hold_out,
            partitions=partitions,
        )
        arrangement = _arrange(audience, read.sample, partitions, scratch)
        with step("writing the plan", "partitions", partitions.count) as writing:
            written = write_recipients(
                folder, sets, excluded, content=content, limit=limit, arrangement=arrangement, count=writing.advance
            )
            excluded_files = excluded.write(folder)
    plan = Plan(
        columns=content,
        rows_read=read.rows,
        accepted=sum(file.rows for file in written.files),
        excluded=merge_counts(read.counts, written.counts),
        leases=divide(written.files),
        files=(*(file.name for file in written.files), *excluded_files),
        notes=(
            *_notes_of(opened),
            *_column_notes(opened, _columns_to_read(rules)),
            *suppressions.notes,
            *rules.checks.notes(),
        ),
    )
    prove_balance(folder, rows_read=plan.rows_read, accepted=plan.accepted, excluded=plan.excluded)
    return plan


class _ScratchMaker:
    """Makes scratch files beside a folder, which go when the stack is closed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def make(self, name: str) -> Scratch[Any]:
        """Make one."""
        path = self._folder.with_name(f".{self._folder.name}.{name}.scratch")
        return self._stack.enter_context(Scratch(path))


@dataclass(slots=True)
class _Read:
    """What the first pass found."""

    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    sample: list[pl.DataFrame] = field(default_factory=list)


def _read_rows(
    opened: Audience, rules: RowRules, rows: Scratch[BatchPosition], excluded: ExcludedRows, reading: Step
) -> _Read:
    """Read all rows; once more where the types that the first ones had turned out not to fit all."""
    while True:
        read = _Read()
        batches = read_batches(opened.tables, _columns_to_read(rules), opened.columns)
        for judged in work_through(batches, lambda batch: judge_batch(batch, rules)):
            excluded.begin_batch(read.rows)
            place = BatchPosition(judged.table, read.rows, judged.has_capitals)
            for partition, part in judged.parts:
                rows.put(partition, part, place)
            if judged.excluded:
                excluded.put(judged.excluded, read.rows)
            if judged.sample is not None:
                read.sample.append(judged.sample)
            read.counts = merge_counts(read.counts, judged.counts)
            read.rows += judged.height
            reading.done = read.rows
        if rules.types.is_settled():
            return read
        rows.clear()
        rules.room.empty()
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
        files=[source.name for source in opened.sources],
        content=content,
        order_by=order_by,
        types=ColumnTypes({*order_by, *used}, are_text=all(source.is_untyped for source in opened.sources)),
        checks=AddressChecks(audience.checks, lists.look_up),
        partitions=partitions,
        room=Room(0 if _is_large(opened.sources) else MEMORY_BYTES),
    )


def _read_cap(lists: Lists, partitions: Partitions, scratch: _ScratchMaker) -> Cap | None:
    if lists.cap is None or lists.store is None or lists.now is None:
        return None
    return set_aside_history(lists.cap, lists.store, lists.now, partitions=partitions, shelves=scratch.make("history"))


def _arrange(
    audience: AudienceSpec, sample: Sequence[pl.DataFrame], partitions: Partitions, scratch: _ScratchMaker
) -> Arrangement | None:
    orders = parse_order(audience.order_by)
    if not orders or not sample:
        return None
    return Arrangement(orders, pl.concat(sample, how="vertical_relaxed"), partitions.count, scratch.make("arrangement"))


def _estimate_text(sources: Sequence[AudienceSource]) -> int:
    """About how much text the sources' rows are, in bytes."""
    return sum(
        source.size_bytes * _GROWTH[source.format] * (_COMPRESSION if _is_compressed(source) else 1)
        for source in sources
    )


def _is_compressed(source: AudienceSource) -> bool:
    with translate_read_errors(source):
        return is_compressed(source.path)


def _is_large(sources: Sequence[AudienceSource]) -> bool:
    """Whether next to nothing of the rows would find room in memory."""
    return _estimate_text(sources) > _LARGE_BYTES


def _notes_of(opened: Audience) -> list[str]:
    return [note for table in opened.tables for note in table.notes]


def _column_notes(opened: Audience, used: Collection[str]) -> Iterator[str]:
    for table in opened.tables:
        yield from table.cell_notes(used)
        if hidden := [column for column in table.hidden if column in used]:
            yield f"{table.source.name}: the campaign uses columns that the sheet hides: {', '.join(hidden)}"


def _content_columns(columns: Collection[str] | None, opened: Audience) -> tuple[str, ...]:
    """The content's columns in the audience's order."""
    if columns is None:
        closed = {column for table in opened.tables for column in table.closed}
        return tuple(column for column in opened.columns if column not in closed)
    for column in sorted(columns):
        if column not in opened.columns:
            what = f"the content uses the column {column}, which the audience does not have"
            raise DataError(what, where="the campaign's templates", remedy=nearest(column, list(opened.columns)))
    return tuple(column for column in opened.columns if column in columns)


def _check_columns(audience: AudienceSpec, opened: Audience, content: Sequence[str]) -> None:
    """Check that every column that `[audience]` names is there, once, and the address is text."""
    dtype = opened.columns[audience.address]
    if dtype not in (pl.String, pl.Null):
        what = f"the column {audience.address} holds {dtype} and no addresses"
        raise DataError(what, where="campaign.toml, [audience] address", remedy="name the column of the addresses")
    orders = [order.column for order in parse_order(audience.order_by)]
    available = list(opened.columns)
    for key, names in (("required", audience.required), ("defaults", audience.defaults), ("order_by", orders)):
        for name in names:
            refuse_unknown_column(name, columns=available, key=f"[audience] {key}")
    used = {*columns_in(audience.where, available)} if audience.where else set()
    used |= {audience.address, *audience.required, *orders, *content}
    for name in sorted(used & set(opened.mixed)):
        what = f"the files' types differ in the column {name}: {opened.mixed[name]}"
        raise DataError(what, where=opened.sources[0].name, remedy="give each column the same type in all files")
    for table in opened.tables:
        for name in sorted(used & set(table.closed)):
            what = f"{table.closed[name]}, and the campaign uses it"
            remedy = f"write it as text, in SQL as CAST({name} AS VARCHAR)"
            raise DataError(what, where=table.source.name, remedy=remedy)
        for name in sorted(used & set(table.twice)):
            what = f"the header has the column {name} twice, and the campaign uses it"
            raise DataError(what, where=table.source.name, remedy="give every column a name of its own")


def _no_address_column(address: str, opened: Audience) -> DataError:
    what = f"there is no column {address} for the address"
    first = opened.tables[0]
    available = list(first.columns)
    if address in first.columns:
        other = next(table for table in opened.tables if address not in table.columns)
        what = f"{other.source.name} has no column {address}, which {first.source.name} has"
        remedy = f"give all files of an audience the same columns; {nearest(address, list(other.columns))}"
        return DataError(what, where=other.source.name, remedy=remedy)
    if first.holds_address:
        what += ", and the first line holds an address"
        remedy = "put a line with the column names above it, or set has_header = false in [audience]"
        return DataError(what, where=first.source.name, remedy=remedy)
    if line := first.find_header(address):
        what += f", and line {line} has one of that name"
        return DataError(what, where=first.source.name, remedy=f"set header_row = {line} in [audience]")
    same = [column for column in available if is_same_name(column, address)]
    if not same and (line := first.find_header("")):
        what += f", and line {line} looks like the one with the column names"
        return DataError(what, where=first.source.name, remedy=f"set header_row = {line} in [audience]")
    remedy = nearest(address, available)
    if same:
        remedy = f'did you mean {same[0]}? Set address = "{same[0]}" in [audience]; {nearest("", available)}'
    elif "did you mean" not in remedy and (alike := _column_with_addresses(first)):
        remedy = f'the column {alike} holds addresses: set address = "{alike}" in [audience]; {remedy}'
    return DataError(what, where=f"{first.source.name}; campaign.toml, [audience] address", remedy=remedy)


def _column_with_addresses(table: Table) -> str | None:
    texts = [column for column, dtype in table.columns.items() if dtype == pl.String]
    batch = next(read_batches([table], texts, table.columns), None) if texts else None
    cells = batch.load().cells.head(_SAMPLE_ROWS) if batch else pl.DataFrame()
    return next((column.name for column in cells if column.str.contains("@", literal=True).any()), None)
