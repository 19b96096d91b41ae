"""Devices over the API: add, change, test and remove charge points and meters."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.access_settings import shown_access, with_access
from charging_manager.agent.api_common import field_problem, known_mode, named
from charging_manager.agent.api_shapes import LEFT_OUT, DeviceBody, DeviceChange
from charging_manager.agent.config import (
    Configuration,
    DeviceSettings,
    Kind,
    id_from_name,
    with_device,
    without_device,
)
from charging_manager.agent.people import People
from charging_manager.agent.places import (
    address_key,
    budgets_rest_on,
    chosen_at_site,
    may_be_placed_from_afar,
    raises,
    said_at_site,
)
from charging_manager.agent.running import RunningSite
from charging_manager.agent.solar_config import NOTHING_SAID, SolarBody, changed_solar, shown_solar
from charging_manager.devices.condition import DeviceCondition
from charging_manager.devices.driver import Driver
from charging_manager.devices.driver import Kind as DriverKind
from charging_manager.devices.road import check_road
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Route
from charging_manager.modbus.address import parse_address
from charging_manager.model.site import MeterRole, StorageRole
from charging_manager.words import say


@frozen
class DevicePages:
    """The routes under ``/devices``."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        one = "/api/v1/devices/{id}"
        return [
            Route("GET", "/api/v1/devices", Right.ADMIN, self.listing, "All devices with their condition", answer=dict),
            Route(
                "POST",
                "/api/v1/devices",
                Right.ADMIN,
                self.add,
                "Add a device; at the site only: a known address elsewhere, a meter that a budget rests on",
                body=DeviceBody,
                answer=dict,
                statuses=(201,),
            ),
            Route("GET", one, Right.ADMIN, self.show, "One device", answer=dict),
            Route(
                "PUT",
                one,
                Right.ADMIN,
                self.change,
                "Change a device; at the site only: role, phases, circuit, out_of_service, more max_a or max_w, meter "
                "address, an address that hangs elsewhere",
                body=DeviceChange,
                answer=dict,
            ),
            Route(
                "DELETE", one, Right.ADMIN, self.remove, "Remove a device; a meter only at the site", statuses=(204,)
            ),
        ]

    async def listing(self, call: Call) -> Any:
        devices = self.site.config.current.devices.values()
        return {"devices": [self._shown(device, call.caller) for device in devices]}

    async def show(self, call: Call) -> Any:
        return self._shown(self._found(call), call.caller)

    async def add(self, call: Call) -> Any:
        body: DeviceBody = call.body
        if body.out_of_service and call.caller.remote:
            raise site_only()
        driver = self._driver(body.driver)
        made: list[DeviceSettings] = []

        def added(config: Configuration) -> Configuration:
            taken = config.devices
            name = body.id or id_from_name(body.name, taken, "device")
            if name in taken:
                raise Problem(409, "duplicate", "There is a device with the ID {id} already.", "id", id=name)
            device = self._device(name, body, driver, config)
            self._check_place(device, config)
            after = _with_solar(with_device(config, device), device, body.solar)
            after = with_access(after, device.id, body.access, device.address, device.address)
            if call.caller.remote:
                _refuse_new_from_afar(config, device, after)
            else:
                after = said_at_site(after, device)
            made.append(device)
            return after

        await field_problem(self.site.config.change(added), _field_of)
        self.people.note(call.caller, "device-added", made[-1].id)
        return Answer(self._shown(made[-1], call.caller), status=201)

    async def change(self, call: Call) -> Any:
        body: DeviceChange = call.body
        before = self._found(call)
        driver = self._driver(body.driver or before.driver) if body.driver != before.driver else None
        made: list[DeviceSettings] = []

        def changed(config: Configuration) -> Configuration:
            old = config.devices.get(before.id)
            if old is None:
                raise _unknown(before.id)
            new = self._changed(old, body, driver)
            after = _with_solar(with_device(config, new), new, body.solar)
            after = with_access(after, new.id, body.access, old.address, new.address)
            if call.caller.remote:
                _refuse_from_afar(old, new, config, after)
            else:
                after = said_at_site(after, new, old)
            self._check_place(new, config)
            made.append(new)
            return after

        await field_problem(self.site.config.change(changed), _field_of)
        self.people.note(call.caller, "device-changed", before.id)
        return self._shown(made[-1], call.caller)

    async def remove(self, call: Call) -> Any:
        device = self._found(call)
        if device.kind is Kind.METER and call.caller.remote:
            raise site_only()
        await field_problem(self.site.config.change(lambda config: without_device(config, device.id)))
        self.people.note(call.caller, "device-removed", device.id)
        return Answer(status=204)

    def _found(self, call: Call) -> DeviceSettings:
        name = call.params["id"]
        device = self.site.config.current.devices.get(name)
        if device is None:
            raise _unknown(name)
        return device

    def _driver(self, name: str) -> Driver:
        driver = self.site.drivers.get(name)
        if driver is None:
            raise Problem(
                422,
                "unknown-driver",
                "There is no driver {name}; choose one of the list, or put its file into a drivers folder.",
                "driver",
                name=repr(name),
            )
        return driver

    def _device(self, name: str, body: DeviceBody, driver: Driver, config: Configuration) -> DeviceSettings:
        kind = kind_of(driver.kind)
        setpoint = driver.setpoint
        lowest_a = max(setpoint.lowest_a, 6.0) if setpoint else 6.0
        highest_a = setpoint.highest_a if setpoint else 32.0
        return DeviceSettings(
            id=name,
            name=body.name.strip(),
            kind=kind,
            driver=driver.name,
            address=_address(body.address or (f"push:{name}" if driver.push else ""), driver),
            circuit=body.circuit or config.root or "",
            role=_role(body.role, driver.kind),
            phases=_phases(body.phases),
            out_of_service=body.out_of_service,
            priority=body.priority,
            mode=known_mode(body.mode),
            min_a=body.min_a if body.min_a is not None else lowest_a,
            max_a=body.max_a if body.max_a is not None else highest_a,
            step_a=setpoint.step_a if setpoint else 1.0,
            max_w=body.max_w if kind is Kind.CHARGE_POINT else None,
            storage=_storage(body.storage),
            settings=_settings(body.settings, driver),
        )

    def _changed(self, old: DeviceSettings, body: DeviceChange, driver: Driver | None) -> DeviceSettings:
        if body.id is not None and body.id != old.id:
            raise Problem(422, "id-fixed", "The ID of a device cannot be changed; add a new device instead.", "id")
        if driver is not None and kind_of(driver.kind) is not old.kind:
            raise Problem(
                422,
                "other-kind",
                "A charge point, a meter or a module of inputs cannot become another of these.",
                "driver",
            )
        new = old
        if driver is not None:
            step_a = driver.setpoint.step_a if driver.setpoint else 1.0
            new = evolve(new, driver=driver.name, step_a=step_a)
        if body.settings is not None:
            new = evolve(new, settings=_settings(body.settings, driver or self._driver(old.driver)))
        return evolve(
            new,
            name=named(body.name, old.name),
            address=self._new_address(old, body, driver),
            circuit=body.circuit if body.circuit is not None else old.circuit,
            role=self._role_of(old, body, driver),
            phases=_phases(body.phases) if body.phases is not None else old.phases,
            out_of_service=body.out_of_service if body.out_of_service is not None else old.out_of_service,
            priority=body.priority if body.priority is not None else old.priority,
            mode=known_mode(body.mode) if body.mode is not None and body.mode != old.mode.value else old.mode,
            min_a=body.min_a if body.min_a is not None else old.min_a,
            max_a=body.max_a if body.max_a is not None else old.max_a,
            storage=old.storage if body.storage is None else _storage(body.storage),
            max_w=old.max_w if body.max_w == LEFT_OUT or old.kind is not Kind.CHARGE_POINT else body.max_w,
        )

    def _new_address(self, old: DeviceSettings, body: DeviceChange, driver: Driver | None) -> str:
        """The address after a change; one that stays is looked at only if the driver changes."""
        if driver is None and body.address is None:
            return old.address
        text = body.address if body.address is not None else old.address
        return _address(text, driver or self.site.drivers.get(old.driver))

    def _role_of(self, old: DeviceSettings, body: DeviceChange, driver: Driver | None) -> MeterRole | None:
        if driver is None and body.role is None:
            return old.role
        known = driver or self.site.drivers.get(old.driver)
        other = {Kind.CHARGE_POINT: DriverKind.CHARGER, Kind.INPUTS: DriverKind.INPUTS}.get(old.kind, DriverKind.METER)
        return _role(body.role or (old.role.value if old.role else None), known.kind if known else other)

    def _check_place(self, device: DeviceSettings, config: Configuration) -> None:
        if device.circuit not in config.circuits:
            raise Problem(
                422,
                "unknown-circuit",
                "There is no circuit {name}; name one that exists.",
                "circuit",
                name=repr(device.circuit),
            )
        for other in config.devices.values():
            if other.id != device.id and other.driver == device.driver and other.address == device.address:
                raise Problem(
                    409, "duplicate", "{name} is at this address with this driver already.", "address", name=other.name
                )

    def _shown(self, device: DeviceSettings, caller: Caller) -> dict[str, Any]:
        driver = self.site.drivers.get(device.driver)
        offered = [setting.name for setting in driver.settings] if driver else list(device.settings)
        return {
            "id": device.id,
            "name": device.name,
            "kind": device.kind.value,
            "driver": device.driver,
            "address": device.address,
            "circuit": device.circuit,
            "role": device.role.value if device.role else None,
            "phases": list(device.phases),
            "out_of_service": device.out_of_service,
            "priority": device.priority,
            "mode": device.mode.value,
            "min_a": device.min_a,
            "max_a": device.max_a,
            "max_w": device.max_w,
            "solar": shown_solar(self.site.config.current.solar_of.get(device.id)),
            "storage": device.storage.value,
            "settings": {name: name in device.settings for name in offered},
            "access": shown_access(self.site.config.current.access.get(device.id)),
            "has_push_token": device.id in self.site.config.current.push_tokens,
            "condition": self._condition(device, caller.language),
        }

    def _condition(self, device: DeviceSettings, language: str) -> dict[str, Any]:
        running = self.site.fleet.device(device.id)
        connected = self.site.fleet.answering(device.id)
        if device.out_of_service:
            return _condition(False, text=say(language, "Out of service."))
        if running is None:
            reason = self.site.fleet.not_running.get(device.id, "")
            text = say(language, "The device does not run: {reason}", reason=reason)
            return _condition(False, last_error=reason, text=text)
        found = running.condition
        return {
            **_condition(
                connected, found.variant, found.fallback, found.last_error, _text_of(found, connected, language)
            ),
            "identity": dict(found.identity),
        }


