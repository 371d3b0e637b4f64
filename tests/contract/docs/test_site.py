"""The site builds without a warning, has every page, and loads nothing from another server."""

import json
import re
from pathlib import Path

import pytest
from support.paths import DOCS
from support.site import build_site

# Attributes that make a browser load something, and what does so in styles. A link that a reader follows is not one.
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|link)\b[^>]*?\b(?:src|srcset|href|data)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)
_STYLE_LOADS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


def test_every_page_is_in_the_site_and_its_search(site: Path):
    pages = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert [page for page in sorted(pages) if not (site / page).is_file()] == []
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {entry["location"].partition("#")[0] or "index.html" for entry in index["docs"]} >= pages


def test_no_page_loads_anything_from_another_server(site: Path):
    for page in site.rglob("*.html"):
        assert _LOADS.findall(page.read_text(encoding="utf-8")) == [], page


def test_no_style_loads_anything_from_another_server(site: Path):
    for path in [*site.rglob("*.css"), *site.rglob("*.html")]:
        assert _STYLE_LOADS.findall(path.read_text(encoding="utf-8")) == [], path


def test_scripts_name_other_servers_only_for_what_no_page_has(site: Path):
    """The theme's script can load diagrams, the figures of a repository, and a part that browsers before 2020 lack."""
    allowed = (
        "http://www.w3.org/",  # the names of XML namespaces
        "https://api.github.com",
        "https://gitlab.com",
        "https://unpkg.com/mermaid",
        "https://unpkg.com/resize-observer-polyfill",
    )
    for path in site.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        if path.name != "search_index.js":  # the pages' own text
            named = re.findall(r"[\"'`](https?://[^\"'`$\s]+)", text)
            assert [url for url in named if not url.startswith(allowed)] == [], path
    for page in site.rglob("*.html"):
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8")
        assert "data-md-component=source" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/a.js">',
        "<link rel=stylesheet href=//fonts.example/a.css>",
        '<img alt="" src="http://a.example/b.png">',
    ],
)
def test_load_from_another_server_is_found(text: str):
    assert _LOADS.findall(text)
    assert not _LOADS.findall('<a href="https://a.example/">')
    assert _STYLE_LOADS.findall("@import 'https://a.example/b.css'; p { background: url(//a.example/c.png) }")
