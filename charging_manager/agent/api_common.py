"""What the API modules share: errors of the configuration as problems, modes, and what a caller may touch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from charging_manager.agent.config import AVAILABLE_MODES, Configuration, DeviceSettings, Kind
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Caller, Problem, Role
from charging_manager.model.site import Mode

T = TypeVar("T")


def _last_part(where: str) -> str:
    return where.rpartition(".")[2]


async def field_problem(change: Awaitable[T], field_of: Callable[[str], str] = _last_part) -> T:
    """The result of a change; what cannot work becomes a problem that names the body's field.

    ``field_of`` makes that field of the configuration's key path.
    """
    try:
        return await change
    except ConfigError as error:
        raise Problem(422, "invalid-field", error.template, field_of(error.where), **error.fields) from error


def known_mode(text: str) -> Mode:
    """The mode of that name, if this build can do it."""
    if text not in set(Mode):
        names = ", ".join(mode.value for mode in AVAILABLE_MODES)
        raise Problem(422, "bad-mode", "A mode is one of these: {names}.", "mode", names=names)
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