def _text_of(found: DeviceCondition, connected: bool, language: str) -> str:
    """One sentence that agrees with ``connected``: what has shown no values yet is only on its way there."""
    if connected or not found.connected:
        return say(language, found.sentence, **found.fields)
    if found.last_error:
        return say(language, "Reached, but it shows no values: {why}", why=found.last_error)
    return say(language, "Reached; it counts as connected once its values are here")


def _condition(
    connected: bool,
    variant: str | None = None,
    fallback: str = "unknown",
    last_error: str | None = None,
    text: str = "",
) -> dict[str, Any]:
    return {
        "connected": connected,
        "variant": variant,
        "fallback": str(fallback),
        "last_error": last_error or None,
        "text": text,
    }


def site_only() -> Problem:
    """What a remote caller gets for what must be done at the site (I2)."""
    return Problem(403, "site-only", "This can only be done at the site, not through the cloud.")


def _refuse_new_from_afar(before: Configuration, device: DeviceSettings, after: Configuration) -> None:
    """Raises: Problem for a box that is known to hang elsewhere, and for a meter that a budget rests on, now or when
    another one is removed."""
    if chosen_at_site(device.address):
        raise site_only()
    if device.kind is Kind.CHARGE_POINT:
        refused = not may_be_placed_from_afar(before, device)
    else:
        through = device.role in (MeterRole.GRID, MeterRole.CIRCUIT)
        refused = through or budgets_rest_on(before) != budgets_rest_on(after)
    if refused:
        raise site_only()


