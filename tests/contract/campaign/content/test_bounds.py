"""Hostile templates: none takes all memory, or much time."""

import tracemalloc
from pathlib import Path
from time import thread_time

import pytest

from engine.campaign import render as render_module
from engine.campaign.content import bounds as limits
from engine.campaign.content.templates import compile_content
from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign, parse_spec
from engine.errors import DataError

# Hypothesis looks at every garbage collection with a function of its own. An interruption inside it is dropped
# by Python with this warning, and comes again: that is how the watchdog is made.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*gc_callback:pytest.PytestUnraisableExceptionWarning"
)

TOML = 'from="a@b.example"\nsubject="S"\nkind="transactional"\naudience.source="a"\ncontent.text="t.j2"\n'

LARGE = [
    "{{ 9**(9**9) }}",
    "{{ 2**100000 }}",
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * 'x' }}",
    "{{ [1] * 10**9 }}",
    "{{ (10**1000) * (10**1000) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ '%999999999d'|format(1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.zfill(10**9) }}",
    "{{ 'x'|center(10**9) }}",
    "{{ 'x\\ny'|indent(10**9) }}",
    "{{ [1]|batch(10**9, 0)|list }}",
    "{{ [1]|slice(10**9)|list }}",
    "{{ ('x' * 9000000)|replace('x', 'yyyyyyyy') }}",
    "{{ ('x' * 9000000).replace('x', 'yyyyyyyy') }}",
    "{{ ('x' * 100000).join(['a'] * 10000) }}",
    "{{ (['a'] * 10000)|join('x' * 100000) }}",
    "{{ 'x'.translate({120: 'y' * 9000000}) }}",
    "{% set ns = namespace(s='x') %}{% for _ in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s='x') %}{% for _ in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "{{ (['x' * 9000] * 9000)|join }}",
    "{{ ''.join(['x' * 9000] * 9000) }}",
    "{{ ''.join([1] * 9|map('default', 'x' * 9000000, true)) }}",
    "{% set s = 'x' * 9000000 %}{{ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s }}",
    "{% set s = 'x' * 9000000 %}{% macro m() %}" + "{{ s }}" * 30 + "{% endmacro %}{{ m() }}",
    "{% set s = 'x' * 9000000 %}{% set t %}{{ s }}{{ s }}{% endset %}",
    "{% set s = 'x' * 9000000 %}" + "{% set t = s[1:] %}" * 12,
    "{{ ('x\n' * 9000)|indent(9000) }}",
    "{{ ('%9999s' * 2000) % ((1,) * 2000) }}",
    "{{ ('{0:9999}' * 2000).format(1) }}",
    "{{ (1).to_bytes(10**8, 'big') }}",
    "{{ ([[1] * 1000] * 1000)|sum(start=[]) }}",
    "{{ ('<' * 9000000)|e }}",
    "{{ ('x' * 9000000)|list }}",
    "{% set ns = namespace(s=[1]) %}{% for _ in range(20) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == 1 }}",
    "{% set ns = namespace(s=(1,)) %}{% for _ in range(20) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ ns.s == 1 }}",
    "{% set ns = namespace(s={}) %}{% for _ in range(20) %}{% set ns.s = {1: ns.s, 2: ns.s} %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s=[1]) %}{% for _ in range(9) %}{% set ns.s = [1]|batch(9, ns.s)|list %}{% endfor %}x",
    "{% set ns = namespace(s=[1]) %}{% for _ in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
]
ENDLESS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% if b < 0 %}x{% endif %}{% endfor %}{% endfor %}x",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}x",
    "{% for a in range(99999) %}{% set x = range(99999)|sum %}{% endfor %}x",
    "{% for a in range(99999) %}{% set x = range(99999)|sort|list %}{% endfor %}x",
]


def renderer_of(folder: Path, text: str) -> Renderer:
    (folder / "t.j2").write_text(text, encoding="utf-8")
    campaign = Campaign("welcome", folder, parse_spec(TOML, file="campaign.toml"))
    return Renderer(compile_content(campaign), campaign, run_key="k", signer=None)


