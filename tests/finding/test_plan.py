"""What is asked, and in which order."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from charging_manager.errors import ConfigError
from charging_manager.finding.plan import (
    LineSettings,
    Talk,
    doors,
    http_candidates,
    line_settings,
    modbus_candidates,
    ports,
    read_ports,
    read_units,
    serial_candidates,
    units_behind,
)
from tests.sim.rigs import SHIPPED

ALL = tuple(SHIPPED.values())


def test_every_port_that_a_driver_names_is_asked_and_the_usual_one_first() -> None:
    found = ports(ALL)
    assert next(iter(found.items())) == (502, Talk.MODBUS)
    assert found == {502: Talk.MODBUS, 4701: Talk.MODBUS, 80: Talk.HTTP}


def test_doors_come_port_by_port_and_those_who_announced_themselves_first() -> None:
    network = IPv4Network("192.168.1.0/29")
    asked = doors(
        [network, network],
        {502: Talk.MODBUS, 80: Talk.HTTP},
        leave_out={IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2")},
        first=[IPv4Address("192.168.1.5"), IPv4Address("10.0.0.1")],
    )
    assert [(str(door.host)[-1], door.port) for door in asked] == [
        *(("5", 502), ("5", 80)),
        *(("3", 502), ("4", 502), ("6", 502), ("3", 80), ("4", 80), ("6", 80)),
    ]


def test_a_single_address_is_one_host() -> None:
    assert [str(door) for door in doors([IPv4Network("192.168.1.0/32")], {502: Talk.MODBUS})] == [
        "tcp://192.168.1.0:502"
    ]


def test_the_usual_units_and_those_that_drivers_name_are_asked() -> None:
    assert units_behind(502, ALL) == (1, 255, 180)
    assert units_behind(4701, ALL) == (1, 255)


def test_the_driver_that_names_port_and_unit_asks_first_and_nobody_is_left_out() -> None:
    everybody = {driver.name for driver in ALL if driver.tcp is not None or driver.rtu is not None}
    for driver in ALL:
        if driver.tcp is not None:
            asked = modbus_candidates(ALL, driver.tcp.port, driver.tcp.unit)
            assert {one.name for one in asked} == everybody
            first = [one.tcp for one in asked[:1]]
            assert first == [driver.tcp]
    assert {one.name for one in http_candidates(ALL)} == {driver.name for driver in ALL if driver.http is not None}


def test_every_makers_line_settings_are_tried_with_the_units_named_there() -> None:
    found = line_settings(ALL)
    assert next(iter(found)) == LineSettings(9600, "N", 1), "the most common one"
    assert found[LineSettings(57600, "N", 2)] == (1, 50)
    for driver in ALL:
        if driver.rtu is not None:
            settings = LineSettings(driver.rtu.baud, driver.rtu.parity, driver.rtu.stopbits)
            assert driver.rtu.unit in found[settings]
            first = serial_candidates(ALL, settings, driver.rtu.unit)[0].rtu
            assert first is not None
            assert (first.baud, first.parity, first.unit) == (driver.rtu.baud, driver.rtu.parity, driver.rtu.unit)


def test_units_and_ports_are_read_as_people_write_them() -> None:
    assert read_units("1, 3-5,255,4") == (1, 3, 4, 5, 255)
    assert read_ports("502,1502,80", ports(ALL)) == {502: Talk.MODBUS, 1502: Talk.MODBUS, 80: Talk.HTTP}


@pytest.mark.parametrize("text", ["", "x", "1-", "5-3", "-1", "256", "1;2", "1,,2", "1-300", "²", "99999999"])
def test_what_is_no_list_of_units_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="names no units; write numbers") as refused:
        read_units(text)
    assert refused.value.where == "units"


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_what_is_no_list_of_ports_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="names no ports"):
        read_ports(text, {})
