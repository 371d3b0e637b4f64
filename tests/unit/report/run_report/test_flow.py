"""The flow of a run's accounts: every row is drawn once, and nothing covers anything else."""

from itertools import pairwise

from support.report_figures import make_bare_figures, make_figures

from engine.report.figures.document import Cause
from engine.report.run_report.flow import WIDTH, draw_flow, list_stages


def test_every_stage_adds_up_to_the_part_that_it_divides():
    rows, outcomes, events = list_stages(make_figures())
    assert (rows.total, outcomes.total, events.total) == (50_000, 48_720, 48_697)
    for stage in (rows, outcomes, events):
        assert sum(part.count for part in stage.parts) == stage.total


def test_parts_without_rows_are_left_out():
    (rows, outcomes) = list_stages(make_bare_figures())
    assert [part.name for part in rows.parts] == ["Accepted"]
    assert [part.name for part in outcomes.parts] == ["Unsent"]


def test_many_exclusions_are_drawn_as_one_part():
    causes = tuple(Cause(f"reason_{i}", 10, ()) for i in range(9))
    rows = list_stages(make_figures(exclusions=causes))[0]
    assert [part.count for part in rows.parts[1:]] == [10, 10, 10, 10, 50]
    assert rows.parts[-1].name == "Excluded: other reasons"


def test_boxes_of_a_column_keep_apart_and_stay_inside():
    flow = draw_flow(make_figures())
    assert flow is not None
    columns: dict[int, list[tuple[float, float]]] = {}
    for box in flow.boxes:
        assert 0 <= box.x < WIDTH
        assert box.y + box.height <= flow.height
        columns.setdefault(box.x, []).append((box.y, box.y + box.height))
    assert len(columns) == 4
    for boxes in columns.values():
        assert all(below[0] - above[0] >= 40 for above, below in pairwise(boxes))
        assert all(below[0] > above[1] for above, below in pairwise(boxes))


def test_flow_of_a_run_without_recipients_ends_at_its_exclusions():
    accounts = {"rows_read": 3, "accepted": 0}
    figures = make_bare_figures(accounts=accounts, exclusions=(Cause("duplicate", 3, ()),), outcomes=())
    flow = draw_flow(figures)
    assert flow is not None
    assert [box.part.name for box in flow.boxes] == ["Rows read", "Excluded: duplicate"]


def test_nothing_is_drawn_for_an_empty_audience():
    assert draw_flow(make_bare_figures(accounts={"rows_read": 0, "accepted": 0})) is None


def test_silent_recipients_are_never_fewer_than_none():
    """Events may count a recipient as delivered and as bounced."""
    accounts = {"rows_read": 2, "accepted": 2, "sent": 2}
    stages = list_stages(make_bare_figures(accounts=accounts, feedback={"delivered": 2, "bounced": 1}))
    assert [(part.name, part.count) for part in stages[-1].parts] == [("Delivered", 2), ("Bounced", 1)]
