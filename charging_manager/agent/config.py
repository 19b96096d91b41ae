"""What people configured at the site, as one frozen value: the database keeps it, the UI edits it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Container, Mapping
from enum import StrEnum

from attrs import evolve, field, frozen

from charging_manager.agent.acme_settings import AcmeSettings, check_acme
from charging_manager.agent.goals_config import check_goals, check_vehicles
from charging_manager.agent.grid_config import check_grid, check_inputs
from charging_manager.agent.ocpp_config import OcppSettings, check_ocpp
from charging_manager.agent.recording_settings import RecordingSettings, check_recording
from charging_manager.agent.solar_config import check_solar
from charging_manager.clocks import zone
from charging_manager.devices.access import Access
from charging_manager.errors import ConfigError
from charging_manager.model.goal import Goal
from charging_manager.model.grid import GridSettings
from charging_manager.model.input import Input
from charging_manager.model.rule import Rule
from charging_manager.model.site import (
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Mode,
    Site,
    SolarSettings,
    StorageRole,
    check_site,
)
from charging_manager.model.vehicle import Vehicle
from charging_manager.storage.keeping import BackupSettings, check_settings
from charging_manager.tariffs.checks import check_sun, check_tariff
from charging_manager.tariffs.settings import SunSettings, TariffSettings
from charging_manager.words import LANGUAGES

AVAILABLE_MODES = tuple(Mode)
_ID = re.compile(r"[a-z0-9-]{1,32}")
_LONGEST_NAME = 80
MOST_PRIORITY = 1000
PRIORITY_SENTENCE = "a whole number from -1000 to 1000; higher is served first"


class Kind(StrEnum):
    """What a device is to the site; its driver says it."""

    CHARGE_POINT = "charge-point"
    METER = "meter"
    INPUTS = "inputs"  # a module with contacts: it measures nothing and is told nothing


@frozen
class DeviceSettings:
    """One box or meter as it was entered. ``phases`` are 1 to 3 here, as people count."""

    id: str
    name: str
    kind: Kind
    driver: str
    address: str
    circuit: str
    role: MeterRole | None = None
    phases: tuple[int, ...] = (1, 2, 3)
    out_of_service: bool = False
    priority: int = 0
    mode: Mode = Mode.FAST
    min_a: float = 6.0
    max_a: float = 32.0
    step_a: float = 1.0
    settings: tuple[str, ...] = ()
    """The driver's yes-or-no settings that are switched on."""
    max_w: float | None = None
    storage: StorageRole = StorageRole.HOUSE


@frozen
class UserSettings:
    """Somebody who may log in by an ID; only the keyed hash of that ID is kept."""

    id: str
    name: str
    remote: bool = False
    charge_points: tuple[str, ...] = ()
    language: str = "en"
    id_hash: str = field(default="", repr=False)
    priority: int | None = None
    """Where this user charges it counts, if it is higher than the charge point's."""


@frozen
class CloudSettings:
    """The cloud service as it was entered; an empty ``server`` is the default server."""

    enabled: bool = False
    server: str = ""
    cloud_id: str = ""
    password: str = field(default="", repr=False)


@frozen
class Override:
    """What somebody wished for one charge point until its car is unplugged."""

    mode: Mode | None = None
    current_a: float | None = None


@frozen
class Place:
    """Where an address hangs: what ``places`` remembers of it."""

    circuit: str
    phases: tuple[int, ...]
    max_a: float
    max_w: float | None = None


