"""A table that cannot be a driver says all that is wrong with it, each with its key path."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from charging_manager.devices.driver import Condition, Group, Type
from charging_manager.devices.parse import NotADriver, parse_driver
from charging_manager.errors import ConfigError
from tests.devices.tables import CHARGER, METER, table


def problems(text: str) -> dict[str, str]:
    with pytest.raises(NotADriver) as caught:
        parse_driver(tomllib.loads(text), "acme")
    return dict(caught.value.problems)


def changed(old: str, new: str, text: str = CHARGER) -> str:
    assert old in text
    return text.replace(old, new)


def test_a_good_table_becomes_a_frozen_driver() -> None:
    driver = parse_driver(table(), "acme")
    register = driver.registers["current_l1_a"]
    assert (register.address, register.type, register.scale, register.unit) == (11, Type.U16, 0.1, "A")
    assert register.group is Group.LIVE
    assert driver.registers["setpoint_a"].write_function == 6
    assert driver.written() == {"setpoint_a", "enable", "failsafe_s", "failsafe_a"}
    with pytest.raises(AttributeError):
        driver.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ('kind = "charger"', 'kind = "toaster"', "kind", "one of charger, gateway"),
        ('vendor = "Acme"', "", "vendor", "a text is needed"),
        ("highest_a = 32", "highest_a = 5", "setpoint.lowest_a", "more than highest_a"),
        ("step_a = 0.1", "step_a = 0.15", "setpoint.step_a", "no multiple"),
        ("pause = { enable = 0 }", "", "setpoint.pause", "say what pauses"),
        ("resume = { enable = 1 }", "", "setpoint.resume", "nothing puts it back"),
        ("pause = { enable = 0 }", "pause = { enabel = 0 }", "setpoint.pause", "did you mean 'enable'"),
        ("pause = { enable = 0 }", "pause = { state = 0 }", "setpoint.pause", "not writable"),
        ('applied = "applied_a"', 'applied = "applied"', "setpoint.applied", "did you mean 'applied_a'"),
        ("timeout_s = 30", "timeout_s = 300", "watchdog.timeout_s", "at most 60 s"),
        ("every_s = 10", "every_s = 20", "watchdog.every_s", "at least twice"),
        ("scale = 0.1, group", "scael = 0.1, group", "registers.current_l1_a.scael", "did you mean 'scale'"),
        ("address = 12, type", "address = 11, count = 1, type", "registers.current_l2_a.address", ""),
        ('type = "str", count = 4', 'type = "str"', "registers.firmware.count", "give a count"),
        ('address = 10, type = "u16"', 'address = 10, type = "u32"', "registers.current_l1_a.address", "overlaps"),
        ('address = 10, type = "u16"', 'address = 65535, type = "u32"', "registers.state.address", "last address"),
        ('address = 10, type = "u16"', 'address = 10, type = "f16"', "registers.state.type", "one of"),
        ('address = 10, type = "u16"', 'address = "ten", type = "u16"', "registers.state.address", "whole number"),
        ("when = { state = 2 }", "when = { stat = 2 }", "state[3].when", "did you mean 'state'"),
        ("when = { state = 2 }", "", "state[3].when", "say which values"),
        ("marker = 0xACE", "marker = { from = 5, upto = 9 }", "identify.marker.upto", "no such word"),
        ("[tcp]\nport = 502", "", "", "where does the device listen"),
        ('sources = ["Acme Wall Modbus manual, rev 1.4"]', "", "registers.marker", "page of the manual"),
        ("[identify]", 'hook = "X"\n[identify]', "hook", "a table holds no code"),
    ],
)
def test_every_mistake_is_named_with_its_key_path(old: str, new: str, where: str, what: str) -> None:
    if "hook" in new:
        text = 'hook = "X"\n' + CHARGER
    else:
        text = changed(old, new)
    if where == "registers.current_l2_a.address":  # the same place twice is two views of one value, not a mistake
        assert parse_driver(tomllib.loads(text), "acme").registers["current_l2_a"].address == 11
        return
    found = problems(text)
    assert what in found.get(where, ""), found


def test_a_charger_without_state_or_setpoint_is_refused() -> None:
    with pytest.raises(NotADriver) as caught:
        parse_driver(table(state=None, setpoint=None), "acme")
    assert {"state", "setpoint"} <= {where for where, _ in caught.value.problems}


def test_a_flash_register_is_not_for_heartbeats() -> None:
    text = changed('fed_by = "any-request"', 'fed_by = "register-write"\nfeed = { failsafe_s = 30 }')
    assert "wears the device's flash" in problems(text)["watchdog.feed"]
    text = changed("volatile = true, group", "volatile = false, group").replace(
        'applied = "applied_a"', 'applied = "applied_a"\nkeep_every_s = 60'
    )
    assert "wears the device's flash" in problems(text)["setpoint.keep_every_s"]


def test_what_must_never_be_written_cannot_be_declared_as_written() -> None:
    text = CHARGER + '\n[[never]]\naddress = 21\nwhy = "it locks the door"\n'
    assert "it locks the door" in problems(text)["setpoint.pause"]


def test_a_value_outside_a_register_is_not_written() -> None:
    text = changed("volatile = true, group", "volatile = true, max = 0, group")
    assert "outside what 'enable' takes" in problems(text)["setpoint.resume"]


def test_a_variant_is_the_whole_driver_with_something_different() -> None:
    text = (
        CHARGER
        + """
