"""SIGHUP reads again what can be read again; what cannot is named, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from charging_manager.daemon.lifesign import LifeSign
from charging_manager.daemon.logs import the_log
from charging_manager.daemon.options import DaemonOptions
from charging_manager.daemon.reload import Reload
from charging_manager.errors import ConfigError


@pytest.fixture(autouse=True)
def _level_is_put_back() -> Iterator[None]:
    level = the_log.level
    yield
    the_log.level = level


def words(said: list[bytes]) -> list[str]:
    return [each.decode().partition("\n")[0] for each in said]


def test_everything_is_done_in_order_and_systemd_hears_when_it_is_over() -> None:
    said: list[bytes] = []
    done: list[str] = []
    works = {"settings": lambda: done.append("settings"), "certificate": lambda: done.append("certificate")}
    Reload(Clock(), LifeSign(said.append), works).run()
    assert done == ["settings", "certificate"]
    assert words(said) == ["RELOADING=1", "READY=1"]


def test_what_fails_is_named_and_hinders_nobody() -> None:
    said: list[bytes] = []
    done: list[str] = []

    def broken() -> None:
        raise ConfigError("/etc/x.toml", "is not TOML: line 3")

    def buggy() -> None:
        raise ZeroDivisionError

    works = {"settings": broken, "drivers": buggy, "certificate": lambda: done.append("certificate")}
    Reload(Clock(), LifeSign(said.append), works).run()
    assert done == ["certificate"]
    assert words(said) == [
        "RELOADING=1",
        "READY=1",
        "STATUS=settings could not be read again: /etc/x.toml: is not TOML: line 3; "
        "drivers could not be read again; the log has the details",
    ]


def parsed(folder: Path, *words: str) -> DaemonOptions:
    options = DaemonOptions()
    options.parseOptions(["--data", str(folder), *words])
    return options


def test_the_log_level_holds_at_once_and_the_rest_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "charging-manager.toml"
    settings.write_text("[agent]\nport = 1234\nloglevel = 2\n")
    options = parsed(tmp_path)
    settings.write_text("[agent]\nport = 4321\nloglevel = 4\n")
    assert options.read_again() == ["port"]
    assert (the_log.level, options["port"]) == (4, 1234)
    settings.write_text("")
    assert options.read_again() == ["port"]
    assert the_log.level == 3


def test_the_command_lines_log_level_stays(tmp_path: Path) -> None:
    options = parsed(tmp_path, "--loglevel", "1")
    (tmp_path / "charging-manager.toml").write_text("[agent]\nloglevel = 4\n")
    assert options.read_again() == []
    assert the_log.level == 1


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    options = parsed(tmp_path)
    the_log.level = 2
    (tmp_path / "charging-manager.toml").write_text("[agent]\nloglevel = 4\nport = 'x'\n")
    with pytest.raises(ConfigError, match=r"agent\.port"):
        options.read_again()
    assert the_log.level == 2


def test_port_0_of_the_command_line_is_a_port(tmp_path: Path) -> None:
    (tmp_path / "charging-manager.toml").write_text("[agent]\nport = 1234\n")
    assert parsed(tmp_path, "--port", "0")["port"] == 0
