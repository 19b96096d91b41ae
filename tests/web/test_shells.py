"""Every page's shell keeps the content security policy and loads what it needs at once."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.web.support import SHELLS, WEB, extract, reached

PAGES = pytest.mark.parametrize("shell", SHELLS, ids=lambda path: f"{path.parent.name}-{path.stem}")


class Elements(HTMLParser):
    """All start tags with their attributes, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()


def files_of(shell: Path) -> list[str]:
    elements = Elements(shell.read_text(encoding="utf-8"))
    return [value for _tag, one in elements.tags for key, value in one.items() if key in ("src", "href") and value]


def test_there_are_the_pages_that_the_contract_names() -> None:
    names = {f"{path.parent.name}/{path.stem}" for path in SHELLS}
    agent = {
        "login",
        "setup",
        "overview",
        "devices",
        "site",
        "users",
        "remote",
        "sessions",
        "system",
        "logins",
        "grid",
        "tariff",
        "rules",
        "scan",
        "report",
        "charger",
        "driver",
    }
    assert names == {f"agent/{name}" for name in agent} | {"cloud/login", "cloud/cloud-admin"}


@PAGES
def test_nothing_is_inline(shell: Path) -> None:
    elements = Elements(shell.read_text(encoding="utf-8"))
    assert elements.inline == ""
    assert [key for _tag, one in elements.tags for key in one if key == "style" or key.startswith("on")] == []
    assert [tag for tag, _one in elements.tags if tag in ("style", "base", "iframe", "object", "embed")] == []


@PAGES
def test_every_file_is_ours_and_exists(shell: Path) -> None:
    for name in files_of(shell):
        assert name.startswith("/ui/files/"), name
        assert (WEB / name.removeprefix("/ui/files/")).is_file(), name


@PAGES
def test_all_modules_are_fetched_at_once_and_none_in_vain(shell: Path) -> None:
    elements = Elements(shell.read_text(encoding="utf-8"))
    preloaded = {str(one["href"]) for _tag, one in elements.tags if one.get("rel") == "modulepreload"}
    main = shell.with_suffix(".js")
    needed = {f"/ui/files/{path.relative_to(WEB).as_posix()}" for path in reached(main)}
    assert preloaded == needed


@PAGES
def test_the_language_is_filled_in_and_words_are_marked(shell: Path) -> None:
    text = shell.read_text(encoding="utf-8")
    assert '<html lang="{{lang}}">' in text
    assert set(re.findall(r"\{\{(\w+)", text)) == {"lang", "t"}
    words = re.sub(r"<[^>]*>|\{\{[^}]*\}\}|Charging Manager|[\s·]", "", text.partition("</head>")[2])
    assert words == "", "text that nobody can translate"


@PAGES
def test_a_browser_without_scripts_or_too_old_is_told_so(shell: Path) -> None:
    text = shell.read_text(encoding="utf-8")
    assert "<noscript>" in text
    assert any("too old" in sentence for sentence, _line in extract().in_shell(text))
