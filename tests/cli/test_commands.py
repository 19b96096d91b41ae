"""Every command: status 0 when done, 1 with one sentence when it cannot be, 2 with one line for wrong usage."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from charging_manager.cli.main import COMMANDS, main
from charging_manager.clocks import utc_now
from charging_manager.cloud import cert_client
from charging_manager.cloud.chain import chain_key
from charging_manager.cloud.ledger import Ledger
from charging_manager.daemon.runtime import RuntimeFile, read_runtime, write_runtime
from charging_manager.errors import ConfigError
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.userids import load_key
from charging_manager.paths import make_private
from charging_manager.storage.database import Database

GOOD = Path(__file__).resolve().parents[2] / "drivers" / "keba-p30.toml"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))


def status_of(*words: str) -> int:
    try:
        return main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_helps_and_says_its_version(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    assert "usage:" in capsys.readouterr().out
    if command != "run":
        assert status_of(command, "--version") == 0
        assert capsys.readouterr().out.startswith("charging_manager ")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("frobnicate",),
        ("cloud_cert",),
        ("cloud_cert", "https://localhost:1"),
        ("passwd", "--frobnicate"),
        ("drivers",),
        ("drivers", "frobnicate"),
        ("drivers", "check"),
        ("drivers", "simulate"),
        ("drivers", "simulate", "keba-p30", "--tcp", "1", "--rtu", "/dev/x"),
        ("check", "x.toml", "--data", "y"),
        ("demo", "--port", "x"),
        ("demo", "--seed", "x"),
        ("check", "a", "b"),
        ("run",),
        ("run", "x"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*words) == 2
    assert one_line(capsys).startswith("charging_manager")


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_password_from_stdin_is_set_and_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    type_in(monkeypatch, "a long password\nand no second line\n")
    assert status_of("passwd", "--data", str(data)) == 0
    assert "a long password" not in capsys.readouterr().out
    assert AdminPassword(data / "admin").state == "set"
    assert stat.S_IMODE((data / "admin").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert status_of("passwd", "--data", str(data), "--empty") == 0
    assert AdminPassword(data / "admin").state == "emptied"


def test_a_short_password_is_set_and_that_is_the_first_thing_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "x\n")
    assert status_of("passwd", "--data", str(tmp_path)) == 0
    shown = capsys.readouterr()
    assert "is set, but has fewer than 8 characters" in shown.out and shown.err == ""
    assert AdminPassword(tmp_path / "admin").state == "set"


@pytest.fixture
def root_s_state() -> Iterator[Path]:
    """A state as the packages make it, seen by somebody without any rights."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a state that belongs to somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        data = make_private(Path(folder) / "data")
        (data / "file").write_text("")
        audit_log(data, 1)
        write_runtime(data, RuntimeFile(4443, "cloud", "ab"))
        os.seteuid(65534)
        try:
            yield data
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    "words",
    [
        ("passwd",),
        ("backup", "/tmp/never"),
        ("restore", "/tmp/never"),
        ("restore", "/tmp/never", "--check"),
        ("check",),
        ("audit", "verify"),
        ("second-factor", "off"),
        ("second-factor", "status"),
    ],
)
def test_what_belongs_to_another_user_is_said_in_one_sentence(
    words: tuple[str, ...], root_s_state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "a long password\n")
    assert status_of(*words, "--data", str(root_s_state)) == 1
    said = f"the state in {root_s_state} belongs to another user; run this with sudo"
    assert one_line(capsys) == f"charging_manager {words[0]}: {said}"
    assert status_of(*words, "--data", str(root_s_state / "below")) == 1
    assert "belongs to another user; run this with sudo" in one_line(capsys)


def test_so_is_what_may_be_read_and_not_changed_and_what_a_running_server_left(
    root_s_state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="run this with sudo"):
        read_runtime(root_s_state, 4443)
    folders = [root_s_state.parent / "nothing", root_s_state, root_s_state / "below"]
    monkeypatch.setattr(cert_client, "_folders", lambda _: iter(folders))
    with pytest.raises(ConfigError, match=f"{root_s_state}/run/4443.json: may not be read by this user; run this with"):
        cert_client._runtime_file(4443, None, "ab")
    os.seteuid(0)
    root_s_state.chmod(0o755)
    os.seteuid(65534)
    type_in(monkeypatch, "a long password\n")
    assert status_of("passwd", "--data", str(root_s_state)) == 1
    assert "run this with sudo, or as the file's owner" in one_line(capsys)


def test_no_password_on_stdin_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "")
    assert status_of("passwd", "--data", str(tmp_path)) == 1
    assert "--empty" in one_line(capsys)
    assert not (tmp_path / "admin").exists()


def test_a_state_directory_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    type_in(monkeypatch, "password\n")
    assert status_of("passwd", "--data", str(tmp_path / "file" / "below")) == 1
    assert "--data" in one_line(capsys)


