"""Languages: variants of templates, formats of dates and numbers, the way text runs."""

import re
from datetime import time
from pathlib import Path

import pytest
from support.campaigns import TOML, make_renderer, render, write_campaign

from engine.campaign.content.templates import check_names, compile_content
from engine.campaign.render_error import RenderError
from engine.errors import ConfigurationError, DataError

FILES = {
    "body.html.j2": '<html lang="en"><body>Hello {{ name }} ({{ campaign.language }}, {{ campaign.dir }})</body>',
    "body.vi.html.j2": '<html lang="en"><body>Xin chào {{ name }} ({{ campaign.language }})</body></html>',
    "body.pt-BR.html.j2": "<html><body>Olá {{ name }}</body></html>",
    "body.ar.html.j2": "<html><body>مرحبًا {{ name }} ({{ campaign.dir }})</body></html>",
    "subject.vi.j2": "Chào",
    "notes.txt": "not a template",
}
CONTENT = 'html = "body.html.j2"\nlocale = "locale"\n'


@pytest.mark.parametrize(
    ("locale", "greeting"),
    [
        ("vi-VN", "Xin chào Ann (vi)"),
        ("vi_VN", "Xin chào Ann (vi)"),
        ("VI", "Xin chào Ann (vi)"),
        ("pt-br", "Olá Ann"),
        ("pt", "Olá Ann"),  # CLDR's likely subtags: pt is pt-BR
        ("de-DE", "Hello Ann (en, ltr)"),
        ("??", "Hello Ann (en, ltr)"),
        ("", "Hello Ann (en, ltr)"),
        (None, "Hello Ann (en, ltr)"),
        ("ar-EG", "مرحبًا Ann (rtl)"),
    ],
)
def test_the_variant_is_the_locales_own_or_its_parents_or_the_default(
    tmp_path: Path, locale: str | None, greeting: str
) -> None:
    message = render(write_campaign(tmp_path, FILES, CONTENT), {"name": "Ann", "locale": locale})
    assert greeting in str(message.html)
    assert message.subject == ("Chào" if greeting.startswith("Xin") else "Hi")


def test_the_html_tag_says_the_variants_language_and_direction(tmp_path: Path) -> None:
    renderer = make_renderer(write_campaign(tmp_path, FILES, CONTENT))
    made = {
        tag: str(renderer.render({"name": "A", "locale": tag}, 1, "a@b.example").html) for tag in ("en", "vi", "ar")
    }
    assert made["en"].startswith('<html lang="en"><')
    assert made["vi"].startswith('<html lang="vi"><')
    assert made["ar"].startswith('<html lang="ar" dir="rtl"><')


def test_the_default_in_a_language_from_right_to_left_gets_its_direction(tmp_path: Path) -> None:
    campaign = write_campaign(
        tmp_path, {"body.html.j2": '<html lang="he"><body>x</body></html>'}, 'html = "body.html.j2"'
    )
    assert str(render(campaign).html).startswith('<html lang="he" dir="rtl">')


@pytest.mark.parametrize(
    ("locale", "template", "written"),
    [
        ("vi-VN", "{{ d|date('long') }}", "24 tháng 11, 2026"),
        ("de-DE", "{{ d|date('long') }}", "24. November 2026"),
        ("en-GB", "{{ d|date('long') }}", "24 November 2026"),
        (None, "{{ d|date('long') }}", "November 24, 2026"),
        ("de-DE", "{{ d|date('long', locale='en') }}", "November 24, 2026"),
        ("de-DE", "{{ d|date('yMMMd') }}", "24. Nov. 2026"),
        ("de-DE", "{{ n|number }}", "1.234.567,891"),
        ("de-CH", "{{ n|number }}", "1\u2019234\u2019567.891"),
        ("hi-IN", "{{ n|number }}", "12,34,567.891"),
        ("fr-FR", "{{ 0.25|percent }}", "25\xa0%"),
        ("de-DE", "{{ n|currency('EUR') }}", "1.234.567,89\xa0€"),
        ("ja-JP", "{{ n|currency('JPY') }}", "￥1,234,568"),
        ("en-US", "{{ t|datetime('short', tz='Asia/Ho_Chi_Minh') }}", "11/24/26, 4:30\u202fPM"),
        ("de-DE", "{{ t|time }}", "09:30"),
    ],
)
def test_dates_numbers_and_currency_follow_the_recipients_locale(
    tmp_path: Path, locale: str | None, template: str, written: str
) -> None:
    campaign = write_campaign(tmp_path, {"t.j2": template}, 'text = "t.j2"\nlocale = "locale"')
    row = {"locale": locale, "d": "2026-11-24", "t": "2026-11-24T09:30:00Z", "n": "1234567.891"}
    assert render(campaign, row).text == written


