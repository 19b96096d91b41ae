"""The words of a driver: frozen values that say what a device's registers mean, what it allows and what it punishes.

A driver file (``drivers/NAME.toml``) becomes one ``Driver``; three things are made from it: the planner's requests, a
simulator with the same map, and a page for people. Nothing here does I/O or knows a device's name.
docs/drivers.md explains every word to authors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import attrs
from attrs import field, frozen

from charging_manager.devices.registers import (
    SIZES,
    TEXTS,
    UNITS,
    Condition,
    Group,
    HttpWrite,
    MqttWrite,
    Register,
    Type,
    Value,
    Write,
    all_hold,
)
from charging_manager.devices.roads import SILENT_AFTER_S, Available, Http, Login, Mqtt, Push
from charging_manager.errors import ConfigError
from charging_manager.model.reading import Status

__all__ = [
    "SILENT_AFTER_S",
    "SIZES",
    "TEXTS",
    "UNITS",
    "Accepted",
    "Available",
    "BusRules",
    "Channels",
    "Condition",
    "Doubt",
    "Driver",
    "FedBy",
    "Group",
    "Http",
    "HttpWrite",
    "Kind",
    "Login",
    "Mqtt",
    "MqttWrite",
    "Never",
    "Phases",
    "Push",
    "Quality",
    "Recovery",
    "Register",
    "RtuDefaults",
    "Setpoint",
    "Setting",
    "StateRule",
    "Storage",
    "SunSpec",
    "TcpDefaults",
    "Type",
    "Unlike",
    "Unmapped",
    "Value",
    "Variant",
    "VehicleState",
    "Watchdog",
    "Write",
    "all_hold",
]


class Kind(StrEnum):
    """What a device is at the site."""

    CHARGER = "charger"
    METER = "meter"
    INVERTER = "inverter"
    GATEWAY = "gateway"
    INPUTS = "inputs"  # a module with contacts: it measures nothing


class Quality(StrEnum):
    """How sure a driver's table is."""

    FIELD = "field"  # proven on hardware, in the firmware versions that it names
    MANUAL = "manual"  # the vendor's document, or two sources that do not know of each other
    SINGLE_SOURCE = "single-source"  # one source that is not the vendor's document


class Doubt(StrEnum):
    """What the linter warns of: a table can be a driver, and still do harm or less than it could."""

    NO_WATCHDOG = "no-watchdog"
    WATCHDOG_UNSEEN = "watchdog-unseen"
    NO_FALLBACK = "no-fallback"
    NO_READBACK = "no-readback"
    LATE_READBACK = "late-readback"
    FLASH_SETPOINT = "flash-setpoint"
    WEAR_UNKNOWN = "wear-unknown"
    MINIMUM_CURRENT = "minimum-current"
    ODD_CURRENT = "odd-current"
    ODD_SCALE = "odd-scale"
    UNKNOWN_UNIT = "unknown-unit"
    UNKNOWN_NAME = "unknown-name"
    GAPS = "gaps"
    SLOW_TURN = "slow-turn"
    NO_IDENTIFY = "no-identify"
    WEAK_IDENTIFY = "weak-identify"
    MISSING_STATE = "missing-state"
    NO_CURRENTS = "no-currents"
    NO_ENERGY = "no-energy"


@frozen
class Accepted:
    """A warning that is so and stays so, with the reason."""

    doubt: Doubt
    why: str


@frozen
class StateRule:
    """If all of ``when`` holds, the charge point is in this state."""

    status: Status
    when: tuple[Condition, ...]


@frozen
class VehicleState:
    """What the device says of the car: the first rule that holds. A rule that cannot be decided means unknown."""

    rules: tuple[StateRule, ...]

    def status(self, known: Mapping[str, Value]) -> tuple[Status, bool]:
        """The state, and whether the driver knows these codes (False is worth a line in the log, once)."""
        for rule in self.rules:
            holds = all_hold(rule.when, known)
            if holds:
                return rule.status, True
            if holds is None:
                return Status.UNKNOWN, True
        return Status.UNKNOWN, False

    @property
    def registers(self) -> frozenset[str]:
        """Names of all values that decide."""
        return frozenset(condition.register for rule in self.rules for condition in rule.when)


