"""The pages behind an unsubscribe link: language, sender, topic, preferences, and a template of the operator's."""

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.feedback.unsubscribe.pages import PageKind, Theme, UnsubscribePages


def test_template_of_the_operator_makes_the_page(tmp_path: Path):
    template = tmp_path / "page.html.j2"
    template.write_text("<html lang='{{ language }}'><h1>{{ title }}</h1>{{ sender }} {{ page }} {{ form }}</html>")
    pages = UnsubscribePages(Theme(sender="<Acme>", template=template))
    page = pages.render(PageKind.ASK, accept="fr").decode()
    assert page.startswith("<html lang='fr'><h1>Se désabonner ?</h1>&lt;Acme&gt; ask <form method=\"post\">")
    assert "script-src" not in pages.policy
    assert pages.policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if %}", "line 1"),
        ("{{ titel }}", "'titel' is undefined"),
        ("{% if page == 'late' %}{{ nothing }}{% endif %}", "'nothing' is undefined"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        (None, "cannot be read"),
    ],
)
def test_template_that_fails_is_a_configuration_error_at_the_start(tmp_path: Path, text: str | None, words: str):
    template = tmp_path / "page.html.j2"
    if text is not None:
        template.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        UnsubscribePages(Theme(template=template))
    assert words in str(raised.value)
    assert "page.html.j2" in raised.value.where
