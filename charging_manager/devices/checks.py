"""What a driver must mean, beyond its spelling: names that exist, addresses that fit, writes that are allowed."""

from __future__ import annotations

from collections.abc import Iterable

from charging_manager.devices import driver as d
from charging_manager.devices import reasons as why
from charging_manager.devices.tables import Problems, closest

SOONEST_KEEP_S = 5.0
FLASH_PHASES_S = 300.0
LONGEST_WATCHDOG_S = 60.0
"""SAFETY, F-02: a silent box is on its fallback within a minute."""


def check_driver(made: d.Driver, problems: Problems) -> None:
    """Everything that cannot work, added to ``problems`` with its key path."""
    for register in made.registers.values():
        _check_register(made, register, problems)
    _check_overlaps(made, problems)
    _check_ages(made, problems)
    _check_names(made, problems)
    for number, unlike in enumerate(made.unlike, 1):
        where = f"unlike[{number}].read"
        if unlike.register.function is None:
            problems.add(where, "a place that cannot be read tells nobody apart", why.UNLIKE)
        if made.discover is not None:
            problems.add(where, "with [discover], the models of the chain tell devices apart", why.UNLIKE)
    _check_writes(made, problems)
    if made.setpoint is not None:
        _check_setpoint(made, made.setpoint, problems)
    if made.watchdog is not None:
        _check_watchdog(made, made.watchdog, problems)
    if made.phases is not None:
        _check_phases(made, made.phases, problems)
    if made.storage is not None:
        _check_storage(made, made.storage, problems)
    roads = [key for key in ("http", "mqtt", "push") if getattr(made, key) is not None]
    if made.tcp is None and made.rtu is None and not roads:
        sentence = "give [tcp], [rtu] or both, or one of [http], [mqtt], [push]: where does the device listen"
        problems.add("", sentence, why.NO_ROAD)
    if len(roads) > 1:
        problems.add(roads[1], f"there is [{roads[0]}] already; write a driver for each way to speak", why.FORBIDDEN)
    rules = made.mqtt or made.push
    if rules is not None and made.kind is d.Kind.CHARGER and rules.silent_after_s > d.SILENT_AFTER_S:
        sentence = f"at most {d.SILENT_AFTER_S:g}: a silent box is reserved by then"
        problems.add(f"{roads[0]}.silent_after_s", sentence, why.LATE_SILENCE)
    if made.kind is d.Kind.CHARGER:
        if made.state is None:
            problems.add(
                "state", "a charger needs [[state]]: which values mean free, plugged, charging and fault", why.NO_STATE
            )
        if made.setpoint is None:
            problems.add("setpoint", "a charger needs [setpoint]", why.NO_SETPOINT)
    elif made.setpoint is not None or made.phases is not None:
        problems.add(
            "setpoint" if made.setpoint else "phases",
            "only a charger takes a current and switches phases",
            why.NOT_A_CHARGER,
        )
    elif not made.grouped(d.Group.LIVE):
        problems.add("registers", 'a meter needs values with group = "live"', why.NO_LIVE)


def _check_register(made: d.Driver, r: d.Register, problems: Problems) -> None:
    where = f"registers.{r.name}"
    if not made.sources and r.page is None and r.source is None:
        problems.add(
            where, "give the page of the manual, or a source; or say sources = [...] for the whole table", why.SOURCE
        )
    if r.end > 65536:
        problems.add(f"{where}.address", "the value would end behind the last address, 65535", why.BEYOND)
    if r.function is None and r.write_function is None:
        problems.add(where, "the value can be neither read nor written", why.UNUSED)
    coil = r.type is d.Type.COIL
    if r.function is not None and (r.function in (1, 2)) != coil:
        problems.add(f"{where}.function", "coils are read with functions 1 and 2, registers with 3 and 4", why.COILS)
    if r.function is not None and r.count > made.bus.max_read:
        problems.add(f"{where}.count", f"one request reads at most {made.bus.max_read} registers here", why.TOO_LONG)
    if r.lowest is not None and r.highest is not None and r.lowest > r.highest:
        problems.add(f"{where}.min", "min is more than max", why.MIN_MAX)
    if r.type in d.TEXTS and (r.bits or r.scale != 1 or r.scale_from):
        problems.add(where, "a text has no bits and no scale", why.TEXT_NUMBER)
    if r.channel and made.channels is None:
        problems.add(
            f"{where}.channel", "give [channels]: how far apart the connectors' registers are", why.NO_CHANNELS
        )
    if not made.discover and r.scale_from:
        problems.add(f"{where}.scale_from", "scale factors come with [discover.sunspec]", why.SCALE_FROM)


def _check_overlaps(made: d.Driver, problems: Problems) -> None:
    taken: dict[tuple[object, ...], d.Register] = {}
    for r in made.registers.values():
        for function in {r.function, r.write_function} - {None}:
            space = {1: "coil", 5: "coil", 15: "coil", 2: "input bit", 4: "input"}.get(function or 0, "holding")
            for address in range(r.address, r.end):
                other = taken.setdefault((space, r.at_port, r.at_unit, address), r)
                if other.name != r.name and (other.address, other.count) != (r.address, r.count):
                    problems.add(
                        f"registers.{r.name}.address", f"overlaps {other.name!r} at {space} {address}", why.OVERLAP
                    )
                    return


