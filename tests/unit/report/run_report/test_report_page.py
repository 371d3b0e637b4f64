"""The report as a document: its policy, its figures, what hostile values become, and what empty sections say."""

import json
import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from support.report_figures import START, make_bare_figures, make_figures

from engine.report.figures.document import Advice, Breakdown, BreakdownRow, Cause, Diagnosis, Figures, Link, Opens
from engine.report.run_report.report_page import list_steps, render_report

EVIL = """"><script>alert(1)</script><img src=x onerror=alert(1)></script></style>'"""


class Page(HTMLParser):
    """What a page consists of: its elements with attributes, its inline scripts and styles, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag in self.inline and attributes.get("type") != "application/json":
            self._inside = tag
            self.inline[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline[self._inside][-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def policy(self) -> str:
        return next(a["content"] or "" for tag, a in self.elements if a.get("http-equiv") == "Content-Security-Policy")


def read(figures: Figures) -> Page:
    return Page(render_report(figures))


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_policy_allows_the_own_script_and_style_alone():
    page = read(make_figures())
    (script,), (style,) = page.inline["script"], page.inline["style"]
    assert page.policy.split("; ") == [
        "default-src 'none'",
        f"style-src {hash_of(style)}",
        f"script-src {hash_of(script)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_page_without_a_chart_allows_no_script():
    page = read(make_bare_figures())
    assert page.inline["script"] == []
    assert "script-src 'none'" in page.policy


def test_no_element_loads_anything_or_has_an_inline_style_or_handler():
    for figures in (make_figures(), make_bare_figures()):
        for tag, attributes in read(figures).elements:
            assert tag not in {"img", "iframe", "object", "embed", "base", "form"}
            assert not {"style", "src", "srcset"} & attributes.keys()
            assert not [name for name in attributes if name.startswith("on")]


def test_licence_of_the_chart_library_is_in_the_file():
    (script,) = read(make_figures()).inline["script"]
    assert "The MIT License" in script
    assert "Copyright (c) 2022 Leon Sorokin" in script


def make_hostile() -> Figures:
    """Make figures in which every text is hostile."""
    document = msgspec.to_builtins(make_figures())
    kept = {"state", "by", "level", "kind", "outcome"}  # of a fixed set
    times = {"at", "created_at", "started_at", "finished_at", "made_at"}

    def poison(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            is_map = name in {"receivers", "machines"}
            return {(EVIL + key if is_map else key): poison(item, key) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [poison(item, name) for item in value]
        return EVIL + value if isinstance(value, str) and name not in kept | times else value

    return msgspec.convert(poison(document), Figures)


def test_hostile_texts_are_shown_and_become_no_element():
    harmless, hostile = read(make_figures()), read(make_hostile())
    assert [tag for tag, _ in hostile.elements if tag in {"script", "img", "style"}] == ["style", "script", "script"]
    assert [tag for tag, _ in hostile.elements if tag not in {"a", "span", "code"}] == [
        tag for tag, _ in harmless.elements if tag not in {"a", "span", "code"}
    ]
    assert hostile.text.count("<script>alert(1)</script>") > 30


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "file:///etc/x"])
def test_link_that_is_not_of_the_web_is_text(url: str):
    page = read(make_figures(links=(Link(1, url, 1, 1, 0), Link(2, "https://acme.example/", 1, 1, 0))))
    links = [a for tag, a in page.elements if tag == "a" and not (a["href"] or "").startswith("#")]
    assert links == [{"class": "wrap", "href": "https://acme.example/", "rel": "noopener noreferrer"}]
    assert url.strip() in page.text


def test_chart_has_the_figures_of_the_document_and_its_table_as_well():
    figures = make_figures()
    html = render_report(figures)
    found = re.search(r'<script type="application/json" id="time-line">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data, line = json.loads(found[1]), figures.time_line
    assert (data["at"], data["sent"], data["failed"], data["throttled"], data["limit"]) == (
        *(list(line.at), list(line.sent), list(line.failed)),
        *(list(line.throttled), list(line.limit)),
    )
    steps = list_steps(line)
    assert sum(step.sent for step in steps) == sum(line.sent)
    table = html[html.index("Sending by step of") :]
    rows = re.findall(r'<tr role="row"><th scope="row" role="rowheader" class="number-left">.*?</tr>', table)
    shown = [[int(cell.replace(",", "")) for cell in re.findall(r'class="number">([\d,]+)<', row)[:3]] for row in rows]
    assert shown == [[step.sent, step.failed, step.throttled] for step in steps]


def test_every_count_of_the_document_is_on_the_page():
    figures = make_figures()
    text = read(figures).text
    counts = [one.rows for one in figures.exclusions]
    counts += [one.recipients for one in figures.outcomes if one.recipients]
    counts += [reason.rows for one in figures.outcomes for reason in one.reasons]
    counts += [count for kind, count in figures.feedback.items() if kind not in {"opened", "clicked"}]
    counts += [one.recipients for one in figures.bounces]
    counts += [figures.opens.people, *figures.opens.machines.values(), figures.unsubscribes.total]
    counts += [count for one in figures.links for count in (one.recipients, one.clicks, one.machine_clicks)]
    counts += [row.recipients for table in figures.tables for row in table.rows]
    assert [count for count in counts if f"{count:,}" not in text] == []


def test_empty_sections_say_why_and_what_to_do():
    text = read(make_bare_figures()).text
    for sentence in (
        "Nothing has been sent yet.",
        "No message has been sent, so no event can come back.",
        "There is nothing to divide yet.",
        "first run.",
        "This run has no canary.",
        "The guard had nothing to report.",
        "Nothing to recommend.",
    ):
        assert sentence in text


def test_run_without_events_says_how_to_get_them():
    assert "mailrun events pull --sandbox" in read(make_figures(feedback={}, is_sandbox=True)).text
    text = read(make_figures(feedback={})).text
    assert "mailrun events pull" in text
    assert "--sandbox" not in text


def test_sections_of_events_say_so_where_they_are_empty():
    text = read(make_figures(bounces=(), links=(), opens=Opens(0, {}))).text
    for sentence in ("No bounce has been reported.", "No click has been reported.", "No open has been reported."):
        assert sentence in text


def test_urgent_advice_is_in_the_answer():
    urgent = Advice("act", "Settle the recipients in doubt", "no answer came", "mailrun resolve welcome/1")
    assert read(make_figures(advice=(urgent,))).text.count("Settle the recipients in doubt") == 2
    assert "Nothing to do." in read(make_figures(advice=())).text


def test_reason_of_a_pause_is_in_the_answer():
    assert "Paused: too many bounces" in read(make_figures(state="paused", reason="too many bounces")).text


def test_value_for_all_others_has_a_name():
    table = Breakdown("receiver", (BreakdownRow("", 7, 7, {}),))
    assert "All others" in read(make_figures(tables=(table,))).text


def test_unknown_diagnosis_and_example_free_causes_are_shown():
    figures = make_figures(bounces=(Diagnosis("hard", "", "", 3, {}),), exclusions=(Cause("filtered", 4, ()),))
    text = read(figures).text
    assert "no diagnosis given" in text
    assert "Excluded: filtered" in text


def test_headings_have_no_gap_in_their_levels():
    levels = [int(tag[1]) for tag, _ in read(make_figures()).elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_page_of_figures_read_from_the_store_is_the_same():
    """Values of a decoded document have other types, such as lists and dicts."""
    figures = make_figures()
    again = msgspec.json.decode(msgspec.json.encode(figures), type=Figures)
    assert render_report(again) == render_report(figures)


def test_a_receiver_that_bounces_far_more_is_marked_in_words():
    rows = (
        BreakdownRow("a.example", 5000, 5000, {"bounced": 10}),
        BreakdownRow("b.example", 164, 164, {"bounced": 35}),
    )
    text = read(make_figures(tables=(Breakdown("receiver", rows),))).text
    assert "35 21.3% far worse" in text
    assert text.count("far worse") == 1
    assert "far worse" not in read(make_figures(tables=(Breakdown("receiver", rows[:1]),))).text


def test_positions_of_links_are_a_column_only_where_they_are_known():
    known, unknown = Link(1, "https://acme.example/", 5, 5, 0), Link(None, "https://acme.example/", 5, 5, 0)
    assert "Position Link" in read(make_figures(links=(known, unknown))).text
    text = read(make_figures(links=(unknown,))).text
    assert "Position Link" not in text
    assert "[delivery] configuration_set" in text


def test_link_that_a_template_has_to_fill_in_cannot_be_opened():
    page = read(make_figures(links=(Link(1, "https://acme.example/u/{{ token }}", 5, 5, 0),)))
    assert all("token" not in (attributes.get("href") or "") for _, attributes in page.elements)
    assert "https://acme.example/u/{{ token }}" in page.text


def test_answer_says_when_it_was_counted_and_whether_events_still_arrive():
    young, old = timedelta(hours=1), timedelta(days=4)
    for after, is_young in ((young, True), (old, False)):
        text = read(make_figures(finished_at=START, made_at=START + after, is_sandbox=False)).text
        assert f"Counted {START + after:%Y-%m-%d %H:%M:%S} UTC" in text
        assert ("events still arrive" in text) is is_young
