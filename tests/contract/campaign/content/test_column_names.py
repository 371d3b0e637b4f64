"""Columns whose names are not valid in a template, or that have a name of mailrun's."""

from pathlib import Path

import pytest
from support.campaigns import render, write_campaign

from engine.campaign.content.templates import check_names, compile_content
from engine.campaign.lint import lint_templates
from engine.errors import DataError

COLUMNS = ["email", "First name", "e-mail", "postal.code", "Größe (cm)", "2nd", "class", "city"]


def complaint(folder: Path, template: str, columns: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        check_names(compile_content(write_campaign(folder, {"b.j2": template}, 'text = "b.j2"')), columns)
    return f"{caught.value.what} | {caught.value.where} | {caught.value.remedy}"


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ("{{ First name }}", 'recipient["First name"]'),
        ("{{First  name|title}}", 'recipient["First name"]'),
        ("{%- if First name %}x{% endif %}", 'recipient["First name"]'),
        ("{% if First name == 'Ann' %}x{% endif %}", 'recipient["First name"]'),
        ("{{ e-mail }}", 'recipient["e-mail"]'),
        ("{{ postal.code }}", 'recipient["postal.code"]'),
        ("{{ 2nd }}", 'recipient["2nd"]'),
        ("{{ Prix € }}", 'recipient["Prix €"]'),
        ("{{ First_name }}", 'recipient["First name"]'),
    ],
)
def test_complaint_names_the_remedy_when_a_column_cannot_stand_as_it_is(
    tmp_path: Path, template: str, written: str
) -> None:
    found = complaint(tmp_path, f"Hello\n{template}", COLUMNS)
    assert written in found
    assert "b.j2:2" in found
    assert "[audience.columns]" in found or "did you mean" in found


def test_template_reads_columns_of_any_name(tmp_path: Path) -> None:
    written = "".join(f"{{{{ recipient['{name}'] }}}}," for name in COLUMNS)
    campaign = write_campaign(tmp_path, {"b.j2": written}, 'text = "b.j2"')
    content = compile_content(campaign)
    check_names(content, COLUMNS)
    assert content.columns_used() == frozenset(COLUMNS)
    assert render(campaign, {name: name for name in COLUMNS}).text == "".join(f"{name}," for name in COLUMNS)


@pytest.mark.parametrize("template", ["{{ campaign }}", "{% if run == 'x' %}{% endif %}", "{{ campaign.budget }}"])
def test_names_are_refused_when_mailruns_own_hides_a_column(tmp_path: Path, template: str) -> None:
    name = template.split()[1 if "{{" in template else 2].partition(".")[0]
    found = complaint(tmp_path, template, ["campaign", "run"])
    assert f'{name} is mailrun\'s own {name}; for the column of that name write recipient["{name}"]' in found


def test_column_with_a_name_of_mailruns_is_read_through_recipient(tmp_path: Path) -> None:
    written = '{{ recipient["campaign"] }} {{ recipient.run }} {{ campaign.name }} {{ run.key }}'
    campaign = write_campaign(tmp_path, {"b.j2": written}, 'text = "b.j2"')
    content = compile_content(campaign)
    check_names(content, ["campaign", "run"])
    assert content.columns_used() == frozenset({"campaign", "run"})
    assert render(campaign, {"campaign": "spring", "run": "ten"}).text == "spring ten welcome k"
    found = [finding for finding in lint_templates(content, ["campaign", "run"], {}) if finding.code == "hidden_column"]
    assert [finding.what for finding in found] == [
        "campaign.name is mailrun's own value here, not the column campaign",
        "run.key is mailrun's own value here, not the column run",
    ]


def test_recipient_column_that_is_not_there_is_refused_whatever_its_name(tmp_path: Path) -> None:
    assert "campaign is not a column of the audience" in complaint(tmp_path, "{{ recipient.campaign }}", ["city"])
    asked = '{{ recipient["x"]|default("-") }}{{ recipient.y is defined }}'
    campaign = write_campaign(tmp_path, {"b.j2": asked}, 'text = "b.j2"')
    check_names(compile_content(campaign), ["city"])
    assert render(campaign, {"city": "Kyiv"}).text == "-False"


def test_lint_warns_when_recipient_address_is_not_the_column_address(tmp_path: Path) -> None:
    content = compile_content(write_campaign(tmp_path, {"b.j2": "{{ recipient.address }}"}, 'text = "b.j2"'))
    codes = [finding.code for finding in lint_templates(content, ["email", "address"], {})]
    assert "hidden_column" in codes
    assert "hidden_column" not in [finding.code for finding in lint_templates(content, ["email"], {})]


def test_column_unsubscribe_url_is_read_through_recipient(tmp_path: Path) -> None:
    found = complaint(tmp_path, "{{ unsubscribe_url }}", ["unsubscribe_url"])
    assert 'only in marketing campaigns; for the column of that name write recipient["unsubscribe_url"]' in found
    campaign = write_campaign(tmp_path, {"b.j2": '{{ recipient["unsubscribe_url"] }}'}, 'text = "b.j2"')
    check_names(compile_content(campaign), ["unsubscribe_url"])
    assert render(campaign, {"unsubscribe_url": "https://x.example"}).text == "https://x.example"