def _check_ages(made: d.Driver, problems: Problems) -> None:
    """A phase's power is compared with its voltage and current: values of other moments would look impossible."""
    for phase in (1, 2, 3):
        volts, amps, watts = (
            made.registers.get(name) for name in (f"voltage_l{phase}_v", f"current_l{phase}_a", f"power_l{phase}_w")
        )
        if volts is None or amps is None or watts is None or watts.group is d.Group.RARE:
            continue
        if amps.group is not watts.group:
            problems.add(
                f"registers.{watts.name}.group", f"read it as often as {amps.name!r}: they are compared", why.AGES
            )


def _check_names(made: d.Driver, problems: Problems) -> None:
    def readable(where: str, names: Iterable[str | None]) -> None:
        for name in names:
            if name is None:
                continue
            found = made.registers.get(name)
            if found is None:
                problems.add(
                    where, f"there is no register {name!r}{closest(name, set(made.registers))}", why.NO_REGISTER
                )
            elif found.function is None:
                problems.add(where, f"{name!r} cannot be read", why.UNREADABLE)

    def conditions(where: str, several: Iterable[d.Condition]) -> None:
        readable(where, (condition.register for condition in several))

    conditions("identify", made.identify)
    for number, rule in enumerate(made.state.rules if made.state else (), 1):
        conditions(f"state[{number}].when", rule.when)
    for number, variant in enumerate(made.variants, 1):
        conditions(f"variant[{number}].when", variant.when)
    for number, recovery in enumerate(made.recover, 1):
        conditions(f"recover[{number}].when", recovery.when)
    for r in made.registers.values():
        conditions(f"registers.{r.name}.only_when", r.only_when)
        readable(f"registers.{r.name}.scale_from", [r.scale_from])
    if made.setpoint:
        readable("setpoint.applied", [made.setpoint.applied])
    if made.watchdog:
        readable("watchdog.timeout", [made.watchdog.timeout])
        readable("watchdog.fallback", [made.watchdog.fallback])
    if made.phases:
        readable("phases.state", [made.phases.state])
        conditions("phases.when", made.phases.when)
    for setting in made.settings:
        readable(f"settings.{setting.name}", (*setting.negate, *(name for pair in setting.swap for name in pair)))


def _check_writes(made: d.Driver, problems: Problems) -> None:
    groups: list[tuple[str, tuple[d.Write, ...]]] = [("start", made.start), ("wake", made.wake)]
    if made.setpoint:
        groups += [("setpoint.pause", made.setpoint.pause), ("setpoint.resume", made.setpoint.resume)]
        groups += [("setpoint.register", (d.Write(made.setpoint.register, 0),))]
    if made.watchdog:
        groups += [("watchdog.feed", made.watchdog.feed)]
        if made.watchdog.timeout_write:
            groups += [("watchdog.timeout", (d.Write(made.watchdog.timeout_write, 0),))]
        if made.watchdog.fallback_write:
            groups += [("watchdog.fallback", (d.Write(made.watchdog.fallback_write, 0),))]
    if made.phases:
        codes = tuple(d.Write(made.phases.register, code) for code in (made.phases.one, made.phases.three))
        groups += [("phases.register", codes), ("phases.prepare", made.phases.prepare)]
    if made.storage:
        groups += [("storage.lock", made.storage.lock), ("storage.unlock", made.storage.unlock)]
    groups += [(f"recover[{number}].write", each.writes) for number, each in enumerate(made.recover, 1)]
    for where, writes in groups:
        for write in writes:
            _check_write(made, where, write, problems)


def _check_write(made: d.Driver, where: str, write: d.Write, problems: Problems) -> None:
    r = made.registers.get(write.register)
    if r is None:
        problems.add(
            where,
            f"there is no register {write.register!r}{closest(write.register, set(made.registers))}",
            why.NO_REGISTER,
        )
        return
    if r.write_function is None:
        problems.add(where, f"{r.name!r} is not writable; say write = true at the register", why.UNWRITABLE)
    if r.type in d.TEXTS or r.bits or (r.scale_from and not where.startswith("storage")):
        problems.add(
            where,
            f"{r.name!r} is a text, a part of a register or scaled by another: it cannot be written",
            why.PART_WRITE,
        )
    too_low = r.lowest is not None and write.value < r.lowest
    if write.value and (too_low or (r.highest is not None and write.value > r.highest)):
        problems.add(where, f"{write.value:g} is outside what {r.name!r} takes", why.OUT_OF_RANGE)
    for never in made.never:
        if r.address < never.address + never.count and never.address < r.end:
            problems.add(where, f"{r.name!r} lies in an address that must never be written: {never.why}", why.NEVER)


