"""Imports point one way (docs/map.md), so that a room can be trusted without reading what lies above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "charging_manager"
ANYBODY = {"errors", "clocks", "paths", "words"}
BELOW = {
    "model",
    "control",
    "twin",
    "modbus",
    "mqtt",
    "ocpp",
    "devices",
    "sim",
    "storage",
    "http",
    "tunnel",
    "daemon",
    "tariffs",
    "finding",
    "dns",
    "acme",
}
MAY = {
    "model": set(),
    "control": {"model"},
    "twin": {"model", "control"},
    "modbus": set(),
    "mqtt": set(),
    "ocpp": {"model"},
    "devices": {"model", "modbus", "mqtt", "ocpp"},
    "finding": {"model", "modbus", "devices"},
    "sim": {"model", "modbus", "mqtt", "ocpp", "devices"},
    "storage": set(),
    "http": {"storage"},
    "tunnel": {"model"},
    "daemon": set(),
    "dns": set(),
    "acme": set(),
    "tariffs": {"model"},
    "agent": BELOW,
    "cloud": {"model", "tunnel", "storage", "http", "daemon", "dns"},
    "cli": BELOW | {"agent", "cloud"},
}
REACTOR_IS_IMPORTED_IN = {"agent/tap.py", "cloud/tap.py"}


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules() -> list[tuple[str, Path]]:
    return [(room, path) for room in MAY for path in sorted((PACKAGE / room).rglob("*.py"))]


def test_rooms_import_only_what_lies_below_them() -> None:
    wrong = []
    for room, path in modules():
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != "charging_manager" or len(parts) < 2 or parts[1] == "VERSION":
                continue
            if parts[1] != room and parts[1] not in MAY[room] | ANYBODY:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_every_room_is_in_the_table_and_has_a_door_sign() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(MAY)
    assert [
        room for room in rooms if not ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    ] == []


def test_driver_hooks_import_the_vocabulary_of_drivers_alone() -> None:
    wrong = [
        f"{path.name} imports {name}"
        for path in (ROOT / "drivers").glob("*.py")
        for name in imported(path)
        if name.startswith("charging_manager.") and not name.startswith("charging_manager.devices")
    ]
    assert wrong == []


def test_the_reactor_is_imported_by_the_taps_and_the_command_line_alone() -> None:
    wrong = [
        str(path.relative_to(PACKAGE))
        for room, path in modules()
        if room != "cli"
        and str(path.relative_to(PACKAGE)) not in REACTOR_IS_IMPORTED_IN
        and "twisted.internet.reactor" in set(imported(path))
    ]
    assert wrong == []


def test_no_module_has_grown_past_five_hundred_lines() -> None:
    long = [str(path) for _, path in modules() if len(path.read_text("utf-8").splitlines()) > 500]
    assert long == []


def test_twisted_plugins_is_no_package_of_ours() -> None:
    assert not (ROOT / "twisted/__init__.py").exists()
    assert not (ROOT / "twisted/plugins/__init__.py").exists()
