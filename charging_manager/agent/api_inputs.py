"""The site's inputs over the API: what they are, what is known of them, and what a program says of one."""

from __future__ import annotations

import math
from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.api_shapes_grid import InputBody, InputsBody, OnBody
from charging_manager.agent.config import Configuration, id_from_name
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.devices.driver import Driver, Group
from charging_manager.http.routes import Call, Problem, Right, Role, Route
from charging_manager.model.input import Input, InputSource

MOST_S = 31 * 86_400.0


@frozen
class InputPages:
    """The routes of ``/inputs``. ``token`` is the running daemon's: programs on its machine may say what they know."""

    site: RunningSite
    people: People
    token: str

    def routes(self) -> list[Route]:
        path = "/api/v1/inputs"
        return [
            Route("GET", path, Right.ADMIN, self.show, "Inputs, and what is known of them now", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "The inputs of the site, all of them",
                body=InputsBody,
                answer=dict,
                site_only=True,
            ),
            Route(
                "PUT",
                f"{path}/{{id}}",
                Right.ANYBODY,
                self.tell,
                "Say that an input of source api is on or off: as admin, or with the daemon's token",
                body=OnBody,
                answer=dict,
                site_only=True,
            ),
        ]

    async def show(self, call: Call) -> Any:
        config = self.site.config.current
        return {
            "inputs": [self._shown(name) for name in config.inputs],
            "values": {
                device.id: live_values(self.site.drivers[device.driver])
                for device in config.devices.values()
                if device.driver in self.site.drivers
            },
        }

    async def change(self, call: Call) -> Any:
        body: InputsBody = call.body
        numbers: dict[str, int] = {}

        def changed(config: Configuration) -> Configuration:
            numbers.clear()
            found: dict[str, Input] = {}
            given = {one.id for one in body.inputs if one.id}
            for number, each in enumerate(body.inputs):
                name = each.id or id_from_name(each.name, given | found.keys(), "input")
                if name in found:
                    raise Problem(
                        409, "duplicate", "There are two inputs with the ID {id}.", f"inputs.{number}.id", id=name
                    )
                numbers[name] = number
                found[name] = self._input(name, each, f"inputs.{number}", config)
            self._nobody_left_behind(config, found)
            return evolve(config, inputs=found)

        def field_of(where: str) -> str:
            first, _, rest = where.partition(".")
            name, _, key = rest.rpartition(".")
            return f"inputs.{numbers[name]}.{key}" if first == "inputs" and name in numbers else first

        await field_problem(self.site.config.change(changed), field_of)
        self.people.note(call.caller, "inputs-changed", "", ", ".join(self.site.config.current.inputs))
        return await self.show(call)

    async def tell(self, call: Call) -> Any:
        allow_program(call, self.token)
        body: OnBody = call.body
        name = call.params["id"]
        one = self.site.config.current.inputs.get(name)
        if one is None:
            raise Problem(404, "not-found", "There is no input {id}.", id=repr(name))
        if one.source is not InputSource.API:
            raise Problem(
                409, "other-source", "This input is not told over the API: its source is {source}.", source=one.source
            )
        self.site.inputs.tell(name, body.on, check_seconds(body.for_s))
        return self._shown(name)

    def _input(self, name: str, body: InputBody, where: str, config: Configuration) -> Input:
        if body.source not in set(InputSource):
            raise Problem(422, "bad-source", "The source of an input is device, api or modbus.", f"{where}.source")
        source = InputSource(body.source)
        of_device, of_modbus = source is InputSource.DEVICE, source is InputSource.MODBUS
        one = Input(
            id=name,
            name=body.name.strip(),
            source=source,
            device=body.device if of_device else None,
            value=body.value if of_device else None,
            equals=body.equals if of_device else None,
            at_least=body.at_least if of_device else None,
            bit=body.bit if of_device else None,
            register=body.register if of_modbus else None,
            holds_s=body.holds_s if of_modbus else None,
            inverted=body.inverted,
            unknown_counts_as=body.unknown_counts_as,
        )
        device = config.devices.get(one.device or "")
        driver = self.site.drivers.get(device.driver) if device else None
        if driver is not None and one.value:
            _check_value(one.value, driver, f"{where}.value")
        return one

    def _nobody_left_behind(self, config: Configuration, found: dict[str, Input]) -> None:
        if config.grid.input is not None and config.grid.input not in found:
            raise Problem(
                422,
                "input-in-use",
                "The grid operator dims by the input {name}; choose another one there first.",
                "inputs",
                name=config.grid.input,
            )

    def _shown(self, name: str) -> dict[str, Any]:
        one, state = self.site.config.current.inputs[name], self.site.inputs.state(name)
        return {
            "id": one.id,
            "name": one.name,
            "source": one.source.value,
            "device": one.device,
            "value": one.value,
            "equals": one.equals,
            "at_least": one.at_least,
            "bit": one.bit,
            "register": one.register,
            "holds_s": one.holds_s,
            "inverted": one.inverted,
            "unknown_counts_as": one.unknown_counts_as,
            "on": state.on,
            "known": state.raw is not None,
            "age_s": None if state.age_s is None else math.floor(state.age_s),
        }


def allow_program(call: Call, token: str) -> None:
    """Raises: Problem unless it is the admin, or a program at the site that can read the daemon's runtime file."""
    if call.caller.role is Role.ADMIN or (not call.caller.remote and call.bears(token)):
        return
    if call.caller.role is Role.NOBODY:
        raise Problem(401, "login-required", "log in first")
    raise Problem(403, "not-allowed", "your login does not allow this")


def check_seconds(for_s: float | None) -> float | None:
    """The same, if it can be. Raises: Problem."""
    if for_s is not None and not 1.0 <= for_s <= MOST_S:
        raise Problem(422, "bad-time", "How long it holds is 1 second to 31 days, or left out.", "for_s")
    return for_s


def live_values(driver: Driver) -> list[str]:
    """The values that are read every turn: what an input may rest on."""
    return sorted(
        name for name, one in driver.registers.items() if one.group is Group.LIVE and one.function is not None
    )


def _check_value(name: str, driver: Driver, where: str) -> None:
    """A value that is read every turn; the driver's variants may have more."""
    for each in (driver, *(variant.driver for variant in driver.variants)):
        found = each.registers.get(name)
        if found is None or found.function is None:
            continue
        if found.group is not Group.LIVE:
            raise Problem(
                422,
                "slow-value",
                "The value {name} is not read every second; an input needs one that is.",
                where,
                name=name,
            )
        return
    known = ", ".join(live_values(driver)[:20])
    raise Problem(
        422,
        "unknown-value",
        "This device has no value {name}; those read every second are: {known}.",
        where,
        name=repr(name),
        known=known,
    )
