"""Every shipped driver against independent facts about its device (tests/drivers/facts), with a decoder of its own."""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.codec import decode, encode
from charging_manager.devices.driver import Driver, FedBy, Group, Register, Type
from charging_manager.devices.planner import Request, plan_reads
from charging_manager.model.reading import Status
from tests.devices.rig import shipped
from tests.support.strategies import examples

FACTS = {
    path.stem: tomllib.loads(path.read_text()) for path in sorted((Path(__file__).parent / "facts").glob("*.toml"))
}
DRIVERS = dict(shipped().drivers)
LETTERS = {"A": Status.FREE, "B": Status.PLUGGED, "C": Status.CHARGING, "E": Status.FAULT}

OTHER_TYPES = {
    ("cfos-power-brain", "power"): "0xFFFFFFFF is a small negative number, says the fact file itself",
    ("keba-p30", "rfid"): "four bytes of a tag: shown as hex text",
    ("keba-p40", "rfid"): "four bytes of a tag: shown as hex text",
}
OTHER_MEANING = {
    ("cfos-power-brain", "energy_total"): "0 shortly after a restart is unknown, says the fact file itself",
    ("keba-p30", "rfid"): "0 is no tag",
    ("keba-p40", "rfid"): "0 is no tag",
}
LAST_IS_NOT_ALL: dict[str, set[str]] = {"webasto-unite": {"A", "B"}}
"""Letters that the last of the facts' status registers does not decide alone."""
ELSEWHERE = {"lock": 0, "car_plugged": 1, "cable": 2}
"""What other registers show while a code is tried; 0 where nothing is said."""

UNITS = {"VA": "W", "VAh": "Wh", "degC": "°C"}
"""Heidelberg's apparent values are shown as active ones (its driver's notes say so)."""

each = pytest.mark.parametrize("name", FACTS)


def naive(kind: str, words: Sequence[int], encoding: Mapping[str, Any]) -> float | int | str:
    """An independent decoder: nothing scaled."""
    number = kind not in ("str", "str16", "raw")
    low_first = number and encoding.get("word_order") == "low-first"
    swapped = kind == "str" and "low byte first" in encoding.get("strings", "")
    data = b"".join(struct.pack("<H" if swapped else ">H", word) for word in (reversed(words) if low_first else words))
    if kind == "str":
        return data.split(b"\0")[0].decode("latin-1").strip()
    if kind == "raw":
        return data.hex()
    if kind == "str16":
        return data.decode("utf-16-be", "replace").split("\0")[0].strip()
    if kind in ("ascii-low", "ascii-high"):
        return chr(data[1 if kind == "ascii-low" else 0])
    code = {"u16": "H", "i16": "h", "bits": "H", "coil": "H", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
    value: float | int = struct.unpack(">" + {"f32": "f", "f64": "d", **code}[kind], data)[0]
    return value


def mapped(driver: Driver, fact: dict[str, Any]) -> list[Register]:
    """The driver's registers at this fact's place."""

    def here(register: Register) -> bool:
        place = (register.address, register.count) == (fact["addr"], fact["count"])
        read = register.function in fact.get("fc", []) if register.function else "fc" not in fact
        return place and read

    return [register for register in driver.registers.values() if here(register)]


def pairs(name: str) -> Iterator[tuple[str, dict[str, Any], list[Register]]]:
    """Every fact with what the driver makes of it."""
    for key, fact in FACTS[name]["registers"].items():
        yield key, fact, mapped(DRIVERS[name], fact)


def test_every_shipped_driver_has_its_facts() -> None:
    assert set(FACTS) == set(DRIVERS)


@each
def test_every_register_is_mapped_or_left_alone_for_a_reason(name: str) -> None:
    reasons = {unmapped.name for unmapped in DRIVERS[name].unmapped}
    for key, _, found in pairs(name):
        assert bool(found) != (key in reasons), f"{key}: mapped, or in [unmapped], not both"
    assert reasons <= set(FACTS[name]["registers"])


@each
def test_no_register_is_invented(name: str) -> None:
    places = {(fact["addr"], fact["count"]) for fact in FACTS[name]["registers"].values()}
    for register in DRIVERS[name].registers.values():
        assert (register.address, register.count) in places, register.name


@each
def test_types_scales_units_and_functions_agree(name: str) -> None:
    for key, fact, found in pairs(name):
        for register in found:
            if (name, key) not in OTHER_TYPES:
                kinds = {fact["type"], "u16"} if fact["type"] == "bits" else {fact["type"]}
                assert register.type in kinds, key
            if register.bits is None and register.type is not Type.RAW:
                assert register.scale == pytest.approx(fact.get("scale", 1)), key
                unit = fact.get("unit", "")
                assert register.unit in (unit, UNITS.get(unit), ""), key
            if register.write_function is not None:
                assert register.write_function in fact["wfc"], key
            if "volatile" in fact:
                assert register.volatile is fact["volatile"], key
            if fact.get("na") == "NaN":
                assert register.type in (Type.F32, Type.F64), key  # whose NaN is always unknown
            elif "na" in fact:
                unknown = fact["na"] if isinstance(fact["na"], list) else [fact["na"]]
                assert {int(str(raw), 0) for raw in unknown} <= set(register.na), key
            elif (name, key) not in OTHER_MEANING:
                assert register.na == (), key
            if "sf" in fact:
                factor = DRIVERS[name].registers[register.scale_from or ""]
                assert factor.address == FACTS[name]["registers"][fact["sf"]]["addr"], key
            if register.lowest is not None and "min" in fact:
                assert (register.lowest, register.highest) == (fact["min"], fact["max"]), key


@each
def test_canonical_names_are_at_the_right_registers(name: str) -> None:
    meant = {
        "power": "power_w",
        "energy_session": "session_wh",
        "setpoint_applied": "applied_a",
        "setpoint": "setpoint_a",
        "hw_max_a": "hardware_max_a",
        "energy_export": "energy_export_wh",
        "energy_import": "energy_wh",
        "rfid": "rfid",
        "serial": "serial",
        **{f"current_l{n}": f"current_l{n}_a" for n in (1, 2, 3)},
        **{f"voltage_l{n}": f"voltage_l{n}_v" for n in (1, 2, 3)},
        **{f"power_l{n}": f"power_l{n}_w" for n in (1, 2, 3)},
    }
    if FACTS[name]["kind"] == "inverter":
        meant["energy_total"] = "energy_export_wh"
    elif "energy_import" not in FACTS[name]["registers"]:
        meant["energy_total"] = "energy_wh"
    left_alone = {unmapped.name for unmapped in DRIVERS[name].unmapped}
    for key, _, found in pairs(name):
        if key in meant and key not in left_alone:
            assert meant[key] in {register.name for register in found}, key


@each
def test_the_vectors_of_the_facts_decode_to_their_values(name: str) -> None:
    vectors = FACTS[name]["vector"]
    assert vectors
    for vector in vectors:
        found = mapped(DRIVERS[name], FACTS[name]["registers"][vector["register"]])
        assert found, vector["register"]
        exponent = naive("i16", vector["sf_words"], {}) if "sf_words" in vector else 0
        assert isinstance(exponent, int)
        value = decode(found[0], vector["words"], exponent)
        if isinstance(vector["value"], str):
            assert value == vector["value"]
            continue
        assert value == pytest.approx(vector["value"], abs=vector.get("tolerance", 1e-6 * max(1, abs(vector["value"]))))
        if found[0].write_function is not None:
            assert encode(found[0], vector["value"], exponent) == vector["words"]


@each
@given(data=st.data())
@examples(60, 3000)
def test_any_words_decode_as_an_independent_decoder_says(name: str, data: st.DataObject) -> None:
    key, fact, found = data.draw(st.sampled_from([pair for pair in pairs(name) if pair[2]]))
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=fact["count"], max_size=fact["count"]))
    _decodes_alike(name, key, fact, found, words)


