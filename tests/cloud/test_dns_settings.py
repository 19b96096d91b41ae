"""What the operator says of his DNS servers: complete and sensible, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from charging_manager.cloud.dns_settings import DNS_PARAMETERS, SETTLE_S, read_dns
from charging_manager.cloud.tap import Options
from charging_manager.dns.ask import DnsServer
from charging_manager.errors import ConfigError

SECRET = "cBMc/R0r/kH38tn/utglvEMJ2ZTeQv12+cmWBfjW9As="


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "tsig.key"
    path.write_text(f'key "charging-manager" {{ algorithm hmac-sha512; secret "{SECRET}"; }};\n')
    path.chmod(0o640)
    return path


def test_without_a_server_nothing_is_published() -> None:
    assert read_dns({}, "cloud.example").server is None
    assert read_dns({"dns-resolver": "192.0.2.53"}, "").resolver == DnsServer("192.0.2.53")


def test_a_server_and_a_key_file_are_enough(key: Path) -> None:
    found = read_dns({"dns-server": "ns.example:5353", "dns-key-file": str(key)}, "cloud.example")
    assert (found.server, found.zone, found.settle_s) == (DnsServer("ns.example", 5353), "cloud.example", SETTLE_S)
    assert found.key is not None
    assert (found.key.name, found.key.algorithm) == ("charging-manager.", "hmac-sha512")
    assert SECRET not in repr(found)


def test_the_file_of_settings_says_the_same_as_the_command_line(key: Path, tmp_path: Path) -> None:
    (tmp_path / "charging-manager.toml").write_text(
        f'[cloud]\nzone = "a.example:443"\ndns_server = "ns.example"\ndns_zone = "example"\n'
        f'dns_key_file = "{key}"\ndns_settle_s = 0\n'
    )
    options = Options()
    options.parseOptions(["--data", str(tmp_path)])
    found = options["dns"]
    assert (found.server, found.zone, found.settle_s) == (DnsServer("ns.example"), "example", 0.0)
    assert {row[0].replace("-", "_") for row in DNS_PARAMETERS} <= set(Options.known)


@pytest.mark.parametrize(
    ("said", "under", "part"),
    [
        ({"dns-server": "ns.example"}, "", "needs zone too"),
        ({"dns-server": "ns.example"}, "cloud.example", "names the file with the TSIG key"),
        ({"dns-server": "ns.example", "dns-key-file": "/nowhere"}, "cloud.example", "cannot be read"),
        ({"dns-server": "ns.example", "dns-zone": "other.example"}, "cloud.example", "does not lie in"),
        ({"dns-server": "ns.example", "dns-zone": "loud.example"}, "cloud.example", "does not lie in"),
        ({"dns-server": "not a name"}, "cloud.example", "DNS server"),
        ({"dns-zone": "cloud.example"}, "cloud.example", "of no use without dns_server"),
        ({"dns-key-file": "/nowhere"}, "cloud.example", "of no use without dns_server"),
        ({"dns-resolver": "not a name"}, "", "DNS server"),
    ],
)
def test_what_makes_no_sense_is_said(said: dict[str, str], under: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        read_dns(said, under)


@pytest.mark.parametrize("seconds", [-1, 601])
def test_zones_settle_within_ten_minutes(key: Path, seconds: int) -> None:
    with pytest.raises(ConfigError, match="from 0 to 600"):
        read_dns({"dns-server": "ns", "dns-key-file": str(key), "dns-settle-s": seconds}, "cloud.example")


def test_a_mistake_ends_the_program_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--data", str(tmp_path), "--dns-server", "ns.example"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("cm-cloud: dns_server: needs zone too")
    assert len(said.splitlines()) == 1
