"""Words that readers stumble over are found, and only they."""

from pathlib import Path

import pytest

from tools.language import ROOT, RULES, LanguageRule, check_text, read_python


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_rule_finds_its_example_and_keeps_what_is_similar(rule: LanguageRule):
    assert list(rule.find(rule.example))
    assert not list(rule.find(rule.plain))


def test_finding_names_file_line_words_and_suggestion():
    found = [str(finding) for finding in check_text(ROOT / "docs" / "a.md", "One\nwho is\ntold, and mended\n")]
    assert found == [
        'docs/a.md:3: "mended"; write: fix',
        'docs/a.md:3: "told"; write: reported, informed, configured',
    ]


def test_page_is_read_across_line_ends():
    assert [finding.line for finding in check_text(ROOT / "a.md", "It ends for\ngood.")] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "# it is\n# told\n",
        'x = "told"\n',
        'def f():\n    """Whoever."""\n',
        "def test_who_is_told():\n    pass\n",
        "class Strange:\n    pass\n",
    ],
)
def test_python_is_read_where_people_read_it(text: str):
    assert list(check_text(ROOT / "a.py", text))


def test_python_is_not_read_where_only_the_interpreter_does():
    assert not list(check_text(ROOT / "a.py", "told = strange(whoever)\n"))
    assert not list(check_text(ROOT / "a.py", 'x = f"{told}: lost"\n'))
    assert list(check_text(ROOT / "a.py", 'x = f"{told} is told"\n'))


def test_comment_lines_are_one_text_with_its_first_line():
    assert list(read_python("x = 1\n# for\n# good\nx = 1\ny = 2  # so\n")) == [(2, " for\n good"), (5, " so")]
    assert [finding.line for finding in check_text(Path(ROOT / "a.py"), "x = 1\n# for\n# good\n")] == [2]
