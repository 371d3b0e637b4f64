"""What templates may print: data before methods, and nothing but text, numbers, dates and markup."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.campaigns import render, write_campaign

from engine.campaign.render_error import RenderError
from engine.errors import DataError

NAN = float("nan")
METHODS = (
    "items",
    "keys",
    "values",
    "copy",
    "get",
    "pop",
    "update",
    "clear",
    "count",
    "index",
    "format",
    "join",
    "title",
)
ORDER = {name: f"the {name}" for name in METHODS}


def shown(folder: Path, template: str, row: dict[str, Any]) -> str:
    for part in ("text", "html"):
        campaign = write_campaign(folder, {"b.j2": template}, f'{part} = "b.j2"')
        message = render(campaign, row)
    return str(message.html)


def refused(folder: Path, template: str, row: dict[str, Any]) -> str:
    reasons = set()
    for part in ("text", "html"):
        campaign = write_campaign(folder, {"b.j2": template}, f'{part} = "b.j2"')
        with pytest.raises(RenderError) as caught:
            render(campaign, row)
        reasons.add(caught.value.reason)
    (reason,) = reasons
    return reason


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "form", ["order.{}", "order['{}']", "recipient.order.{}", "orders[0].{}", "'{{0.{}}}'.format(order)"]
)
def test_template_prints_field_when_a_method_has_its_name(tmp_path: Path, name: str, form: str) -> None:
    written = f"{{{{ {form.format(name)} }}}}"
    assert shown(tmp_path, written, {"order": ORDER, "orders": [ORDER]}) == f"the {name}"


@pytest.mark.parametrize("name", METHODS)
def test_template_prints_column_when_a_method_has_its_name(tmp_path: Path, name: str) -> None:
    row = {name: "the column"}
    assert shown(tmp_path, f"{{{{ {name} }}}} {{{{ recipient.{name} }}}}", row) == "the column the column"


@pytest.mark.parametrize(
    "name", ["range", "dict", "namespace", "cycler", "joiner", "loop", "caller", "varargs", "self"]
)
def test_template_prints_column_when_a_function_has_its_name(tmp_path: Path, name: str) -> None:
    assert shown(tmp_path, f'{{{{ recipient["{name}"] }}}}', {name: "Kyiv"}) == "Kyiv"
    if name not in ("self", "caller", "varargs"):
        assert shown(tmp_path, f"{{{{ {name} }}}}", {name: "Kyiv"}) == "Kyiv"


def test_template_calls_functions_when_columns_have_their_names(tmp_path: Path) -> None:
    row = {"range": "r", "order": {"items": "i", "a": 1}, "name": "ann", "dict": "d"}
    assert shown(tmp_path, "{% for n in range(2) %}{{ n }}{% endfor %}{{ range }}", row) == "01r"
    assert shown(tmp_path, "{% for k, v in order.items() %}{{ k }}{{ v }}{% endfor %}", row) == "itemsia1"
    assert shown(tmp_path, "{{ name.title() }} {{ name|title }} {{ dict(a=1).a }}{{ dict }}", row) == "Ann Ann 1d"
    macro = "{% macro range(n) %}<{{ n }}>{% endmacro %}{{ range(2) }}"
    assert shown(tmp_path, macro, {}) == "<2>"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ name.title }}", "name.title is a function; write name|title"),
        ("{{ name['title'] }}", "name['title'] is a function; write name|title"),
        ("{{ name.title ~ '!' }}", "name.title is a function; write name|title"),
        ("{{ name.casefold }}", "name.casefold is a function; write name.casefold(…) to call it"),
        ("{{ order.copy }}", "order.copy is a function; write order.copy(…) to call it"),
        ("{{ order.values|upper }}", "order.values is a function; write order.values(…) to call it"),
        ("{{ tags.count }}", "tags.count is a function; write tags|count"),
        ("{{ day.isoformat }}", "day.isoformat is a function; write day.isoformat(…) to call it"),
        ("{% if order.copy %}x{% endif %}", "copy is a function; write ….copy(…) to call it"),
        ("{{ '{0.title}'.format(name) }}", "title is a function; write …|title"),
        ("{{ order|attr('copy') }}", "copy is a function; write"),
        ("{{ [order]|map(attribute='copy')|join }}", "copy is a function"),
        ("{{ order }}", "order is a group of fields, not text; write one of them, such as order.number"),
        ("{{ order|string }}", "order is a group of fields, not text"),
        ("{{ 'x' ~ order }}", "order is a group of fields, not text"),
        ("{{ '%s' % order }}", "order is a group of fields, not text"),
        ("{{ '%s' % [1] }}", "this expression is a list, not text"),
        ("{{ '%s %s' % (name, order) }}", "order is a group of fields, not text"),
        ("{{ '%s'|format(order) }}", "order is a group of fields, not text"),
        ("{{ '%(a)s'|format(a=order) }}", "order is a group of fields, not text"),
        ("{{ '{}'.format(order) }}", "the field {0} of a format is a group of fields, not text"),
        ("{{ '{a}'.format(a=none) }}", "the field {a} of a format is null"),
        ("{{ name|replace('a', order) }}", "order is a group of fields, not text"),
        ("{{ name|replace('a', none) }}", "null"),
        ("{{ tags }}", 'tags is a list, not text; write tags|join(", "), or a {% for %} loop'),
        ("{{ tags|list|upper }}", "tags is a list, not text"),
        ("{{ tags|map('upper') }}", "tags is a list, not text"),
        ("{{ [order]|join }}", "order is a group of fields, not text"),
        ("{{ holes|join(', ') }}", "an item of holes is null"),
        ("{{ campaign }}", "campaign is an object, not text; write one of its fields, such as campaign.name"),
        ("{{ run }}", "run is an object, not text"),
        ("{{ recipient }}", "recipient is an object, not text"),
        ("{{ namespace(a=1) }}", "namespace() is an object, not text"),
        ("{% macro m() %}{% endmacro %}{{ m }}", "m is a function; write m(…) to call it"),
        ("{% for x in tags %}{{ loop }}{% endfor %}", "loop is"),
        ("{{ ('-'|safe).join([order, 1]) }}", "is a group of fields, not text"),
        ("{{ ('a'|safe).replace('a', order) }}", "what replace is given is a group of fields, not text"),
        ("{{ ('-'|safe).join([nothing]) }}", "an item of what join is given is null"),
        ("{{ {none: 1}|urlencode }}", "null"),
        ("{{ self }}", 'self is an object, not text; write recipient["self"] for a column of that name'),
        ("{{ blob }}", "blob is binary data, not text"),
        ("{{ (0 - 1) ** 0.5 }}", "this expression is an object, not text"),
        ("{{ nowhere }}", "nowhere is not defined"),
        ("{{ order.nowhere }}", "there is no field nowhere; available: number"),
        ("{{ nothing.nowhere }}", "a null has no nowhere; test it with {% if %} first"),
    ],
)
def test_template_refuses_to_print_anything_else(tmp_path: Path, template: str, reason: str) -> None:
    row = {
        "name": "ann", "order": {"number": "A-17"}, "tags": ["a", "b"], "day": date(2026, 11, 24), "blob": b"\x00",
        "holes": ["a", None], "nothing": None,
    }  # fmt: skip
    found = refused(tmp_path, template, row)
    assert reason in found
    assert "0x" not in found


@pytest.mark.parametrize(
    "template",
    [
        "{{ points }}", "{{ points|round(1) }}", "{{ points + 1 }}", "{{ '%.1f' % points }}",
        "{{ '{}'.format(points) }}",
        "{{ points|filesizeformat }}",
        "{{ '%s'|format(points) }}", "{{ points|string }}", "{{ points ~ '' }}", "{{ [points]|join }}",
        "{{ all|join }}",
        "{{ all|sum }}", "{{ 'nan'|float }}", "{{ deep.a }}", "{{ deep|tojson }}", "{{ {'a': points}|urlencode }}",
        "{{ {'a': points}|xmlattr }}", "{{ exact }}", "{{ points|number }}", "{{ points|abs }}", "{{ 1e308 * 10 }}",
    ],
)  # fmt: skip
def test_template_never_prints_nan(tmp_path: Path, template: str) -> None:
    assert refused(tmp_path, template, {"points": NAN, "all": [1.0, NAN], "deep": {"a": NAN}, "exact": Decimal("NaN")})


def test_template_has_no_filter_that_shows_what_a_value_is_in_python(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No filter named 'pprint'"):
        refused(tmp_path, "{{ order|pprint }}", {"order": {}})


def test_template_prints_text_numbers_dates_and_markup(tmp_path: Path) -> None:
    row = {
        "text": "a", "whole": 3, "part": 0.5, "exact": Decimal("1.10"), "yes": True, "day": date(2026, 11, 24),
        "moment": datetime(2026, 11, 24, 9, tzinfo=UTC), "clock": time(9, 30), "span": timedelta(hours=2),
        "tags": ["x", "y"], "order": {"n": 1},
    }  # fmt: skip
    names = "{{ text }} {{ whole }} {{ part }} {{ exact }} {{ yes }} {{ day }} {{ moment }} {{ clock }} {{ span }}"
    assert shown(tmp_path, names, row) == "a 3 0.5 1.10 True 2026-11-24 2026-11-24 09:00:00+00:00 09:30:00 2:00:00"
    assert shown(tmp_path, "{{ tags|join('-') }} {{ tags|count }} {{ order|tojson }}", row) == 'x-y 2 {"n": 1}'
    assert shown(tmp_path, "{{ '<b>'|safe }}{{ {'q': text, 'n': 1}|urlencode }}", row) == "<b>q=a&amp;n=1"
    assert shown(tmp_path, "{{ '{0[n]}/{1.year}'.format(order, day) }}", row) == "1/2026"
    assert shown(tmp_path, "{% set s = joiner('|') %}{% for t in tags %}{{ s() }}{{ t }}{% endfor %}", row) == "x|y"
    assert shown(tmp_path, "{{ [order]|map(attribute='n')|join }}{{ [order]|sum(attribute='n') }}", row) == "11"
    assert shown(tmp_path, "{{ '%(n)05d %%' % order }} {{ 7 % 4 }}", row) == "00001 % 3"
    assert shown(tmp_path, "{{ name.x|default('none') if name is defined else 'no' }}", row) == "no"
    assert shown(tmp_path, "{{ ('-'|safe).join(tags|map('upper')) }}", row) == "X-Y"
    assert shown(tmp_path, "{{ order.copy is defined }}", row) == "False"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e16, "10000000000000000"),
        (1.2345678901234567e19, "12345678901234567000"),
        (-1e22, "-10000000000000000000000"),
        (1200.0, "1200"),
        (-0.0, "0"),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (Decimal("0.00000000"), "0.00000000"),
        (Decimal("1E+4"), "10000"),
    ],
)
@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ x ~ '' }}",
        "{{ x|string }}",
        "{{ '%s' % x }}",
        "{{ '%s' % (x,) }}",
        "{{ '%(x)s' % {'x': x} }}",
        "{{ '%s'|format(x) }}",
        "{{ '{}'.format(x) }}",
        "{{ '{a}'.format(a=x) }}",
        "{{ [x]|join }}",
        "{{ x|replace('q', 'r') }}",
        "{{ x|default('none') }}",
        "{% filter upper %}{{ x }}{% endfilter %}",
        "{{ {'': x}|urlencode|replace('=', '') }}",
    ],
)
def test_numbers_are_printed_without_an_exponent(
    tmp_path: Path, template: str, value: float | Decimal, expected: str
) -> None:
    assert shown(tmp_path, template, {"x": value}) == expected


def test_numbers_stay_numbers_when_a_template_formats_or_computes(tmp_path: Path) -> None:
    row = {"large": 1e16, "whole": 3.0}
    assert shown(tmp_path, "{{ '%.2f' % whole }} {{ '{:.1f}'.format(whole) }} {{ '%05.1f'|format(whole) }}", row) == (
        "3.00 3.0 003.0"
    )
    assert shown(tmp_path, "{{ large / 2 }} {{ whole + 0.5 }} {{ whole|int }} {{ large|number }}", row) == (
        "5000000000000000 3.5 3 10,000,000,000,000,000"
    )
