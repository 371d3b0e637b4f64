"""Rendering the leases of a plan as a run would, and looking at every message."""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import polars as pl
from msgspec import Struct

from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import read_lease, stored_name
from engine.audience.spec import Value
from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.message import Message, prepare_envelope
from engine.campaign.message_lint import MessageLint
from engine.campaign.part_writers import make_utf8_writer
from engine.campaign.render import Renderer
from engine.campaign.render_error import LARGEST_MEMORY, RenderError
from engine.campaign.spec import Campaign, load_campaign
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import DataError, MailrunError
from engine.run.prepare.rendered import EXAMPLES, MOST_LOCALES, MOST_REASONS, Pick, Rendered, add_bounded
from engine.run.recipients import Recipient, iterate_recipients
from engine.store.files import write_file
from engine.system.bounded_process import ProcessEndedError, Steps, run_bounded

KILOBYTE = 1024
_FRAME = re.compile(r'File "([^"]*)", line (\d+) in (?:root|block_|macro)')
_T = TypeVar("_T")


class RenderJob(Struct, frozen=True, kw_only=True):
    """What a process needs to render a plan.

    Attributes:
        folder: with campaign/ and plan/, as planning writes it; failed rows are written to failed/ in it.
        name: the campaign's.
        run_key: the run's key.
        columns: the audience's columns that the plan carries.
        keys: sign the unsubscribe links.
        source: the campaign's folder in the workspace, of which folder/campaign/ is a copy: errors name its files.
        seconds: of processor time that one message may take; None for the usual ones.
    """

    folder: Path
    source: Path
    name: str
    run_key: str
    columns: tuple[str, ...]
    keys: tuple[bytes, ...]
    seconds: float | None = None

    def load(self) -> Campaign:
        """Read the campaign as it was copied, under its own name."""
        loaded = load_campaign(self.folder / "campaign")
        return Campaign(name=self.name, folder=loaded.folder, spec=loaded.spec)

    @contextmanager
    def name_source(self) -> Iterator[None]:
        """Name the file of the workspace in an error about a file of the copy: that is the one to correct."""
        try:
            yield
        except MailrunError as error:
            copy = str(self.folder / "campaign")
            error.where = error.where.replace(copy, str(self.source))
            error.args = (error.what.replace(copy, str(self.source)),)
            error.what = error.args[0]
            raise


_Measures = tuple[int, int, str | None, int]  # a message's bytes, those of its HTML, its language and its place