@frozen
class Configuration:
    """Everything that the UI edits."""

    name: str = "Charging Manager"
    language: str = "en"
    unbalance_a: float | None = 20.0
    circuits: Mapping[str, Circuit] = field(factory=dict)
    devices: Mapping[str, DeviceSettings] = field(factory=dict)
    users: Mapping[str, UserSettings] = field(factory=dict)
    cloud: CloudSettings = CloudSettings()
    overrides: Mapping[str, Override] = field(factory=dict)
    places: Mapping[str, Place] = field(factory=dict)
    """By ``places.address_key``; also of charge points that are gone."""
    recording: RecordingSettings = field(factory=RecordingSettings)
    timezone: str = "Europe/Paris"
    first_come: bool = False
    unbalance_with_house: bool = False
    solar: SolarSettings = field(factory=SolarSettings)
    solar_of: Mapping[str, SolarSettings] = field(factory=dict)
    """By charge point, where it differs from the site's."""
    storage_lock: bool = False
    """Storage batteries for the house give nothing while a car charges by more than the sun."""
    measure_cars: bool = True
    """A car with a goal may charge for some seconds before its times, to see how much it takes."""
    rules: tuple[Rule, ...] = ()
    goals: Mapping[str, Goal] = field(factory=dict)
    """By charge point."""
    tariff: TariffSettings = field(factory=TariffSettings)
    sun_forecast: SunSettings = field(factory=SunSettings)
    vehicles: Mapping[str, Vehicle] = field(factory=dict)
    """By charge point, what somebody said of the vehicle there."""
    inputs: Mapping[str, Input] = field(factory=dict)
    grid: GridSettings = field(factory=GridSettings)
    end_to_end: bool = False
    """Whoever comes through the cloud server comes to our own pages; it carries ciphertext."""
    own_domain: str = ""
    """A name of the keeper's own at which that is, too; empty: none."""
    acme: AcmeSettings = field(factory=AcmeSettings)
    access: Mapping[str, Access] = field(factory=dict)
    """By device: its login, and how its certificate is known."""
    push_tokens: Mapping[str, str] = field(factory=dict)
    """By device that tells us by itself: the SHA-256 of its token."""
    ocpp: OcppSettings = field(factory=OcppSettings)
    backups: BackupSettings = field(factory=BackupSettings)

    @property
    def root(self) -> str | None:
        """The circuit without a parent."""
        return next((circuit.id for circuit in self.circuits.values() if circuit.parent is None), None)

    def site(self, serial: str) -> Site:
        """What control works on; not checked yet."""
        boxes = [device for device in self.devices.values() if device.kind is Kind.CHARGE_POINT]
        meters = [device for device in self.devices.values() if device.kind is Kind.METER]
        return Site(
            name=self.name,
            serial=serial,
            circuits=dict(self.circuits),
            charge_points={box.id: self._charge_point(box) for box in boxes},
            meters={meter.id: _meter(meter) for meter in meters},
            unbalance_a=self.unbalance_a,
            unbalance_with_house=self.unbalance_with_house,
            first_come=self.first_come,
            solar=self.solar,
            storage_lock=self.storage_lock,
            measure_cars=self.measure_cars,
            rules=self.rules,
        )

    def current_overrides(self) -> dict[str, float]:
        """The highest current that somebody set, by charge point."""
        return {
            charge_point: override.current_a
            for charge_point, override in self.overrides.items()
            if override.current_a is not None
        }

    def effective_mode(self, device: DeviceSettings) -> Mode:
        """The mode that counts now: the override's, where there is one."""
        override = self.overrides.get(device.id)
        return override.mode if override is not None and override.mode is not None else device.mode

    def owners(self, charge_point: str) -> list[str]:
        """The users that this charge point is assigned to."""
        return [user.id for user in self.users.values() if charge_point in user.charge_points]

    def _charge_point(self, box: DeviceSettings) -> ChargePoint:
        return ChargePoint(
            id=box.id,
            name=box.name,
            circuit=box.circuit,
            phases=site_phases(box.phases),
            min_a=box.min_a,
            max_a=box.max_a,
            step_a=box.step_a,
            priority=box.priority,
            mode=self.effective_mode(box),
            out_of_service=box.out_of_service,
            max_w=box.max_w,
            solar=self.solar_of.get(box.id),
        )


def first_configuration() -> Configuration:
    """A new site: one circuit, with a limit that hardly any supply is below."""
    return Configuration(circuits={"main": Circuit("main", "Main", None, (16.0, 16.0, 16.0))})


def site_phases(phases: tuple[int, ...]) -> tuple[int, ...]:
    """From 1..3, as people count, to the model's 0..2."""
    return tuple(phase - 1 for phase in phases)


def _meter(meter: DeviceSettings) -> Meter:
    role = meter.role or MeterRole.CIRCUIT
    return Meter(meter.id, meter.name, meter.circuit, role, site_phases(meter.phases), meter.storage)


