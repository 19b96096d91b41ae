"""Does this device do what its driver says? A sequence for the installer, each step with its outcome in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.internet import task

from charging_manager.errors import DeviceError
from charging_manager.model.reading import Reading, Status

if TYPE_CHECKING:
    from charging_manager.devices.device import Device

LONGEST_STEP_S = 12.0
LOOK_EVERY_S = 0.5


@frozen
class TestStep:
    """One step: ``ok``, and a sentence with its fields for people."""

    __test__ = False  # pytest: this is no test class

    name: str
    ok: bool
    sentence: str
    fields: Mapping[str, str | float | int] = field(factory=dict)


async def try_device(device: Device) -> tuple[TestStep, ...]:
    """Identify, read; and for a charge point: 6 A, read it back, pause, and the watchdog. It stays paused at the end.

    Nobody else may steer the device meanwhile. Never raises a DeviceError: what goes wrong is a step's outcome.
    """
    steps: list[TestStep] = []
    try:
        await device.prepare()
        steps.append(TestStep("connect", True, "It answers and is a {model}", {"model": device.driver.model}))
        reading = await device.read()
        steps.append(_values(device, reading))
        rule = device.driver.setpoint
        if rule is not None:
            for amps in (rule.lowest_a, 0.0):
                await device.apply(amps)
                steps.append(await _obeyed(device, amps))
            steps.append(await _watchdog(device))
    except DeviceError as error:
        name = "connect" if not steps else "setpoint"
        steps.append(TestStep(name, False, "It failed: {why}", {"why": str(error)}))
    return tuple(steps)


def _values(device: Device, reading: Reading) -> TestStep:
    if reading.status is Status.UNKNOWN:
        return TestStep("values", False, "Its state is not known to the driver")
    known = sum(1 for value in reading.values.values() if value is not None)
    return TestStep(
        "values", known > 0, "{known} of {all} values are known", {"known": known, "all": len(reading.values)}
    )


async def _obeyed(device: Device, amps: float) -> TestStep:
    def obeyed(reading: Reading) -> bool:
        told = device.orders.confirmed_a is not None and abs(device.orders.confirmed_a - amps) < 0.05
        return told and (reading.setpoint_a is None or reading.setpoint_a <= amps + 0.05)

    name = "pause" if amps == 0 else "setpoint"
    good = await _until(device, obeyed)
    sentence = "It took {amps} A and shows it" if good else "It was told {amps} A and does not show it"
    return TestStep(name, good, sentence, {"amps": amps})


async def _watchdog(device: Device) -> TestStep:
    good = await _until(device, lambda _: device.condition.fallback == "programmed")
    condition = device.condition
    if good:
        return TestStep("watchdog", True, condition.sentence, condition.fields)
    return TestStep(
        "watchdog", not device.driver.shows_fallback, "No fallback is programmed: if we are silent, it goes on"
    )


async def _until(device: Device, done: Callable[[Reading], bool]) -> bool:
    """Read until ``done`` says so, or for too long."""
    clock = device.clock
    begun_s = clock.seconds()
    while clock.seconds() - begun_s < LONGEST_STEP_S:
        if done(await device.read()):
            return True
        await task.deferLater(clock, LOOK_EVERY_S)
    return False
