"""`mailrun suppress`: the list in the ledger, files, and the SES account's own list."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from engine.account.async_client import CONTROL_PLANE, open_client
from engine.account.client import find_account_id
from engine.account.suppression_list import AccountSuppressionList
from engine.cli.commands.suppress_check import describe_entry
from engine.cli.common import Common, with_common
from engine.cli.console import mark_output_as_all, print_json, print_lines
from engine.cli.opening import open_chosen
from engine.errors import ExitCode, UsageError
from engine.ledger.suppressed.forgotten import make_find_forgotten
from engine.ledger.suppressed.reasons import Reason, read_reason
from engine.ledger.suppressed.suppressions import Suppression, iterate_suppressions
from engine.locations import REMOTE
from engine.on_demand import OnDemand
from engine.progress import step
from engine.quantities import format_count
from engine.store.keys import read_forget_key
from engine.suppression import editing
from engine.suppression import lists as suppression_lists
from engine.suppression.looking_up import find_entries
from engine.suppression.sync import Sync, Synced, Upload
from engine.system.given_paths import look_at
from engine.system.streams import is_terminal
from engine.workspace import Workspace

_upload_object = OnDemand("engine.store.objects:upload_object")  # the client of S3 is slow to import
MOST_INVALID = 20  # entries that are reported one by one
_CONSENT = (Reason.COMPLAINT, Reason.UNSUBSCRIBE)


@with_common
def add(addresses: Sequence[str], common: Common, *, topic: str | None, reason: str) -> int:
    """Add; print how many; return the exit code."""
    _check_topic(topic or "")
    with open_chosen(common) as workspace:
        done = editing.add_addresses(workspace, addresses, topic=topic or "", reason=reason)
    if common.json:
        print_json({"added": done.added, "already": done.already, "forgotten": done.forgotten})
    else:
        print_lines(*_describe_added(done))
    return ExitCode.FINISHED


@with_common
def remove(addresses: Sequence[str], common: Common, *, topic: str | None, account: bool, yes: bool) -> int:
    """Remove; print how many; return the exit code."""
    read = {text: suppression_lists.read_one_entry(text) for text in addresses}
    keys = [key for key, _ in read.values()]
    with open_chosen(common) as workspace:
        found = find_entries(workspace, keys, topic)
        _ask_for_consent(found, yes=yes)
        done = editing.remove_entries(workspace, keys, found, topic=topic, account=account)
        typed = {text for text, (_, address) in read.items() if address is not None}  # SES's own list has no domains
        known = {address for address in (*(a for _, a in read.values()), *(one.address for one in found)) if address}
        at_account = asyncio.run(_remove_at_account(workspace, sorted(known | typed))) if account else None
    if common.json:
        removed = {"removed": done.removed, "reasons": done.reasons, "account": at_account}
        print_json(removed | {"forgotten": done.forgotten})
    else:
        print_lines(*_describe_removal(done, at_account))
    return ExitCode.FINISHED


def _describe_added(done: editing.ListImport) -> Iterator[str]:
    yield f"{done.added:,} added, {done.already:,} already on the list"
    yield from _describe_forgotten(done.forgotten)


def _describe_removal(done: editing.ListRemoval, at_account: int | None) -> Iterator[str]:
    more = f", {at_account:,} from the account's list" if at_account is not None else ""
    yield f"{format_count(done.removed, 'entry', 'entries')} removed{more}"
    if at_account is None and done.removed:
        yield (
            "The SES account's own list may still have them: see suppress check --account and suppress remove --account"
        )
    yield from _describe_forgotten(done.forgotten)


def _describe_forgotten(count: int) -> Iterator[str]:
    if count:
        yield f"{count:,} erased with mailrun forget: permanently suppressed"


def _ask_for_consent(found: Sequence[Suppression], *, yes: bool) -> None:
    """Refuse, or ask at a terminal, where people have complained or unsubscribed."""
    refused = Counter(one.reason for one in found if one.reason in _CONSENT)
    if not refused or yes:
        return
    what = " and ".join(f"{count} by {reason}" for reason, count in sorted(refused.items()))
    if is_terminal(sys.stdin) and is_terminal(sys.stderr):
        click.confirm(f"They are suppressed {what}. Do you have their new consent?", abort=True, err=True)
        return
    raise UsageError(
        f"they are suppressed {what}: nothing was removed",
        where="ADDRESS",
        remedy="if you have their new consent, add --yes",
    )


async def _remove_at_account(workspace: Workspace, spellings: Sequence[str]) -> int:
    async with open_client(CONTROL_PLANE) as client:
        listing = AccountSuppressionList(client, workspace.clock)
        return sum([await listing.delete(spelling) for spelling in spellings])


async def look_up_at_account(workspace: Workspace, spellings: Sequence[str]) -> dict[str, dict[str, str]]:
    """Look up addresses in the SES account's own list: address -> the entry as --json has it."""
    async with open_client(CONTROL_PLANE) as client:
        listing = AccountSuppressionList(client, workspace.clock)
        found = {spelling: await listing.get(spelling) for spelling in spellings}
    return {
        spelling: {"address": one.address, "reason": one.reason, "at": one.at.isoformat()}
        for spelling, one in found.items()
        if one is not None
    }


