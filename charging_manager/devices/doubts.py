"""What a good driver may still have wrong: warnings of the linter, each with what it does on a real box.

None of this keeps a driver from running. They are rules of thumb made of what breaks in the field: boxes whose flash
was worn out, watchdogs that were never armed, values a thousand times too large.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from attrs import frozen

from charging_manager.devices.driver import TEXTS, Doubt, Driver, FedBy, Group, Kind, Register, Type
from charging_manager.devices.planner import plan_reads
from charging_manager.devices.registers import UNITS, all_hold
from charging_manager.model.reading import Status

LONGEST_TURN_S = 5.0
REQUEST_S = 0.05
"""What a request takes beside the silence that the device wants."""
LEAST_A = 6.0
"""IEC 61851-1: a car can be told nothing below 6 A but 0."""
MOST_A = 80.0
CLOSE = 0.92

CANONICAL = frozenset(
    {
        f"{what}_l{phase}_{unit}"
        for what, unit in (("current", "a"), ("voltage", "v"), ("power", "w"))
        for phase in (1, 2, 3)
    }
    | {
        "power_w",
        "energy_wh",
        "energy_export_wh",
        "session_wh",
        "hardware_max_a",
        "soc_pct",
        "rfid",
        "serial",
        "firmware",
    }
)
"""Names that the rest of the program understands (docs/drivers.md, "Registers")."""
OTHER_NAMES = {
    "energy_total_wh": "energy_wh",
    "energy_import_wh": "energy_wh",
    "import_wh": "energy_wh",
    "export_wh": "energy_export_wh",
    "energy_session_wh": "session_wh",
    "power_total_w": "power_w",
    "total_power_w": "power_w",
    "max_current_a": "hardware_max_a",
}
"""What the same things are called elsewhere."""
OTHER_UNITS = {"ma": ("a", 0.001), "da": ("a", 0.1), "ka": ("a", 1000), "mv": ("v", 0.001), "dv": ("v", 0.1)} | {
    "kv": ("v", 1000),
    "kw": ("w", 1000),
    "mw": ("w", 0.001),
    "kwh": ("wh", 1000),
    "mwh": ("wh", 1_000_000),
    "kva": ("va", 1000),
    "kvar": ("var", 1000),
    "ms": ("s", 0.001),
    "min": ("s", 60),
    "mhz": ("hz", 0.001),
}


@frozen
class Warned:
    """One doubt about a driver; ``where`` is a key path."""

    doubt: Doubt
    where: str
    what: str
    why: str
    instead: str


def doubts(driver: Driver) -> Iterator[Warned]:
    """All of them, accepted or not."""
    yield from _identity(driver)
    yield from _bus(driver)
    for register in driver.registers.values():
        yield from _name(register)
        yield from _scale(driver, register)
    if driver.kind is Kind.CHARGER:
        yield from _states(driver)
        yield from _setpoint(driver)
        yield from _watchdog(driver)
    yield from _measured(driver)


def _identity(driver: Driver) -> Iterator[Warned]:
    if driver.discover is not None:
        return
    if not driver.identify:
        yield Warned(
            Doubt.NO_IDENTIFY,
            "identify",
            "there is no [identify]",
            "Whatever answers at the address is taken for this device, and a charger is written to: another box's "
            "register of the same number may hold its installer's limits.",
            "[identify] with the vendor's code, or with several values that are only plausible together",
        )
    elif all_hold(driver.identify, {condition.register: 0 for condition in driver.identify}):
        yield Warned(
            Doubt.WEAK_IDENTIFY,
            "identify",
            "a device that shows 0 everywhere passes for this one",
            "Many devices answer 0 where they have nothing: one of those would be taken for this one.",
            "one more condition that excludes 0: a vendor's code, a highest current from 6 to 80",
        )


def _bus(driver: Driver) -> Iterator[Warned]:
    if not driver.speaks_modbus:
        return
    if driver.bus.gaps and driver.discover is None:
        for request in plan_reads(driver, driver.grouped(*Group)):
            defined = {at for r in driver.registers.values() for at in range(r.address, r.end)}
            free = [at for at in range(request.address, request.address + request.count) if at not in defined]
            if free:
                yield Warned(
                    Doubt.GAPS,
                    "bus.gaps",
                    f"a request from {request.address} runs over {len(free)} undefined addresses",
                    "Most devices refuse such a request as a whole (exception 2), and none of its values is seen.",
                    "gaps = false, unless the manual says that undefined registers read as 0",
                )
                break
    live = plan_reads(driver, driver.grouped(Group.LIVE))
    turn_s = len(live) * (driver.bus.gap_s + REQUEST_S)
    if turn_s > LONGEST_TURN_S:
        yield Warned(
            Doubt.SLOW_TURN,
            "bus.gap_s",
            f"all {len(live)} live requests take {turn_s:.0f} s a turn",
            "A live value gets as old as that, and so long nobody sees that a car draws more than it was told.",
            'group = "slow" for live values that nothing is decided by, or addresses that can be read together',
        )


def _name(register: Register) -> Iterator[Warned]:
    stem, _, unit = register.name.rpartition("_")
    where = f"registers.{register.name}"
    if unit in OTHER_UNITS and register.type not in TEXTS and stem:
        right, factor = OTHER_UNITS[unit]
        yield Warned(
            Doubt.UNKNOWN_UNIT,
            where,
            f"the unit {unit!r} is none that the program counts in",
            "The value is shown without a unit and used for nothing: neither a limit nor a session sees it.",
            f"{stem}_{right} with scale = {register.scale * factor:g}",
        )
    elif register.name not in CANONICAL and register.type is not Type.COIL:
        near = _near(register.name)
        if near:
            yield Warned(
                Doubt.UNKNOWN_NAME,
                where,
                f"{register.name!r} is only shown; {near!r} is what the program understands",
                "Limits, sessions and the car's current are made of the names in docs/drivers.md and of no others.",
                f"{near} = {{ … }}, if that is what it is",
            )


def _near(name: str) -> str | None:
    without_unit = next((known for known in sorted(CANONICAL) if known.rpartition("_")[0] == name), None)
    unit = name.rpartition("_")[2]
    known_units = sorted(known for known in CANONICAL if unit not in UNITS or known.endswith(f"_{unit}"))
    close = difflib.get_close_matches(name, known_units, n=1, cutoff=CLOSE)
    return OTHER_NAMES.get(name) or without_unit or (close[0] if close else None)


def _scale(driver: Driver, register: Register) -> Iterator[Warned]:
    """Full scale and resolution say more than a name: 230 V must fit, and a current must not come in whole amperes."""
    measured = register.name in CANONICAL and register.name != "hardware_max_a"
    setpoint = driver.setpoint is not None and register.name == driver.setpoint.register
    if (
        not (measured or setpoint)
        or register.bits
        or register.scale_from
        or register.type in TEXTS | {Type.BITS, Type.COIL}
    ):
        return
    what = _odd(driver, register, setpoint)
    if what:
        yield Warned(
            Doubt.ODD_SCALE,
            f"registers.{register.name}.scale" if register.scale != 1 else f"registers.{register.name}",
            what,
            "A wrong scale is the mistake that users meet most: a car at 16 A counts as 16000 A, or as 0.016 A.",
            "the manual's unit: scale = 0.001 for mA or mV, 0.1 for dA, 1000 for kW or kWh; compare with the display",
        )


def _odd(driver: Driver, register: Register, setpoint: bool) -> str | None:
    unit = register.name.rpartition("_")[2]
    example = register.example
    if isinstance(example, int | float) and example:
        most = {"a": 100.0 if driver.kind is Kind.CHARGER else 5000.0, "v": 500.0}.get(unit)
        if most is not None and abs(example) > most:
            return f"its example of {example:g} {UNITS[unit]} cannot be"
        if unit == "v" and 0 < example < 80:
            return f"its example of {example:g} V cannot be the mains"
    if register.type in (Type.F32, Type.F64):
        return None
    step, full = abs(register.scale), _full(register)
    needed = {"a": 16.0, "v": 260.0, "w": 3600.0, "wh": 100_000.0}.get(unit, 0.0)
    if register.name == "session_wh":
        needed = 30_000.0
    if full < needed:
        return f"it can show {full:g} {UNITS[unit]} at most"
    if unit == "a" and not setpoint and step > 0.5:
        return f"it would come in steps of {step:g} A"
    if unit == "a" and setpoint and step > 1:
        return f"it would be told in steps of {step:g} A"
    if unit == "v" and step > 2:
        return f"it would come in steps of {step:g} V"
    return None


def _full(register: Register) -> float:
    bits = 16 * register.count - register.type.startswith("i")
    return float(((1 << bits) - 1) * abs(register.scale) + register.offset)


def _states(driver: Driver) -> Iterator[Warned]:
    said = {rule.status for rule in driver.state.rules} if driver.state else set()
    missing = [status.value for status in (Status.FREE, Status.PLUGGED, Status.CHARGING) if status not in said]
    if missing:
        yield Warned(
            Doubt.MISSING_STATE,
            "state",
            f"nothing means {' or '.join(missing)}",
            "A state that is never shown is never acted on: no session would begin or end, no car get its turn.",
            f'[[state]] with is = "{missing[0]}" and when',
        )


def _setpoint(driver: Driver) -> Iterator[Warned]:
    rule = driver.setpoint
    if rule is None:
        return
    register = driver.registers[rule.register]
    if rule.lowest_a < LEAST_A:
        yield Warned(
            Doubt.MINIMUM_CURRENT,
            "setpoint.lowest_a",
            f"{rule.lowest_a:g} A is less than a car can be told",
            "IEC 61851 knows nothing between 0 and 6 A: the box would pause, or give 6 A though it was told less.",
            "lowest_a = 6, or what the manual gives if that is more",
        )
    if rule.highest_a > MOST_A:
        yield Warned(
            Doubt.ODD_CURRENT,
            "setpoint.highest_a",
            f"{rule.highest_a:g} A is more than any plug takes",
            "It is what is reserved for a box that fell silent, so it must not be larger than what the box can do.",
            "highest_a = 16, 32 or 63, as on the box's plate",
        )
    shown = driver.registers.get(rule.applied) if rule.applied else register
    if shown is None or shown.function is None:
        yield Warned(
            Doubt.NO_READBACK,
            "setpoint.register",
            "what the box was told cannot be read back",
            "A box that restarted, or that somebody else told something, would draw another current, and nobody would "
            "see it before the meter does.",
            'applied = "…", a register that shows the current that it obeys now; or a setpoint that can be read',
        )
    elif shown.group is not Group.LIVE:
        yield Warned(
            Doubt.LATE_READBACK,
            f"registers.{shown.name}.group",
            f"{shown.name!r} is read every half minute only",
            "So long it stays unseen that the box obeys another current than it was told.",
            'group = "live"',
        )
    for name in dict.fromkeys((rule.register, *(write.register for write in (*rule.pause, *rule.resume)))):
        told = driver.registers[name]
        if told.volatile is False:
            yield Warned(
                Doubt.FLASH_SETPOINT,
                f"registers.{name}.volatile",
                f"{name!r} is written with every change, and every write wears the flash",
                "Currents change several times a minute while sun or house do: 100,000 writes are a few months.",
                "the register of the manual that is meant for load management; it is volatile in most boxes",
            )
        elif told.volatile is None and (rule.keep_every_s is not None or _feeds_by_setpoint(driver, name)):
            yield _wear(name)


def _feeds_by_setpoint(driver: Driver, name: str) -> bool:
    rule, watchdog = driver.setpoint, driver.watchdog
    fed = watchdog is not None and watchdog.fed_by is FedBy.SETPOINT_WRITE
    return fed and rule is not None and name == rule.register


def _wear(name: str) -> Warned:
    return Warned(
        Doubt.WEAR_UNKNOWN,
        f"registers.{name}",
        f"{name!r} is written again and again, and nobody says whether that wears the flash",
        "Flash bears some 100,000 writes: written every 10 s it is dead in two weeks, and so is the box.",
        "volatile = true, if the manual or the vendor says so; otherwise ask before it hangs on a wall",
    )


def _watchdog(driver: Driver) -> Iterator[Warned]:
    watchdog = driver.watchdog
    if watchdog is None:
        yield Warned(
            Doubt.NO_WATCHDOG,
            "watchdog",
            "there is no [watchdog]",
            "When our machine dies, the box goes on as it was told last, and nobody protects the fuse. While it is "
            "silent its highest current stays reserved, so the others get less.",
            "[watchdog]; look for failsafe, life bit, heartbeat, communication timeout or validity time in the manual",
        )
        return
    if watchdog.timeout is None:
        yield Warned(
            Doubt.WATCHDOG_UNSEEN,
            "watchdog",
            "the time of the watchdog cannot be read",
            "What cannot be read back is not believed: while the box is silent, all that it can do stays reserved.",
            'timeout = "…", the register that shows the time or what is left of it',
        )
    elif watchdog.fallback is None:
        yield Warned(
            Doubt.NO_FALLBACK,
            "watchdog",
            "there is no fallback current: a box that hears nothing stops",
            "Every restart of our machine that takes longer than timeout_s stops all cars; some do not begin again.",
            'fallback = "…", if the box has such a register',
        )
    for write in watchdog.feed:
        if driver.registers[write.register].volatile is None:
            yield _wear(write.register)


def _measured(driver: Driver) -> Iterator[Warned]:
    names = driver.registers.keys()
    currents = {f"current_l{phase}_a" for phase in (1, 2, 3)}
    if driver.kind in (Kind.CHARGER, Kind.METER) and not currents & names:
        charger = driver.kind is Kind.CHARGER
        yield Warned(
            Doubt.NO_CURRENTS,
            "registers",
            "there is no current of any phase",
            "What its car draws counts as house load, and its setpoint is reserved beside it: safe, and half is wasted."
            if charger
            else "A fuse carries amperes of one phase; of a sum in watts nobody knows on which phase they flow.",
            "current_l1_a, current_l2_a, current_l3_a, if the device measures them",
        )
    if driver.kind is Kind.CHARGER and not {"energy_wh", "session_wh"} & names:
        yield Warned(
            Doubt.NO_ENERGY,
            "registers",
            "there is no counter of energy",
            "Sessions have no kWh, so nobody can be billed for them.",
            "energy_wh (in all) or session_wh (of this session), if the box counts",
        )
