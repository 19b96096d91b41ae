"""Devices at a real broker (Mosquitto), each a process of its own, at a real agent: steered, lost, and bad."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from charging_manager.mqtt import packets
from tests.support.api import Browser
from tests.support.certificates import make_certificates
from tests.support.processes import Running, answers, daemon, eventually, free_port, running
from tests.support.sites import admin_of, furnish, set_password

pytestmark = [pytest.mark.e2e, pytest.mark.needs("mosquitto")]

USER, PASSWORD = "garage", "a broker's secret"
PREFIX, METER, BAD = "go-eCharger/123456", "shellies/meter", "shellies/bad"


@define
class Yard:
    """A broker and an agent."""

    folder: Path
    plain: int
    tls: int
    fingerprint: str
    admin: Browser
    agent: Running
    broker: Running

    def start_broker(self) -> None:
        self.broker = Running("mosquitto", "-c", self.folder / "mosquitto.conf")
        eventually(lambda: answers(self.plain) and answers(self.tls))

    def address(self, prefix: str, tls: bool = False) -> str:
        return f"mqtts://127.0.0.1:{self.tls}/{prefix}" if tls else f"mqtt://127.0.0.1:{self.plain}/{prefix}"

    def publish(self, topic: str, payload: bytes, times: int = 1) -> None:
        """As anybody at the broker could."""
        with socket.create_connection(("127.0.0.1", self.plain), 10) as line:
            line.sendall(packets.connect("test", 60, USER, PASSWORD))
            assert line.recv(4) == b"\x20\x02\x00\x00"
            for _ in range(times):
                line.sendall(packets.publish(topic, payload))
            line.sendall(packets.publish("end/of/test", b"", number=1))
            assert line.recv(4) == b"\x40\x02\x00\x01"
            line.sendall(packets.GOODBYE)

    def point(self) -> dict[str, Any]:
        (found,) = self.admin.get("/api/v1/state")["charge_points"]
        return found  # type: ignore[no-any-return]

    def meter(self, name: str) -> dict[str, Any]:
        return next(m for m in self.admin.get("/api/v1/state")["meters"] if m["id"] == name)

    def condition(self, name: str) -> dict[str, Any]:
        return self.admin.get(f"/api/v1/devices/{name}")["condition"]  # type: ignore[no-any-return]

    def limit(self, amps: float) -> None:
        circuit = {"id": "main", "name": "Main", "parent": None, "limit_a": [amps] * 3}
        self.admin.put("/api/v1/site", {"circuits": [circuit]})


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("broker")
    fingerprint = make_certificates(folder)
    subprocess.run(["mosquitto_passwd", "-b", "-c", folder / "users", USER, PASSWORD], check=True)
    plain, tls = free_port(), free_port()
    (folder / "mosquitto.conf").write_text(
        f"""user root
