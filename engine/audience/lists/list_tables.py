"""Open suppression lists: read every sheet and every line, or raise an error that names what cannot be read."""

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from engine.audience.lists.address_lines import begins_with_address, open_lines
from engine.audience.lists.list_columns import ListColumns, find_columns
from engine.audience.lists.list_texts import with_text_columns
from engine.audience.reading.sources import AudienceSource, Format, translate_read_errors
from engine.audience.reading.tables import Reading, Table, open_table
from engine.audience.reading.workbooks.workbooks import list_sheets
from engine.errors import DataError

# A column name that is an entry itself: a domain or a hash. `user.email` is a column name.
_IS_ENTRY = re.compile(r"(?:\*?\.)?(?!.*mail)[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}|[0-9a-f]{32,128}", re.IGNORECASE)


class ListTable(Struct, frozen=True):
    """A table of a suppression list, and the meaning of its columns."""

    table: Table
    columns: ListColumns

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the operator: about the file, and about other columns with addresses."""
        name, addresses = self.table.source.name, ", ".join(self.columns.addresses)
        notes = list(self.table.notes)
        if self.columns.unread:
            unread = ", ".join(self.columns.unread)
            notes.append(f"{name}: the addresses in {addresses} were read; those in {unread} were ignored")
        elif not self.columns.is_named:
            notes.append(f"{name}: the addresses in {addresses} were read: no other column has addresses")
        if set(self.columns.addresses) & set(self.table.hidden):
            notes.append(f"{name}: the addresses in {addresses} were read, although the sheet hides this column")
        own = self.columns
        named = (*own.addresses, own.reason, own.topic, *own.evidence, *own.times)
        return (*notes, *self.table.cell_notes([column for column in named if column]))


def open_lists(source: AudienceSource) -> Iterator[ListTable]:
    """Open a suppression list; a workbook has a table for each of its sheets.

    Raises:
        DataError: it cannot be read, it is not clear which column holds the addresses, or a hidden sheet has cells.
    """
    if source.format is not Format.EXCEL:
        yield _open(source, None)
        return
    sheets = list_sheets(source)
    hidden = [name for name, is_visible in sheets if not is_visible]
    if hidden:
        raise DataError(
            f"the workbook has hidden sheets with cells: {', '.join(hidden)}",
            where=source.name,
            remedy="unhide them to include their entries, or delete them",
        )
    if not sheets:
        yield _open(source, None)  # who reads it says that it is empty
    for name, _ in sheets:
        shown = source if len(sheets) == 1 else replace(source, name=f"{source.name}, sheet {name}")
        yield _open(shown, name)


def _open(source: AudienceSource, sheet: str | None) -> ListTable:
    with translate_read_errors(source):
        return _open_with_or_without_header(source, sheet)


def _open_with_or_without_header(source: AudienceSource, sheet: str | None) -> ListTable:
    if source.format is Format.CSV and begins_with_address(source):
        return _open_without_header(source, sheet)
    table = with_text_columns(open_table(source, Reading(sheet=sheet)))
    is_entry = len(table.columns) == 1 and _IS_ENTRY.fullmatch(next(iter(table.columns))) is not None
    if source.is_untyped and (table.holds_address or is_entry):
        return _open_without_header(source, sheet)
    return ListTable(table, find_columns(table, has_header=True))


def _open_without_header(source: AudienceSource, sheet: str | None) -> ListTable:
    is_text = source.format is Format.CSV
    table = open_lines(source) if is_text else open_table(source, Reading(has_header=False, sheet=sheet))
    return ListTable(table, find_columns(table, has_header=False))
