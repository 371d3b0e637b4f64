"""The flow of a run's accounts: every row from the audience to what became of it, and its drawing. Pure.

Boxes stand in four columns: rows read, accepted or excluded, outcomes, and what events report. Heights are in
proportion to counts; a box that would be too thin to see is drawn a little thicker.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from engine.ledger.journal import Outcome
from engine.report.figures.document import Figures
from engine.report.page_environment import spell_out
from engine.report.run_report.answer import count_outcome, has_events

WIDTH = 1080
_COLUMNS = (0, 250, 545, 840)  # x of the boxes
_BOX = 12  # width of a box
_TALLEST = 250  # height of all rows
_THINNEST = 2.5
_SLOT = 44  # the least height of a box with its label
_MOST_EXCLUSIONS = 5  # drawn one by one; the table has all
_TONES = {"sent": "fill", "refused": "bad", "failed": "bad", "in_doubt": "warn", "unsent": "mute"}
_LAST = (
    ("delivered", "Delivered", "good"),
    ("bounced", "Bounced", "bad"),
    ("soft_bounced", "Soft-bounced", "warn"),
    ("provider_suppressed", "Suppressed by SES", "mute"),
    ("rejected", "Dropped by SES", "bad"),
)


class Stage(Struct, frozen=True):
    """A stage of the flow: a whole, divided into parts.

    Attributes:
        title: such as `Recipients by outcome`.
        total: what the parts are shares of.
        parts: where each of them is.
    """

    title: str
    total: int
    parts: Sequence["FlowPart"]


class FlowPart(Struct, frozen=True):
    """Rows in one place.

    Attributes:
        name: for people.
        count: how many.
        tone: how it is coloured.
        goes_on: the next stage divides this part.
    """

    name: str
    count: int
    tone: str
    goes_on: bool = False


class Box(Struct, frozen=True):
    """A drawn part: a box with a label, in the units of the drawing."""

    x: int
    y: float
    height: float
    part: FlowPart
    total: int


class Band(Struct, frozen=True):
    """A drawn connection between two boxes: the path of its outline."""

    path: str
    tone: str


class Flow(Struct, frozen=True):
    """The drawing.

    Attributes:
        height: of it; its width is WIDTH.
        boxes: with labels.
        bands: behind them.
    """

    height: int
    boxes: Sequence[Box]
    bands: Sequence[Band]


def list_stages(figures: Figures) -> list[Stage]:
    """List the stages of a run; parts without rows are left out, and so are stages without parts."""
    accounts = figures.accounts
    rows, accepted, sent = (
        accounts.get("rows_read", 0),
        accounts.get("accepted", 0),
        count_outcome(figures, Outcome.SENT),
    )
    exclusions = [FlowPart(f"Excluded: {spell_out(one.name)}", one.rows, "mute") for one in figures.exclusions]
    if len(exclusions) > _MOST_EXCLUSIONS:
        drawn, others = exclusions[: _MOST_EXCLUSIONS - 1], exclusions[_MOST_EXCLUSIONS - 1 :]
        exclusions = [*drawn, FlowPart("Excluded: other reasons", sum(one.count for one in others), "mute")]
    outcomes = [
        FlowPart(spell_out(str(one)).capitalize(), count_outcome(figures, one), _TONES[str(one)], one is Outcome.SENT)
        for one in Outcome
    ]
    feedback = [FlowPart(words, figures.feedback.get(kind, 0), tone) for kind, words, tone in _LAST]
    silent = FlowPart("No event yet", max(0, sent - sum(one.count for one in feedback)), "mute")
    stages = [
        Stage("Rows of the audience", rows, [FlowPart("Accepted", accepted, "fill", goes_on=True), *exclusions]),
        Stage("Recipients by outcome", accepted, outcomes),
        Stage("Sent messages by event", sent, [*feedback, silent] if has_events(figures) else []),
    ]
    shown = [Stage(one.title, one.total, [part for part in one.parts if part.count]) for one in stages]
    return [one for one in shown if one.parts]


def draw_flow(figures: Figures) -> Flow | None:
    """Lay out the drawing; None for a run without rows."""
    rows = figures.accounts.get("rows_read", 0)
    stages = list_stages(figures)
    if not rows or not stages:
        return None
    scale = _TALLEST / rows
    first = Box(_COLUMNS[0], 0.0, _TALLEST, FlowPart("Rows read", rows, "mute", goes_on=True), rows)
    columns = [[first]]
    for x, stage in zip(_COLUMNS[1:], stages, strict=False):
        source = next(box for box in columns[-1] if box.part.goes_on)
        columns.append(list(_place(stage, x, source.y, scale)))
    bottom = max(box.y + max(box.height, _SLOT) for column in columns for box in column)
    bands = [band for left, right in pairwise(columns) for band in _connect(left, right, scale)]
    return Flow(round(bottom), [box for column in columns for box in column], bands)


def _place(stage: Stage, x: int, top: float, scale: float) -> Iterable[Box]:
    y = top
    for part in stage.parts:
        height = max(_THINNEST, part.count * scale)
        yield Box(x, round(y, 1), round(height, 1), part, stage.total)
        y += max(height + 10, _SLOT)


def _connect(left: Sequence[Box], right: Sequence[Box], scale: float) -> Iterable[Band]:
    source = next(box for box in left if box.part.goes_on)
    leaving, start = source.y, source.x + _BOX
    for box in right:
        thick = box.part.count * scale
        bend = (start + box.x) / 2
        yield Band(
            f"M{start} {leaving:.1f}C{bend:.0f} {leaving:.1f} {bend:.0f} {box.y:.1f} {box.x} {box.y:.1f}"
            f"V{box.y + box.height:.1f}C{bend:.0f} {box.y + box.height:.1f} {bend:.0f} {leaving + thick:.1f} "
            f"{start} {leaving + thick:.1f}Z",
            box.part.tone,
        )
        leaving += thick
