"""Changes of the suppression list by a person; each is recorded as a decision with its author."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import polars as pl
from msgspec import Struct, field

from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.suppressed.forgotten import make_find_forgotten
from engine.ledger.suppressed.suppressions import (
    Suppression,
    add_many_suppressions,
    limit_topic,
    remove_some_suppressions,
)
from engine.progress import step
from engine.store.keys import read_forget_key
from engine.suppression.lists import ImportOptions, InvalidEntry, read_one_entry, read_suppression_list
from engine.workspace import Workspace


class ListImport(Struct):
    """The result of an import.

    Attributes:
        entries: how many were read.
        added: of them, new on the list.
        forgotten: of them, erased with `mailrun forget`; they stay suppressed and are not written again.
        invalid: entries that are not an address or a domain, with file and line.
        notes: remarks about how the files were read.
    """

    entries: int = 0
    added: int = 0
    forgotten: int = 0
    invalid: list[InvalidEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def already(self) -> int:
        """Count the entries that were on the list before."""
        return self.entries - self.added - self.forgotten


class ListRemoval(Struct, frozen=True):
    """The result of a removal.

    Attributes:
        removed: how many entries.
        reasons: how many entries of each reason.
        forgotten: how many of the requested addresses were erased with `mailrun forget`: they stay suppressed.
    """

    removed: int
    reasons: dict[str, int]
    forgotten: int


def add_addresses(workspace: Workspace, addresses: Sequence[str], *, topic: str, reason: str) -> ListImport:
    """Suppress addresses, or domains as `@DOMAIN`.

    Args:
        workspace: has the ledger.
        addresses: as a person typed them.
        topic: empty for all mail.
        reason: of every entry; some reasons apply to all mail, whatever the topic.

    Raises:
        DataError: one is not an address.
    """
    read = dict(read_one_entry(address) for address in addresses)
    now, who, topic = workspace.clock.now(), find_user(), limit_topic(topic, reason)
    requested = [Suppression(key, topic, reason, who, now, None, address) for key, address in read.items()]
    entries = _leave_out_forgotten(workspace, requested)
    with workspace.ledger.write() as tx:
        added = add_many_suppressions(tx, entries)
        detail = {"asked": len(requested), "added": added, "topic": topic, "reason": reason}
        record_decision(tx, Decision(None, now, who, "suppress add", detail))
    return ListImport(entries=len(requested), added=added, forgotten=len(requested) - len(entries))


def remove_entries(
    workspace: Workspace, keys: Collection[str], entries: Sequence[Suppression], *, topic: str | None, account: bool
) -> ListRemoval:
    """Remove entries of some keys.

    Args:
        workspace: has the ledger.
        keys: the requested keys.
        entries: to remove.
        topic: the requested topic, for the record.
        account: whether they are removed from the SES account's list too, for the record.
    """
    now, who = workspace.clock.now(), find_user()
    reasons = dict(Counter(one.reason for one in entries))
    with workspace.ledger.write() as tx:
        removed = remove_some_suppressions(tx, entries)
        detail = {"removed": removed, "reasons": reasons, "topic": topic, "account": account}
        record_decision(tx, Decision(None, now, who, "suppress remove", detail))
    return ListRemoval(removed, reasons, len(find_forgotten(workspace, keys)))


def import_list(workspace: Workspace, place: str, options: ImportOptions) -> ListImport:
    """Add the entries of a list; invalid ones are reported, and the others are added.

    Args:
        workspace: has the ledger; relative paths begin there.
        place: a path, a glob pattern or s3://.
        options: settings that override the list.

    Raises:
        DataError: a file is missing or damaged, or contradicts the options; blocks before it are added.
    """
    done = ListImport()
    with step("importing suppressions", "entries") as importing:
        for block in read_suppression_list(place, workspace.settings.workspace, options):
            kept = _leave_out_forgotten(workspace, block.entries)
            with workspace.ledger.write() as tx:
                done.added += add_many_suppressions(tx, kept)
            done.entries += len(block.entries)
            done.forgotten += len(block.entries) - len(kept)
            done.invalid += block.invalid
            done.notes += block.notes
            importing.done = done.entries
    detail = {"entries": done.entries, "added": done.added, "invalid": len(done.invalid), "topic": options.topic}
    with workspace.ledger.write() as tx:
        record_decision(tx, Decision(None, options.at, find_user(), "suppress import", detail))
    return done


def find_forgotten(workspace: Workspace, keys: Collection[str]) -> set[str]:
    """Find which keys belong to addresses that were erased with `mailrun forget`."""
    find = make_find_forgotten(workspace.ledger, partial(read_forget_key, workspace.store))
    return set() if find is None else set(find(pl.Series("key", list(keys), pl.String)).get_column("key"))


def _leave_out_forgotten(workspace: Workspace, entries: Sequence[Suppression]) -> Sequence[Suppression]:
    """Leave out erased addresses: they stay suppressed for all mail, and are never written again."""
    forgotten = find_forgotten(workspace, [one.key for one in entries])
    return [one for one in entries if one.key not in forgotten] if forgotten else entries
