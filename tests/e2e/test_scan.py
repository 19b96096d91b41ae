"""Looking for devices in a /24 of simulated silence, in a namespace of its own, counted on the wire; and on a line."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from signal import SIGINT

import pytest
from attrs import frozen

from tests.support.api import Browser as Api
from tests.support.browser import Browser, browser
from tests.support.namespaces import Namespace, namespace
from tests.support.pages import AGENT_PASSWORD, circuit, set_password
from tests.support.processes import ROOT, Running, daemon, running
from tests.support.silent_network import DEVICES, NETWORK

pytestmark = [pytest.mark.e2e, pytest.mark.needs("ip")]
SHOTS = os.environ.get("CM_SHOTS")
"""A folder for screenshots, to look at."""
SCAN = (sys.executable, "-m", "charging_manager", "scan")
FIVE = {f"tcp://{host}:{port}?unit={unit}": name for host, (name, unit, port) in DEVICES.items()}


@frozen
class Silence:
    """The namespace, and what was begun towards the silence in it."""

    space: Namespace
    log: Path

    def knocks(self) -> list[tuple[float, str, int]]:
        rows = (line.split() for line in self.log.read_text().splitlines())
        return [(float(at_s), host, int(port)) for at_s, host, port in rows]

    def scan(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, self.space.command(*SCAN, *words))), cwd=ROOT, capture_output=True, text=True, timeout=120
        )


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence]:
    log = tmp_path_factory.mktemp("silence") / "knocks"
    with namespace(f"cm-silence-{os.getpid()}") as space:
        network = space.command(sys.executable, "-m", "tests.support.silent_network", log, "multicast")
        with running(*network) as process:
            process.wait_line("network ready")
            yield Silence(space, log)


def politely(knocks: list[tuple[float, str, int]]) -> None:
    """No second of them saw more than 50, and nobody was asked twice."""
    times = [at_s for at_s, _, _ in knocks]
    for first, fifty_first in zip(times, times[50:], strict=False):
        assert fifty_first - first >= 1.0
    doors = [(host, port) for _, host, port in knocks]
    assert len(doors) == len(set(doors))


def test_the_five_are_found_in_a_network_of_silence_politely_and_with_progress(silence: Silence) -> None:
    before = len(silence.knocks())
    done = silence.scan(NETWORK, "--ports", "502", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = {one["address"]: one["driver"] for one in told["found"] if one["driver"]}
    assert found == FIVE and told["complete"]
    assert next(one["called"] for one in told["found"] if one["driver"] == "keba-p30") == "keba garage"
    knocks = silence.knocks()[before:]
    politely(knocks)
    assert len(knocks) == 254 - 1 - len(DEVICES), "each address of the silence once, and not this machine itself"
    progress = [line.split() for line in done.stderr.splitlines() if " of " in line]
    steps = [int(words[0]) for words in progress]
    assert steps and all(earlier <= later for earlier, later in pairwise(steps))
    assert "s left" in done.stderr


def test_ctrl_c_ends_it_and_shows_what_was_found(silence: Silence) -> None:
    before = len(silence.knocks())
    process = Running(*silence.space.command(*SCAN, NETWORK, "--ports", "502"))
    try:
        process.wait_line("sunspec-inverter-103")
        process.signal(SIGINT)
        assert process.wait(10) == 130, process.output
    finally:
        process.stop()
    begun = len(silence.knocks()) - before
    assert begun < 254 - 1 - len(DEVICES)
    politely(silence.knocks()[before:])


@pytest.mark.needs("chromium", "chromedriver")
def test_in_the_browser_a_result_is_added_while_the_search_runs_and_the_search_is_cancelled(
    silence: Silence, tmp_path: Path
) -> None:
    def work() -> None:
        with daemon("cm-agent", tmp_path) as (_, port), browser() as shown:
            client = Api(port, secure=True)
            client.post("/api/v1/login", {"password": AGENT_PASSWORD})
            client.put("/api/v1/site", {"circuits": [circuit("Main fuse")]})
            shown.open(f"https://127.0.0.1:{port}/ui/en/login.htm")
            shown.fill("Admin password", AGENT_PASSWORD)
            shown.press("Log in")
            shown.drawn("overview.htm")
            shown.open(f"https://127.0.0.1:{port}/ui/en/devices.htm")
            shown.press("Find devices")
            shown.drawn("scan.htm")
            assert shown.field(NETWORK).is_selected(), "the own network is offered"
            look(shown, "offered")
            shown.press("Search")
            keba = "tcp://10.77.0.20:502?unit=255"
            shown.until(lambda: keba in shown.text())
            assert shown.find("[data-scan]").get_attribute("data-scan") == "running"
            assert shown.find("progress").get_attribute("value") not in ("0", "1")
            assert "left" in shown.text("[data-progress]")
            look(shown, "running")
            assert client.call("POST", "/api/v1/scan", {}).json["code"] == "scan-running"
            shown.press("Add", f'[data-found="{keba}"]')
            assert shown.field("Address").get_attribute("value") == keba
            assert shown.field("Driver").get_attribute("value") == "keba-p30"
            shown.fill("Name", "Garage")
            shown.press("Add device")
            shown.until(lambda: "Yours: Garage" in shown.text())
            assert shown.find("[data-scan]").get_attribute("data-scan") == "running", "the browser waited for nothing"
            shown.open(f"https://127.0.0.1:{port}/ui/en/overview.htm")
            assert client.get("/api/v1/scan")["job"]["state"] == "running", "it goes on without the page"
            shown.open(f"https://127.0.0.1:{port}/ui/en/scan.htm")
            shown.press("Cancel the search")
            shown.until(lambda: "The search was cancelled" in shown.text())
            assert keba in shown.text()
            shown.press("Test", f'[data-found="{keba}"]')
            shown.until(lambda: "Cancel the test" in shown.text("[data-test]"))
            shown.press("Cancel the test")
            shown.until(lambda: shown.find("[data-test]").get_attribute("data-test") == "bad")
            begun = len(silence.knocks())
            assert client.call("DELETE", "/api/v1/scan").json["code"] == "no-scan"
            for language in ("fr", "de"):
                shown.open(f"https://127.0.0.1:{port}/ui/{language}/scan.htm")
                look(shown, language)
            assert len(silence.knocks()) == begun < before + 3 * (254 - 1 - len(DEVICES))
            assert shown.complaints() == []

    before = len(silence.knocks())
    set_password(tmp_path, AGENT_PASSWORD)
    silence.space.inside(work)
    politely(silence.knocks()[before:])


def look(shown: Browser, name: str) -> None:
    """Nothing is wider than a phone; and a picture, if somebody wants to look."""
    for width in (360, 1280):
        shown.size(width)
        assert shown.sideways() == 0, (name, width)
        if SHOTS:
            for scheme in ("light", "dark"):
                shown.colours(scheme)
                shown.size(width, 1800)
                shown.driver.save_screenshot(str(Path(SHOTS) / f"scan-{name}-{width}-{scheme}.png"))
            shown.colours("light")
            shown.size(width)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("10.77.0.0/16",), "10.77.0.0/16 has 65536 addresses, and at most 1024 are searched at once"),
        (("192.168.7.0/24",), "192.168.7.0/24 is no private network of this machine; it is in 10.77.0.0/24."),
        (("keba.local",), "'keba.local' is no network; write numbers"),
        (("/dev/ttyNOTHING",), "There is no serial device /dev/ttyNOTHING"),
        (("--serial", "/dev/null"), "/dev/null is no serial device"),
        (("10.77.0.7", "--units", "many"), "'many' names no units"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(silence: Silence, words: tuple[str, ...], sentence: str) -> None:
    before = len(silence.knocks())
    wrong = silence.scan(*words)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1), wrong.stderr
    assert sentence in wrong.stderr
    assert len(silence.knocks()) == before


def test_a_box_on_a_serial_line_is_found_by_its_makers_settings(tmp_path: Path) -> None:
    line = tmp_path / "ttyUSB0"
    program = (sys.executable, "-m", "charging_manager", "drivers", "simulate")
    with running(*program, "phoenix-ev-cc-ac1-m3-rtu", "--rtu", line) as box:
        box.wait_line("simulators ready")
        done = subprocess.run([*SCAN, line, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)["found"]
        assert found["driver"] == "phoenix-ev-cc-ac1-m3-rtu"
        assert found["address"] == f"rtu://{line}?baud=9600&parity=N&stopbits=1&unit=1"
        with line.open("rb", buffering=0) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            busy = subprocess.run([*SCAN, line], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (busy.returncode, busy.stderr.count("\n")) == (1, 1)
        assert "is in use by another program" in busy.stderr
