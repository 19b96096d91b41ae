"""Both daemons' options: the command line wins over the settings file, and a mistake costs one line."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from charging_manager.daemon.logs import the_log
from charging_manager.daemon.options import DaemonOptions
from charging_manager.daemon.settings import read_settings
from charging_manager.errors import ConfigError


@pytest.fixture(autouse=True)
def _level_is_put_back() -> object:
    level = the_log.level
    yield
    the_log.level = level


def parsed(*words: str) -> DaemonOptions:
    options = DaemonOptions()
    options.parseOptions(list(words))
    return options


class FakeTwistd(dict[str, object]):
    """What twistd's own options look like to a plugin's."""


def test_defaults(tmp_path: Path) -> None:
    options = parsed("--data", str(tmp_path))
    assert (options["port"], options["loglevel"], options["allow-http"]) == (8080, 3, False)
    assert options["data"] == tmp_path


def test_the_settings_file_fills_what_the_command_line_left_open(tmp_path: Path) -> None:
    (tmp_path / "charging-manager.toml").write_text("[agent]\nport = 1234\nallow_http = true\nloglevel = 1\n")
    options = parsed("--data", str(tmp_path), "--loglevel", "4")
    assert (options["port"], options["loglevel"], options["allow-http"]) == (1234, 4, True)
    assert the_log.level == 4


def test_no_pid_file_unless_asked_for_and_our_log(tmp_path: Path) -> None:
    options = DaemonOptions()
    options.parent = FakeTwistd(pidfile="twistd.pid", logger=None, logfile=None, nodaemon=True)
    options.parseOptions(["--data", str(tmp_path)])
    assert options.parent["pidfile"] == ""
    assert options.parent["logger"] == "charging_manager.daemon.logs.observer"


def test_a_pid_file_that_was_asked_for_stays(tmp_path: Path) -> None:
    options = DaemonOptions()
    options.parent = FakeTwistd(pidfile="/run/mine.pid", logger="my.logger", logfile=None, nodaemon=True)
    options.parseOptions(["--data", str(tmp_path)])
    assert (options.parent["pidfile"], options.parent["logger"]) == ("/run/mine.pid", "my.logger")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "x"], "port"),
        (["--port", "65536"], "port"),
        (["--loglevel", "9"], "4 (data)"),
        (["--frobnicate"], "frobnicate"),
        (["stray"], "stray"),
        (["--config", "/nowhere/at-all.toml"], "cannot be read"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--data", str(tmp_path), *words)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[agent\n", "line 1"),
        ("[agent]\nprot = 1\n", "agent.prot"),
        ("[agent]\nport = true\n", "agent.port"),
        ("[agent]\nloglevel = 7\n", "agent.loglevel"),
        ("[agnet]\n", "agnet"),
    ],
)
def test_a_broken_settings_file_is_named_with_its_place(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "charging-manager.toml").write_text(text)
    with pytest.raises(SystemExit):
        parsed("--data", str(tmp_path))
    error = capsys.readouterr().err
    assert "charging-manager.toml" in error
    assert says in error


PIN = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "SHA256:" + PIN,
        ":".join(f"{byte:02X}" for byte in range(32)),
        bytes(range(32)).hex(),
        PIN.rstrip("="),
        base64.b64encode(bytes(range(20))).decode(),
        " " + PIN,
        "é",
        "",
    ],
)
def test_a_pin_that_no_key_can_have_is_refused_and_a_keys_hash_is_not(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "charging-manager.toml"
    path.write_text(f'[agent]\ncloud_pins = ["{PIN}"]\n')
    assert read_settings(path, "agent", {"cloud_pins": list}) == {"cloud_pins": [PIN]}
    path.write_text(f'[agent]\ncloud_pins = ["{PIN}", "{wrong}"]\n')
    with pytest.raises(ConfigError, match="SubjectPublicKeyInfo") as refused:
        read_settings(path, "agent", {"cloud_pins": list})
    assert f"agent.cloud_pins: {wrong!r} can match no server" in str(refused.value)