@with_common
def list_entries(  # noqa: PLR0913 - one for each option
    common: Common,
    *,
    topic: str | None,
    reason: str | None,
    source: str | None,
    since: datetime | None,
    limit: int,
) -> int:
    """Print the list; return the exit code."""
    mark_output_as_all()
    after = None if since is None else since.replace(tzinfo=UTC)
    counts: Counter[str] = Counter()
    shown: list[Suppression] = []
    with open_chosen(common) as workspace:
        for one in (one for block in iterate_suppressions(workspace.ledger) for one in block):
            is_wanted = (
                (topic is None or one.topic == topic)
                and (reason is None or one.reason == reason)
                and (source is None or source in one.source)
                and (after is None or one.at >= after)
            )
            if is_wanted:
                counts[one.reason] += 1
                shown += [one] if len(shown) < limit else []
    if common.json:
        print_json(
            {"total": counts.total(), "reasons": dict(counts), "entries": [describe_entry(one) for one in shown]}
        )
        return ExitCode.FINISHED
    for one in shown:
        print_lines(
            f"{one.at:%Y-%m-%d %H:%M}  {one.address or one.key}  {one.topic or '(all)'}  {one.reason}, {one.source}"
        )
    reasons = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    print_lines(format_count(counts.total(), "suppression") + (f": {reasons}" if reasons else ""))
    if len(shown) < counts.total():
        print_lines(f"the first {len(shown):,} of them are shown; for more, use --limit N or suppress export FILE")
    return ExitCode.FINISHED


@with_common
def import_(place: str, common: Common, *, topic: str | None, reason: str | None, source: str | None) -> int:
    """Add a list; print its invalid entries; return the exit code."""
    _check_topic(topic or "")
    given = None if reason is None else read_reason(reason)
    with open_chosen(common) as workspace:
        options = suppression_lists.ImportOptions(
            topic=topic or "",
            reason=given,
            source=source,
            at=workspace.clock.now(),
            limits=workspace.settings.limits,
        )
        exists = not place.startswith(REMOTE) and look_at(place, "FILE") is not None
        here = str(Path(place).absolute()) if exists else place
        done = editing.import_list(workspace, here, options)
    if common.json:
        print_json(_describe_import(done))
    else:
        print_lines(
            *(f"SKIPPED: {one.where}: {one.what}" for one in done.invalid[:MOST_INVALID]),
            *([f"SKIPPED: {len(done.invalid) - MOST_INVALID:,} more"] if len(done.invalid) > MOST_INVALID else []),
            *(f"note: {note}" for note in done.notes),
            *_describe_added(done),
        )
    return ExitCode.DATA if done.invalid else ExitCode.FINISHED