def _decodes_alike(name: str, key: str, fact: dict[str, Any], found: list[Register], words: list[int]) -> None:
    for register in found:
        value = decode(register, words)
        if value is None or (name, key) in OTHER_TYPES:
            continue
        raw = naive(fact["type"], words, {**FACTS[name]["encoding"], **fact})
        if register.bits is not None:
            low, high = register.bits
            assert isinstance(raw, int), key
            assert value == (raw >> low & (1 << high - low + 1) - 1) * register.scale, key
        elif isinstance(raw, str):
            assert value == "".join(letter for letter in raw if letter.isprintable()), key
        else:
            assert value == pytest.approx(raw * fact.get("scale", 1), rel=1e-9), key


@each
def test_words_of_which_no_two_are_alike_decode_as_an_independent_decoder_says(name: str) -> None:
    for key, fact, found in pairs(name):
        for first in (0x0102, 0x4348, 0xC2C8, 0x7FA5):
            _decodes_alike(name, key, fact, found, [first + 0x0101 * at & 0xFFFF for at in range(fact["count"])])


@each
def test_transport_limits_and_watchdog_agree(name: str) -> None:
    driver, facts = DRIVERS[name], FACTS[name]
    tcp, rtu = facts["transport"].get("tcp"), facts["transport"].get("rtu")
    assert (driver.tcp is None) == (tcp is None) and (driver.rtu is None) == (rtu is None)
    if driver.tcp and tcp:
        assert (driver.tcp.port, driver.tcp.unit) == (tcp["port"], tcp["unit"])
    if driver.rtu and rtu:
        assert [driver.rtu.baud, driver.rtu.parity, driver.rtu.stopbits, driver.rtu.databits, driver.rtu.unit] == [
            rtu[key] for key in ("baud", "parity", "stopbits", "databits", "unit")
        ]
    limits = facts["limits"]
    assert driver.bus.max_read <= limits.get("max_read", 125)
    assert driver.bus.gaps <= (limits.get("gaps") == "ok")
    assert driver.bus.alone == limits.get("single_value_reads", False)
    assert driver.bus.gap_s >= limits.get("min_gap_ms", 0) / 1000
    assert driver.bus.write_gap_s >= limits.get("min_write_s", 0)
    watchdog = facts.get("watchdog")
    if watchdog and watchdog["fed_by"] == "none":
        watchdog = None
    assert (driver.watchdog is None) == (watchdog is None)
    if driver.watchdog and watchdog:
        assert driver.watchdog.fed_by is FedBy(watchdog["fed_by"])
        if "timeout" in watchdog:
            shown = driver.registers[driver.watchdog.timeout or ""]
            assert shown in mapped(driver, facts["registers"][watchdog["timeout"]])
        else:
            assert driver.watchdog.timeout_write is None and driver.watchdog.timeout_s <= watchdog["default_s"]
        fed = {write.register: write.value for write in driver.watchdog.feed}
        if fed:
            (food,) = mapped(driver, facts["registers"][watchdog["register"]])
            assert list(fed) == [food.name] and watchdog.get("value") in (None, fed[food.name])
        assert driver.watchdog.timeout_s <= 60


