"""`mailrun preview`: the dry run. Everything that a launch does, on the whole audience, up to the hand-over to SES."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.audience.plan import read_lease
from engine.campaign.message import Envelope, Message, prepare_envelope, write_eml
from engine.campaign.render import Renderer, RenderError
from engine.campaign.templates import compile_content
from engine.campaign.unsubscribe import TokenSigner
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.run.manifest import Manifest
from engine.run.open_lease import iterate_recipients
from engine.run.planning import PlanRequest, write_plan
from engine.store.folder import Store, write_file

SAMPLES = 10
FAILURES_SHOWN = 20


@dataclass(slots=True)
class Preview:
    """What a dry run found.

    Attributes:
        manifest: the plan's counts.
        folder: where plan and samples are.
        rendered: messages that can be made.
        failures: reason -> rows, for messages that can not.
        examples: some failed rows, and the reason.
        samples: the .eml files written.
        html_bytes_largest: size of the largest HTML part.
    """

    manifest: Manifest
    folder: Path
    rendered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str]] = field(default_factory=list)
    samples: list[Path] = field(default_factory=list)
    html_bytes_largest: int = 0

    @property
    def failed(self) -> int:
        """Count the messages that can not be made."""
        return self.failures.total()

    def to_json(self) -> dict[str, Any]:
        """Return the keys that `preview --json` adds to the accounts."""
        return {
            "rendered": self.rendered,
            "render_failures": dict(self.failures.most_common()),
            "samples": [str(path) for path in self.samples],
            "html_bytes_largest": self.html_bytes_largest,
            "notes": list(self.manifest.notes),
        }


def preview_run(request: PlanRequest, store: Store, make_signer: Callable[[], TokenSigner]) -> Preview:
    """Plan, render every recipient, write the first ones of the plan as .eml files (the plan's order is a fair sample).

    Raises:
        DataError: audience or templates are wrong.
    """
    found = Preview(*replan(request, store, "previews"))
    campaign = request.campaign
    envelope = prepare_envelope(campaign)
    signer = make_signer() if campaign.spec.unsubscribe else None
    renderer = Renderer(compile_content(campaign), campaign, run_key=request.key, signer=signer)
    for lease in found.manifest.leases:
        frame = read_lease(found.folder / "plan", lease)
        for recipient in iterate_recipients(frame, found.manifest.columns):
            try:
                message = renderer.render(recipient.content, recipient.row, recipient.address)
            except RenderError as error:
                found.failures[str(error)] += 1
                if len(found.examples) < FAILURES_SHOWN:
                    found.examples.append((recipient.row, str(error)))
            else:
                _count(found, message, envelope)
    return found


def describe_plan(manifest: Manifest, folder: Path) -> Accounts:
    """Make the accounts of a plan that is no run: nothing is sent."""
    return Accounts(
        run=manifest.run,
        state=RunState.PLANNED,
        reason=None,
        rows_read=manifest.rows_read,
        accepted=manifest.accepted,
        excluded=manifest.excluded,
        outcomes={},
        store=folder,
    )


def _count(found: Preview, message: Message, envelope: Envelope) -> None:
    found.rendered += 1
    found.html_bytes_largest = max(found.html_bytes_largest, len((message.html or "").encode()))
    if len(found.samples) < SAMPLES:
        path = found.folder / "samples" / f"{len(found.samples) + 1:02d}-row-{message.row}.eml"
        write_file(path, write_eml(message, envelope))
        found.samples.append(path)


def replan(request: PlanRequest, store: Store, shelf: str) -> tuple[Manifest, Path]:
    """Plan into a folder of the store that holds the latest such plan of a campaign and no run.

    Args:
        request: what to plan.
        store: where.
        shelf: `plans` or `previews`.

    Returns:
        The manifest, and the folder.
    """
    folder = store.root / shelf / request.campaign.name
    with store.stage(request.name) as staging:
        manifest = write_plan(request, staging)
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    return manifest, folder