[[variant]]
name = "old firmware"
when = { firmware = { to = "1.10" } }
[variant.change.registers.current_l1_a]
scale = 0.01
"""
    )
    driver = parse_driver(tomllib.loads(text), "acme")
    assert driver.resolve({"firmware": "1.9"}).registers["current_l1_a"].scale == 0.01
    assert driver.resolve({"firmware": "1.9"}).registers["current_l1_a"].address == 11
    assert driver.resolve({"firmware": "1.11"}) is driver
    assert driver.resolve({"firmware": None}) is driver
    wrong = text.replace("scale = 0.01", 'type = "u64"')
    assert any(where.startswith("variant[1].change.registers") for where in problems(wrong))


@pytest.mark.parametrize(("old", "new"), [('kind = "charger"', 'kind = "chager"'), ("every_s = 10", "every_s = 100")])
def test_a_mistake_is_said_once_though_a_variant_inherits_it(old: str, new: str) -> None:
    variant = '\n[[variant]]\nname = "old"\nwhen = { firmware = { to = "1.10" } }\nchange = { bus = { gap_s = 1 } }\n'
    found = problems(changed(old, new) + variant)
    assert found
    assert [where for where in found if where.startswith("variant")] == []


def test_channels_move_what_repeats_and_leave_the_rest() -> None:
    text = CHARGER.replace("state = { address", "state = { channel = true, address")
    driver = parse_driver(tomllib.loads(text + "\n[channels]\nstep = 1000\nfirst = 1\ncount = 2\n"), "acme")
    second = driver.for_channel(2)
    assert second.registers["state"].address == 1010
    assert second.registers["marker"].address == 0
    assert driver.for_channel(1).registers["state"].address == 10
    for channel in (0, 3):
        with pytest.raises(ConfigError, match="no connector"):
            driver.for_channel(channel)


def test_conditions_compare_numbers_texts_and_versions() -> None:
    assert Condition("x", (1, 2)).holds({"x": 2}) is True
    assert Condition("x", ("a",)).holds({"x": "b"}) is False
    assert Condition("x", (), 5, 9).holds({"x": 9}) is True
    assert Condition("x", (), 5, 9).holds({"x": 9.1}) is False
    assert Condition("x", (), "1.9").holds({"x": "1.10.2"}) is True
    assert Condition("x", (1,)).holds({"x": None}) is None
    assert Condition("x", (1,)).holds({}) is None


@pytest.mark.parametrize("junk", [{}, {"registers": 3}, {"registers": {"a": 1}}, {"state": "x"}, {"bus": []}])
def test_junk_is_refused_in_words_and_never_crashes(junk: dict[str, Any]) -> None:
    with pytest.raises(NotADriver) as caught:
        parse_driver({**table(), **junk} if junk else {}, "acme")
    assert all(sentence for _, sentence in caught.value.problems)


def test_a_meter_needs_live_values() -> None:
    assert "live" in problems(METER.replace('group = "live"', 'group = "slow"'))["registers"]