def test_formats_follow_the_recipient_into_imported_macros(tmp_path: Path) -> None:
    files = {
        "m.j2": "{% macro price(x) %}{{ x|number }}{% endmacro %}",
        "t.j2": "{% import 'm.j2' as m %}{{ m.price(1.5) }}",
    }
    renderer = make_renderer(write_campaign(tmp_path, files, 'text = "t.j2"\nlocale = "locale"'))
    texts = [renderer.render({"locale": tag}, 1, "a@b.example").text for tag in ("de", "en", "de")]
    assert texts == ["1,5", "1.5", "1,5"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ 'soon'|date }}", "ValueError: 'soon' is not a date; write it as 2026-11-24 or 2026-11-24T09:00:00Z"),
        ("{{ 'many'|number }}", "ValueError: 'many' is not a number"),
        ("{{ 'NaN'|number }}", "ValueError: 'NaN' is not a number that can be printed"),
        ("{{ '1e999999'|number }}", "ValueError: '1e999999' is not a number that can be printed"),
        ("{{ 1|currency('EURO') }}", "ValueError: EURO is not an ISO 4217 currency code"),
        ("{{ 1|number(locale='??') }}", "ValueError: '??' is not a known locale"),
        ("{{ nothing|date }}", "nothing is null; test it with {% if %}, or give it a value in [audience] defaults"),
    ],
)
def test_what_cannot_be_formatted_fails_its_message_with_the_reason(tmp_path: Path, template: str, reason: str) -> None:
    campaign = write_campaign(tmp_path, {"t.j2": template}, 'text = "t.j2"')
    with pytest.raises(RenderError) as caught:
        render(campaign, {"nothing": None})
    assert str(caught.value) == f"t.j2:1: {reason}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (
            "{{ since|date }}",
            'since is not a date such as 2026-11-24; set its format .* date_format = "dd.mm.yyyy" in .audience',
        ),
        ('{{ recipient["since"]|datetime }}', "since is not a date such as 2026-11-24"),
        ("{% import 'm.j2' as m %}{{ m.day(since) }}", "since is not a date such as 2026-11-24"),
        ("{{ price|number }}", 'price is not a number such as 1234.5; set its format .* decimal = "," in .audience'),
        ("{{ price|currency('EUR') }}", "price is not a number such as 1234.5"),
        ("{{ at|time }}", "at is not a time such as 09:30"),
    ],
)
def test_unformattable_values_are_reported_once_for_their_column(tmp_path: Path, template: str, reason: str) -> None:
    files = {"t.j2": template, "m.j2": "{% macro day(x) %}{{ x|date }}{% endmacro %}"}
    renderer = make_renderer(write_campaign(tmp_path, files, 'text = "t.j2"'))
    told = set()
    for row in (
        {"since": "31/12/2024", "price": "1,5", "at": "25:00"},
        {"since": "01/02/2024", "price": "2,5", "at": "99:99"},
    ):
        with pytest.raises(RenderError) as caught:
            renderer.render(row, 1, "ann@example.com")
        told.add(str(caught.value))
    assert len(told) == 1
    assert re.search(reason, told.pop())


@pytest.mark.parametrize(
    ("settings", "template", "reason"),
    [
        ('decimal = ","', "{{ price|number }}", 'price is "abc", which is not a number written with decimal = ","'),
        (
            'date_format = "dd.mm.yyyy"',
            "{{ since|date }}",
            'since is "31.02.2026", which is not a date written with date_format = "dd.mm.yyyy"',
        ),
        ('decimal = ","', "{{ since|date }}", "since is not a date such as 2026-11-24; set its format"),
    ],
)
def test_a_value_that_does_not_fit_its_setting_is_shown(
    tmp_path: Path, settings: str, template: str, reason: str
) -> None:
    toml = TOML.replace("[content]", f"audience.{settings}\n[content]")
    campaign = write_campaign(tmp_path, {"t.j2": template}, 'text = "t.j2"', toml=toml)
    with pytest.raises(RenderError) as caught:
        make_renderer(campaign).render({"since": "31.02.2026", "price": "abc"}, 1, "ann@example.com")
    assert str(caught.value).startswith(f"t.j2:1: {reason}")
    assert ("correct it in the audience" in str(caught.value)) is ("which" in reason)


def test_a_time_of_day_is_written_as_the_locale_does(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"t.j2": "{{ at|time }}"}, 'text = "t.j2"\nlocale = "locale"')
    for value in ("09:30:00", "09:30", time(9, 30), "2026-11-24 09:30:00"):
        assert render(campaign, {"at": value, "locale": "de"}).text == "09:30"


def test_the_locale_is_a_column_that_the_audience_must_have(tmp_path: Path) -> None:
    content = compile_content(write_campaign(tmp_path, FILES, CONTENT))
    assert "locale" in (content.columns_used() or ())
    with pytest.raises(DataError) as caught:
        check_names(content, ["name", "locales"])
    assert caught.value.what == "locale is not a column of the audience, did you mean locales?"
    assert caught.value.where.endswith("campaign.toml:8 content.locale")


def test_unknown_default_locale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="default_locale is not a known locale"):
        write_campaign(tmp_path, {}, 'text = "t.j2"\ndefault_locale = "xx-YY"')


def test_a_text_part_is_derived_in_each_language(tmp_path: Path) -> None:
    message = render(write_campaign(tmp_path, FILES, CONTENT), {"name": "Ann", "locale": "vi"})
    assert message.text == "Xin chào Ann (vi)\n"
    assert message.language == "vi"


@pytest.mark.parametrize("default", ["de_DE", "de-de", "de_DE.UTF-8"])
def test_default_locale_is_read_as_recipients_locales_are(tmp_path: Path, default: str) -> None:
    content = f'text = "b.j2"\ndefault_locale = "{default}"'
    campaign = write_campaign(tmp_path, {"b.j2": "{{ 1234.5|number }} {{ campaign.language }}"}, content)
    assert render(campaign).text == "1.234,5 de-DE"
