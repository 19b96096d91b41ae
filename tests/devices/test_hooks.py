"""Bad hooks: what they raise, give wrongly or never finish is trouble of their device alone, and has a name."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from charging_manager.devices.driver import Driver, Write
from charging_manager.devices.hooks import LONGEST_HOOK_S
from charging_manager.devices.parse import parse_driver
from charging_manager.errors import DeviceNonsense
from tests.devices.rig import Rig
from tests.devices.tables import table


def hooked(hook: type) -> Driver:
    return evolve(parse_driver(table(), "acme"), hook=hook)


class RaisesAtBirth:
    def __init__(self) -> None:
        raise RuntimeError("no")


class RaisesInDecode:
    def decode(self, values: dict[str, object]) -> dict[str, object]:
        return {"power_w": 1 / 0}


class GivesNoTable:
    def decode(self, values: dict[str, object]) -> Any:
        return "12 A"


class GivesOddValues:
    def decode(self, values: dict[str, object]) -> Any:
        return {"current_l1_a": float("nan")}


class RaisesAfterConnect:
    async def after_connect(self, device: object) -> None:
        raise KeyError("serial")


class RaisesPlainlyAfterConnect:
    def after_connect(self, device: object) -> None:
        raise KeyError("serial")


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (RaisesAtBirth, "its plugin's class failed: RuntimeError: no"),
        (RaisesInDecode, "its plugin's decode failed: ZeroDivisionError: division by zero"),
        (GivesNoTable, "no table of values"),
        (GivesOddValues, "no table of values"),
        (RaisesAfterConnect, "its plugin's after_connect failed: KeyError: 'serial'"),
        (RaisesPlainlyAfterConnect, "its plugin's after_connect failed: KeyError: 'serial'"),
    ],
)
def test_what_a_hook_does_wrong_in_reading_is_nonsense_of_its_device(hook: type, says: str) -> None:
    rig = Rig(hooked(hook))
    for _ in range(3):
        with pytest.raises(DeviceNonsense, match=says.split(":")[0]):
            rig.read()
        rig.run(1.0)
    assert says in (rig.device.condition.last_error or "")
    well = Rig(parse_driver(table(), "acme"))
    assert well.read().current_a is not None


class NeverEnds:
    async def after_connect(self, device: object) -> None:
        await Deferred()


def test_a_hook_that_never_ends_is_given_up_and_tried_again() -> None:
    rig = Rig(hooked(NeverEnds))
    for _ in range(2):
        begun_s = rig.clock.seconds()
        with pytest.raises(DeviceNonsense, match="did not end within 30 s"):
            rig.read()
        assert rig.clock.seconds() - begun_s <= LONGEST_HOOK_S + 1
    assert rig.device.needs_preparation
    rig.device.close()


class RaisesInEncode:
    def encode(self, setpoint_a: float) -> list[Write]:
        raise ValueError("what?")


class WritesElsewhere:
    def encode(self, setpoint_a: float) -> list[Write]:
        return [Write("nowhere", 1)]


class WritesNonsense:
    def encode(self, setpoint_a: float) -> list[Write]:
        return [Write("setpoint_a", float("inf"))]


class WritesNothing:
    def encode(self, setpoint_a: float) -> Any:
        return None


@pytest.mark.parametrize("hook", [RaisesInEncode, WritesElsewhere, WritesNonsense, WritesNothing])
def test_what_a_hook_would_write_wrongly_is_not_written_and_nothing_is_promised(hook: type) -> None:
    rig = Rig(hooked(hook))
    for _ in range(3):
        with pytest.raises(DeviceNonsense, match="its plugin's encode"):
            rig.read()
        with contextlib.suppress(DeviceNonsense):
            rig.apply(9.0)
        rig.run(1.0)
    assert rig.box.written("setpoint_a") == []
    assert rig.device.obedience(rig.clock.seconds()).confirmed_a != 9.0
    assert "its plugin's encode" in (rig.device.condition.last_error or "")


class Undeclared:
    def encode(self, setpoint_a: float) -> list[Write]:
        return [Write("hidden", 1)]


def test_a_hook_writes_nothing_that_the_table_does_not_declare() -> None:
    rig = Rig(hooked(Undeclared))
    rig.read()
    with pytest.raises(Exception, match="hidden"):
        rig.apply(9.0)
    assert rig.box.written("hidden") == []
