"""The pages behind an unsubscribe link: language, sender, topic, preferences, and a template of the operator's."""

import tomllib
from pathlib import Path

import pytest

import engine.feedback.unsubscribe.pages as module
from engine.feedback.unsubscribe.pages import PageKind, Theme, UnsubscribePages, choose_page_language

WORDS = tomllib.loads((Path(module.__file__).parent / "pages" / "unsubscribe.toml").read_text("utf-8"))


def test_every_language_has_every_word():
    for language, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), language
        assert all(len(words[kind]) == 2 and all(words[kind]) for kind in PageKind), language


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("da, sv;q=0.7, en;q=0.3", "sv"),
        ("en;q=0.1, fr-CA;q=0.9", "fr"),
        ("zh-Hant-TW", "zh"),
        ("fr;q=0, it", "it"),
        ("*", "en"),
        ("x" * 5000, "en"),
        ("de;q=nonsense, es", "es"),
        (";;;,,,q=1", "en"),
    ],
)
def test_language_is_the_one_that_the_reader_prefers(accept: str, language: str):
    assert choose_page_language(accept, WORDS) == language


def test_pages_are_in_the_readers_language_and_direction():
    pages = UnsubscribePages()
    assert '<html lang="de" dir="ltr">' in pages.render(PageKind.ASK, accept="de").decode()
    assert "Abmelden?" in pages.render(PageKind.ASK, accept="de").decode()
    assert '<html lang="ar" dir="rtl">' in pages.render(PageKind.DONE, accept="ar-EG").decode()


def test_pages_show_sender_topic_and_preferences():
    theme = Theme(
        sender="Acme <News>",
        topics={"news": "Monthly newsletter"},
        preferences_url="https://acme.example/preferences?t={token}",
    )
    page = UnsubscribePages(theme).render(PageKind.ASK, topic="news", token="1.a/b.c").decode()
    assert "Acme &lt;News&gt;" in page
    assert "Monthly newsletter" in page
    assert 'href="https://acme.example/preferences?t=1.a%2Fb.c"' in page
    assert "<dd>offers</dd>" in UnsubscribePages(theme).render(PageKind.ASK, topic="offers").decode()
    assert "preferences" not in UnsubscribePages(theme).render(PageKind.CUT).decode()
