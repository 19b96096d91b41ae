"""``charging_manager open`` before it connects: what is known, and what is said of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from charging_manager.cli.main import main
from charging_manager.cli.private import Known, Pinned, pin
from charging_manager.errors import ConfigError
from charging_manager.tunnel.dial import ServerName
from charging_manager.tunnel.labels import make_code

URL = "https://cloud.example:4443"
KEY = "ab" * 32
CODE = make_code("cm-abcdefghabcdefgh", KEY)


def test_a_code_is_needed_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    known = Known(tmp_path / "config" / "installations.json")
    with pytest.raises(ConfigError, match="--code CODE"):
        pin(URL, "Garage", None, known)
    expected = Pinned(ServerName("cm-abcdefghabcdefgh.cloud.example"), KEY)
    assert pin(URL, "Garage", CODE, known) == expected
    known.keep(URL, "Garage", CODE)
    known.keep(URL, "other", make_code("cm-aaaaaaaaaaaaaaaa", KEY))
    assert pin("cloud.example", "GARAGE", None, known) == expected
    assert (tmp_path / "config" / "installations.json").stat().st_mode & 0o777 == 0o600


def test_each_installation_has_an_address_of_this_machine_to_itself() -> None:
    hosts = {Pinned(ServerName(f"cm-{letter * 16}.cloud.example"), KEY).near_host for letter in "abcdefgh"}
    assert len(hosts) == 8
    assert all(host.startswith("127.") and not host.endswith((".0", ".255")) for host in hosts)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((URL, "garage", "--code", "cm-nonsense"), "is not such a code"),
        (("https://192.0.2.1:4443", "garage", "--code", CODE), "write its name"),
        (("https://[::1]", "garage", "--code", CODE), "write its name"),
        (("", "garage", "--code", CODE), "write its name"),
        ((URL, "garage"), "is not known here yet"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    words: tuple[str, ...],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["open", *words]) == 1
    said = capsys.readouterr().err
    assert part in said
    assert len(said.splitlines()) == 1


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "installations.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        pin(URL, "garage", None, Known(path))
    assert path.read_text() == "{"
