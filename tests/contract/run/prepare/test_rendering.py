"""Rendering a plan: in a child process, where no template takes all memory or time."""

import os
import signal
import sys
from pathlib import Path

import polars as pl
import pytest
from support.campaigns import write_campaign

from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import recipients_file, stored_name
from engine.campaign import render_error
from engine.campaign.content import bounds as limits
from engine.campaign.render_error import RenderError
from engine.errors import DataError
from engine.run.prepare import rendering
from engine.run.prepare.plan_rendering import render_plan
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.rendering import LeaseRenderer, RenderJob

LEASE = LeaseRange(0, recipients_file(0), 0, 3)
bounded = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a child")


def make_job(folder: Path, body: str, *, seconds: float | None = None) -> RenderJob:
    campaign = write_campaign(folder, {"t.j2": body}, 'text = "t.j2"')
    (folder / "campaign").symlink_to(campaign.folder)
    (folder / "plan").mkdir()
    frame = pl.DataFrame({stored_name("name"): ["Ann", "Bo", "Cy"]}).with_columns(
        pl.lit("ann@example.com").alias("address"), pl.lit("a.csv").alias("file"), pl.lit(1).alias("line")
    )
    frame.with_row_index("row", offset=1).write_parquet(folder / "plan" / recipients_file(0))
    return RenderJob(
        folder=folder,
        source=campaign.folder,
        name="welcome",
        run_key="k",
        columns=("name",),
        keys=(),
        seconds=seconds,
    )


def test_templates_that_never_end_are_reported_row_by_row(tmp_path: Path) -> None:
    body = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ name }}"
    (found,) = render_plan(make_job(tmp_path, body, seconds=0.1), [LEASE], processes=1)
    assert found.failures == {"t.j2:1: it does not end within 0.1 seconds": 3}
    assert [row for row, _ in found.examples] == [1, 2, 3]


@bounded
def test_what_takes_all_memory_fails_its_row_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGEST_STRING", 10**10)
    for module in (rendering, render_error):
        monkeypatch.setattr(module, "LARGEST_MEMORY", 64 * 1024**2)
    body = "Hi\n{% if name == 'Bo' %}{{ 'x' * 10**9 }}{% endif %}{{ name }}"
    renderer = LeaseRenderer(make_job(tmp_path, body))
    found = renderer.render(LEASE)
    assert found.rendered == 2
    assert found.failures == {"t.j2:2: it needs more than 64 MB of memory": 1}


@bounded
def test_one_step_that_does_not_end_is_named_with_file_line_and_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "weigh", lambda _value, _times=1: (0, 0))
    nest = "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}\n"
    body = "{% set ns = namespace(a=['x'], b=['x']) %}\n{% for _ in range(60) %}" + nest + "{% endfor %}\n"
    body += "{% if name == 'Bo' and ns.a == ns.b %}{% endif %}{{ name }}"
    job = make_job(tmp_path, body, seconds=0)
    with pytest.raises(DataError) as raised:
        LeaseRenderer(job).render(LEASE)
    assert raised.value.where == f"{job.source / 't.j2'}:4"
    assert (
        raised.value.what
        == "one step of the template took more than 0 seconds of processor time (row 2 of the audience)"
    )


@bounded
def test_messages_are_made_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = LeaseRenderer(make_job(tmp_path, "{% if name == 'Bo' %}{{ name.nothing }}{% endif %}{{ name }}"))
    made_in: list[int] = []
    monkeypatch.setattr(renderer.renderer, "render", lambda *_, **__: made_in.append(os.getpid()))
    renderer.make(list(renderer.recipients(LEASE)))
    with pytest.raises(AttributeError):  # the render of this test makes nothing
        renderer.render(LEASE)
    assert made_in == []


def add_lease(job: RenderJob, names: list[str]) -> LeaseRange:
    """Add a second lease to the plan, whose rows are numbered from 4."""
    frame = pl.read_parquet(job.folder / "plan" / recipients_file(0)).drop("row", stored_name("name"))
    frame = frame.with_columns(pl.Series(stored_name("name"), names)).with_row_index("row", offset=4)
    frame.write_parquet(job.folder / "plan" / recipients_file(1))
    return LeaseRange(1, recipients_file(1), 0, len(names))


@pytest.mark.parametrize("at_most", [0, 2, 3, 5, 6, 9])
def test_the_first_rows_of_leases_are_found_as_in_each_lease_alone(tmp_path: Path, at_most: int) -> None:
    job = make_job(tmp_path, "{% if name == 'Bo' %}{{ name.nothing }}{% endif %}{{ name }} {{ '{{' }}left}}")
    leases = [LEASE, add_lease(job, ["Di", "Bo", "Edward"])]
    whole, alone = LeaseRenderer(job).render_first(leases, at_most), Rendered()
    for lease, rows in zip(leases, (min(at_most, 3), min(at_most - 3, 3)), strict=True):
        if rows > 0:
            alone.merge(LeaseRenderer(job).render_first([lease], rows))
    assert whole == alone
    assert whole.rendered + whole.failures.total() == min(at_most, 6)


@bounded
def test_the_row_of_a_later_lease_is_named_where_its_step_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, "{{ name }}")
    leases = [LEASE, add_lease(job, ["Di", "Ends", "Edward"])]
    renderer = LeaseRenderer(job)

    def render(_content: object, row: int, _address: str) -> None:
        if row == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        raise RenderError("t.j2", 1, "no message")

    monkeypatch.setattr(renderer.renderer, "render", render)
    with pytest.raises(DataError, match=r"row 5 of the audience"):
        renderer.render_first(leases, 6)


def test_make_returns_a_message_or_the_reason_for_each_recipient(tmp_path: Path) -> None:
    renderer = LeaseRenderer(make_job(tmp_path, "{% if name == 'Bo' %}{{ name.nothing }}{% endif %}{{ name }}"))
    made = renderer.make(list(renderer.recipients(LEASE)))
    assert [isinstance(one, RenderError) for one in made] == [False, True, False]