def test_drivers_are_listed_with_the_reasons_for_broken_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text("name = 1\n")
    assert status_of("drivers", "list", "--drivers", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "keba-p30" in out
    assert any(line.startswith("left out:") and "mine.toml" in line for line in out.splitlines())


def test_a_good_driver_file_is_told_from_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("drivers", "check", str(GOOD)) == 0
    broken = tmp_path / "broken.toml"
    broken.write_text(GOOD.read_text().replace('type = "u32"', 'type = "u33"', 1))
    assert status_of("drivers", "check", str(broken)) == 1
    assert "did you mean 'u32'?" in capsys.readouterr().err


def test_a_new_driver_is_whole_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of("drivers", "new", "acme-wall") == 0
    assert status_of("drivers", "check", "acme-wall.toml") == 0
    capsys.readouterr()
    made = (tmp_path / "acme-wall.toml").read_bytes()
    assert status_of("drivers", "new", "acme-wall") == 1
    assert "nothing was changed" in one_line(capsys)
    assert (tmp_path / "acme-wall.toml").read_bytes() == made
    assert status_of("drivers", "new", "../Acme Wall") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("drivers", "check", "/nowhere.toml"), "no such file"),
        (("drivers", "simulate", "acme"), "no such driver"),
        (("check", "/nowhere.toml"), "cannot be read"),
        (("check", "--data", "/nowhere/at/all"), "no such state directory"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_1(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*words) == 1
    assert says in one_line(capsys)


def test_a_settings_file_is_checked_for_both_daemons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[agent]\nport = 8080\n[cloud]\nopen_enrolment = true\n")
    assert status_of("check", str(file)) == 0
    file.write_text("[agent]\nport = 8080\n[cloud]\nopen_enrolment = 3\n")
    assert status_of("check", str(file)) == 1
    assert "cloud.open_enrolment" in capsys.readouterr().err


def test_a_state_directory_is_checked_with_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check", "--data", str(tmp_path)) == 0
    (tmp_path / "charging-manager.toml").write_text("[agent]\nloglevel = 9\n")
    assert status_of("check", "--data", str(tmp_path)) == 1
    assert "agent.loglevel" in capsys.readouterr().err
    (tmp_path / "charging-manager.toml").unlink()
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/agent.db").write_bytes(b"this is no database at all" * 100)
    assert status_of("check", "--data", str(tmp_path)) == 1
    assert "agent.db" in capsys.readouterr().err


def audit_log(data: Path, entries: int) -> str:
    """A cloud server's state directory with an audit log; its head."""
    folder = make_private(data / "cloud")
    database = Database.open_here(folder / "cloud.sqlite", files("charging_manager.cloud.schema"))
    ledger = Ledger(database, utc_now, chain_key(load_key(folder / "secret")))
    for number in range(entries):
        ledger.did("cloud-admin", "192.0.2.1", "installation-added", f"site-{number}")
    database.close()
    return str(ledger.head)


def test_an_audit_log_is_verified_and_what_was_done_to_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = audit_log(tmp_path, 4)
    assert status_of("audit", "verify", "--data", str(tmp_path)) == 0
    assert head in capsys.readouterr().out
    assert status_of("audit", "verify", "--cloud", "--data", str(tmp_path), "--head", head) == 0
    capsys.readouterr()
    assert status_of("audit", "verify", "--data", str(tmp_path), "--head", "4:" + "0" * 64) == 1
    assert "is not part of the audit log" in one_line(capsys)
    with closing(sqlite3.connect(tmp_path / "cloud/cloud.sqlite")) as db, db:
        db.execute("DELETE FROM audit WHERE number = 2")
    assert status_of("audit", "verify", "--data", str(tmp_path)) == 1
    assert "entry 2 of the audit log is missing" in one_line(capsys)


def test_an_audit_log_that_is_not_there_or_a_head_that_is_none_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("audit", "verify", "--data", str(tmp_path)) == 1
    assert "--data" in one_line(capsys)
    assert status_of("audit", "verify", "--data", str(tmp_path), "--head", "x") == 2
    assert "64 hexadecimal digits" in one_line(capsys)
    assert status_of("audit", "--data", str(tmp_path)) == 2


def test_a_lost_second_factor_is_switched_off_on_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "admin.totp").write_text("{}")
    assert status_of("second-factor", "status", "--data", str(tmp_path)) == 0
    assert "is on" in capsys.readouterr().out
    assert status_of("second-factor", "off", "--data", str(tmp_path)) == 0
    assert "is off now" in capsys.readouterr().out
    assert status_of("second-factor", "off", "--data", str(tmp_path)) == 0
    assert "was off already" in capsys.readouterr().out
    assert status_of("second-factor", "off", "--data", str(tmp_path / "nowhere")) == 1
    assert "--data" in one_line(capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("simulate garage-12 --days 1e9", "--days is '1e9'; it must be a whole number"),
        ("simulate garage-12 --days", "--days needs a value after it"),
        ("simulate garage-12 --days -4", "--days is -4; it must be from 1 to 400"),
        ("simulate garage-12 --seed x", "--seed is 'x'; it must be a whole number"),
        ("simulate garage-12 --bogus 3", "nothing here is called --bogus 3"),
        ("simulate", "name SCENARIO.toml"),
        ("replay day.cmrec --hungry-kwh abc", "--hungry-kwh is 'abc'; it must be a number"),
        ("replay day.cmrec --every 1.5", "--every is '1.5'; it must be a whole number"),
        ("drivers bogus", "there is no action 'bogus'; choose list, "),
        ("bogus", "there is no command 'bogus'; choose run, "),
        ("demo --port 99999", "--port is 99999; it must be from 1 to 65535"),
        ("demo --cloud-port -1", "--cloud-port is -1; it must be from 1 to 65535"),
        ("demo --port 47113 --cloud-port 47113", "--port and --cloud-port are the same; choose two"),
    ],
)
def test_wrong_usage_is_said_in_our_words(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*words.split()) == 2
    line = one_line(capsys)
    assert said in line and "argument" not in line and "invalid" not in line