def _describe_import(done: editing.ListImport) -> dict[str, Any]:
    return {
        "entries": done.entries,
        "added": done.added,
        "already": done.already,
        "forgotten": done.forgotten,
        "invalid": len(done.invalid),
        "examples": [{"where": one.where, "what": one.what} for one in done.invalid[:MOST_INVALID]],
        "notes": done.notes,
    }


@with_common
def export(file: Path, common: Common, *, topic: str | None, reason: str | None) -> int:
    """Write the list; return the exit code."""
    with open_chosen(common) as workspace:
        blocks = (
            [one for one in block if (topic is None or one.topic == topic) and (reason is None or one.reason == reason)]
            for block in iterate_suppressions(workspace.ledger)
        )
        with step("exporting suppressions"):
            rows = suppression_lists.export_suppressions(blocks, file)
    if common.json:
        print_json({"entries": rows, "file": str(file)})
    else:
        print_lines(f"{format_count(rows, 'entry', 'entries')} written to {file}")
    return ExitCode.FINISHED


@with_common
def sync(common: Common, *, direction: str | None, full: bool, bucket: str | None, most: int) -> int:
    """Synchronize; print what was done and what differs; return the exit code."""
    upload = None if bucket is None else _make_upload(bucket)
    with open_chosen(common) as workspace, step("syncing suppressions"):
        synced = asyncio.run(_sync(workspace, direction, full=full, upload=upload, most=most))
    if common.json:
        print_json(synced.to_json())
    else:
        print_lines(*_describe_sync(synced))
    return ExitCode.PAUSED if synced.waiting else ExitCode.FINISHED


async def _sync(workspace: Workspace, direction: str | None, *, full: bool, upload: Upload | None, most: int) -> Synced:
    async with open_client(CONTROL_PLANE) as client:
        sync = Sync(
            ledger=workspace.ledger,
            store=workspace.store,
            listing=AccountSuppressionList(client, workspace.clock),
            clock=workspace.clock,
            account=" ".join((await find_account_id(client), client.meta.endpoint_url, client.meta.region_name)),
            most_calls=most,
            upload=upload,
            find_forgotten=make_find_forgotten(workspace.ledger, partial(read_forget_key, workspace.store)),
        )
        return await sync.run(pull=direction != "push", push=direction != "pull", full=full)


def _make_upload(bucket: str) -> Upload:
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    if not bucket.startswith("s3://") or not name:
        raise UsageError(
            f"invalid bucket: {bucket}", where="--bucket", remedy="write s3://BUCKET or s3://BUCKET/PREFIX"
        )

    def upload(key: str, content: bytes) -> str:
        url = REMOTE + "/".join(part for part in (name, prefix.strip("/"), key) if part)
        _upload_object(url, content)
        return url

    return upload


def _describe_sync(synced: Synced) -> Iterator[str]:
    yield f"from the account: {synced.listed:,} read, {synced.added:,} new here"
    if synced.invalid:
        yield f"  {synced.invalid:,} are not valid addresses: {', '.join(synced.examples[:5])}"
    yield from _describe_forgotten(synced.forgotten)
    yield f"to the account: {synced.put:,} pushed one by one, {synced.imported:,} by import jobs"
    if synced.refused:
        yield f"  {synced.refused:,} were rejected by SES as invalid: {', '.join(synced.refused_examples[:5])}"
    if synced.import_failed:
        yield f"  {synced.import_failed:,} were rejected by import jobs"
    if synced.waiting:
        yield f"  {synced.waiting:,} not pushed yet: sync again, or use --bucket for import jobs"
    if synced.only_here is not None:
        yield f"differences: {synced.only_here:,} only here, {synced.only_there:,} only at the account"
        yield from (f"  only {one['only']}: {one['address']}" for one in synced.drift)
    yield f"{format_count(synced.calls, 'call')} to SES"


def _check_topic(topic: str) -> None:
    if len(topic) > suppression_lists.LONGEST_TOPIC:
        raise UsageError(
            f"a topic has at most {suppression_lists.LONGEST_TOPIC} characters", where="--topic", remedy="shorten it"
        )
