"""What `mailrun suppress` puts together: the ledger's list, files, and the account's own list."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import polars as pl

from engine.account.client import QUESTIONS, find_account_id, open_client
from engine.account.suppression_list import AccountSuppressionList
from engine.cli.common import Common, with_common
from engine.cli.console import mark_output_as_all, print_json, print_lines
from engine.cli.requests import open_chosen
from engine.errors import ExitCode, UsageError
from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.forgotten import make_find_forgotten
from engine.ledger.reasons import Reason, read_reason
from engine.ledger.suppression_scope import Scope
from engine.ledger.suppressions import (
    DOMAIN_MARK,
    Suppression,
    add_many_suppressions,
    find_suppressions,
    iterate_suppressions,
    limit_topic,
    list_keys,
    remove_some_suppressions,
)
from engine.progress import step
from engine.quantities import format_count
from engine.store.keys import read_forget_key
from engine.store.objects import REMOTE, upload_object
from engine.suppression import lists as suppression_lists
from engine.suppression.sync import Sync, Synced, Upload
from engine.system.given_paths import look_at
from engine.system.streams import is_terminal
from engine.workspace import Workspace

MOST_INVALID = 20  # entries that are told one by one
_CONSENT = (Reason.COMPLAINT, Reason.UNSUBSCRIBE)


@with_common
def add(addresses: Sequence[str], common: Common, *, topic: str, reason: str) -> int:
    """Add; print how many; return the exit code."""
    _check_topic(topic)
    read = [suppression_lists.read_one_entry(address) for address in addresses]
    with open_chosen(common) as place:
        now, who = place.clock.now(), find_user()
        topic = limit_topic(topic, reason)
        asked = [Suppression(key, topic, reason, who, now, None, address) for key, address in dict(read).items()]
        entries = _leave_out_forgotten(place, asked)
        with place.ledger.write() as tx:
            added = add_many_suppressions(tx, entries)
            detail = {"asked": len(asked), "added": added, "topic": topic, "reason": reason}
            record_decision(tx, Decision(None, now, who, "suppress add", detail))
    forgotten = len(asked) - len(entries)
    if common.json:
        print_json({"added": added, "already": len(entries) - added, "forgotten": forgotten})
    else:
        print_lines(f"{added:,} added, {len(entries) - added:,} on the list before", *_tell_forgotten(forgotten))
    return ExitCode.FINISHED


@with_common
def remove(addresses: Sequence[str], common: Common, *, topic: str | None, account: bool, yes: bool) -> int:
    """Remove; print how many; return the exit code."""
    read = dict(suppression_lists.read_one_entry(address) for address in addresses)
    with open_chosen(common) as place:
        now, who = place.clock.now(), find_user()
        with place.ledger.read() as tx:
            found = [one for one in find_suppressions(tx, read) if topic is None or one.topic == topic]
        _ask_for_consent(found, yes=yes)
        with place.ledger.write() as tx:
            removed = remove_some_suppressions(tx, found)
            reasons = dict(Counter(one.reason for one in found))
            detail = {"removed": removed, "reasons": reasons, "topic": topic, "account": account}
            record_decision(tx, Decision(None, now, who, "suppress remove", detail))
        domains = {text for text in addresses if suppression_lists.read_one_entry(text)[1] is None}
        known = {address for address in (*read.values(), *(one.address for one in found)) if address}
        spellings = known | (set(addresses) - domains)  # SES's own list has no domains
        there = asyncio.run(_remove_there(place, sorted(spellings))) if account else None
        forgotten = _find_forgotten(place, list(read))
    if common.json:
        print_json({"removed": removed, "reasons": reasons, "account": there, "forgotten": len(forgotten)})
        return ExitCode.FINISHED
    print_lines(
        f"{format_count(removed, 'entry', 'entries')} removed"
        + (f", {there:,} at the account" if there is not None else "")
    )
    if there is None and removed:
        print_lines("SES's own list may have them still: suppress check --account, suppress remove --account")
    print_lines(*_tell_forgotten(len(forgotten)))
    return ExitCode.FINISHED


def _leave_out_forgotten(place: Workspace, entries: Sequence[Suppression]) -> Sequence[Suppression]:
    """Leave out who was erased: they are suppressed already, of all mail, and no address of theirs is written again."""
    forgotten = _find_forgotten(place, [one.key for one in entries])
    return [one for one in entries if one.key not in forgotten] if forgotten else entries


def _tell_forgotten(count: int) -> Iterator[str]:
    if count:
        yield f"{count:,} erased with mailrun forget: permanently suppressed"


def _ask_for_consent(found: Sequence[Suppression], *, yes: bool) -> None:
    """Refuse, or ask at a terminal, where people have said no."""
    said_no = Counter(one.reason for one in found if one.reason in _CONSENT)
    if not said_no or yes:
        return
    what = " and ".join(f"{count} by {reason}" for reason, count in sorted(said_no.items()))
    if is_terminal(sys.stdin) and is_terminal(sys.stderr):
        click.confirm(f"They are suppressed {what}. Do you have their new consent?", abort=True, err=True)
        return
    raise UsageError(
        f"they are suppressed {what}: nothing was removed",
        where="ADDRESS",
        remedy="with their new consent, say so with --yes",
    )


async def _remove_there(place: Workspace, spellings: Sequence[str]) -> int:
    async with open_client(QUESTIONS) as client:
        listing = AccountSuppressionList(client, place.clock)
        return sum([await listing.delete(spelling) for spelling in spellings])


@with_common
def check(addresses: Sequence[str], common: Common, *, account: bool) -> int:
    """Look up; print; return the exit code."""
    mark_output_as_all()
    read = [(address, *suppression_lists.read_one_entry(address)) for address in addresses]
    with open_chosen(common) as place:
        with place.ledger.read() as tx:
            entries = find_suppressions(tx, {each for _, key, _ in read for each in list_keys(key)})
        forgotten = _find_forgotten(place, [key for _, key, _ in read])
        spellings = {address for _, _, address in read if address} | {one.address for one in entries if one.address}
        there = asyncio.run(_look_up_there(place, sorted(spellings))) if account else {}
    told = []
    for given, key, address in read:
        own = [_describe(one) for each in dict.fromkeys(list_keys(key)) for one in entries if one.key == each]
        listed = [at for spelling, at in there.items() if spelling.lower() == key or spelling == address]
        told.append(
            {
                "address": given,
                "suppressed": bool(own or listed) or key in forgotten,
                "entries": own,
                "forgotten": key in forgotten,
                **({"account": listed} if account else {}),
            }
        )
    if common.json:
        print_json({"addresses": told})
    else:
        print_lines(*(line for one in told for line in _explain(one)))
    return ExitCode.FINISHED


async def _look_up_there(place: Workspace, spellings: Sequence[str]) -> dict[str, dict[str, str]]:
    async with open_client(QUESTIONS) as client:
        listing = AccountSuppressionList(client, place.clock)
        found = {spelling: await listing.get(spelling) for spelling in spellings}
    return {
        spelling: {"address": one.address, "reason": one.reason, "at": one.at.isoformat()}
        for spelling, one in found.items()
        if one is not None
    }


def _find_forgotten(place: Workspace, keys: list[str]) -> set[str]:
    find = make_find_forgotten(place.ledger, partial(read_forget_key, place.store))
    return set() if find is None else set(find(pl.Series("key", keys, pl.String)).get_column("key"))


def _explain(told: dict[str, Any]) -> Iterator[str]:
    if not told["suppressed"]:
        yield f"{told['address']}: not suppressed"
    for entry in told["entries"]:
        what = f"of the topic {entry['topic']}" if entry["scope"] == Scope.TOPIC else "of all mail"
        event = f", event {entry['event']}" if entry["event"] else ""
        by = f" (by {entry['address']})" if entry["address"].startswith(DOMAIN_MARK) else ""
        yield f"{told['address']}: suppressed {what}{by}: {entry['reason']}, {entry['source']}, {entry['at']}{event}"
    if told["forgotten"]:
        yield f"{told['address']}: suppressed of all mail: erased with mailrun forget"
    for entry in told.get("account", ()):
        yield f"{told['address']}: on SES's own list as {entry['address']}: {entry['reason']}, {entry['at']}"


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
    with open_chosen(common) as place:
        for one in (one for block in iterate_suppressions(place.ledger) for one in block):
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
        print_json({"total": counts.total(), "reasons": dict(counts), "entries": [_describe(one) for one in shown]})
        return ExitCode.FINISHED
    for one in shown:
        print_lines(
            f"{one.at:%Y-%m-%d %H:%M}  {one.address or one.key}  {one.topic or '(all)'}  {one.reason}, {one.source}"
        )
    told = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    print_lines(f"{format_count(counts.total(), 'suppression')}" + (f": {told}" if told else ""))
    if len(shown) < counts.total():
        print_lines(f"the first {len(shown):,} of them are shown: --limit, or suppress export FILE")
    return ExitCode.FINISHED


def _describe(one: Suppression) -> dict[str, Any]:
    return {
        "address": one.address or one.key,
        "topic": one.topic,
        "scope": str(one.scope),
        "reason": one.reason,
        "source": one.source,
        "at": one.at.isoformat(),
        "event": one.event,
        "proof": one.proof,
    }


@with_common
def import_(place: str, common: Common, *, topic: str | None, reason: str | None, source: str | None) -> int:
    """Add a list; print its invalid entries; return the exit code."""
    _check_topic(topic or "")
    entries = added = forgotten = 0
    invalid: list[suppression_lists.InvalidEntry] = []
    notes: list[str] = []
    given = None if reason is None else read_reason(reason)
    with open_chosen(common) as workspace:
        now, who = workspace.clock.now(), find_user()
        exists = not place.startswith(REMOTE) and look_at(place, "FILE") is not None
        here = str(Path(place).absolute()) if exists else place
        limits = workspace.settings.limits
        options = suppression_lists.ImportOptions(topic=topic or "", reason=given, source=source, at=now, limits=limits)
        with step("importing suppressions", "entries") as importing:
            for block in suppression_lists.read_suppression_list(here, workspace.settings.workspace, options):
                kept = _leave_out_forgotten(workspace, block.entries)
                with workspace.ledger.write() as tx:
                    added += add_many_suppressions(tx, kept)
                entries += len(block.entries)
                importing.done = entries
                forgotten += len(block.entries) - len(kept)
                invalid += block.invalid
                notes += block.notes
        with workspace.ledger.write() as tx:
            detail = {"entries": entries, "added": added, "invalid": len(invalid), "topic": topic or ""}
            record_decision(tx, Decision(None, now, who, "suppress import", detail))
    if common.json:
        told = [{"where": one.where, "what": one.what} for one in invalid[:MOST_INVALID]]
        print_json(
            {
                "entries": entries,
                "added": added,
                "already": entries - added - forgotten,
                "forgotten": forgotten,
                "invalid": len(invalid),
                "examples": told,
                "notes": notes,
            }
        )
    else:
        print_lines(*(f"SKIPPED: {one.where}: {one.what}" for one in invalid[:MOST_INVALID]))
        if len(invalid) > MOST_INVALID:
            print_lines(f"SKIPPED: {len(invalid) - MOST_INVALID:,} more")
        print_lines(*(f"note: {note}" for note in notes))
        already = entries - added - forgotten
        print_lines(f"{added:,} added, {already:,} on the list before", *_tell_forgotten(forgotten))
    return ExitCode.DATA if invalid else ExitCode.FINISHED


@with_common
def export(file: Path, common: Common, *, topic: str | None, reason: str | None) -> int:
    """Write the list; return the exit code."""
    with open_chosen(common) as place:
        blocks = (
            [one for one in block if (topic is None or one.topic == topic) and (reason is None or one.reason == reason)]
            for block in iterate_suppressions(place.ledger)
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
    """Sync; print what was done and what differs; return the exit code."""
    upload = None if bucket is None else _make_upload(bucket)
    with open_chosen(common) as place, step("syncing suppressions"):
        synced = asyncio.run(_sync(place, direction, full=full, upload=upload, most=most))
    if common.json:
        print_json(synced.to_json())
    else:
        print_lines(*_tell_sync(synced))
    return ExitCode.PAUSED if synced.waiting else ExitCode.FINISHED


async def _sync(place: Workspace, direction: str | None, *, full: bool, upload: Upload | None, most: int) -> Synced:
    async with open_client(QUESTIONS) as client:
        sync = Sync(
            ledger=place.ledger,
            store=place.store,
            listing=AccountSuppressionList(client, place.clock),
            clock=place.clock,
            account=" ".join((await find_account_id(client), client.meta.endpoint_url, client.meta.region_name)),
            most_calls=most,
            upload=upload,
            find_forgotten=make_find_forgotten(place.ledger, partial(read_forget_key, place.store)),
        )
        return await sync.run(pull=direction != "push", push=direction != "pull", full=full)


def _make_upload(bucket: str) -> Upload:
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    if not bucket.startswith("s3://") or not name:
        raise UsageError(f"{bucket} is no bucket", where="--bucket", remedy="write s3://BUCKET or s3://BUCKET/PREFIX")

    def upload(key: str, content: bytes) -> str:
        url = REMOTE + "/".join(part for part in (name, prefix.strip("/"), key) if part)
        upload_object(url, content)
        return url

    return upload


def _tell_sync(synced: Synced) -> Iterator[str]:
    yield f"from the account: {synced.listed:,} read, {synced.added:,} new here"
    if synced.invalid:
        yield f"  {synced.invalid:,} are not addresses that can be mailed: {', '.join(synced.examples[:5])}"
    yield from _tell_forgotten(synced.forgotten)
    yield f"to the account: {synced.put:,} pushed, {synced.imported:,} pushed by import jobs"
    if synced.refused:
        yield f"  {synced.refused:,} are rejected by SES as invalid: {', '.join(synced.refused_examples[:5])}"
    if synced.import_failed:
        yield f"  {synced.import_failed:,} were refused by import jobs"
    if synced.waiting:
        yield f"  {synced.waiting:,} not pushed yet: sync again, or give --bucket for import jobs"
    if synced.only_here is not None:
        yield f"differs: {synced.only_here:,} only here, {synced.only_there:,} only at the account"
        yield from (f"  only {one['only']}: {one['address']}" for one in synced.drift)
    yield f"{format_count(synced.calls, 'call')} to SES"


def _check_topic(topic: str) -> None:
    if len(topic) > suppression_lists.LONGEST_TOPIC:
        raise UsageError(
            f"a topic has at most {suppression_lists.LONGEST_TOPIC} characters", where="--topic", remedy="shorten it"
        )
