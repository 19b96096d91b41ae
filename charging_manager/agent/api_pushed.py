"""Devices that tell us by themselves: their tokens, what they send, and what they are told."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from attrs import define, evolve, field

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.api_devices import site_only
from charging_manager.agent.config import Configuration, DeviceSettings
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.devices.push_bus import PushBus
from charging_manager.errors import DeviceNonsense
from charging_manager.http.routes import Answer, Call, Problem, Right, Role, Route

LEAST_GAP_S = 0.2
"""A device that sends more often than that is told to wait."""
LONGEST_READING = 64 * 1024


@define
class PushedPages:
    """The routes of devices that push."""

    site: RunningSite
    people: People
    _last_s: dict[str, float] = field(factory=dict)

    def routes(self) -> list[Route]:
        one = "/api/v1/devices/{id}"
        return [
            Route(
                "PUT",
                f"{one}/reading",
                Right.ANYBODY,
                self.reading,
                "What a device tells by itself; answered by what it is to do. With its token, or as admin",
                body=dict,
                answer=dict,
                body_limit=LONGEST_READING,
                site_only=True,
            ),
            Route(
                "GET",
                f"{one}/setpoint",
                Right.ANYBODY,
                self.setpoint,
                "What such a device is to do. With its token, or as admin",
                answer=dict,
                site_only=True,
            ),
            Route(
                "POST",
                f"{one}/token",
                Right.ADMIN,
                self.new_token,
                "A new token for such a device, shown once; the one before is void",
                answer=dict,
                site_only=True,
            ),
            Route(
                "DELETE",
                f"{one}/token",
                Right.ADMIN,
                self.no_token,
                "No token opens such a device any more",
                statuses=(204,),
                site_only=True,
            ),
        ]

    async def reading(self, call: Call) -> Any:
        name, road = self._road(call)
        now_s = self.site.clock.seconds()
        if now_s - self._last_s.get(name, float("-inf")) < LEAST_GAP_S:
            raise Problem(429, "too-often", "At most five readings a second are taken; send less often.")
        self._last_s[name] = now_s
        try:
            road.push(call.body)
        except DeviceNonsense as error:
            raise Problem(422, "bad-reading", "This is no reading: {reason}.", reason=str(error)) from error
        return road.told()

    async def setpoint(self, call: Call) -> Any:
        return self._road(call)[1].told()

    async def new_token(self, call: Call) -> Any:
        device = self._device(call)
        token = secrets.token_urlsafe(32)
        await self._keep(device.id, _digest(token))
        self.people.note(call.caller, "device-token", device.id, "new")
        return {"token": token}

    async def no_token(self, call: Call) -> Any:
        device = self._device(call)
        await self._keep(device.id, None)
        self.people.note(call.caller, "device-token", device.id, "revoked")
        return Answer(status=204)

    async def _keep(self, device: str, digest: str | None) -> None:
        def changed(config: Configuration) -> Configuration:
            others = {name: known for name, known in config.push_tokens.items() if name != device}
            if digest is not None and device in config.devices:
                others[device] = digest
            return evolve(config, push_tokens=others)

        await field_problem(self.site.config.change(changed))

    def _road(self, call: Call) -> tuple[str, PushBus]:
        """The device that may be spoken for. Whoever may not learns nothing of what there is. Raises: Problem."""
        name = call.params["id"]
        if call.caller.remote:
            raise site_only()
        if call.caller.role is not Role.ADMIN and not self._bears_its_token(call, name):
            raise Problem(401, "not-logged-in", "Send the device's token, as Authorization: Bearer.")
        self._device(call)
        road = self.site.fleet.road(name)
        if not isinstance(road, PushBus):
            raise Problem(409, "not-running", "The device does not run; look at its condition.")
        return name, road

    def _bears_its_token(self, call: Call, name: str) -> bool:
        known = self.site.config.current.push_tokens.get(name)
        kind, _, given = call.headers.get("authorization", "").partition(" ")
        if known is None or kind.lower() != "bearer" or not given.strip():
            return False
        return hmac.compare_digest(_digest(given.strip()), known)

    def _device(self, call: Call) -> DeviceSettings:
        name = call.params["id"]
        device = self.site.config.current.devices.get(name)
        if device is None:
            raise Problem(404, "not-found", "There is no device {id}.", id=repr(name))
        driver = self.site.drivers.get(device.driver)
        if driver is None or driver.push is None:
            sentence = "The device {id} is asked by us; it does not tell by itself."
            raise Problem(409, "not-pushed", sentence, id=repr(name))
        return device


def _digest(token: str) -> str:
    """A token has 256 random bits: nothing slower is needed to keep it."""
    return hashlib.sha256(token.encode()).hexdigest()
