"""Drivers that speak HTTP and JSON: documents are understood, orders become requests, bad answers have names."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from charging_manager.devices.device import Device
from charging_manager.devices.driver import Driver
from charging_manager.devices.json_bus import MISSING, JsonBus, pointed
from charging_manager.devices.loader import check_text
from charging_manager.devices.recognise import recognises
from charging_manager.devices.road import check_road
from charging_manager.errors import ConfigError, DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.address import HttpAddress, parse_address
from charging_manager.model.reading import Reading, Status
from charging_manager.sim.car import Car
from charging_manager.sim.simulator import Simulator
from tests.drivers.http_answers import ANSWERS
from tests.sim.rigs import SHIPPED
from tests.support.json_device import JsonFace

DRIVERS = {name: driver for name, driver in SHIPPED.items() if driver.http is not None}
each = pytest.mark.parametrize("name", DRIVERS)


class Post:
    """A device behind an HTTP client in memory."""

    def __init__(self, name: str, driver: Driver | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.driver = driver or DRIVERS[name]
        self.simulator = Simulator(self.driver, self.clock)
        self.face = JsonFace(self.driver, self.simulator)
        self.answer: tuple[int, bytes] | None = None
        self.silent = False
        self.requests = 0
        self.bus = JsonBus(self.driver, self.client, self.clock, "http://box:80")
        self.device = Device("x", self.driver, self.bus, 1, (0, 1, 2), self.clock, 6.0)

    def client(self, method: str, path: str, body: str | None, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        self.requests += 1
        if self.silent:
            return fail(DeviceSilent(f"no answer (within {timeout_s:g} s)"))
        return succeed(self.answer if self.answer is not None else self.face(method, path, body))

    def get(self, work: Coroutine[Any, Any, Any]) -> Any:
        found: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(found.append)
        for _ in range(200):
            if found:
                break
            self.clock.advance(0.1)
        assert found
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    def live(self, seconds: int, setpoint_a: float | None = None) -> Reading:
        reading = None
        for _ in range(seconds):
            reading = self.get(self.device.read())
            if setpoint_a is not None:
                self.get(self.device.apply(setpoint_a))
            for _ in range(10):
                self.clock.advance(0.1)
                self.simulator.advance()
        assert reading is not None
        return reading  # type: ignore[no-any-return]


@each
def test_every_driver_understands_the_documented_answer(name: str) -> None:
    post = Post(name)
    document, values = ANSWERS[name]
    post.face.document = document
    post.get(post.device.prepare())
    shown = post.live(3).values
    everything = {**shown, **{k: v for k, v in post.device._once.items() if k not in shown}}
    for key, expected in values.items():
        assert everything[key] == (None if expected is None else pytest.approx(expected)), key


def test_every_driver_has_a_documented_answer() -> None:
    assert set(ANSWERS) == set(DRIVERS)


@each
def test_every_number_that_the_driver_has_is_in_the_documented_answer(name: str) -> None:
    document = ANSWERS[name][0]
    for register in DRIVERS[name].registers.values():
        assert pointed(document, register.json or "") is not MISSING, register.name


@each
def test_a_driver_recognises_only_its_own_device(name: str) -> None:
    for other in DRIVERS:
        post = Post(other)
        bus = JsonBus(DRIVERS[name], post.client, post.clock, "http://box:80")
        assert post.get(recognises(DRIVERS[name], bus, 1)) is (name == other), other


@each
def test_missing_and_null_are_unknown_and_never_zero(name: str) -> None:
    post = Post(name)
    post.get(post.device.prepare())
    document, _ = ANSWERS[name]
    gone = json.loads(json.dumps(document))
    live = next(r for r in DRIVERS[name].registers.values() if r.name in ("power_l1_w", "power_w"))
    *way, last = (live.json or "").split("/")[1:]
    at = gone
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[int(last) if isinstance(at, list) else last] = None
    post.face.document = gone
    assert post.get(post.device.read()).values[live.name] is None


def test_the_box_is_charged_throttled_paused_and_resumed_by_declared_requests_only() -> None:
    post = Post("go-e-charger-v2")
    post.simulator.plug(Car(wants_a=16.0))
    assert post.live(20, 12.0).status is Status.CHARGING
    assert max(post.simulator.current_a()) == pytest.approx(12.0, abs=0.1)
    post.live(10, 7.9)
    assert max(post.simulator.current_a()) == pytest.approx(7.0, abs=0.1)
    assert post.device.obedience(post.clock.seconds()).confirmed_a == 7.0
    assert post.live(10, 3.0).status is Status.PLUGGED
    assert max(post.simulator.current_a()) == 0.0
    assert post.live(20, 16.0).status is Status.CHARGING
    paths = {path for _, path, _ in post.face.asked}
    allowed = {"/api/set?amp=12", "/api/set?amp=7", "/api/set?amp=16", "/api/set?frc=0", "/api/set?frc=1"}
    assert {path for path in paths if "/set" in path} <= allowed
    assert len([1 for _, path, _ in post.face.asked if "/set" in path]) <= 8, "written when it changes, not each turn"


def test_a_silent_device_is_left_alone_between_tries_and_comes_back() -> None:
    post = Post("shelly-3em")
    post.live(3)
    post.silent, post.requests = True, 0
    for _ in range(20):
        with pytest.raises(DeviceSilent):
            post.get(post.device.read())
        post.clock.advance(1.0)
    assert 5 <= post.requests <= 12
    assert not post.device.obedience(post.clock.seconds()).answering
    post.silent = False
    post.clock.advance(3.0)
    assert post.live(3).values["power_w"] is not None
    assert post.bus.connections == 2


@pytest.mark.parametrize(
    ("answer", "kind", "named"),
    [
        ((302, b""), DeviceNonsense, "not followed"),
        ((200, b"<html>"), DeviceNonsense, "no JSON"),
        ((200, b"[" * 60_000), DeviceNonsense, "no JSON"),
        ((200, b"\xff\xfe\x00"), DeviceNonsense, "no JSON"),
        ((200, b"[]"), DeviceNonsense, "none of the values"),
        ((200, b"17"), DeviceNonsense, "none of the values"),
        ((401, b"who are you"), DeviceRefused, "HTTP status 401"),
        ((500, b"secret"), DeviceRefused, "HTTP status 500"),
    ],
)
def test_what_cannot_be_an_answer_is_named_and_never_shown(
    answer: tuple[int, bytes], kind: type[DeviceError], named: str
) -> None:
    post = Post("shelly-3em")
    post.live(2)
    post.answer = answer
    with pytest.raises(kind, match=named) as caught:
        post.get(post.device.read())
    assert "secret" not in str(caught.value)
    post.answer = None
    assert post.live(2).values["power_w"] is not None


@pytest.mark.parametrize("absurd", [1e308, "NaN", "1e999", 10**400, [1], {"a": 1}, "x" * 500])
def test_absurd_numbers_are_unknown(absurd: Any) -> None:
    post = Post("shelly-3em")
    post.live(2)
    document = json.loads(json.dumps(ANSWERS["shelly-3em"][0]))
    document["total_power"] = absurd
    post.face.document = document
    assert post.get(post.device.read()).power_w is None


def test_another_device_at_the_address_is_never_written_to() -> None:
    post = Post("shelly-3em")
    bus = JsonBus(DRIVERS["go-e-charger-v2"], post.client, post.clock, "http://box:80")
    stranger = Device("x", DRIVERS["go-e-charger-v2"], bus, 1, (0, 1, 2), post.clock, 6.0)
    with pytest.raises(DeviceNonsense):
        post.get(stranger.prepare())
    post.get(stranger.apply(16.0))
    assert all("/set" not in path for _, path, _ in post.face.asked)


def test_words_numbers_and_bodies_of_other_devices() -> None:
    table = """