@each
def test_setpoint_pause_and_states_agree(name: str) -> None:
    driver, facts = DRIVERS[name], FACTS[name]
    if "control" not in facts:
        assert driver.setpoint is None
        return
    rule, control = driver.setpoint, facts["control"]
    assert rule is not None and driver.state is not None
    assert (rule.lowest_a, rule.highest_a, rule.step_a) == (control["min_a"], control["max_a"], control["step_a"])
    for key, writes in (("pause", rule.pause), ("resume", rule.resume)):
        if key in control:
            fact = facts["registers"][control[key]["register"]]
            assert [(driver.registers[w.register].address, w.value) for w in writes] == [
                (fact["addr"], control[key]["value"])
            ]
    told_by = facts["status"]["from"]
    decisive = "state" if "state" in told_by else told_by[-1]
    decides = [register.name for register in mapped(driver, facts["registers"][decisive])]
    for letter, status in {**LETTERS, "transient": Status.UNKNOWN}.items():
        for code in facts["status"].get(letter, []):
            if letter in LAST_IS_NOT_ALL.get(name, ()):
                continue
            seen = {other: ELSEWHERE.get(other, 0) for other in driver.state.registers} | dict.fromkeys(decides, code)
            assert driver.state.status(seen) == (status, True), (letter, code)


def test_the_two_states_that_no_list_can_say() -> None:
    keba, abb = DRIVERS["keba-p30"].state, DRIVERS["abb-terra-ac"].state
    assert keba is not None and abb is not None
    for code in (1, 2, 3, 4, 5):
        assert keba.status({"state": code, "car_plugged": 0})[0] is Status.FREE
    assert abb.status({"state": 5, "lock": 0x111, "error_code": 0})[0] is Status.PLUGGED
    assert abb.status({"state": 5, "lock": 0x11, "error_code": 0})[0] is Status.FREE
    assert abb.status({"state": 1, "lock": 0x111, "error_code": 8})[0] is Status.FAULT
    assert abb.status({"state": 4, "lock": 0x111, "error_code": 8})[0] is Status.CHARGING
    plugged, state = DRIVERS["keba-p30"].registers["car_plugged"], DRIVERS["abb-terra-ac"].registers["state"]
    assert [decode(plugged, [0, cable]) for cable in (0, 1, 3, 5, 7)] == [0, 0, 0, 1, 1]
    assert [decode(state, [0, word]) for word in (0x0400, 0x8400 | 0x80, 0x0500)] == [4, 4, 5]


def _defined(facts: dict[str, Any], function: int) -> set[int]:
    return {
        at
        for fact in facts["registers"].values()
        if function in fact.get("fc", [])
        for at in range(fact["addr"], fact["addr"] + fact["count"])
    }


def _whole(facts: dict[str, Any], request: Request) -> bool:
    """No value of the device is cut in two by this request."""
    start, end = request.address, request.address + request.count
    for fact in facts["registers"].values():
        if request.function in fact.get("fc", []) and fact["type"] not in ("str", "raw"):
            first, last = fact["addr"], fact["addr"] + fact["count"]
            if first < end and start < last and not (start <= first and last <= end):
                return False
    return True


@each
def test_the_read_plan_asks_nothing_that_the_device_refuses(name: str) -> None:
    driver, facts = DRIVERS[name], FACTS[name]
    for groups in (tuple(Group), (Group.LIVE,), (Group.SLOW,), (Group.ONCE,)):
        for request in plan_reads(driver, driver.grouped(*groups)):
            assert request.function in facts["limits"]["read_fc"] or name == "eastron-sdm630"
            defined = _defined(facts, request.function)
            asked = set(range(request.address, request.address + request.count))
            assert asked <= defined or facts["limits"].get("gaps") == "ok", request.names
            assert _whole(facts, request)
            if facts["limits"].get("single_value_reads"):
                assert any(
                    (fact["addr"], fact["count"]) == (request.address, request.count)
                    for fact in facts["registers"].values()
                )
