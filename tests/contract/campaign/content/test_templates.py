"""Reading, compiling and checking the templates of a campaign."""

from pathlib import Path

import pytest

from engine.campaign.content.templates import CampaignContent, check_names, compile_content
from engine.campaign.spec import Campaign, load_campaign
from engine.errors import DataError

TOML = """\
from = "news@acme.example"
subject = "{subject}"

[audience]
source = "a.csv"

[content]
html = "body.html.j2"

[unsubscribe]
url = "https://acme.example/{{{{ token }}}}"
"""
COLUMNS = ["email", "first_name", "last_name", "city"]


def campaign_of(folder: Path, html: str | None, *, subject: str = "Hi", **files: str) -> Campaign:
    """Write a campaign folder; a file's underscores stand for dots."""
    folder = folder / "welcome"
    folder.mkdir()
    (folder / "campaign.toml").write_text(TOML.format(subject=subject), encoding="utf-8")
    if html is not None:
        (folder / "body.html.j2").write_text(html, encoding="utf-8")
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return load_campaign(folder)


def content_of(folder: Path, html: str, **parts: str) -> CampaignContent:
    return compile_content(campaign_of(folder, html, **parts))


def refusal(folder: Path, html: str | None, **parts: str) -> DataError:
    with pytest.raises(DataError) as caught:
        compile_content(campaign_of(folder, html, **parts))
    return caught.value


def test_columns_used_are_what_subject_bodies_and_includes_read(tmp_path: Path) -> None:
    content = content_of(
        tmp_path,
        '{% include "head.j2" %}{% for x in range(3) %}{{ x }}{% endfor %}{{ campaign.name }}{{ recipient.city }}'
        '{{ recipient["plan"] }}{{ recipient.address }}{{ unsubscribe_url }}{{ run.key }}',
        subject="{{ first_name }}",
        head_j2="{{ last_name }}",
    )
    assert content.columns_used() == frozenset({"first_name", "last_name", "city", "plan"})


@pytest.mark.parametrize(
    "html",
    [
        "{{ recipient[name] }}",
        "{% set all = recipient %}x",
        "{% for name in recipient %}{% endfor %}x",
        "{{ recipient|list }}",
        "{% include city %}",
        '{% include ["a.j2", city] %}',
    ],
)
def test_all_columns_are_needed_where_only_rendering_can_tell(tmp_path: Path, html: str) -> None:
    assert content_of(tmp_path, html).columns_used() is None


def test_unknown_names_are_all_listed_with_their_lines(tmp_path: Path) -> None:
    content = content_of(
        tmp_path,
        "line\n{{ firstname }}\n{% include 'foot.j2' %}\n{{ recipient.citty }}",
        subject="{{ frist_name }}",
        foot_j2="\n\n{{ zzz }}",
    )
    with pytest.raises(DataError) as caught:
        check_names(content, COLUMNS)
    folder = tmp_path / "welcome"
    assert caught.value.what == (
        "4 names in templates are not defined:"
        f"\n  - {folder}/campaign.toml:2 subject: frist_name is not a column of the audience, did you mean first_name?"
        f"\n  - {folder}/body.html.j2:2: firstname is not a column of the audience, did you mean first_name?"
        f"\n  - {folder}/body.html.j2:4: citty is not a column of the audience, did you mean city?"
        f"\n  - {folder}/foot.j2:3: zzz is not a column of the audience\n"
    )
    assert caught.value.remedy == "correct each of them; columns: city, email, first_name, last_name"


def test_one_wrong_name_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        check_names(content_of(tmp_path, "{{ citi }}"), COLUMNS)
    assert caught.value.what == "citi is not a column of the audience, did you mean city?"
    assert caught.value.where == f"{tmp_path}/welcome/body.html.j2:1"


@pytest.mark.parametrize(
    "html",
    [
        "{% if nickname is defined %}{{ nickname }}{% endif %}x",
        "{{ nickname|default('friend') }}",
        "{% set greeting = 'Hi' %}{{ greeting }}",
        "{% macro bold(words) %}<b>{{ words }}</b>{% endmacro %}{{ bold(city) }}",
        "{% for letter in city %}{{ loop.index }}{{ letter }}{% endfor %}",
        "{{ recipient.address }} {{ campaign.kind }} {{ run.name }}",
        '{% set title = "T" %}{% include "page.j2" %}',
        '{% extends "page.j2" %}{% set title = "T" %}',
        '{% import "macros.j2" as m %}{{ m.bold(city) }}',
        '{% from "macros.j2" import bold as strong %}{{ strong(city) }}',
        '{% include ["absent.j2", "page.j2"] %}{% set title = 1 %}',
        '{% include "absent.j2" ignore missing %}x',
    ],
)
def test_names_that_templates_define_or_ask_for_are_not_missed(tmp_path: Path, html: str) -> None:
    macros = "{% macro bold(words) %}<b>{{ words }}</b>{% endmacro %}"
    check_names(content_of(tmp_path, html, page_j2="{{ title }}{% block x %}{% endblock %}", macros_j2=macros), COLUMNS)


