"""Links from data are judged over the whole plan before a launch."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.campaigns import TOML, write_campaign

from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import recipients_file, stored_name
from engine.campaign.content.templates import compile_content
from engine.run import recipients as run_recipients
from engine.run.prepare import link_check
from engine.run.prepare.link_check import check_links

GOOD = "https://acme.example/a"
BAD = "javascript:other()"


def check(folder: Path, cells: dict[str, Any], body: str, *, toml: str = TOML) -> list[str]:
    """Plan some cells in leases of three rows, check them, and return each finding with its count and first row."""
    campaign = write_campaign(folder, {"b.html.j2": body}, 'html = "b.html.j2"', toml=toml)
    plan = folder / "plan"
    plan.mkdir(exist_ok=True)
    frame = pl.DataFrame({stored_name(name): column for name, column in cells.items()})
    frame = frame.with_columns(pl.lit("ann@example.com").alias("address")).with_row_index("row", offset=1)
    frame.write_parquet(plan / recipients_file(0))
    leases = [
        LeaseRange(ordinal, recipients_file(0), first, min(3, frame.height - first))
        for ordinal, first in enumerate(range(0, frame.height, 3))
    ]
    found = check_links(compile_content(campaign), folder, leases, tuple(cells))
    return [f"{one.severity} {one.code} {one.what}: {found.counts[one]} from row {found.rows[one]}" for one in found]


@pytest.mark.parametrize(
    "body",
    [
        '<a href="{{ url }}">x</a>',
        '<a href="{{ url|trim }}">x</a>',
        '<a href="{{ recipient["url"] }}">x</a>',
        '{% set it = url %}<a href="{{ it }}">x</a>',
        '{% macro link(to) %}<a href="{{ to }}">x</a>{% endmacro %}{{ link(url) }}',
        '<img alt="" srcset="{{ url }} 2x">',
        '<a href="{{ url }}{% if url %}{% endif %}">x</a>',
        '<p style="background: url({{ url }})">x</p>',
    ],
)
def test_every_recipient_with_a_bad_link_is_counted(tmp_path: Path, body: str) -> None:
    (found,) = check(tmp_path, {"url": [GOOD, "/x", GOOD, GOOD, BAD, "tel:1", GOOD, f" {BAD}", GOOD]}, body)
    assert found.startswith("error refused_value ")
    assert found.endswith(": 2 from row 5")
    assert "other" not in found


def test_the_finding_names_column_scheme_and_remedy(tmp_path: Path) -> None:
    assert check(tmp_path, {"url": [BAD]}, '<a href="{{ url }}">x</a>') == [
        "error refused_value url is a javascript: link, which is not allowed in data: 1 from row 1"
    ]


@pytest.mark.parametrize(
    ("column", "body"),
    [
        ([{"to": GOOD}, {"to": BAD}], '<a href="{{ it.to }}">x</a>'),
        ([[GOOD], [GOOD, BAD]], '{% for one in it %}<a href="{{ one }}">x</a>{% endfor %}'),
        ([[{"to": GOOD}], [{"to": BAD}]], '{% for one in it %}<a href="{{ one.to }}">x</a>{% endfor %}'),
        (["https", "javascript"], '<a href="{{ it }}://x">x</a>'),
        (["<b>a</b>", "<script>other()</script>"], "{{ it|safe }}"),
        (["a", "a b"], "<p class={{ it }}>x</p>"),
        (["a", "a b"], "<p {{ it }}>x</p>"),
    ],
)
def test_values_of_every_kind_are_looked_at(tmp_path: Path, column: list[Any], body: str) -> None:
    (found,) = check(tmp_path, {"it": column}, body)
    assert found.endswith(": 1 from row 2")


def test_recipients_with_usual_values_are_not_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []
    iterate = run_recipients.iterate_recipients

    def count(frame: pl.DataFrame, columns: Any) -> Any:
        rendered.extend(frame["row"])
        return iterate(frame, columns)

    monkeypatch.setattr(link_check, "iterate_recipients", count)
    cells = {"url": [GOOD, "/x", "mailto:a@b.example", BAD] * 5, "text": ["a: b"] * 20}
    found = check(tmp_path, cells, '<a title="{{ text }}" href="{{ url }}">{{ text }}</a>')
    assert len(found) == 1
    assert rendered == [4, 8, 12, 16, 20]


def test_the_unsubscribe_link_of_marketing_is_right(tmp_path: Path) -> None:
    toml = TOML.replace('kind = "transactional"\n', "").replace("[content]", "")
    toml += '[unsubscribe]\nurl = "https://acme.example/u/{{ token }}"\n[content]\n'
    body = '<a href="{{ unsubscribe_url }}">x</a><a href="{{ url }}">x</a>'
    assert len(check(tmp_path, {"url": [BAD, GOOD]}, body, toml=toml)) == 1