def _refuse_from_afar(old: DeviceSettings, new: DeviceSettings, before: Configuration, after: Configuration) -> None:
    """Nothing that comes through the cloud may loosen what the site's limits rest on."""
    same = (
        old.circuit == new.circuit
        and old.role == new.role
        and old.phases == new.phases
        and old.out_of_service == new.out_of_service
        and new.max_a <= old.max_a
        and not raises(old.max_w, new.max_w)
    )
    if chosen_at_site(new.address):
        same = same and (old.driver, old.address) == (new.driver, new.address)
    same = same and before.access.get(old.id) == after.access.get(new.id)
    if old.kind is Kind.METER or _an_input_rests_on(old.id, before):
        same = same and (old.driver, old.address, old.settings) == (new.driver, new.address, new.settings)
        same = same and budgets_rest_on(before) == budgets_rest_on(after)
    elif address_key(old.address) != address_key(new.address):
        same = same and may_be_placed_from_afar(before, new)
    if not same:
        raise site_only()


def _an_input_rests_on(device: str, config: Configuration) -> bool:
    return any(one.device == device for one in config.inputs.values())


def _field_of(where: str) -> str:
    """``devices.garage.max_a``, as the configuration says it, is ``max_a`` in the body."""
    parent, _, key = where.rpartition(".")
    return f"solar.{key}" if parent.startswith("solar_of.") else key


