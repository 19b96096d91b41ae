"""What the API modules share: errors of the configuration as problems, modes, and what a caller may touch."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from charging_manager.agent.config import AVAILABLE_MODES, Configuration, DeviceSettings, Kind
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Caller, Problem, Role
from charging_manager.model.site import Mode

T = TypeVar("T")


async def field_problem(change: Awaitable[T]) -> T:
    """The result of a change; what cannot work becomes a problem that names the field."""
    try:
        return await change
    except ConfigError as error:
        raise Problem(422, "invalid-field", error.sentence, error.where.rpartition(".")[2]) from error


def known_mode(text: str) -> Mode:
    """The mode of that name, if this build can do it."""
    if text not in set(Mode):
        raise Problem(422, "bad-mode", "A mode is off, solar, min-solar, fast or plan.", "mode")
    mode = Mode(text)
    if mode not in AVAILABLE_MODES:
        raise Problem(422, "mode-not-available", "This mode is not available yet.", "mode")
    return mode


def named(new: str | None, old: str) -> str:
    """The new name without blanks around it, or the old one."""
    return new.strip() if new is not None else old


def audience(caller: Caller, config: Configuration) -> frozenset[str] | None:
    """The charge points that a caller may see; None: everything."""
    if caller.role is not Role.USER:
        return None
    user = config.users.get(caller.user or "")
    return frozenset(user.charge_points) if user else frozenset()


def charge_point_of(caller: Caller, config: Configuration, name: str) -> DeviceSettings:
    """The charge point of that name, if the caller may know of it."""
    device = config.devices.get(name)
    allowed = audience(caller, config)
    if device is None or device.kind is not Kind.CHARGE_POINT or (allowed is not None and name not in allowed):
        raise Problem(404, "not-found", "There is no charge point {id}.", id=repr(name))
    return device
