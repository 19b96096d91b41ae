"""Driver files: found, replaced, refused with a reason that helps, and never in each other's way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from charging_manager.devices.describe import describe
from charging_manager.devices.loader import DriverShelf, check_file, check_text, load_drivers, load_file
from charging_manager.devices.parse import NotADriver
from charging_manager.paths import shared
from tests.devices.tables import CHARGER, METER

PLUGIN = f"""
TABLE = {{**__import__("tomllib").loads({METER!r}), "hook": "Half"}}

class Half:
    def decode(self, values):
        return {{"power_w": values["power_w"] / 2}}
"""


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drivers"
    made.mkdir(mode=0o755)
    return made


def test_a_file_dropped_into_a_folder_appears_without_touching_any_other(folder: Path) -> None:
    shelf = DriverShelf([shared("drivers"), folder])
    before = dict(shelf.scan().drivers)
    put(folder, "acme-wall.toml", CHARGER)
    after = shelf.scan().drivers
    assert set(after) - set(before) == {"acme-wall"}
    assert all(after[name] is driver for name, driver in before.items())
    (folder / "acme-wall.toml").unlink()
    assert dict(shelf.scan().drivers) == before


def test_a_changed_table_is_read_again_and_an_unchanged_one_is_the_same_object(folder: Path) -> None:
    path = put(folder, "acme.toml", CHARGER)
    shelf = DriverShelf([folder])
    first = shelf.scan().drivers["acme"]
    assert shelf.scan().drivers["acme"] is first
    put(folder, "acme.toml", CHARGER.replace('"Wall"', '"Wall 2"'))
    os.utime(path, ns=(1, 1))
    assert shelf.scan().drivers["acme"].model == "Wall 2"


def test_later_folders_win_and_uploads_come_last(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("packaged", "etc", "uploads")]
    for number, folder in enumerate(folders):
        folder.mkdir(mode=0o755)
        put(folder, "acme.toml", CHARGER.replace('"Wall"', f'"Wall {number}"'))
    assert load_drivers(folders[:2]).drivers["acme"].model == "Wall 1"
    assert load_drivers(folders[:2], folders[2]).drivers["acme"].model == "Wall 2"
    put(folders[2], "acme.toml", "broken = [")
    loaded = load_drivers(folders[:2], folders[2])
    assert loaded.drivers["acme"].model == "Wall 1"
    assert [broken.path.name for broken in loaded.broken] == ["acme.toml"]


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert dict(load_drivers([tmp_path / "nowhere"]).drivers) == {}


def test_broken_files_are_named_with_their_reason_and_hide_nobody(folder: Path) -> None:
    put(folder, "good.toml", METER)
    put(folder, "syntax.toml", 'vendor = "Acme"\nmodel = \n')
    put(folder, "spelling.toml", METER.replace("baud", "bauds"))
    put(folder, "Bad Name.toml", METER)
    put(folder, "crash.py", "1 / 0")
    put(folder, "leaves.py", "raise SystemExit(3)")
    put(folder, "wrong.py", "def (")
    put(folder, "empty.py", "")
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00")
    put(folder, "huge.toml", "#" * 300_000)
    (folder / "folder.toml").mkdir()
    put(folder, "notes.txt", "not a driver at all")
    loaded = load_drivers([folder])
    assert set(loaded.drivers) == {"good"}
    reasons = {broken.path.name: broken.reason for broken in loaded.broken}
    assert "line 2" in reasons["syntax.toml"]
    assert "there is no such word here; did you mean 'baud'?" in "\n".join(
        next(broken for broken in loaded.broken if broken.path.name == "spelling.toml").problems
    )
    assert reasons["crash.py"] == "crash.py, line 1: ZeroDivisionError: division by zero"
    assert reasons["leaves.py"] == "leaves.py, line 1: SystemExit: 3"
    assert reasons["wrong.py"].startswith("wrong.py, line 1: SyntaxError")
    assert "TABLE" in reasons["empty.py"]
    assert "UTF-8" in reasons["binary.toml"]
    assert "256 KiB" in reasons["huge.toml"]
    assert "plain file" in reasons["folder.toml"]
    assert "small letters" in reasons["Bad Name.toml"]
    assert "notes.txt" not in reasons


def test_a_broken_file_is_said_once_in_the_log(folder: Path) -> None:
    put(folder, "broken.toml", "vendor =")
    shelf = DriverShelf([folder])
    with capturedLogs() as events:
        shelf.scan()
        shelf.scan()
    assert [event["path"] for event in events] == [str(folder / "broken.toml")]


def test_problems_name_line_and_key_path(folder: Path) -> None:
    text = CHARGER.replace("state = { address = 10", "state = { address = 70000")
    path = put(folder, "acme.toml", text.replace("step_a = 0.1", 'step_a = "small"'))
    problems = check_file(path)
    lines = text.splitlines()
    address = next(n for n, line in enumerate(lines, 1) if line.startswith("state ="))
    step = next(n for n, line in enumerate(lines, 1) if line.startswith("step_a"))
    assert problems == [
        f"acme.toml, line {address}: registers.state.address: a whole number from 0 to 65535 is needed here",
        f"acme.toml, line {step}: setpoint.step_a: a number is needed here",
    ]


def test_the_second_state_is_found_by_its_number(folder: Path) -> None:
    path = put(folder, "acme.toml", CHARGER.replace('is = "plugged"', 'is = "pluged"'))
    (problem,) = check_file(path)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "pluged" in text)
    assert problem.startswith(f"acme.toml, line {line}: state[2].is: one of charging, fault")
    assert problem.endswith("did you mean 'plugged'?")


def test_text_that_is_to_be_uploaded_is_checked_without_a_file() -> None:
    assert check_text(CHARGER, "acme-wall") == []
    assert check_text(CHARGER + "\n[unused]\n", "acme")[0].endswith("unused: there is no such word here")
    assert "hook" in check_text('hook = "Evil"\n' + CHARGER, "acme")[0]
    assert "small letters" in check_text(CHARGER, "../../etc/passwd")[0]


def test_a_good_file_has_no_problems_and_loads(folder: Path) -> None:
    path = put(folder, "acme.toml", CHARGER)
    assert check_file(path) == []
    assert load_file(path).name == "acme"
    with pytest.raises(NotADriver):
        load_file(put(folder, "bad.toml", "x = 1"))


def test_a_plugin_builds_the_same_driver_and_brings_its_hook(folder: Path) -> None:
    put(folder, "acme.py", PLUGIN)
    driver = load_drivers([folder]).drivers["acme"]
    assert driver.hook is not None and driver.hook.__name__ == "Half"
    assert not list(folder.glob("**/*.pyc")), "no byte code is left beside it"


def test_a_plugin_may_have_its_table_beside_it_and_that_is_no_driver_of_its_own(folder: Path) -> None:
    put(folder, "acme.toml", 'hook = "Twice"\n' + METER)
    put(folder, "acme.py", "class Twice:\n    pass\n")
    loaded = load_drivers([folder])
    assert set(loaded.drivers) == {"acme"} and not loaded.broken
    assert loaded.drivers["acme"].hook is not None


def test_code_is_not_taken_from_uploads(folder: Path) -> None:
    put(folder, "acme.py", PLUGIN)
    loaded = load_drivers([], folder)
    assert not loaded.drivers
    assert "code is not taken from this folder" in loaded.broken[0].reason


@pytest.mark.parametrize("others_may", [0o777, 0o775])
def test_code_is_not_loaded_where_others_can_write(folder: Path, others_may: int) -> None:
    path = put(folder, "acme.py", PLUGIN)
    folder.chmod(others_may)
    assert "others can write" in load_drivers([folder]).broken[0].reason
    folder.chmod(0o755)
    path.chmod(0o666)
    assert "chmod go-w" in load_drivers([folder]).broken[0].reason
    put(folder, "acme-table.toml", METER)
    folder.chmod(others_may)
    assert set(load_drivers([folder]).drivers) == {"acme-table"}, "data is taken from anywhere"


def test_code_of_another_user_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(folder, "acme.py", PLUGIN)
    found = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: found.st_uid + 1)
    reasons = [broken.reason for broken in load_drivers([folder]).broken]
    assert (found.st_uid == 0 and reasons == []) or "belongs to another user" in reasons[0]


def test_changed_code_waits_for_a_restart_and_is_named(folder: Path) -> None:
    path = put(folder, "acme.py", PLUGIN)
    shelf = DriverShelf([folder])
    first = shelf.scan().drivers["acme"]
    put(folder, "acme.py", PLUGIN + "\n# another day\n")
    os.utime(path, ns=(1, 1))
    loaded = shelf.scan()
    assert loaded.drivers["acme"] is first
    assert loaded.changed_code == (path,)


def test_every_shipped_driver_describes_itself() -> None:
    for driver in load_drivers([shared("drivers")]).drivers.values():
        text = describe(driver)
        assert driver.model in text
        for register in driver.registers.values():
            assert register.name in text
        for source in driver.sources:
            assert source in text


def test_a_sister_is_named_on_the_page() -> None:
    assert "It is another device if there is a voltage on L2" in describe(
        load_drivers([shared("drivers")]).drivers["eastron-sdm120"]
    )


def test_a_bad_name_does_not_hide_what_else_is_wrong(folder: Path) -> None:
    path = folder / "Acme Wall.toml"
    path.write_text('kind = "chager"\n')
    name, *others = check_file(path)
    assert "a driver's file name" in name
    assert any("chager" in each or "charger" in each for each in others)
