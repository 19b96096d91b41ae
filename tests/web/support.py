"""The two scripts that live beside what they make, as modules; and what a page's files are made of."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from charging_manager.paths import shared

WEB = shared("web")
SHELLS = sorted([*(WEB / "agent").glob("*.htm"), *(WEB / "cloud").glob("*.htm")])
SCRIPTS = sorted(path for path in WEB.rglob("*.js") if "vendor" not in path.parts)
_IMPORT = re.compile(r"""\b(?:from|import)\s*["'](\.[^"']+)["']""")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"beside_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def vendor() -> ModuleType:
    """web/vendor/vendor.py."""
    return _module(WEB / "vendor" / "vendor.py")


@cache
def extract() -> ModuleType:
    """locale/extract.py."""
    return _module(shared("locale") / "extract.py")


def imports(script: Path) -> Iterator[Path]:
    """The modules that a script imports."""
    for specifier in _IMPORT.findall(script.read_text(encoding="utf-8")):
        yield (script.parent / specifier).resolve()


def reached(script: Path) -> set[Path]:
    """All modules that a browser loads for this one, without itself."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        for path in imports(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return found
