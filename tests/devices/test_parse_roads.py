"""The words of drivers without registers: [http] with a login, [mqtt] and [push]; every mistake is named."""

from __future__ import annotations

import tomllib

import pytest

from charging_manager.devices.describe import describe
from charging_manager.devices.driver import Available, Driver, Login, MqttWrite, Push
from charging_manager.devices.loader import check_text
from charging_manager.devices.parse import parse_driver

METER = 'vendor = "A"\nmodel = "B"\nkind = "meter"\nsources = ["x"]\n'
CHARGER = """
vendor = "A"
model = "B"
kind = "charger"
sources = ["x"]
setpoint = { register = "setpoint_a", lowest_a = 6, highest_a = 16, step_a = 1, pause = { setpoint_a = 0 } }
[[state]]
is = "charging"
when = { state = 2 }
"""
HTTP = METER + '[http]\nget = "/s"\nlogin = "token"\ntoken_header = "X-Api-Key"\n[registers]\npower_w = { json = "/p", '
HTTP += 'group = "live" }\n'
MQTT = (
    CHARGER
    + """
[mqtt]
port = 8883
prefix = "wall/1"
topic = "all"
qos = 1
silent_after_s = 5
available = { topic = "tele/{prefix}/LWT", yes = "Online", no = "Offline" }
[registers]
state = { topic = "car", on_change = true, codes = { idle = 1, charging = 2 }, group = "live" }
power_w = { json = "/power", group = "live" }
setpoint_a = { topic = "amp", set = { topic = "amp/set", payload = '{"a": {value}}', retain = true }, group = "live" }
reset = { set = { topic = "reset" } }
"""
)
PUSH = (
    CHARGER
    + """
[push]
silent_after_s = 8
[registers]
state = { json = "/state", group = "live" }
setpoint_a = { json = "/amps", tell = "/amps", group = "live" }
"""
)


def parsed(text: str) -> Driver:
    assert check_text(text, "acme") == []
    return parse_driver(tomllib.loads(text), "acme")


def test_a_login_over_http() -> None:
    http = parsed(HTTP).http
    assert http is not None
    assert (http.login, http.token_header) == (Login.TOKEN, "X-Api-Key")
    assert parsed(HTTP.replace('login = "token"\ntoken_header = "X-Api-Key"\n', "")).http.login is Login.ASKED  # type: ignore[union-attr]


def test_topics_of_a_broker() -> None:
    driver = parsed(MQTT)
    rules, values = driver.mqtt, driver.registers
    assert rules is not None
    assert not driver.speaks_modbus
    assert (rules.port, rules.prefix, rules.qos, rules.silent_after_s) == (8883, "wall/1", 1, 5.0)
    assert rules.available == Available("tele/{prefix}/LWT", "Online", "Offline")
    assert (values["state"].topic, values["state"].json, values["state"].on_change) == ("car", None, True)
    assert (values["power_w"].topic, values["power_w"].json) == ("all", "/power")
    assert values["setpoint_a"].set == MqttWrite("amp/set", '{"a": {value}}', retain=True)
    assert (values["reset"].topic, values["reset"].function, values["reset"].write_function) == (None, None, 16)
    assert "set by `amp/set`" in describe(driver)


def test_what_is_pushed_and_told() -> None:
    driver = parsed(PUSH)
    assert driver.push == Push(8.0)
    assert (driver.registers["setpoint_a"].json, driver.registers["setpoint_a"].tell) == ("/amps", "/amps")
    assert driver.registers["setpoint_a"].write_function == 16
    assert "told as `/amps`" in describe(driver)


@pytest.mark.parametrize(
    ("good", "right", "wrong", "said"),
    [
        (HTTP, '"token"', '"certificate"', "one of asked, basic, digest, token"),
        (HTTP, 'login = "token"\n', "", 'goes with login = "token"'),
        (HTTP, '"X-Api-Key"', '"X-Api: Key"', "the name of a header"),
        (HTTP, '"X-Api-Key"', '"Host"', "the name of a header"),
        (HTTP, "[http]", "[tcp]\n[http]", "leave it out"),
        (HTTP, "[registers]", "[push]\n[registers]", "there is [http] already"),
        (MQTT, '"car"', '"car/#"', "one topic is needed here"),
        (MQTT, '"car"', '"+/car"', "one topic is needed here"),
        (MQTT, '"car"', '"' + "c" * 201 + '"', "one topic is needed here"),
        (MQTT, "qos = 1", "qos = 2", "from 0 to 1"),
        (MQTT, "silent_after_s = 5", "silent_after_s = 11", "at most 10"),
        (MQTT, "silent_after_s = 5", "silent_after_s = 0", "1 or more"),
        (MQTT, 'no = "Offline"', 'no = "Online"', "is what it says when it is there"),
        (MQTT, "{value}}", "1}", "{value} must stand"),
        (MQTT, 'topic = "all"\n', "", "say at which topic"),
        (MQTT, '"/power"', '"power"', "a JSON pointer is needed"),
        (MQTT, "on_change = true", 'on_change = "yes"', "true or false"),
        (MQTT, "on_change = true, codes", "text = true, codes", "a text has no codes"),
        (MQTT, "retain = true", "retain = true, path = 1", "no such word"),
        (PUSH, 'json = "/state", ', "", "say where the value is"),
        (PUSH, 'tell = "/amps"', 'tell = "amps"', "a JSON pointer is needed"),
        (PUSH, 'tell = "/amps"', 'tell = "/amps", text = true', "only numbers are written"),
        (PUSH, 'tell = "/amps", ', "", "is not writable"),
        (PUSH, "silent_after_s = 8", "silent_after_s = 60", "at most 10"),
        (PUSH, "[push]", "[[variant]]\nname = 'x'\n[push]", "leave it out"),
    ],
)
def test_every_mistake_is_named(good: str, right: str, wrong: str, said: str) -> None:
    assert right in good
    found = check_text(good.replace(right, wrong, 1), "acme")
    assert any(said in problem for problem in found), found
