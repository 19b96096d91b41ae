"""The browser libraries in web/vendor are what was fetched, may be passed on, and need no import map."""

from __future__ import annotations

import re

import pytest

from charging_manager.paths import shared
from tests.web.support import vendor

FOLDER = shared("web") / "vendor"
MODULES = sorted(FOLDER.glob("*.js"))


def test_every_file_is_the_one_of_the_manifest() -> None:
    assert (FOLDER / "MANIFEST.sha256").read_text() == vendor().manifest(FOLDER)


def test_every_library_brings_its_licence() -> None:
    for _package, _version, files in vendor().PACKAGES:
        licence = next(name for name in files.values() if name.endswith(".LICENSE"))
        text = (FOLDER / licence).read_text()
        assert "MIT License" in text or "Apache License" in text, licence


def test_nothing_else_lies_in_the_folder() -> None:
    fetched = {name for _package, _version, files in vendor().PACKAGES for name in files.values()}
    present = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert present == fetched | {"vendor.py", "MANIFEST.sha256"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_imports_are_relative_and_no_source_map_is_asked_for(module: object) -> None:
    source = (FOLDER / getattr(module, "name", "")).read_text()
    specifiers = re.findall(r"""\b(?:from|import)\s*["']([^"']+)["']""", source)
    assert all(one.startswith("./") and (FOLDER / one).is_file() for one in specifiers)
    assert "sourceMappingURL" not in source


def test_a_bare_specifier_becomes_relative_and_the_source_map_goes() -> None:
    source = 'import{h as x}from"preact";import{useState}from"preact/hooks";x();\n//# sourceMappingURL=a.mjs.map\n'
    assert vendor().made_local(source) == 'import{h as x}from"./preact.js";import{useState}from"./hooks.js";x();\n'


def test_an_unknown_package_is_not_passed_over_in_silence() -> None:
    with pytest.raises(KeyError):
        vendor().made_local('import x from "left-pad";')