def check_configuration(config: Configuration) -> Configuration:
    """The same configuration, if it makes sense as a whole. Raises: ConfigError with the key path and what to do."""
    _check_name("name", config.name)
    _check_language("language", config.language)
    zone(config.timezone)
    check_recording(config.recording)
    check_settings(config.backups)
    for circuit in config.circuits.values():
        _check_id(f"circuits.{circuit.id}.id", circuit.id)
        _check_name(f"circuits.{circuit.id}.name", circuit.name)
    for device in config.devices.values():
        _check_device(device)
    check_site(config.site(""))
    for user in config.users.values():
        where = f"users.{user.id}"
        _check_id(f"{where}.id", user.id)
        _check_name(f"{where}.name", user.name)
        _check_language(f"{where}.language", user.language)
        _check_priority(f"{where}.priority", user.priority or 0)
        for charge_point in user.charge_points:
            found = config.devices.get(charge_point)
            if found is None or found.kind is not Kind.CHARGE_POINT:
                raise ConfigError(
                    f"{where}.charge_points",
                    "there is no charge point {name}; name one that exists",
                    name=repr(charge_point),
                )
    for name, one in config.inputs.items():
        _check_id(f"inputs.{name}.id", one.id)
        _check_name(f"inputs.{name}.name", one.name)
    check_inputs(config.inputs, config.devices)
    boxes = {device.id for device in config.devices.values() if device.kind is Kind.CHARGE_POINT}
    check_grid(config.grid, config.inputs, boxes)
    check_goals(config.goals, boxes)
    check_solar(config.solar, config.solar_of, boxes)
    check_tariff(config.tariff)
    check_sun(config.sun_forecast)
    check_vehicles(config.vehicles)
    check_ocpp(config.ocpp, config.users)
    check_acme(config.acme, config.own_domain)
    return config


def _check_device(device: DeviceSettings) -> None:
    where = f"devices.{device.id}"
    _check_id(f"{where}.id", device.id)
    _check_name(f"{where}.name", device.name)
    if device.kind is Kind.METER and device.role is None:
        raise ConfigError(f"{where}.role", "say what the meter measures: grid, circuit, load, solar or storage")
    if not (math.isfinite(device.min_a) and 0 < device.min_a <= 80):
        raise ConfigError(f"{where}.min_a", "a number of amperes above 0, at most 80")
    if not (math.isfinite(device.max_a) and device.min_a <= device.max_a <= 80):
        raise ConfigError(f"{where}.max_a", "a number of amperes, at least min_a and at most 80")
    if not (math.isfinite(device.step_a) and device.step_a > 0):
        raise ConfigError(f"{where}.step_a", "a number of amperes above 0")
    _check_priority(f"{where}.priority", device.priority)


def _check_id(where: str, text: str) -> None:
    if not _ID.fullmatch(text):
        raise ConfigError(where, "an ID is 1 to 32 of a-z, 0-9 and the hyphen")


def _check_name(where: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
        raise ConfigError(where, "a name has 1 to 80 printable characters")


def _check_priority(where: str, priority: int) -> None:
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        raise ConfigError(where, PRIORITY_SENTENCE)


def _check_language(where: str, text: str) -> None:
    if text not in LANGUAGES:
        raise ConfigError(where, "the language is en, fr or de")


def id_from_name(name: str, taken: Container[str], otherwise: str) -> str:
    """A valid ID that looks like the name and is not taken: ``Garage Süd`` becomes ``garage-sud``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:28] or otherwise
    candidate, number = stem, 1
    while candidate in taken:
        number += 1
        candidate = f"{stem[:28]}-{number}"
    return candidate


def without_device(config: Configuration, device: str) -> Configuration:
    """The configuration when that device is gone, and with it all that pointed to it."""
    return evolve(
        config,
        devices={key: value for key, value in config.devices.items() if key != device},
        circuits={
            key: evolve(circuit, meter=None) if circuit.meter == device else circuit
            for key, circuit in config.circuits.items()
        },
        users={
            key: evolve(user, charge_points=tuple(box for box in user.charge_points if box != device))
            for key, user in config.users.items()
        },
        overrides={key: value for key, value in config.overrides.items() if key != device},
        goals={key: value for key, value in config.goals.items() if key != device},
        solar_of={key: value for key, value in config.solar_of.items() if key != device},
        access={key: value for key, value in config.access.items() if key != device},
        push_tokens={key: value for key, value in config.push_tokens.items() if key != device},
        grid=_without_point(config.grid, device),
    )


def _without_point(grid: GridSettings, device: str) -> GridSettings:
    if device not in (grid.charge_points or ()):
        return grid
    return evolve(grid, charge_points=tuple(one for one in grid.charge_points or () if one != device))


def with_device(config: Configuration, device: DeviceSettings) -> Configuration:
    """The configuration with that device, new or changed. A grid or circuit meter becomes its circuit's meter if that
    has none; a meter that no longer sits there or no longer measures it ceases to be."""
    measures = device.kind is Kind.METER and device.role in (MeterRole.GRID, MeterRole.CIRCUIT)
    circuits = {}
    for key, circuit in config.circuits.items():
        if key == device.circuit and measures and circuit.meter is None:
            circuit = evolve(circuit, meter=device.id)
        elif circuit.meter == device.id and not (measures and key == device.circuit):
            circuit = evolve(circuit, meter=None)
        circuits[key] = circuit
    return evolve(config, devices={**config.devices, device.id: device}, circuits=circuits)