per_listener_settings false
allow_anonymous false
password_file {folder}/users
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
certfile {folder}/server.pem
keyfile {folder}/server.key
"""
    )
    (folder / "users").chmod(0o600)
    set_password(folder / "data")
    with daemon("cm-agent", folder / "data") as (agent, port):
        made = Yard(folder, plain, tls, fingerprint, admin_of(port), agent, Running("true"))
        made.start_broker()
        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [20] * 3}]
        login = {"user": USER, "password": PASSWORD}
        box = {"id": "box", "name": "Box", "driver": "go-e-charger-mqtt", "circuit": "main"}
        meter = {"name": "Meter", "driver": "shelly-3em-mqtt", "circuit": "main", "role": "solar"}
        pinned = {**login, "fingerprint": fingerprint}
        furnish(
            made.admin,
            circuits,
            [
                {**box, "address": made.address(PREFIX, tls=True), "access": pinned},
                {**meter, "id": "good", "address": made.address(METER), "access": login},
                {**meter, "id": "bad", "address": made.address(BAD), "access": login},
            ],
        )
        try:
            yield made
        finally:
            made.broker.stop()


@contextlib.contextmanager
def device(yard: Yard, driver: str, prefix: str) -> Iterator[Running]:
    command = (sys.executable, "-m", "tests.support.mqtt_device", driver, yard.address(prefix), USER, PASSWORD)
    with running(*command) as process:
        process.wait_line("ready")
        yield process


def draws(process: Running) -> float:
    return float([line for line in process.lines if line.startswith("draws ")][-1].split()[1])


def test_a_box_is_charged_throttled_paused_and_lost(yard: Yard) -> None:
    with device(yard, "go-e-charger-mqtt", PREFIX) as box:
        eventually(lambda: yard.point()["status"] == "free", 40)
        yard.publish(f"now/{PREFIX}", b"plug")
        eventually(lambda: 14 <= draws(box) <= 16, 60)
        yard.limit(10)
        eventually(lambda: 6 <= draws(box) <= 10, 30)
        yard.limit(4)
        eventually(lambda: draws(box) == 0, 30)
        yard.limit(20)
        yard.publish(f"now/{PREFIX}", b"mute")
        eventually(lambda: yard.point()["status"] == "offline", 30)
        assert "told nothing" in yard.condition("box")["text"]
        yard.publish(f"now/{PREFIX}", b"well")
        eventually(lambda: yard.point()["status"] in ("plugged", "charging"), 30)
        yard.broker.stop()
        eventually(lambda: yard.point()["status"] == "offline", 30)
        assert "broker" in yard.condition("box")["text"]
        yard.start_broker()
        eventually(lambda: yard.point()["status"] in ("plugged", "charging"), 60)
        box.process.kill()
        eventually(lambda: yard.point()["status"] == "offline", 30)
        eventually(lambda: "gone" in yard.condition("box")["text"], 10)
    assert "Traceback" not in yard.agent.output
    assert PASSWORD not in yard.agent.output


def test_what_the_broker_kept_of_a_device_that_is_gone_proves_nothing(yard: Yard) -> None:
    with device(yard, "shelly-3em-mqtt", METER):
        eventually(lambda: yard.condition("good")["connected"], 40)
    eventually(lambda: not yard.condition("good")["connected"], 30)
    yard.broker.stop()
    yard.start_broker()
    eventually(lambda: "broker" not in yard.condition("good")["text"], 60)
    assert not yard.condition("good")["connected"]


@pytest.mark.parametrize(
    ("topic", "payload", "times", "said"),
    [
        ("emeter/0/power", b"1" * 100_000, 1, "KiB long"),
        ("emeter/0/power", b"x" * 10_000_000, 1, "1 MiB a second"),
        ("emeter/0/power", b"1", 5000, "more than 200 messages"),
    ],
)
def test_a_bad_publisher_is_named_and_harms_nobody_else(
    yard: Yard, topic: str, payload: bytes, times: int, said: str
) -> None:
    with device(yard, "shelly-3em-mqtt", METER):
        eventually(lambda: yard.condition("good")["connected"], 40)
        eventually(lambda: "left alone" not in yard.condition("bad")["text"], 30)
        yard.publish(f"{BAD}/{topic}", payload, times)
        eventually(lambda: said in yard.condition("bad")["text"], 20)
        eventually(lambda: yard.condition("good")["connected"], 10)
        eventually(lambda: yard.meter("good")["age_s"] < 5, 10)
    assert "Traceback" not in yard.agent.output


def test_absurd_values_are_not_believed(yard: Yard) -> None:
    with device(yard, "shelly-3em-mqtt", BAD), device(yard, "shelly-3em-mqtt", METER):
        eventually(lambda: yard.condition("bad")["connected"] and yard.condition("good")["connected"], 40)

        def absurd() -> bool:
            yard.publish(f"{BAD}/emeter/0/voltage", b"230000")
            return "cannot be" in yard.condition("bad")["text"]

        eventually(absurd, 20)
        assert yard.condition("good")["connected"]


@pytest.mark.parametrize(
    ("tls", "access", "said"),
    [
        (False, {"password": "wrong"}, "refuses"),
        (True, {}, "certificate is not trusted"),
        (True, {"fingerprint": "00" * 32}, "certificate is not trusted"),
        (True, {"ca": "/nowhere/ca.pem"}, "no PEM file"),
    ],
)
def test_a_broker_that_is_not_ours_is_named(yard: Yard, tls: bool, access: dict[str, str], said: str) -> None:
    other = {"id": "other", "name": "Other", "driver": "tasmota-energy-mqtt", "circuit": "main", "role": "solar"}
    other |= {"address": yard.address("plug", tls), "access": {"user": USER, "password": PASSWORD, **access}}  # type: ignore[dict-item]
    yard.admin.post("/api/v1/devices", other)
    try:
        eventually(lambda: said in yard.condition("other")["text"], 30)
    finally:
        yard.admin.call("DELETE", "/api/v1/devices/other")


def test_the_authority_s_file_is_enough(yard: Yard) -> None:
    access = {"user": USER, "password": PASSWORD, "ca": str(yard.folder / "ca.pem")}
    other = {"id": "other", "name": "Other", "driver": "tasmota-energy-mqtt", "circuit": "main", "role": "solar"}
    yard.admin.post("/api/v1/devices", {**other, "address": yard.address("plug", tls=True), "access": access})
    try:
        with device(yard, "tasmota-energy-mqtt", "plug"):
            eventually(lambda: yard.condition("other")["connected"], 40)
        assert "password" not in yard.admin.get("/api/v1/devices/other")["access"]
    finally:
        yard.admin.call("DELETE", "/api/v1/devices/other")