def _with_solar(config: Configuration, device: DeviceSettings, body: SolarBody | None) -> Configuration:
    """With what was said of how its cars follow the sun; a meter has none of it."""
    if body == NOTHING_SAID:
        return config
    own = {name: settings for name, settings in config.solar_of.items() if name != device.id}
    if body is not None and device.kind is Kind.CHARGE_POINT:
        own[device.id] = changed_solar(config.solar_of.get(device.id, config.solar), body)
    return evolve(config, solar_of=own)


def _storage(text: str) -> StorageRole:
    if text not in set(StorageRole):
        raise Problem(422, "bad-storage", "Say for whom the storage battery is there: house or all.", "storage")
    return StorageRole(text)


def _unknown(name: str) -> Problem:
    return Problem(404, "not-found", "There is no device {id}.", id=repr(name))


def _address(text: str, driver: Driver | None) -> str:
    try:
        address = parse_address(text)
        if driver:
            driver.for_channel(address.connector)
            check_road(address, driver)
    except ConfigError as error:
        raise Problem(422, "bad-address", error.template, "address", **error.fields) from error
    return text.strip()


def kind_of(kind: DriverKind) -> Kind:
    """What a device of such a driver is at the site."""
    return {DriverKind.CHARGER: Kind.CHARGE_POINT, DriverKind.INPUTS: Kind.INPUTS}.get(kind, Kind.METER)


def _role(text: str | None, kind: DriverKind) -> MeterRole | None:
    if kind in (DriverKind.CHARGER, DriverKind.INPUTS):
        return None
    if kind is DriverKind.INVERTER:
        if text not in (None, MeterRole.SOLAR, MeterRole.STORAGE):
            raise Problem(
                422, "bad-role", "An inverter measures what it gives itself: its role is solar or storage.", "role"
            )
        return MeterRole(text or MeterRole.SOLAR)
    if text in set(MeterRole):
        return MeterRole(text)
    raise Problem(422, "bad-role", "Say what the meter measures: grid, circuit, load, solar or storage.", "role")


def _phases(phases: list[int] | None) -> tuple[int, ...]:
    chosen = tuple(phases) if phases is not None else (1, 2, 3)
    if len(chosen) not in (1, 3) or len(set(chosen)) != len(chosen) or not set(chosen) <= {1, 2, 3}:
        raise Problem(422, "bad-phases", "Phases are one of 1, 2, 3, or all three, each once.", "phases")
    return chosen


def _settings(chosen: dict[str, bool] | None, driver: Driver) -> tuple[str, ...]:
    offered = {setting.name for setting in driver.settings}
    unknown = set(chosen or ()) - offered
    if unknown:
        raise Problem(422, "unknown-setting", "This driver has no setting {name}.", "settings", name=repr(min(unknown)))
    return tuple(sorted(name for name, on in (chosen or {}).items() if on))
