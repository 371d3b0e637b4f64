"""Links have targets, and the commands and files that a page shows are accepted."""

import ast
import importlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from markdown import Markdown
from support.paths import DOCS, ROOT

from engine.cli.table import cli
from engine.notify_targets.target import NotifyTarget
from engine.settings import Settings
from tools.reference.campaign_toml import walk_sections
from tools.reference.schemas import list_models

PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def list_blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(read(page)) if kind == language]


def list_anchors(page: Path) -> set[str]:
    """Read the anchors that the site gives a page's headings."""
    html = Markdown(extensions=["toc", "tables", "fenced_code"]).convert(read(page))
    return set(re.findall(r'<h[1-6] id="([^"]+)"', html))


# -- links -------------------------------------------------------------------------------------------------------------


@by_page
def test_every_link_leads_to_a_file_and_its_heading(page: Path):
    text = BLOCK.sub("", read(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in list_anchors(found), target


def test_pages_of_the_wheel_link_only_to_each_other():
    """README and the like are not shipped with them."""
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)\s#]+)", BLOCK.sub("", read(page))):
            if not target.startswith(("https://", "http://")):
                assert (page.parent / target).resolve().is_relative_to(DOCS), (page, target)


def test_every_page_that_an_error_names_exists():
    named = {
        found[1]
        for path in (ROOT / "engine").rglob("*.py")
        for found in re.finditer(r"docs_page\([\"']([^\"']+)[\"']\)|\bdocs/([\w/-]+\.md)", read(path))
        if found[1]
    }
    assert named
    assert [name for name in named if not (DOCS / name).is_file()] == []


def test_every_page_that_code_and_tests_mention_exists():
    for folder in ("engine", "tests", "bench", "tools", "requirements"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r"\bdocs/((?:[\w-]+/)*[\w-]+\.(?:md|svg))", read(path)):
                assert (DOCS / name).is_file() or name == "a.md", (path, name)


@by_page
def test_every_path_of_the_project_that_a_page_names_exists(page: Path):
    for name in re.findall(r"`((?:engine|tests|tools|requirements|docs)/[\w/.-]*)`", read(page)):
        assert (ROOT / name).exists(), name


@by_page
def test_every_make_target_that_a_page_names_exists(page: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", read(page), flags=re.MULTILINE)) <= targets


# -- commands ----------------------------------------------------------------------------------------------------------


def list_commands(page: Path) -> Iterator[str]:
    """Yield the command lines of mailrun in a page's blocks and in its sentences."""
    for kind, text in BLOCK.findall(read(page)):
        if kind in ("sh", "cron"):
            joined = text.replace("\\\n", " ")
            yield from (found[0] for found in re.finditer(r"(?:^|(?<=&& ))mailrun [^\n]*", joined, re.MULTILINE))
    for found in re.finditer(r"`(mailrun [a-z][^`]*)`", BLOCK.sub("", read(page))):
        yield found[1]


def parse(line: str) -> None:
    """Parse a command line by click, without running it; words in capitals stand for anything.

    Raises:
        click.ClickException: there is no such command or option, or a value is missing.
    """
    words = shlex.split(line, comments=True)
    words = words[1 : next((at for at, word in enumerate(words) if word in ("&", "|", "<", ">", ">>", "2>>")), None)]
    found, name, context = cli, "mailrun", click.Context(cli, info_name="mailrun")
    command: click.Command = found
    while isinstance(command, click.Group):
        while words and words[0] in ("--json", "-v"):
            words = words[1:]
        if not words or words[0].startswith("--"):
            return  # `mailrun --version`, or a group alone in a sentence
        inner = command.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"there is no command {name} {words[0]}")
        command, name, words = inner, f"{name} {words[0]}", words[1:]
    if len(words) == 1 and words[0].isupper():
        return
    flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    if unknown := [word for word in words if word.startswith("--") and word.partition("=")[0] not in flags]:
        raise click.UsageError(f"{name} has no option {unknown[0]}")


@by_page
def test_every_command_line_is_understood(page: Path):
    for line in list_commands(page):
        parse(line)


@by_page
def test_every_command_of_a_shell_block_is_complete(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a block a command is complete: with every argument that it needs. Its files are empty here."""
    monkeypatch.chdir(tmp_path)
    for text in list_blocks(page, "sh"):
        for found in re.finditer(r"(?:^|(?<=&& ))mailrun ([^\n]*)", text, flags=re.MULTILINE):
            monkeypatch.setattr("sys.stdin", io.StringIO("ann@example.com\n"))
            words = shlex.split(found[1], comments=True)
            words = words[: next((at for at, word in enumerate(words) if word in ("&", "|", "<", ">", "&&")), None)]
            for name in [word for word in words if re.fullmatch(r"[\w-]+\.\w+(\.gz)?", word)]:
                (tmp_path / name).touch()
            make_context(words)


def make_context(words: list[str]) -> None:
    """Let click check the words of a command.

    Raises:
        click.ClickException: an argument is missing, unknown or invalid.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="mailrun")
    while isinstance(command, click.Group) and (words or not command.invoke_without_command):
        inner = command.get_command(context, words[0])
        assert inner is not None, words
        command, words = inner, words[1:]
    command.make_context("mailrun", list(words))


def test_command_without_its_argument_is_not_complete():
    with pytest.raises(click.UsageError):
        make_context(["launch", "--key", "k"])


@pytest.mark.parametrize("line", ["mailrun lanch x", "mailrun launch --keys x", "mailrun suppress ad x"])
def test_command_line_with_a_mistake_is_not_understood(line: str):
    with pytest.raises(click.UsageError):
        parse(line)


# -- files -------------------------------------------------------------------------------------------------------------


CAMPAIGN_SECTIONS = dict(walk_sections())


def list_unknown(document: dict[str, object]) -> list[str]:
    """List the keys that neither campaign.toml nor mailrun.toml has."""
    campaign = list(_list_unknown("", document, is_campaign=True))
    settings = list(_list_unknown("", document, is_campaign=False))
    return min(campaign, settings, key=len)


def _list_unknown(section: str, values: dict[str, object], *, is_campaign: bool) -> Iterator[str]:
    model = CAMPAIGN_SECTIONS[section] if is_campaign else Settings
    if not is_campaign and section:
        model = next(iter(list_models(Settings.model_fields[section])))
    keys = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in values.items():
        if key not in keys:
            yield f"{section}.{key}"
        elif isinstance(value, dict) and any(list_models(keys[key])):
            inner = f"{section}.{key}".strip(".")
            if is_campaign and key == "domains":
                continue
            if inner == "notify.targets":
                known = {field.alias or name for name, field in NotifyTarget.model_fields.items()}
                yield from (f"{inner}.{name}" for one in value.values() for name in one if name not in known)
                continue
            yield from _list_unknown(inner, value, is_campaign=is_campaign)


@by_page
def test_every_toml_snippet_is_valid(page: Path):
    for text in list_blocks(page, "toml"):
        assert list_unknown(tomllib.loads(text)) == [], text


def test_toml_snippet_with_a_mistake_is_not_valid():
    assert list_unknown(tomllib.loads("[delivery]\nmax_rat = 3")) == ["delivery.max_rat"]


@by_page
def test_every_import_of_a_python_snippet_works(page: Path):
    for text in list_blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []
