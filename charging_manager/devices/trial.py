"""Does this device do what its driver says? A sequence for the installer, each step with its outcome in words.

What was sent and read is kept with every step: all that was written, and of what was read the values that the step is
about, each once until it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen
from twisted.internet import task

from charging_manager.devices.codec import decode_all
from charging_manager.devices.driver import Driver, Register, Value
from charging_manager.devices.registers import HttpWrite, MqttWrite
from charging_manager.devices.survey import PRIVATE
from charging_manager.devices.wire import Exchange
from charging_manager.errors import DeviceError
from charging_manager.model.reading import Reading, Status

if TYPE_CHECKING:
    from charging_manager.devices.device import Device

LONGEST_STEP_S = 12.0
LOOK_EVERY_S = 0.5
MOST_KEPT = 60
"""Values that a step keeps at most."""


@frozen
class Spoken:
    """One value on its way: written to the device or read from it."""

    at_s: float
    wrote: bool
    name: str
    place: str
    """``function:address`` of a register, the path of a request with a JSON pointer, or the topic of a message."""
    words: tuple[int, ...]
    value: Value
    unit: str
    trouble: str = ""


@frozen
class TestStep:
    """One step: ``ok``, and a sentence with its fields for people."""

    __test__ = False  # pytest: this is no test class

    name: str
    ok: bool
    sentence: str
    fields: Mapping[str, str | float | int] = field(factory=dict)
    began_s: float = 0.0
    ended_s: float = 0.0
    spoken: tuple[Spoken, ...] = ()


Note = Callable[[TestStep], None]


class _Ear:
    """Hears what passes on the device's wire, and hands it out step by step."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._began_s = device.clock.seconds()
        self._heard: list[Spoken] = []
        self._known: dict[str, Value] = {}
        self.about: Collection[str] | None = None
        """Names of the values that count when they are read; None: all."""

    def hear(self, exchange: Exchange) -> None:
        now_s = self._device.clock.seconds()
        cut = {
            r.name: exchange.words[r.address - exchange.address : r.end - exchange.address]
            for r in exchange.registers
            if exchange.words
        }
        self._known.update(decode_all(self._device.driver, cut, self._known))
        for register in exchange.registers:
            if register.name in PRIVATE or not (exchange.wrote or self.about is None or register.name in self.about):
                continue
            words = cut.get(register.name, ())
            value = self._known.get(register.name) if words else None
            place = _place(register, exchange)
            self._keep(
                Spoken(now_s, exchange.wrote, register.name, place, words, value, register.unit, exchange.trouble)
            )

    def _keep(self, spoken: Spoken) -> None:
        last = next((one for one in reversed(self._heard) if one.name == spoken.name), None)
        if last is not None and evolve(last, at_s=spoken.at_s) == spoken:
            return
        if len(self._heard) < MOST_KEPT:
            self._heard.append(spoken)

    @property
    def read(self) -> set[str]:
        """Names of the values that were read since the last step."""
        return {one.name for one in self._heard if not one.wrote}

    def cut(self, step: TestStep) -> TestStep:
        """The step with its times and what was heard during it."""
        heard, self._heard = tuple(self._heard), []
        began_s, self._began_s = self._began_s, self._device.clock.seconds()
        return evolve(step, began_s=began_s, ended_s=self._began_s, spoken=heard)


def _place(register: Register, exchange: Exchange) -> str:
    """Where on its wire a value is: a register, the path of a request, or the topic of a message."""
    if exchange.wrote and isinstance(register.set, HttpWrite):
        return f"{register.set.method} {register.set.path}"
    if exchange.wrote and isinstance(register.set, MqttWrite):
        return register.set.topic
    if register.json is None and register.topic is None:
        return f"{exchange.function}:{register.address}"
    return " ".join(part for part in (register.get or register.topic, register.json) if part)


def _told(driver: Driver) -> frozenset[str]:
    """Names of the values that show how a box obeys."""
    rule, watchdog = driver.setpoint, driver.watchdog
    names = {"power_w", "current_l1_a", "current_l2_a", "current_l3_a"}
    names |= driver.state.registers if driver.state is not None else frozenset()
    if rule is not None:
        names |= {rule.register, *(write.register for write in (*rule.pause, *rule.resume))}
        names |= {rule.applied} if rule.applied else set()
    if watchdog is not None:
        shown = (watchdog.timeout, watchdog.fallback, watchdog.timeout_write, watchdog.fallback_write)
        names |= {name for name in shown if name is not None}
    return frozenset(names)


async def try_device(device: Device, note: Note = lambda step: None) -> tuple[TestStep, ...]:
    """Identify, read; and for a charge point: 6 A, read it back, pause, and the watchdog. It stays paused at the end.

    Nobody else may steer the device meanwhile. Never raises a DeviceError: what goes wrong is a step's outcome.
    ``note`` gets every step as soon as it is over, also if the trial is cancelled after it.
    """
    steps: list[TestStep] = []
    ear = _Ear(device)

    def done(step: TestStep) -> None:
        steps.append(ear.cut(step))
        note(steps[-1])

    device.wire.witness = ear.hear
    try:
        await device.prepare()
        done(TestStep("connect", True, "It answers and is a {model}", {"model": device.driver.model}))
        reading = await device.read()
        done(_values(device, reading))
        rule = device.driver.setpoint
        if rule is not None:
            ear.about = _told(device.driver)
            for amps in (rule.lowest_a, 0.0):
                await device.apply(amps)
                done(await _obeyed(device, amps))
            done(await _watchdog(device, ear))
    except DeviceError as error:
        name = "connect" if not steps else "setpoint"
        done(TestStep(name, False, "It failed: {why}", {"why": str(error)}))
    finally:
        device.wire.witness = None
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


async def _watchdog(device: Device, ear: _Ear) -> TestStep:
    rule = device.driver.watchdog
    shown = {name for name in ((rule.timeout, rule.fallback) if rule else ()) if name is not None}
    device.look_at(shown)
    good = await _until(device, lambda _: device.condition.fallback == "programmed" and shown <= ear.read)
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
