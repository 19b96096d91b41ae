"""Drivers over the API: which there are, what each is sure of, and tables that an administrator puts in.

Only tables: code is loaded from folders on the disk alone. A table is checked by the linter before it is kept, and one
that steers devices is replaced or removed only when that was said on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from charging_manager.agent.api_devices import kind_of
from charging_manager.agent.api_shapes import DriverBody, DriverText
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.devices import lint
from charging_manager.devices.driver import Driver, Group, Register, Write
from charging_manager.devices.loader import NAME
from charging_manager.devices.road import kinds, usual_port
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.storage.files import sync_folder, write_private

InThread = Callable[..., "Deferred[Any]"]
MOST_UPLOADS = 200
BODY_LIMIT = 1 << 20
"""A table of 256 KiB, escaped as JSON."""


@frozen
class DriverPages:
    """The routes under ``/drivers``. What is put in lies in the folder of uploads, as any driver in a folder."""

    site: RunningSite
    people: People
    in_thread: InThread
    """Runs a function where it may take its time: control does not wait for a table to be read."""

    def routes(self) -> list[Route]:
        api, one = "/api/v1/drivers", "/api/v1/drivers/{name}"
        return [
            Route("GET", api, Right.ADMIN, self.listing, "Drivers, and files that are none", answer=dict),
            Route("GET", one, Right.ADMIN, self.show, "All that is known of one driver", answer=dict),
            Route(
                "POST",
                f"{api}/check",
                Right.ADMIN,
                self.check,
                "What the linter says of a table, and what it would replace; nothing is kept",
                body=DriverText,
                answer=dict,
                body_limit=BODY_LIMIT,
            ),
            Route(
                "PUT",
                one,
                Right.ADMIN,
                self.put,
                "Keep a table as this driver; at the site only",
                body=DriverBody,
                answer=dict,
                body_limit=BODY_LIMIT,
                site_only=True,
            ),
            Route(
                "DELETE",
                one,
                Right.ADMIN,
                self.remove,
                "Remove a table that was put in; at the site only",
                site_only=True,
                statuses=(204,),
            ),
        ]

    async def listing(self, call: Call) -> Any:
        loaded = self.site.shelf.loaded
        ordered = sorted(self.site.drivers.values(), key=lambda driver: (driver.vendor, driver.model))
        return {
            "drivers": [self._shown(driver) for driver in ordered],
            "broken": [{"file": str(broken.path), "reason": broken.reason} for broken in loaded.broken],
        }

    async def show(self, call: Call) -> Any:
        driver = self.site.drivers.get(call.params["name"])
        if driver is None:
            raise _unknown(call.params["name"])
        return {**self._shown(driver), **_all_of(driver)}

    async def check(self, call: Call) -> Any:
        body: DriverText = call.body
        checked = await self.in_thread(lint.check_upload, body.text, body.name)
        there = self.site.drivers.get(body.name)
        return {
            **lint.as_json(f"{body.name}.toml", checked),
            "title": _title(checked.driver) if checked.driver else None,
            "replaces": None if there is None else "uploaded" if self._is_uploaded(there) else "shipped",
            "used_by": self._used_by(body.name),
        }

    async def put(self, call: Call) -> Any:
        body: DriverBody = call.body
        name = call.params["name"]
        if not NAME.fullmatch(name):
            raise Problem(422, "bad-name", "A driver's name is small letters, digits and hyphens.", "name")
        checked = await self.in_thread(lint.check_upload, body.text, name)
        if checked.driver is None:
            first = checked.findings[0]
            raise Problem(
                422,
                "not-a-driver",
                "This table is no driver: {place}{what}",
                "text",
                place=f"{first.line}: " if first.line else "",
                what=first.what,
            )
        there, used = self.site.drivers.get(name), self._used_by(name)
        if there is not None and not body.replace:
            raise Problem(
                409,
                "driver-exists",
                "There is a driver {name} already; say that it is to be replaced.",
                name=repr(name),
            )
        if there is not None and used and kind_of(there.kind) is not kind_of(checked.driver.kind):
            raise Problem(
                409,
                "driver-in-use",
                "The table is of another kind of device, and {devices} rest on it.",
                devices=", ".join(used),
            )
        folder = self.site.shelf.uploads
        path = folder / f"{name}.toml"
        if not path.exists() and sum(1 for _ in folder.glob("*.toml")) >= MOST_UPLOADS:
            raise Problem(
                409, "too-many-drivers", "There are {most} uploaded drivers already; remove some.", most=MOST_UPLOADS
            )
        await self.in_thread(write_private, path, body.text.encode())
        self.people.note(call.caller, "driver-uploaded", name)
        self.site.look_at_drivers()
        return self._shown(self.site.drivers[name])

    async def remove(self, call: Call) -> Any:
        name = call.params["name"]
        driver = self.site.drivers.get(name)
        path = self.site.shelf.uploads / f"{name}.toml"
        if not NAME.fullmatch(name) or not path.is_file():
            if driver is None:
                raise _unknown(name)
            raise Problem(
                409, "not-uploaded", "{name} was not uploaded here; it lies in a folder on the disk.", name=repr(name)
            )
        used = self._used_by(name)
        under = self.site.shelf.under_uploads(name)
        takes_over = under is not None and driver is not None and kind_of(under.kind) is kind_of(driver.kind)
        if used and not takes_over:
            raise Problem(
                409,
                "driver-in-use",
                "{devices} rest on this driver; give them another one or remove them first.",
                devices=", ".join(used),
            )

        def unlink() -> None:
            path.unlink()
            sync_folder(path.parent)

        await self.in_thread(unlink)
        self.people.note(call.caller, "driver-removed", name)
        self.site.look_at_drivers()
        return Answer(status=204)

    def _used_by(self, name: str) -> list[str]:
        """The names of the devices that rest on it."""
        return [device.name for device in self.site.config.current.devices.values() if device.driver == name]

    def _is_uploaded(self, driver: Driver) -> bool:
        return driver.path is not None and driver.path.parent == self.site.shelf.uploads

    def _shown(self, driver: Driver) -> dict[str, Any]:
        return {
            "name": driver.name,
            "title": _title(driver),
            "kind": driver.kind.value,
            "source": "; ".join(driver.sources),
            "transports": list(kinds(driver)),
            "defaults": {
                "port": usual_port(driver),
                "unit": driver.tcp.unit if driver.tcp else driver.rtu.unit if driver.rtu else 1,
                "baud": driver.rtu.baud if driver.rtu else None,
                "prefix": driver.mqtt.prefix if driver.mqtt else None,
                "login": driver.http.login.value if driver.http else None,
                "parity": driver.rtu.parity if driver.rtu else None,
                "stopbits": driver.rtu.stopbits if driver.rtu else None,
                "min_a": max(driver.setpoint.lowest_a, 6.0) if driver.setpoint else None,
                "max_a": driver.setpoint.highest_a if driver.setpoint else None,
            },
            "settings": [{"name": one.name, "title": one.title} for one in driver.settings],
            "fallback": driver.shows_fallback,
            "restart_needed": driver.path in self.site.shelf.loaded.changed_code,
            "quality": driver.quality.value if driver.quality else None,
            "uncertain": len(driver.uncertain) + sum(1 for r in driver.registers.values() if r.uncertain),
            "uploaded": self._is_uploaded(driver),
            "used_by": self._used_by(driver.name),
        }


def _unknown(name: str) -> Problem:
    return Problem(404, "not-found", "There is no driver {name}.", name=repr(name))


def _title(driver: Driver) -> str:
    return f"{driver.vendor} {driver.model}".strip()


def _all_of(driver: Driver) -> dict[str, Any]:
    """What the driver's page shows beside the line in the list."""
    rule, watchdog = driver.setpoint, driver.watchdog
    return {
        "sources": list(driver.sources),
        "notes": list(driver.notes),
        "tested_firmware": list(driver.tested_firmware),
        "uncertainties": list(driver.uncertain),
        "accepted": [{"name": each.doubt.value, "why": each.why} for each in driver.accepted],
        "variants": [variant.name for variant in driver.variants],
        "setpoint": rule
        and {
            "lowest_a": rule.lowest_a,
            "highest_a": rule.highest_a,
            "step_a": rule.step_a,
            "pause": _writes(rule.pause),
            "resume": _writes(rule.resume),
            "read_back": driver.ocpp
            or rule.applied is not None
            or driver.registers[rule.register].function is not None,
        },
        "watchdog": watchdog
        and {
            "fed_by": watchdog.fed_by.value,
            "timeout_s": watchdog.timeout_s,
            "shown": watchdog.timeout is not None,
            "programmable": driver.ocpp or watchdog.timeout_write is not None,
            "fallback": watchdog.fallback is not None,
        },
        "phases": driver.phases is not None,
        "registers": [_register(register) for group in Group for register in _of(driver, group)],
        "unmapped": [{"name": each.name, "why": each.why} for each in driver.unmapped],
        "never": [{"address": each.address, "count": each.count, "why": each.why} for each in driver.never],
    }


def _of(driver: Driver, group: Group) -> list[Register]:
    return sorted((r for r in driver.registers.values() if r.group is group), key=lambda r: r.address)


def _writes(writes: tuple[Write, ...]) -> list[str]:
    return [f"{write.register} = {write.value:g}" for write in writes]


def _register(register: Register) -> dict[str, Any]:
    return {
        "name": register.name,
        "address": register.json or register.address,
        "type": register.type.value,
        "scale": register.scale,
        "unit": register.unit,
        "group": register.group.value,
        "reads": register.function is not None,
        "writes": register.write_function is not None or register.set is not None,
        "volatile": register.volatile,
        "page": register.page,
        "note": register.note,
        "uncertain": register.uncertain,
    }
