"""What the pages show of a device beside its values: connected, armed, in trouble."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from charging_manager.devices.driver import Driver, Group, Value
from charging_manager.devices.orders import Orders
from charging_manager.devices.phasing import SWITCHING_SENTENCE, TROUBLE_SENTENCES

Fields = dict[str, str | float | int]


@frozen
class DeviceCondition:
    """What the pages show of a device beside its values. ``sentence`` with ``fields`` is for people."""

    connected: bool
    prepared: bool
    variant: str | None
    fallback: str
    """programmed, none (the box has no watchdog, or it is off) or unknown."""
    last_error: str | None
    sentence: str
    fields: Mapping[str, str | float | int] = field(factory=dict)
    identity: Mapping[str, Value] = field(factory=dict)
    """Serial number, firmware, model and the like, by the driver's names."""
    wear: Mapping[str, int] = field(factory=dict)
    """Writes to registers that wear the device's flash, since we started."""
    missing: tuple[str, ...] = ()
    """Values that this device refused to show."""


def shown_fallback(driver: Driver, values: Mapping[str, Value]) -> tuple[float | None, float | None]:
    """Current and delay of the box's own fallback as far as they were read back; None unless its watchdog is on."""
    watchdog = driver.watchdog
    if watchdog is None or watchdog.timeout is None:
        return None, None
    after_s = values.get(watchdog.timeout)
    amps = 0.0 if watchdog.fallback is None else values.get(watchdog.fallback)
    if not isinstance(after_s, int | float) or not isinstance(amps, int | float) or after_s <= 0:
        return None, None
    if watchdog.timeout_write is None:
        after_s = max(after_s, watchdog.timeout_s)  # it shows what is left of it, and we feed it all the time
    return float(amps), float(after_s)


def fallback_word(driver: Driver, values: Mapping[str, Value], wanted_a: float | None) -> str:
    """programmed: it shows what was planned, or less; none: no watchdog, or it is off; unknown: not so far."""
    watchdog = driver.watchdog
    if watchdog is None or watchdog.timeout is None:
        return "none"
    if values.get(watchdog.timeout) is None:
        return "unknown"
    fallback_a, after_s = shown_fallback(driver, values)
    if fallback_a is None or after_s is None or wanted_a is None:
        return "none"
    good = fallback_a <= wanted_a + 0.05 and after_s <= watchdog.timeout_s + 0.5
    return "programmed" if good else "unknown"


def sentence_of(
    driver: Driver, values: Mapping[str, Value], connected: bool, fallback: str, trouble: str | None
) -> tuple[str, Fields]:
    """One sentence for people, and its fields."""
    if not connected:
        return ("Not connected: {why}", {"why": trouble}) if trouble else ("Not connected yet", {})
    if trouble:
        return "Connected, with trouble: {why}", {"why": trouble}
    if driver.setpoint is None:
        return "Connected", {}
    fallback_a, after_s = shown_fallback(driver, values)
    if fallback == "programmed" and fallback_a is not None and after_s is not None:
        if fallback_a == 0:
            return "Connected. If we fall silent for {seconds} s, it stops.", {"seconds": after_s}
        return (
            "Connected. If we fall silent for {seconds} s, it charges with at most {amps} A.",
            {"amps": fallback_a, "seconds": after_s},
        )
    return "Connected; no fallback is programmed", {}


def condition_of(
    driver: Driver,
    values: Mapping[str, Value],
    once: Mapping[str, Value],
    orders: Orders,
    *,
    connected: bool,
    prepared: bool,
    variant: str | None,
    trouble: str | None,
    missing: tuple[str, ...],
) -> DeviceCondition:
    """All of it. ``once``: what it said of itself after connecting."""
    fallback = fallback_word(driver, values, orders.legal_fallback())
    sentence, fields = sentence_of(driver, values, connected, fallback, trouble)
    if connected and not trouble and driver.phases is not None:
        if orders.phasing.holds:
            sentence, fields = SWITCHING_SENTENCE, {}
        elif orders.phasing.trouble is not None:
            sentence, fields = TROUBLE_SENTENCES[orders.phasing.trouble], {}
    return DeviceCondition(
        connected=connected,
        prepared=prepared,
        variant=variant,
        fallback=fallback,
        last_error=trouble,
        sentence=sentence,
        fields=fields,
        identity={name: value for name, value in once.items() if driver.registers[name].group is Group.ONCE},
        wear={name: count for name, count in orders.written.items() if driver.registers[name].volatile is False},
        missing=missing,
    )
