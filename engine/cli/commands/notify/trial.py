"""`mailrun notify test`."""

import asyncio
import uuid

from engine.campaign.spec import load_campaign
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import read_settings
from engine.cli.requests import find_campaign_folder
from engine.clock import SystemClock
from engine.errors import ConfigurationError, ExitCode, UsageError, nearest
from engine.notify.channels import hand_over
from engine.notify.notice import make_test_notice
from engine.notify.targets import RunTargets, find_targets
from engine.notify.webhook import TargetAnswer
from engine.progress import step
from engine.settings import Settings


@with_common
def test_targets(campaign: str | None, target: str | None, common: Common) -> int:
    """Send a test to each target; print what it answered; return the exit code."""
    folder = None if campaign is None else find_campaign_folder(campaign, common)
    settings = read_settings(common, folder)
    spec = None if folder is None else load_campaign(folder).spec.notify
    found = find_targets(settings.notify, None if spec is None else spec.dump())
    names = _choose(found, target)
    with step("sending tests", "targets", len(names)):
        answers = dict(zip(names, asyncio.run(_send_tests(names, found, settings)), strict=True))
    if common.json:
        document = {
            name: {"kind": found.targets[name].kind, "accepted": answer.accepted, "answer": answer.text}
            for name, answer in answers.items()
        }
        print_json({"targets": document})
    else:
        width = max(map(len, names))
        for name, answer in answers.items():
            verdict = "accepted" if answer.accepted else "NOT ACCEPTED"
            print_lines(f"{name:<{width}}  {found.targets[name].kind:<5}  {verdict}: {answer.text}")
    return ExitCode.FINISHED if all(one.accepted for one in answers.values()) else ExitCode.UNAVAILABLE


def _choose(found: RunTargets, target: str | None) -> list[str]:
    """Return the names of the targets to test.

    Raises:
        ConfigurationError: there is none.
        UsageError: there is none of this name.
    """
    if not found.targets:
        raise ConfigurationError(
            "there is no target to notify",
            where="[notify.targets]",
            remedy="add [notify.targets.NAME] to mailrun.toml, or name the campaign that has targets",
        )
    if target is not None and target not in found.targets:
        remedy = nearest(target, list(found.targets))
        raise UsageError(f"there is no target {target}", where="--target", remedy=remedy)
    return [*found.targets] if target is None else [target]


async def _send_tests(names: list[str], found: RunTargets, settings: Settings) -> list[TargetAnswer]:
    clock = SystemClock()
    notices = [make_test_notice(name, clock.now(), found.link, uuid.uuid4().hex) for name in names]
    sending = [
        hand_over(name, found.targets[name], notice, settings, clock)
        for name, notice in zip(names, notices, strict=True)
    ]
    return await asyncio.gather(*sending)