class LeaseRenderer:
    """Renders leases of one plan, in one process."""

    def __init__(self, job: RenderJob) -> None:
        self._job = job
        self._writer = make_utf8_writer()
        signer = TokenSigner(job.keys) if job.keys else None
        with job.name_source():
            self.campaign = job.load()
            self.envelope = prepare_envelope(self.campaign)
            content = compile_or_reuse(self.campaign)
            self.renderer = Renderer(
                content, self.campaign, run_key=job.run_key, signer=signer, seconds=job.seconds, writer=self._writer
            )
        self._locale = self.campaign.spec.content.locale

    def render(self, lease: LeaseRange) -> Rendered:
        """Render a lease and look at every message.

        Where rows fail, failed/lease-NNNNN.parquet has `row` UInt64, `file` String, `line` UInt64, `address` String and
        `reason` String of each.
        """
        return self.render_first([lease], lease.rows)

    def render_first(self, leases: Iterable[LeaseRange], at_most: int) -> Rendered:
        """Render the first recipients of some leases, as `render` does, in one child process.

        What templates and checks learn from the first messages is learned once in each process.
        """
        parts: list[tuple[LeaseRange, pl.DataFrame, list[Recipient]]] = []
        for lease in leases:
            if at_most <= 0:
                break
            frame = read_lease(self._job.folder / "plan", lease).head(at_most)
            parts.append((lease, frame, list(iterate_recipients(frame, self._job.columns))))
            at_most -= lease.rows

        def work(steps: Steps) -> list[tuple[Rendered, list[tuple[int, str]]]]:
            done, begun = [], 0
            for lease, _, recipients in parts:
                done.append(self._render(recipients, lease, steps, begun))
                begun += len(recipients)
            return done

        whole = Rendered()
        rendered = self.run_bounded(work, [one for _, _, recipients in parts for one in recipients])
        for (lease, frame, _), (found, failed) in zip(parts, rendered, strict=True):
            found.domains.update(_count_domains(frame))
            self._find_defaults(found, frame, lease)
            self._keep_failed(found, frame, lease, failed)
            whole.merge(found)
        return whole

    def _render(
        self, recipients: Sequence[Recipient], lease: LeaseRange, steps: Steps, begun: int
    ) -> tuple[Rendered, list[tuple[int, str]]]:
        """Render recipients of a lease; returns what was found, and the places and reasons of the failed ones.

        Args:
            recipients: the recipients.
            lease: theirs.
            steps: a step is begun for each.
            begun: how many steps there were before.
        """
        found, lint = Rendered(), MessageLint(self.campaign, self.envelope, self._writer)
        failed: list[tuple[int, str]] = []
        made: list[_Measures] = []
        for index, recipient in enumerate(recipients):
            steps.begin(begun + index)
            try:
                message = self.renderer.render(recipient.content, recipient.row, recipient.address)
            except RenderError as error:
                failed.append((index, str(error)))
            else:
                if not made:
                    found.subject = message.subject
                made.append(self._measure(message, index))
                found.flawed += lint.check(message)
        self._count(found, made, recipients, lease)
        found.findings, found.cids = lint.findings, lint.cids
        return found, failed

    def make(self, recipients: Sequence[Recipient], *, reader: str | None = None) -> list[Message | RenderError]:
        """Make the messages to some recipients, or say why they cannot be made.

        Args:
            recipients: to whom.
            reader: whose unsubscribe link they carry, where proofs of them go to another person.

        Raises:
            DataError: a template takes too much memory or time in one step.
        """

        def work(steps: Steps) -> list[Message | RenderError]:
            made: list[Message | RenderError] = []
            for index, one in enumerate(recipients):
                steps.begin(index)
                try:
                    made.append(self.renderer.render(one.content, one.row, one.address, reader=reader))
                except RenderError as error:
                    made.append(error)
            return made

        return self.run_bounded(work, recipients)

    def run_bounded(self, work: Callable[[Steps], _T], recipients: Sequence[Recipient]) -> _T:
        """Render in a child process with limits of memory and time.

        Raises:
            DataError: the system ended it; naming file, line and row.
        """
        return run_rendering(work, self.renderer, recipients, source=self._job.source)

    def pick(self, lease: LeaseRange, index: int) -> Recipient:
        """Read one recipient of a lease."""
        return next(islice(self.recipients(lease), index, None))

    def recipients(self, lease: LeaseRange) -> Iterator[Recipient]:
        """Read the recipients of a lease."""
        return iterate_recipients(read_lease(self._job.folder / "plan", lease), self._job.columns)

    def _measure(self, message: Message, index: int) -> _Measures:
        html, text = message.html_part, message.text_part
        html_bytes = 0 if html is None else len(html.write(self._writer))
        text_bytes = 0 if text is None else len(text.write(self._writer))
        return html_bytes + text_bytes + len(message.subject), html_bytes, message.language, index

    def _count(
        self, found: Rendered, made: Sequence[_Measures], recipients: Sequence[Recipient], lease: LeaseRange
    ) -> None:
        """Count the messages of a lease, and pick those to look at."""
        if not made:
            return
        sizes, html_bytes, languages, places = zip(*made, strict=True)
        found.rendered, found.html_bytes_largest = len(made), max(html_bytes)
        found.html_kilobytes.update(-(-size // KILOBYTE) for size in html_bytes)
        found.message_kilobytes.update(-(-size // KILOBYTE) for size in sizes)
        found.languages.update(language or "default" for language in languages)
        found.longest, found.shortest = max(sizes), min(sizes)
        shown = {
            "longest": places[sizes.index(found.longest)],
            "shortest": places[sizes.index(found.shortest)],
            "first": places[0],
        }
        if self._locale is not None:
            for place in places:
                locale = f"locale {recipients[place].content.get(self._locale) or 'none'}"
                if locale not in shown and len(shown) < MOST_LOCALES:
                    shown[locale] = place
        found.picks = {reason: Pick(lease.ordinal, place, recipients[place].row) for reason, place in shown.items()}

    def _find_defaults(self, found: Rendered, frame: pl.DataFrame, lease: LeaseRange) -> None:
        """Count the recipients whose value equals the default, whether it was filled in or is their own."""
        for column, default in self.campaign.spec.audience.defaults.items():
            if column not in self._job.columns:
                continue
            is_default = frame.get_column(stored_name(column)).cast(pl.String) == _as_text(default)
            if count := int(is_default.sum()):
                found.defaults[column] += count
                index = int(is_default.arg_true()[0])
                found.picks.setdefault(f"default {column}", Pick(lease.ordinal, index, frame["row"][index]))

    def _keep_failed(
        self, found: Rendered, frame: pl.DataFrame, lease: LeaseRange, failed: list[tuple[int, str]]
    ) -> None:
        if not failed:
            return
        add_bounded(found.failures, Counter(reason for _, reason in failed), MOST_REASONS)
        found.examples = [(frame["row"][index], reason) for index, reason in failed[:EXAMPLES]]
        rows = frame[[index for index, _ in failed]].select("row", "file", "line", "address")
        rows = rows.with_columns(pl.Series("reason", [reason for _, reason in failed], pl.String))
        buffer = _to_parquet(rows)
        write_file(self._job.folder / "failed" / f"lease-{lease.ordinal:05d}.parquet", buffer)


def run_rendering(
    work: Callable[[Steps], _T], renderer: Renderer, recipients: Sequence[Recipient], *, source: Path
) -> _T:
    """Render in a child process with limits.

    Args:
        work: renders recipients; it begins a step for each, with the place in `recipients`.
        renderer: what it renders with.
        recipients: the recipients to render.
        source: the campaign's folder, for the error.

    Raises:
        DataError: the system ended it, as one step of a template takes more than it may.
    """
    try:
        return run_bounded(work, memory=LARGEST_MEMORY, seconds=renderer.seconds)
    except ProcessEndedError as error:
        row = "" if error.number is None else f" (row {recipients[error.number].row} of the audience)"
        if error.took_too_long:
            what = f"one step of the template took more than {renderer.seconds:g} seconds of processor time{row}"
        else:
            what = f"the template ended the process that renders it, with signal {error.signal}{row}"
        where = str(source)
        if found := _FRAME.search(error.trace):
            template, line = renderer.locate(found[1], int(found[2]))
            where = f"{source / template}:{line}"
        raise DataError(what, where=where, remedy="make the values and loops of this line smaller") from error


def _to_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _count_domains(frame: pl.DataFrame) -> dict[str, int]:
    domains = frame.select(pl.col("address").str.split("@").list.last().str.to_lowercase().alias("domain"))
    return dict(domains.group_by("domain").len().iter_rows())


def _as_text(default: Value) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