vendor = "Acme"
model = "Wall"
kind = "charger"
sources = ["made up"]
http = { get = "/s" }
identify = { state = [0, 1, 2, 3] }
state = [{ is = "free", when = { state = 0 } }, { is = "plugged", when = { state = 1 } },
  { is = "charging", when = { state = 2 } }, { is = "fault", when = { state = 3 } }]
setpoint = { register = "setpoint_a", lowest_a = 6, highest_a = 16, step_a = 0.1, pause = { setpoint_a = 0 } }
[registers]
state = { json = "/a~1b/c~0d", codes = { idle = 0, plugged = 1, charging = 2, error = 3 }, group = "live" }
setpoint_a = { json = "/ma", scale = 0.001, na = -1, set = { method = "PUT", path = "/p", body = '{"ma": {value}}' } }
"""
    assert check_text(table, "acme") == []
    import tomllib

    from charging_manager.devices.parse import parse_driver

    driver = parse_driver(tomllib.loads(table), "acme")
    post = Post("acme", driver)
    asked: list[tuple[str, str, str | None]] = []

    def client(method: str, path: str, body: str | None, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        asked.append((method, path, body))
        return succeed((200, b'{"a/b": {"c~d": "charging"}, "ma": -1}'))

    device = Device("x", driver, JsonBus(driver, client, post.clock, "b"), 1, (0, 1, 2), post.clock, 6.0)
    reading = post.get(device.read())
    assert reading.status is Status.CHARGING
    assert reading.values["setpoint_a"] is None
    post.get(device.apply(10.55))
    assert ("PUT", "/p", '{"ma": 10500}') in asked


HEAD = 'vendor = "A"\nmodel = "B"\nkind = "meter"\nsources = ["x"]\n'
WRONG = {
    '"/power"': ('"power"', "a JSON pointer is needed"),
    'get = "/s"': ('get = "http://evil/"', "a path is needed"),
    'group = "live"': ('group = "live", address = 4', "there is no such word"),
    "[http]": ("[tcp]\n[http]", "leave it out"),
}


@pytest.mark.parametrize("right", WRONG)
def test_a_wrong_word_is_named(right: str) -> None:
    good = (
        HEAD
        + '[http]\nget = "/s"\n[identify]\npower_w = 0\n[registers]\npower_w = { json = "/power", group = "live" }\n'
    )
    assert check_text(good, "acme") == []
    wrong, said = WRONG[right]
    assert any(said in problem for problem in check_text(good.replace(right, wrong, 1), "acme"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{ method = "DELETE", path = "/p?{value}" }', "one of GET, POST, PUT"),
        ('{ path = "/p" }', "{value} must stand"),
        ('{ path = "/p", body = "{value}" }', "a GET has no body"),
        ('{ path = "//evil/{value}" }', "the path alone"),
    ],
)
def test_a_wrong_way_to_set_is_named(wrong: str, said: str) -> None:
    table = (
        HEAD
        + 'http = { get = "/s" }\nidentify = { power_w = 0 }\n[registers]\npower_w = { json = "/power", set = '
        + wrong
        + " }\n"
    )
    assert any(said in problem for problem in check_text(table, "acme")), check_text(table, "acme")


def test_addresses_name_the_host_alone_and_fit_the_driver() -> None:
    address = parse_address("http://192.0.2.7")
    assert address == HttpAddress("192.0.2.7", 80)
    assert str(parse_address("http://[::1]:8080/")) == "http://[::1]:8080"
    for wrong in (
        "http://192.0.2.7/reboot",
        "http://192.0.2.7?x=1",
        "http://u:p@192.0.2.7",
        "http://",
        "http://h:99999",
    ):
        with pytest.raises(ConfigError):
            parse_address(wrong)
    with pytest.raises(ConfigError, match="speaks Modbus"):
        parse_address("http://127.0.0.1:0", to_listen=True)
    check_road(address, DRIVERS["shelly-3em"])
    with pytest.raises(ConfigError, match="http://"):
        check_road(parse_address("tcp://192.0.2.7"), DRIVERS["shelly-3em"])
    with pytest.raises(ConfigError, match="tcp://"):
        check_road(address, SHIPPED["keba-p30"])
    assert evolve(address, unit=3).unit == 3
