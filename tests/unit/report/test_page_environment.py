"""The shared parts of pages: how figures read, what is escaped, and that a style element can hold the style."""

from datetime import UTC, datetime

import pytest

from engine.quantities import format_share
from engine.report.page_environment import (
    compute_percentage,
    format_duration,
    is_web_address,
    make_page_environment,
    read_page_style,
)


@pytest.mark.parametrize(
    ("part", "whole", "read"),
    [
        (0, 100_000, "0%"),
        (1, 100_000, "<0.01%"),
        (120, 100_000, "0.12%"),
        (4_200, 100_000, "4.2%"),
        (99_999, 100_000, ">99.9%"),
        (100_000, 100_000, "100%"),
        (0, 0, "n/a"),
    ],
)
def test_share_never_hides_a_loss(part: int, whole: int, read: str):
    assert format_share(part, whole) == read


def test_percentage_stays_inside_the_drawing():
    assert [compute_percentage(part, 3) for part in (-1, 1, 3, 9)] == ["0", "33.333", "100", "100"]
    assert compute_percentage(1, 0) == "0"


def test_duration_has_its_two_largest_units():
    assert [format_duration(seconds) for seconds in (0.42, 61, 3600, 90_061)] == [
        "0.4 s",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
    ]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x", "{{ link }}", "http://[", "https:"])
def test_web_address_is_http_with_a_host_alone(url: str):
    assert not is_web_address(url)
    assert is_web_address("https://acme.example/a?b=c")


def test_macros_escape_everything_and_offer_no_hostile_link():
    page = """{% import "macros.html" as m %}{{ m.figure(x, 1234, x, 5000, x) }}{{ m.state(x) }}{{ m.badge(x, x) }}
    {% call m.table(x, [x, "#n"], note=x) %}{{ m.row_head(x) }}{{ m.cell(x, x) }}{{ m.count(x, 5, 9) }}{% endcall %}
    {{ m.empty(x, x, x) }}{{ m.foreign_link("javascript:x" ~ x) }}{{ m.foreign_link("https://a.example/" ~ x) }}"""
    html = make_page_environment().from_string(page).render(x="\"><script>alert('x')</script>")
    assert "<script" not in html
    assert html.count("href=") == 1
    assert "1,234" in html


def test_time_is_readable_by_people_and_machines():
    page = """{% import "macros.html" as m %}{{ m.time(at) }}|{{ m.time(none) }}"""
    html = make_page_environment().from_string(page).render(at=datetime(2026, 12, 1, 9, 5, tzinfo=UTC))
    assert html == (
        '<time class="time" datetime="2026-12-01T09:05:00Z">2026-12-01 09:05:00 UTC</time>'
        '|<span class="soft">not yet</span>'
    )


def test_page_style_is_plain_and_loads_nothing():
    style = read_page_style()
    assert "</" not in style
    assert "url(" not in style
    assert "@import" not in style
