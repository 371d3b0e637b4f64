"""Locales and time zones as people's data has them."""

from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.locales import choose_language, read_locales
from engine.campaign.time_zones import find_zone, find_zone_name

VARIANTS = ["fr", "pt-br", "zh-cn", "zh-tw", "nb", "sr", "sr-latn", "es-419", "es-es", "he", "en-gb"]


@pytest.mark.parametrize(
    ("locale", "wanted"),
    [
        ("zh_CN", "zh-cn"), ("zh_Hans_CN", "zh-cn"), ("zh-Hans", "zh-cn"), ("zh", "zh-cn"), ("zh_Hant_TW", "zh-tw"),
        ("zh-Hant-HK", "zh-tw"), ("zh_HK", "zh-tw"), ("zh-cmn-Hans", "zh-cn"), ("zh-MO", "zh-tw"), ("fr_CA", "fr"),
        ("FR", "fr"), ("fra", "fr"), ("fre", "fr"), ("fr_FR.UTF-8", "fr"), ("fr_FR@euro", "fr"), ("fr-u-nu-latn", "fr"),
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"), ("en;q=0.3, fr; q=0.8", "fr"), ("da, fr;q=0.5", "fr"), ("fr:en", "fr"),
        ("*, fr;q=0.5", "fr"), ("nb_NO", "nb"), ("no_NO", "nb"), ("no", "nb"), ("nn", "nb"), ("pt_BR", "pt-br"),
        ("pt", "pt-br"), ("pt-PT", "pt-br"), ("sr_RS@latin", "sr-latn"), ("sr_ME", "sr-latn"), ("sr", "sr"),
        ("sh", "sr-latn"), ("es-MX", "es-419"), ("es-419", "es-419"), ("es", "es-es"), ("es-ES", "es-es"),
        ("iw_IL", "he"), ("en_UK", "en-gb"), ("en-GB", "en-gb"), ("en", None), ("en-US", None), ("en-AU", None),
        ("de_DE@euro", None), ("da, en;q=0.9, fr;q=0.5", None), ("fr;q=0, da", None),
    ],
)  # fmt: skip
def test_choose_language_finds_what_a_locale_wants(locale: str, wanted: str | None) -> None:
    assert read_locales(locale)
    assert choose_language(read_locales(locale), VARIANTS, "en") == wanted


@pytest.mark.parametrize(
    "text", ["", "??", "english", "C", "POSIX", "US-", "NULL", "1036", "fr;x=1", "French (France)"]
)
def test_read_locales_finds_none_in_other_text(text: str) -> None:
    assert read_locales(text) == ()


@given(st.text())
def test_read_locales_and_find_zone_name_take_any_text(text: str) -> None:
    read_locales(text)
    find_zone(text)


@given(st.sampled_from(sorted(available_timezones() - {"Factory", "localtime"})), st.data())
def test_find_zone_name_ignores_case_and_spaces(name: str, data: st.DataObject) -> None:
    written = data.draw(st.sampled_from([name, name.lower(), name.upper(), name.replace("_", " ")]))
    assert find_zone_name(f" {written}\n") == name


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"), ("eastern standard time", "America/New_York"),
        ("UTC", "UTC"), ("Etc/Unknown", None), ("UTC+2", None), ("", None), ("Factory", None), ("localtime", None),
        ("../etc/passwd", None), ("Eastern Time (US & Canada)", None),
    ],
)  # fmt: skip
def test_find_zone_name_accepts_windows_names_and_no_others(name: str, zone: str | None) -> None:
    assert find_zone_name(name) == zone
    assert (find_zone(name) is None) == (zone is None)
    assert find_zone(None) is None
