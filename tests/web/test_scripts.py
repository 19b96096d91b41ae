"""What every script and the sheet keep to, so that the policy holds, words can be translated and any language fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.web.support import SCRIPTS, WEB, imports

EACH = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySetInnerHTML|"
    r"setAttribute\(\s*[\"']style|srcdoc|javascript:"
)
PHYSICAL = re.compile(
    r"(?<![\w-])(?:margin|padding|border|inset)-(?:left|right|top|bottom)|(?<![\w-])(?:left|right|top|bottom)\s*:|"
    r"text-align\s*:\s*(?:left|right)|float\s*:\s*(?:left|right)"
)


@EACH
def test_nothing_makes_markup_or_code_of_text(script: Path) -> None:
    assert FORBIDDEN.findall(script.read_text(encoding="utf-8")) == []


@EACH
def test_imports_name_files_that_exist(script: Path) -> None:
    assert [path for path in imports(script) if not path.is_file()] == []


@EACH
def test_modules_stay_small(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 300


def templates(source: str) -> list[str]:
    """The markup of html`…` templates: inner expressions are left out, inner templates are found on their own."""
    found = []
    for match in re.finditer(r"html`", source):
        text, at, depth = "", match.end(), 0
        while at < len(source) and (depth or source[at] != "`"):
            if depth == 0 and source.startswith("${", at):
                depth, at = 1, at + 2
                continue
            if depth:
                depth += {"{": 1, "}": -1}.get(source[at], 0)
                if source[at] == "`":  # an inner template: step over it
                    at = _after_template(source, at + 1)
                    continue
                if depth == 0:
                    text += "0"
            else:
                text += source[at]
            at += 1
        found.append(text)
    return found


def _after_template(source: str, at: int) -> int:
    depth = 0
    while depth or source[at] != "`":
        if source.startswith("${", at):
            depth, at = depth + 1, at + 2
        elif depth and source[at] == "`":
            at = _after_template(source, at + 1)
        else:
            depth += {"{": 1, "}": -1}.get(source[at], 0) if depth else 0
            at += 1
    return at + 1


PROPER_NAMES = {"Charging", "Manager", "Apache", "OCPP"}


@EACH
def test_no_word_escapes_translation(script: Path) -> None:
    for markup in templates(script.read_text(encoding="utf-8")):
        texts = re.findall(r">([^<>]*)<", f">{markup}<")
        words = {word for text in texts for word in re.findall(r"[A-Za-z]{3,}", text)}
        assert words <= PROPER_NAMES, words
        attributes = re.findall(r"""\b(?:aria-label|title|placeholder|alt)\s*=\s*["']([^"']*)["']""", markup)
        assert attributes == []


def test_the_finder_of_templates_sees_inner_ones() -> None:
    source = "html`<p>${a ? html`<b>inner ${x({y: 1})}</b>` : null} outer</p>`"
    assert templates(source) == ["<p>0 outer</p>", "<b>inner 0</b>"]


def test_the_sheet_knows_no_left_and_right() -> None:
    sheet = (WEB / "common" / "style.css").read_text(encoding="utf-8")
    assert PHYSICAL.findall(sheet) == []


def test_the_sheet_loads_nothing_from_elsewhere() -> None:
    sheet = (WEB / "common" / "style.css").read_text(encoding="utf-8")
    assert "url(" not in sheet
    assert "@import" not in sheet
