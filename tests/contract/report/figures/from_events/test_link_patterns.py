"""Clicks on a personalised link are counted together, and nothing personal of a link is shown."""

import time
from pathlib import Path

import polars as pl
import pytest

from engine.report.figures.from_events.clicked_links import count_clicks
from engine.report.figures.from_events.link_patterns import find_patterns, make_pattern, name_link

HTML = """
<a href="https://shop.example/sale?u={{ id }}&amp;utm_source=mail">Sale</a>
<a href='https://shop.example/{{ path }}'>More</a> <a href="{{ own }}">Own</a>
{{ button("https://shop.example/help", "Help") }} <a href="{{ base }}/about">About</a>
"""


def name(links: list[str | None], folder: Path) -> list[str]:
    frame = pl.DataFrame({"link": links}, schema={"link": pl.String})
    patterns = find_patterns(folder, ["https://u.example/{{ token }}"])
    return frame.select(name_link(pl.col("link"), patterns).alias("shown"))["shown"].to_list()


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://shop.example/sale?u=17&utm_source=mail", "https://shop.example/sale?u={{ id }}&utm_source=mail"),
        ("https://shop.example/help", "https://shop.example/help"),
        ("https://shop.example/for/ann", "https://shop.example/{{ path }}"),
        ("https://acme.example/about", "{{ base }}/about"),
        ("https://u.example/1.abc.def", "https://u.example/{{ token }}"),
        ("https://Else.example/for/ann?mail=ann@b.example", "https://else.example/…"),
        ("https://ann:secret@else.example/x", "https://else.example/…"),
        ("ann@b.example", "…"),
        ("javascript:alert(1)", "…"),
        ("https://ann%40b.example/x", "…"),
        ("https://bücher.example:8443?x", "https://bücher.example:8443/…"),
        ("https://\u202eb.example/x", "…"),
        (f"https://{'a' * 301}.example/", "…"),
        (None, "(erased)"),
    ],
)
def test_links_are_named_as_the_template_has_them(link: str | None, shown: str, tmp_path: Path) -> None:
    (tmp_path / "body.html.j2").write_text(HTML, encoding="utf-8")
    assert name([link], tmp_path) == [shown]


def test_characters_of_expressions_have_no_meaning_in_a_link(tmp_path: Path) -> None:
    link = "https://a.example/x(1)[2]+$^*|&~#-.?q={{ id }}"
    pattern = make_pattern(link)
    assert pattern is not None
    frame = pl.DataFrame({"link": [link.replace("{{ id }}", "7"), "https://a_example/x"]})
    assert frame.select(pl.col("link").str.contains(pattern.expression))["link"].to_list() == [True, False]
    assert make_pattern("{{ url }}") is None
    assert find_patterns(tmp_path) == []


def test_people_and_machines_are_counted_apart() -> None:
    clicks = pl.DataFrame(
        [(row, "https://a.example/", 1, agent) for row, agent in ((1, None), (1, None), (2, "security scanner"))],
        schema={"row": pl.UInt64, "link": pl.String, "position": pl.UInt16, "agent": pl.String}, orient="row",
    )  # fmt: skip
    found = count_clicks(clicks, []).row(0, named=True)
    assert (found["recipients"], found["clicks"], found["machine_clicks"]) == (1, 2, 1)


@pytest.mark.parametrize(
    "text",
    ["<a href='" + "{{ a }}" * 5000 + ">", "{{ " * 20_000, 'href="' * 5000 + "'", "https://" + "{{" * 20_000],
    ids=["quote", "braces", "attributes", "link"],
)
def test_a_template_that_closes_nothing_is_read_in_linear_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "body.html").write_text(text, encoding="utf-8")
    began = time.process_time()
    find_patterns(tmp_path)
    assert time.process_time() - began < 2