def test_a_part_is_not_put_together_where_it_is_too_long(tmp_path: Path) -> None:
    renderer = renderer_of(tmp_path, "{% set s = 'x' * 9000000 %}" + "{{ s }}" * 30)
    tracemalloc.start()
    with pytest.raises(RenderError, match=r"^t\.j2: it is longer than 10,000,000 characters"):
        renderer.render({}, 1, "a@b.example")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_all_steps_of_a_message_together_are_bounded_and_counted_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGEST_SUM", 50_000)
    renderer = renderer_of(tmp_path, "{% for n in range(times) %}{% set s = 'x' * 1000 %}{% endfor %}x")
    for _ in range(3):
        renderer.render({"times": 40}, 1, "a@b.example")
        with pytest.raises(RenderError, match="more than 50,000 characters and items in all steps of one message"):
            renderer.render({"times": 60}, 1, "a@b.example")


@pytest.mark.parametrize("text", ["{{ name " + 'a="b" ' * 25, "{% if " + "a='b' " * 25, "{# a", "{{ 'a" * 99])
def test_a_tag_that_is_not_closed_is_an_error_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.j2").write_text(text, encoding="utf-8")
    campaign = Campaign("welcome", tmp_path, parse_spec(TOML.replace("text", "html"), file="campaign.toml"))
    with pytest.raises(DataError) as raised:
        compile_content(campaign)
    assert raised.value.where.endswith("t.j2:1")


@pytest.mark.parametrize("text", LARGE)
def test_no_step_of_a_template_makes_something_large(tmp_path: Path, text: str) -> None:
    renderer = renderer_of(tmp_path, text)
    tracemalloc.start()
    began = thread_time()
    with pytest.raises(RenderError, match=r"^t\.j2:\d+: "):
        renderer.render({}, 1, "a@b.example")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000
    assert thread_time() - began < 2


@pytest.mark.parametrize("text", ENDLESS)
def test_a_template_that_does_not_end_is_ended_and_names_its_line(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_module, "LONGEST_SECONDS", 0.3)
    renderer = renderer_of(tmp_path, f"\n{text}")
    with pytest.raises(RenderError, match=r"^t\.j2:2: it does not end within"):
        renderer.render({}, 1, "a@b.example")
    (tmp_path / "good").mkdir()
    assert renderer_of(tmp_path / "good", "fine").render({}, 2, "a@b.example").text == "fine"


@pytest.mark.parametrize(
    "text", ["{% include 't.j2' %}", "{% extends 't.j2' %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"]
)
def test_a_template_that_includes_itself_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RenderError, match="RecursionError"):
        renderer_of(tmp_path, text).render({}, 1, "a@b.example")


def test_html_that_includes_itself_is_refused_when_it_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("<style>p{margin:0}</style><p>{% include 't.j2' %}", encoding="utf-8")
    campaign = Campaign("welcome", tmp_path, parse_spec(TOML.replace("text", "html"), file="campaign.toml"))
    with pytest.raises(DataError, match=r"t\.j2 includes or extends itself"):
        compile_content(campaign)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{{ 2**10 }}",
            "{{ 3 * 4 }}",
            "{{ 'ab' * 3 }}",
            "{{ '%05.2f' % 3.14159 }}",
            "{{ 'x'|center(80) }}",
            "{{ 1 + 1 }}",
        ),
        "{{ [1, 2]|first ~ {'a': 'b'}.a ~ (1, 2)[0:1]|length }}",
        "{% set t %}a{{ 1 }}{% endset %}{{ t[0:1] ~ 'b' ~ none|default('c', true) }}",
        "{{ ['a', 'b']|sort|join('-') }}{{ '%s-%5s' % ('a', 'b') }}{{ 'a'|e }}",
        *(
            "{{ 'a-b'.replace('-', '+') }}",
            "{{ ', '.join(['a', 'b']) }}",
            "{{ '{:>10}'.format('x') }}",
            "{{ [1, 2]|sum }}",
        ),
    ],
)
def test_what_templates_usually_do_is_not_in_the_way(tmp_path: Path, text: str) -> None:
    assert renderer_of(tmp_path, text).render({}, 1, "a@b.example").text