def test_column_in_an_imported_file_asks_for_import_with_context(tmp_path: Path) -> None:
    macros = "{% macro hello() %}Hi {{ city }}{% endmacro %}"
    content = content_of(tmp_path, '{% from "m.j2" import hello %}{{ hello() }}', m_j2=macros)
    with pytest.raises(
        DataError, match=r'city is not visible in an imported file: write {% import "m.j2" as … with context'
    ):
        check_names(content, COLUMNS)


def test_a_column_in_a_file_imported_with_context_is_visible(tmp_path: Path) -> None:
    macros = "{% macro hello() %}Hi {{ city }}{% endmacro %}"
    check_names(content_of(tmp_path, '{% from "m.j2" import hello with context %}{{ hello() }}', m_j2=macros), COLUMNS)


def test_a_transactional_message_that_links_to_unsubscribing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "notice"
    folder.mkdir()
    toml = 'from="a@b.example"\nsubject="S"\nkind="transactional"\naudience.source="a"\ncontent.text="t.j2"\n'
    (folder / "campaign.toml").write_text(toml, encoding="utf-8")
    (folder / "t.j2").write_text("{{ unsubscribe_url }}", encoding="utf-8")
    with pytest.raises(DataError, match="unsubscribe_url is available only in marketing campaigns"):
        check_names(compile_content(load_campaign(folder)), COLUMNS)


def test_missing_template_lists_what_is_in_the_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path, None, body_txt="x")
    assert error.what == "the template body.html.j2 is missing"
    assert error.where == f"{tmp_path}/welcome/body.html.j2"
    assert error.remedy == "create it, or name another file; in the folder: body.txt"


def test_a_missing_include_is_found_before_anything_is_rendered(tmp_path: Path) -> None:
    assert refusal(tmp_path, "{% include 'foot.j2' %}").what == "the template foot.j2 is missing"


@pytest.mark.parametrize(
    ("name", "what"), [("../secret.j2", "is missing"), ("link.j2", "is a symbolic link that leads out of")]
)
def test_templates_outside_the_campaign_folder_are_not_read(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "secret.j2").write_text("secret", encoding="utf-8")
    campaign = campaign_of(tmp_path, f"{{% include '{name}' %}}")
    if name == "link.j2":
        (campaign.folder / "link.j2").symlink_to(tmp_path / "secret.j2")
    with pytest.raises(DataError, match=what):
        compile_content(campaign)


@pytest.mark.parametrize(
    ("html", "line", "what"),
    [
        ("a\n{% if x %}", 2, "Unexpected end of template"),
        ("{{ city|uper }}", 1, "No filter named 'uper'"),
        ("a\nb\n{{ city", 3, "unexpected end of template"),
    ],
)
def test_a_syntax_error_names_file_and_line(tmp_path: Path, html: str, line: int, what: str) -> None:
    error = refusal(tmp_path, html)
    assert error.where == f"{tmp_path}/welcome/body.html.j2:{line}"
    assert error.what.startswith(what)


def test_a_syntax_error_in_an_include_names_the_include(tmp_path: Path) -> None:
    error = refusal(tmp_path, "{% include 'foot.j2' %}", foot_j2="\n{% endif %}")
    assert error.where == f"{tmp_path}/welcome/foot.j2:2"


def test_a_syntax_error_in_the_subject_names_its_line_in_campaign_toml(tmp_path: Path) -> None:
    assert refusal(tmp_path, "x", subject="{{ city").where == f"{tmp_path}/welcome/campaign.toml:2 subject"


def test_a_template_in_another_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, "x")
    (campaign.folder / "body.html.j2").write_bytes(b"ok\nna\xefve")
    with pytest.raises(DataError) as caught:
        compile_content(campaign)
    assert caught.value.what == "the template is not UTF-8"
    assert caught.value.where == f"{tmp_path}/welcome/body.html.j2:2"
