"""`mailrun suppress check`."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from engine.cli.common import Common, with_common
from engine.cli.console import mark_output_as_all, print_json, print_lines
from engine.cli.opening import open_chosen
from engine.errors import ExitCode
from engine.ledger.suppressed.suppression_scope import Scope
from engine.ledger.suppressed.suppressions import DOMAIN_MARK, Suppression, list_keys
from engine.on_demand import OnDemand
from engine.suppression.looking_up import find_entries, find_forgotten, read_entry

_look_up_at_account = OnDemand("engine.cli.commands.suppress:look_up_at_account")  # the AWS client is slow to import


@with_common
def check(addresses: Sequence[str], common: Common, *, account: bool) -> int:
    """Look up; print; return the exit code."""
    mark_output_as_all()
    read = [(address, *read_entry(address)) for address in addresses]
    with open_chosen(common) as workspace:
        entries = find_entries(workspace, {each for _, key, _ in read for each in list_keys(key)})
        forgotten = find_forgotten(workspace, [key for _, key, _ in read])
        spellings = {address for _, _, address in read if address} | {one.address for one in entries if one.address}
        at_account = asyncio.run(_look_up_at_account(workspace, sorted(spellings))) if account else {}
    found = []
    for given, key, address in read:
        own = [describe_entry(one) for each in dict.fromkeys(list_keys(key)) for one in entries if one.key == each]
        listed = [at for spelling, at in at_account.items() if spelling.lower() == key or spelling == address]
        found.append(
            {
                "address": given,
                "suppressed": bool(own or listed) or key in forgotten,
                "entries": own,
                "forgotten": key in forgotten,
                **({"account": listed} if account else {}),
            }
        )
    if common.json:
        print_json({"addresses": found})
    else:
        print_lines(*(line for one in found for line in _explain(one)))
    return ExitCode.FINISHED


def _explain(found: dict[str, Any]) -> Iterator[str]:
    address = found["address"]
    if not found["suppressed"]:
        yield f"{address}: not suppressed"
    for entry in found["entries"]:
        what = f"the topic {entry['topic']}" if entry["scope"] == Scope.TOPIC else "all mail"
        event = f", event {entry['event']}" if entry["event"] else ""
        by = f" (by {entry['address']})" if entry["address"].startswith(DOMAIN_MARK) else ""
        yield f"{address}: suppressed for {what}{by}: {entry['reason']}, {entry['source']}, {entry['at']}{event}"
    if found["forgotten"]:
        yield f"{address}: suppressed for all mail: erased with mailrun forget"
    for entry in found.get("account", ()):
        yield f"{address}: on the SES account's list as {entry['address']}: {entry['reason']}, {entry['at']}"


def describe_entry(one: Suppression) -> dict[str, Any]:
    """Return an entry as --json has it."""
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