def _check_setpoint(made: d.Driver, rule: d.Setpoint, problems: Problems) -> None:
    if rule.step_a <= 0:
        problems.add("setpoint.step_a", "a step of more than 0 A is needed here", why.STEP)
    if rule.lowest_a > rule.highest_a:
        problems.add("setpoint.lowest_a", "lowest_a is more than highest_a", why.MIN_MAX)
    if not rule.pause:
        problems.add("setpoint.pause", "say what pauses charging, for instance pause = { enable = 0 }", why.NO_PAUSE)
    r = made.registers.get(rule.register)
    if r is None:
        return
    whole = r.type not in (d.Type.F32, d.Type.F64)
    if whole and rule.step_a > 0 and abs(rule.step_a / r.scale - round(rule.step_a / r.scale)) > 1e-6:
        problems.add("setpoint.step_a", f"{rule.step_a:g} A is no multiple of the register's scale", why.STEP)
    if r.highest is not None and rule.highest_a > r.highest:
        problems.add("setpoint.highest_a", f"{r.name!r} takes {r.highest:g} A at most", why.OUT_OF_RANGE)
    most = (1 << 16 * r.count - r.type.startswith("i")) - 1
    if whole and r.scale > 0 and (rule.highest_a - r.offset) / r.scale > most:
        sentence = f"{rule.highest_a:g} A do not fit into {r.name!r}, a {r.type} with scale {r.scale:g}"
        problems.add("setpoint.highest_a", sentence, why.DOES_NOT_FIT)
    if rule.keep_every_s is not None and r.volatile is False:
        problems.add(
            "setpoint.keep_every_s", f"{r.name!r} wears the device's flash: write it only when it differs", why.FLASH
        )
    resumed = {write.register for write in rule.resume}
    for write in rule.pause:
        if write.register != rule.register and write.register not in resumed:
            problems.add("setpoint.resume", f"pause writes {write.register!r}, and nothing puts it back", why.NO_RESUME)


def _check_phases(made: d.Driver, rule: d.Phases, problems: Problems) -> None:
    if rule.one == rule.three:
        problems.add("phases.three", "the code for three phases is that for one", why.PHASE_CODES)
    if rule.state is not None and rule.state_one == rule.state_three:
        problems.add("phases.state_three", "what is shown for three phases is what is shown for one", why.PHASE_CODES)
    r = made.registers.get(rule.register)
    if r is not None and r.volatile is False and rule.every_s < FLASH_PHASES_S:
        problems.add(
            "phases.every_s", f"{r.name!r} wears the device's flash: at least {FLASH_PHASES_S:g} s", why.PHASE_WEAR
        )


def _check_storage(made: d.Driver, rule: d.Storage, problems: Problems) -> None:
    if made.kind is d.Kind.CHARGER:
        problems.add("storage", "a charger is no storage battery", why.STORAGE)
    undone = {write.register for write in rule.unlock}
    for write in rule.lock:
        r = made.registers.get(write.register)
        if write.register not in undone:
            problems.add("storage.unlock", f"lock writes {write.register!r}, and nothing puts it back", why.NO_UNLOCK)
        if r is not None and r.volatile is False and rule.keep_every_s is not None:
            problems.add(
                "storage.keep_every_s", f"{r.name!r} wears the device's flash: write it only when it differs", why.FLASH
            )
    if rule.keep_every_s is not None and rule.keep_every_s < SOONEST_KEEP_S:
        problems.add("storage.keep_every_s", f"at least {SOONEST_KEEP_S:g} s", why.KEEP)


def _check_watchdog(made: d.Driver, watchdog: d.Watchdog, problems: Problems) -> None:
    if watchdog.timeout_s > LONGEST_WATCHDOG_S:
        problems.add(
            "watchdog.timeout_s",
            f"at most {LONGEST_WATCHDOG_S:g} s: a silent box must fall back by then",
            why.SLOW_FALLBACK,
        )
    if watchdog.every_s > watchdog.timeout_s / 2:
        problems.add("watchdog.every_s", "feed it at least twice in its timeout", why.STARVED)
    if watchdog.timeout is None and (watchdog.fallback or watchdog.timeout_write or watchdog.fallback_write):
        problems.add(
            "watchdog.timeout",
            "what is never shown is never believed: name the register that shows the time",
            why.UNSEEN,
        )
    if watchdog.fed_by is d.FedBy.REGISTER_WRITE and not watchdog.feed:
        problems.add("watchdog.feed", "say which write feeds it, for instance feed = { alive = 1 }", why.UNFED)
    for write in watchdog.feed:
        r = made.registers.get(write.register)
        if r is not None and r.volatile is False:
            problems.add(
                "watchdog.feed", f"{r.name!r} wears the device's flash: it cannot be written all the time", why.FLASH
            )
        if write.register == watchdog.timeout_write and write.value != watchdog.timeout_s:
            problems.add(
                "watchdog.feed",
                f"{write.register!r} is armed with {watchdog.timeout_s:g}: feed it with that",
                why.STARVED,
            )
