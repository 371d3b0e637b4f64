"""The program whose instructions bench.instructions counts: messages rendered and serialized.

Every section runs once to fill caches, and once to be counted. Before and after it, the program calls getsid(2), which
nothing else calls: there callgrind writes the instructions since the call before.
"""

import gc
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench import ROOT
from bench.peers.common import make_renderer
from bench.workspaces import read_people
from engine.campaign.content.templates import compile_content
from engine.campaign.message import Message, prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import load_campaign
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.delivery.transports.ses_documents import BulkTemplate, Documents, write_bulk
from engine.ledger.identity import digest_run

MESSAGES = 50
AT_ONCE = 50  # in a bulk call
YARDSTICK = "yardstick"  # the welcome campaign as Jinja alone renders it and the standard library writes it
ADDED_WORK = "welcome, single, and read some"

Row = Mapping[str, Any]


def make_rows() -> list[Row]:
    """Make the rows of a plan: strings, some null."""
    people = read_people()[:MESSAGES]
    columns = ({name: value or None for name, value in person.items()} for person in people)
    return [
        {**row, "first_name": row["first_name"] or "there", "row": number, "address": f"User.{number}@mail.example"}
        for number, row in enumerate(columns)
    ]


class Writer:
    """Renders a campaign's messages and writes the bodies of their calls.

    Args:
        name: of the campaign.
        rows: of the recipients.
    """

    def __init__(self, name: str, rows: list[Row]) -> None:
        campaign = load_campaign(ROOT / "campaigns" / name)
        self._rows = rows
        self._documents = Documents(prepare_envelope(campaign))
        signer = TokenSigner([b"a key for measurements only"])
        content, run = compile_content(campaign), digest_run("0" * 32, f"{name}/bench")
        make_renderer = partial(Renderer, content, campaign, run_key="bench", signer=signer, run=run)
        self._single = make_renderer(writer=self._documents.single)
        self._bulk = make_renderer(writer=self._documents.bulk)

    def write_single(self) -> list[bytes]:
        return [self._documents.write_single(message) for message in self._render(self._single)]

    def write_bulk(self) -> list[bytes]:
        messages = self._render(self._bulk)
        calls: dict[BulkTemplate, list[bytes]] = {}
        for message in messages:
            template = self._documents.choose_template(message)
            entry = self._documents.write_entry(message, template)
            assert self._documents.fits_bulk(message, entry)
            calls.setdefault(template, []).append(entry)
        return [
            write_bulk(entries[start : start + AT_ONCE], template)
            for template, entries in calls.items()
            for start in range(0, len(entries), AT_ONCE)
        ]

    def write_single_and_read_some(self) -> None:
        """Write single calls, and read one in eight again: more work, which the guard must report."""
        for body in self.write_single()[::8]:
            json.loads(body)

    def _render(self, renderer: Renderer) -> list[Message]:
        rows = enumerate(self._rows)
        return [renderer.render(row, row["row"], row["address"], place=(0, index)) for index, row in rows]


def make_sections() -> dict[str, Callable[[], object]]:
    rows = make_rows()
    make_parameters = make_renderer(ROOT)
    welcome, letter = Writer("welcome", rows), Writer("monthly-letter", rows)
    return {
        YARDSTICK: lambda: [json.dumps(make_parameters(dict(row))) for row in rows],
        "welcome, single": welcome.write_single,
        "welcome, bulk": welcome.write_bulk,
        "monthly-letter, single": letter.write_single,
        "monthly-letter, bulk": letter.write_bulk,
        ADDED_WORK: welcome.write_single_and_read_some,
    }


def main() -> None:
    """Run the sections; print their names in order."""
    for name, work in make_sections().items():
        work()
        gc.collect()
        os.getsid(0)
        work()
        os.getsid(0)
        print(name, flush=True)


if __name__ == "__main__":
    main()
