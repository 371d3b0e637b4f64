"""`mailrun doctor`: checks each part of a workspace and of this machine, with a line for each."""

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from engine import __version__
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen, read_settings
from engine.clock import SystemClock
from engine.errors import ExitCode, MailrunError
from engine.ledger.migrate import HEAD
from engine.masking import mask_url
from engine.on_demand import OnDemand
from engine.settings import Settings
from engine.system.process_limits import FILES_WANTED, raise_file_limit
from engine.system.temporary import make_temporary_folder
from engine.workspace import Workspace, list_other_writers
from engine.workspace_folder import CAMPAIGNS, list_campaigns

if TYPE_CHECKING:
    from engine.account.permission_probe import TriedPermission

_SKEW_SECONDS_NOTED = 10.0
SKEW_SECONDS_MAXIMUM = 300.0  # SES refuses a signature that is 5 minutes older or newer (Signature Version 4)
_read_access = OnDemand("engine.account.health:read_access")  # botocore is slow to import
_load_campaign = OnDemand("engine.campaign.spec:load_campaign")
_make_needs = OnDemand("engine.account.permission_probe:LaunchNeeds")
# What only a message, or a message of a queue, would show.
NOT_TRIED = ("ses:SendEmail", "sqs:ReceiveMessage", "sqs:DeleteMessage")
_PARTS_OF_SES = frozenset({"SES", "clock"})


class Health(StrEnum):
    """The state of a part."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"  # a launch cannot run until it is fixed


class Finding(Struct, frozen=True):
    """The result for one part.

    Attributes:
        part: its name.
        health: its state.
        text: what there is, or what is wrong, without secrets.
        remedy: what to do; empty if nothing is wrong.
    """

    part: str
    health: Health
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return an element of `findings` in --json."""
        return {"part": self.part, "health": self.health, "text": self.text, "remedy": self.remedy or None}

    def to_lines(self) -> Iterator[str]:
        """Write it for people."""
        yield f"{self.health:<8} {self.part:<17} {self.text}"
        if self.remedy:
            yield f"{'':<26} do: {self.remedy}"


@with_common
def doctor(common: Common) -> None:
    """Check every part; print the results; exit with 78 if one prevents a launch, with 69 if SES alone does."""
    findings = list(_find_all(common))
    if common.json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        print_lines(*(line for finding in findings for line in finding.to_lines()))
    wrong = {finding.part for finding in findings if finding.health is Health.ERROR}
    if wrong:
        sys.exit(ExitCode.UNAVAILABLE if wrong <= _PARTS_OF_SES else ExitCode.CONFIGURATION)


def _find_all(common: Common) -> Iterator[Finding]:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("versions", Health.OK, f"mailrun {__version__}, ledger schema {HEAD}, {python}")
    settings = read_settings(common)
    yield Finding("workspace", Health.OK, str(settings.workspace))
    yield _find("temporary files", _check_temporary_folder)
    yield _find("open files", _check_open_files)
    with ExitStack() as stack:
        try:
            workspace = stack.enter_context(open_chosen(common))
        except MailrunError as error:
            yield _describe("store and ledger", error)
        else:
            yield Finding("store", Health.OK, workspace.store.describe(""))
            yield Finding("ledger", Health.OK, mask_url(settings.ledger_url))
            yield _find("unsubscribe keys", lambda: _check_keys(workspace))
    yield from _list_writers(settings)
    yield from _check_ses(settings)


def _find(part: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, Health.OK, look())
    except MailrunError as error:
        return _describe(part, error)


def _describe(part: str, error: MailrunError) -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(part, Health.ERROR, f"{error.what}{where}", error.remedy)


def _check_temporary_folder() -> str:
    with make_temporary_folder() as folder:
        return str(folder.parent)


def _check_open_files() -> str:
    return f"{raise_file_limit():,} can be open; a fast run needs up to {FILES_WANTED:,}"