@frozen
class Setpoint:
    """How a charge point is told its current. ``pause`` and ``resume`` are whatever writes the box wants for that.

    A pause that writes 0 into the setpoint's own register needs no ``resume``.
    """

    register: str
    lowest_a: float
    highest_a: float
    step_a: float
    pause: tuple[Write, ...]
    resume: tuple[Write, ...] = ()
    applied: str | None = None
    """Shows what the box obeys now: never more than was written, 0 when paused."""
    keep_every_s: float | None = None
    """Written again after so long, although nothing changed."""
    raise_every_s: float = 0.0
    """A higher setpoint waits so long after the last change; a lower one never waits."""
    settle_s: float = 5.0
    """After a write, what ``applied`` shows counts only then."""


class FedBy(StrEnum):
    """What keeps a box's watchdog quiet."""

    ANY_REQUEST = "any-request"
    REGISTER_WRITE = "register-write"
    SETPOINT_WRITE = "setpoint-write"
    NONE = "none"


@frozen
class Watchdog:
    """What the box does by itself when it hears nothing: after ``timeout_s`` it takes the fallback current.

    ``timeout`` and ``fallback`` name the registers that show it, ``timeout_write`` and ``fallback_write`` those that
    set it, which a box with settings of its own does not have. Without a ``fallback`` register the box stops, which is
    a fallback of 0 A; without a ``timeout`` register it shows nothing, and nothing is promised: it is only fed.
    """

    fed_by: FedBy
    timeout: str | None
    timeout_write: str | None
    timeout_s: float
    every_s: float
    """So often at least it must be fed."""
    fallback: str | None = None
    fallback_write: str | None = None
    lowest_a: float = 6.0
    """The smallest fallback current but 0."""
    feed: tuple[Write, ...] = ()
    """The writes that feed it, where requests alone do not."""


@frozen
class Phases:
    """How a charge point is switched between one and three phases."""

    register: str
    one: int
    three: int
    state: str | None = None
    state_one: int = 0
    state_three: int = 0
    """What ``state`` shows then: not every box reads back what was written."""
    when: tuple[Condition, ...] = ()
    """It is able to, only then."""
    prepare: tuple[Write, ...] = ()
    settle_s: float = 5.0
    every_s: float = 60.0
    """So long at least lies between two changes."""


@frozen
class Storage:
    """How a storage battery is told to give nothing, and to do as it likes again: writes, in order."""

    lock: tuple[Write, ...]
    unlock: tuple[Write, ...]
    keep_every_s: float | None = None
    """While it is locked, the lock is written again after so long: many unlock themselves when they hear nothing."""


@frozen
class SunSpec:
    """A chain of SunSpec blocks; the driver's addresses are offsets in the first block of one of ``models``."""

    models: tuple[int, ...]
    length: int
    bases: tuple[int, ...] = (40000, 50000, 0)


@frozen
class BusRules:
    """What the device allows on its wire."""

    max_read: int = 125
    gaps: bool = False
    """One request may run over undefined addresses."""
    alone: bool = False
    """Every value must be read by a request of its own."""
    gap_s: float = 0.0
    """Silence between two requests."""
    write_gap_s: float = 0.0
    """Time between two writes."""
    timeout_s: float = 1.0
    connect_delay_s: float = 0.0
    clients: int | None = None


@frozen
class TcpDefaults:
    """Where the device listens when nobody changed that."""

    port: int = 502
    unit: int = 1


@frozen
class RtuDefaults:
    """How the device speaks on a serial line when nobody changed that."""

    baud: int
    parity: str = "N"
    stopbits: int = 1
    databits: int = 8
    unit: int = 1


@frozen
class Setting:
    """A yes or no that the installer chooses. When yes, these values change sign, and these pairs change places."""

    name: str
    title: str
    negate: tuple[str, ...] = ()
    swap: tuple[tuple[str, str], ...] = ()


@frozen
class Never:
    """Addresses that must not be written, whatever happens."""

    address: int
    count: int
    why: str


@frozen
class Unlike:
    """A look at one place tells another device apart: there ``condition`` holds on that one. Ours may refuse it."""

    register: Register
    condition: Condition
    why: str


@frozen
class Recovery:
    """Writes that bring the box back from a state of its own, at most so often until it was well again."""

    when: tuple[Condition, ...]
    writes: tuple[Write, ...]
    at_most: int = 3


@frozen
class Channels:
    """A device with several connectors: the registers of connector n lie ``step`` x (n - first) further."""

    step: int
    first: int = 1
    count: int = 1


@frozen
class Unmapped:
    """A register that the device has and this driver leaves alone, with the reason."""

    name: str
    why: str


@frozen
class Variant:
    """Another firmware or model of the same family: the driver to use when the conditions hold after connecting."""

    name: str
    when: tuple[Condition, ...]
    driver: Driver


