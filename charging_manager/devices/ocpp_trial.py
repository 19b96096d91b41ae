"""Does this charge point do by OCPP what it promises? The same steps as of any other device (trial.try_device)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet import task

from charging_manager.devices.trial import LONGEST_STEP_S, LOOK_EVERY_S, Note, TestStep
from charging_manager.errors import DeviceError
from charging_manager.model.reading import Reading, Status

if TYPE_CHECKING:
    from charging_manager.devices.ocpp_box import OcppBox


async def try_charge_point(box: OcppBox, note: Note = lambda step: None) -> tuple[TestStep, ...]:
    """Identify, read, 6 A, pause, and the fallback; it stays paused. ``note`` gets every step as soon as it is over."""
    steps: list[TestStep] = []
    began_s = box.clock.seconds()

    def done(step: TestStep) -> None:
        ended_s = box.clock.seconds()
        steps.append(evolve(step, began_s=steps[-1].ended_s if steps else began_s, ended_s=ended_s))
        note(steps[-1])

    try:
        await box.prepare()
        done(TestStep("connect", True, "It answers and is a {model}", {"model": box.model}))
        done(_values(await box.read()))
        for amps in (box.lowest_a, 0.0):
            await box.apply(amps)
            done(await _obeyed(box, amps))
        await box.look()
        good = await _until(box, lambda _: box.condition.fallback == "programmed")
        condition = box.condition
        if good:
            done(TestStep("watchdog", True, condition.sentence, condition.fields))
        else:
            done(TestStep("watchdog", False, "No fallback is programmed: if we are silent, it goes on"))
    except DeviceError as error:
        done(TestStep("setpoint" if steps else "connect", False, "It failed: {why}", {"why": str(error)}))
    return tuple(steps)


def _values(reading: Reading) -> TestStep:
    if reading.status is Status.UNKNOWN:
        return TestStep("values", False, "Its state is not known to the driver")
    said = (*reading.current_a, reading.power_w, reading.energy_wh, reading.status)
    known = sum(1 for value in said if value is not None)
    return TestStep("values", known > 0, "{known} of {all} values are known", {"known": known, "all": len(said)})


async def _obeyed(box: OcppBox, amps: float) -> TestStep:
    def obeyed(reading: Reading) -> bool:
        confirmed_a = box.orders.confirmed_a
        return confirmed_a is not None and abs(confirmed_a - amps) < 0.05

    good = await _until(box, obeyed)
    sentence = "It took {amps} A and shows it" if good else "It was told {amps} A and does not show it"
    return TestStep("pause" if amps == 0 else "setpoint", good, sentence, {"amps": amps})


async def _until(box: OcppBox, done: Callable[[Reading], bool]) -> bool:
    begun_s = box.clock.seconds()
    while box.clock.seconds() - begun_s < LONGEST_STEP_S:
        if done(await box.read()):
            return True
        await task.deferLater(box.clock, LOOK_EVERY_S)
    return False