def _check_keys(workspace: Workspace) -> str:
    return workspace.find_unsubscribe_keys().describe()


def _list_writers(settings: Settings) -> Iterator[Finding]:
    notes = list_other_writers(settings)
    for note in notes:
        text, _, remedy = note.partition("; ")
        yield Finding("other writers", Health.WARNING, text, remedy)
    if not notes:
        yield Finding("other writers", Health.OK, "no other user can write the store, the ledger or mailrun.toml")


def _check_ses(settings: Settings) -> Iterator[Finding]:
    """Check how SES is reached. Without credentials that is a warning: --sandbox and SMTP need none."""
    try:
        access = _read_access(SystemClock(), _find_needs(settings))
    except MailrunError as error:
        yield Finding(
            "SES", Health.WARNING, f"{error.what.rstrip('.')}; a launch needs --sandbox, or SMTP", error.remedy
        )
        return
    yield Finding("region", Health.OK, f"{access.region}, {access.endpoint}")
    if not access.credentials:
        remedy = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        yield Finding("credentials", Health.WARNING, "none: a launch needs --sandbox, or SMTP", remedy)
        return
    yield Finding("credentials", Health.OK, f"{access.key_id}…, from {access.credentials}")
    if access.problem:
        yield Finding("SES", Health.ERROR, access.problem, access.remedy)
    else:
        yield Finding("SES", Health.OK, "GetAccount is permitted; mailrun check checks the account and the sender")
        yield from judge_permissions(access.tried)
    if access.skew_seconds is not None:
        yield judge_clock(access.skew_seconds)


def _find_needs(settings: Settings) -> Any:
    """Find what the launches of this workspace call AWS for; a campaign that cannot be read needs nothing."""
    from_campaigns = list[tuple[str, str]]()
    for name in list_campaigns(settings.workspace):
        try:
            spec = _load_campaign(settings.workspace / CAMPAIGNS / name).spec
        except MailrunError:
            continue
        domain = spec.sender_address.rpartition("@")[2]
        from_campaigns.append((domain, spec.delivery.configuration_set or ""))
    domains, sets = ([*dict.fromkeys(filter(None, some))] for some in zip(*from_campaigns, ("", ""), strict=True))
    return _make_needs(domains, sets, settings.events.queue)


def judge_permissions(tried: "Sequence[TriedPermission]") -> Iterator[Finding]:
    """Judge the permissions that were tried; a launch goes on without them, and says what it could not check."""
    permitted = [f"{one.action} on {one.on}" for one in tried if one.is_permitted]
    unknown = [f"{one.action} on {one.on}" for one in tried if one.is_permitted is None]
    for one in tried:
        if one.is_permitted is False:
            yield Finding("permissions", Health.WARNING, f"{one.action} on {one.on} is refused", one.remedy)
    text = f"{', '.join(permitted)} permitted; " if permitted else ""
    text += f"AWS does not tell: {', '.join(unknown)}; " if unknown else ""
    yield Finding(
        "permissions", Health.OK, f"{text}not tried, because that would send or take messages: {', '.join(NOT_TRIED)}"
    )


def judge_clock(skew_seconds: float) -> Finding:
    """Judge this machine's clock by SES's, which it tells in whole seconds."""
    size = abs(skew_seconds)
    if size <= _SKEW_SECONDS_NOTED:
        return Finding("clock", Health.OK, f"within {_SKEW_SECONDS_NOTED:.0f} s of SES's clock")
    health = Health.ERROR if size >= SKEW_SECONDS_MAXIMUM else Health.WARNING
    text = f"{size:,.0f} s {'ahead of' if skew_seconds > 0 else 'behind'} SES's clock"
    limit = f"SES refuses calls from {SKEW_SECONDS_MAXIMUM:.0f} s on"
    return Finding("clock", health, f"{text}; {limit}", "synchronise the clock, for instance with chrony")