@frozen
class Driver:
    """Everything that we know of a device family. Made by the loader, checked once, then trusted."""

    name: str
    vendor: str
    model: str
    kind: Kind
    registers: Mapping[str, Register]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    quality: Quality | None = None
    tested_firmware: tuple[str, ...] = ()
    """Versions on which it was tried or reported to work, as the device shows them."""
    uncertain: tuple[str, ...] = ()
    """What nobody confirmed; what belongs to one register stands there."""
    accepted: tuple[Accepted, ...] = ()
    bus: BusRules = BusRules()
    tcp: TcpDefaults | None = None
    rtu: RtuDefaults | None = None
    http: Http | None = None
    mqtt: Mqtt | None = None
    push: Push | None = None
    ocpp: bool = False
    """It calls us, by OCPP, and says itself what it can do: registers have no part in it."""
    identify: tuple[Condition, ...] = ()
    """All of this holds on this device; otherwise it is another one, and nothing is written to it."""
    unlike: tuple[Unlike, ...] = ()
    """If one of these holds, it is another device, although ``identify`` fits."""
    discover: SunSpec | None = None
    state: VehicleState | None = None
    setpoint: Setpoint | None = None
    watchdog: Watchdog | None = None
    phases: Phases | None = None
    storage: Storage | None = None
    start: tuple[Write, ...] = ()
    """Preparation after connecting."""
    wake: tuple[Write, ...] = ()
    """What wakes a sleeping car."""
    recover: tuple[Recovery, ...] = ()
    never: tuple[Never, ...] = ()
    channels: Channels | None = None
    settings: tuple[Setting, ...] = ()
    unsigned_currents: bool = False
    """Phase currents carry no sign; the direction is that of the phase's power."""
    variants: tuple[Variant, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    hook: type | None = field(default=None, eq=False)
    """A class of a plugin, for what no word can say (docs/drivers.md, "Plugins")."""
    path: Path | None = field(default=None, eq=False)

    def grouped(self, *groups: Group) -> tuple[Register, ...]:
        """The readable registers of these groups, by function and address."""
        chosen = [r for r in self.registers.values() if r.group in groups and r.function is not None]
        return tuple(sorted(chosen, key=lambda r: (r.function or 0, r.address, r.name)))

    def written(self) -> frozenset[str]:
        """Names of all registers that we ever write: the write guard lets nothing else through."""
        return frozenset(write.register for write in self._writes())

    def _writes(self) -> Iterator[Write]:
        yield from (*self.start, *self.wake)
        for recovery in self.recover:
            yield from recovery.writes
        if self.setpoint is not None:
            yield Write(self.setpoint.register, 0)
            yield from (*self.setpoint.pause, *self.setpoint.resume)
        if self.watchdog is not None:
            if self.watchdog.timeout_write is not None:
                yield Write(self.watchdog.timeout_write, 0)
            yield from self.watchdog.feed
            if self.watchdog.fallback_write is not None:
                yield Write(self.watchdog.fallback_write, 0)
        if self.phases is not None:
            yield Write(self.phases.register, 0)
            yield from self.phases.prepare
        if self.storage is not None:
            yield from (*self.storage.lock, *self.storage.unlock)

    @property
    def speaks_modbus(self) -> bool:
        """It has registers, not documents or topics."""
        return self.http is None and self.mqtt is None and self.push is None and not self.ocpp

    @property
    def shows_fallback(self) -> bool:
        """It takes a fallback current when it hears nothing, and what it would take can be read from it."""
        return self.watchdog is not None and self.watchdog.timeout is not None

    def resolve(self, known: Mapping[str, Value]) -> Driver:
        """The variant whose conditions hold for what the device said of itself, or this driver."""
        for variant in self.variants:
            if all_hold(variant.when, known):
                return variant.driver
        return self

    def for_channel(self, channel: int) -> Driver:
        """The same device seen from its connector ``channel``. Raises: ConfigError if it has no such connector."""
        if self.channels is None:
            if channel != 1:
                raise ConfigError("address", "{driver} has one connector; leave connector= out", driver=self.name)
            return self
        if not self.channels.first <= channel < self.channels.first + self.channels.count:
            raise ConfigError("address", "{driver} has no connector {number}", driver=self.name, number=channel)
        shift = self.channels.step * (channel - self.channels.first)
        moved = {
            name: attrs.evolve(r, address=r.address + shift) if r.channel else r for name, r in self.registers.items()
        }
        variants = tuple(attrs.evolve(v, driver=v.driver.for_channel(channel)) for v in self.variants)
        return attrs.evolve(self, registers=moved, channels=None, variants=variants)
