"""What a device asks of us, over the API: secrets go in and never come out, and do not follow it to another host."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.config import Configuration
from charging_manager.devices.access import NO_ACCESS, Access, check_access
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Problem
from charging_manager.modbus.address import parse_address


@frozen
class AccessBody:
    """Login and certificate of a device; what is left out stays, an empty text removes it."""

    user: str | None = None
    password: str | None = None
    """Write-only."""
    token: str | None = None
    """Write-only."""
    ca: str | None = None
    """A PEM file on the agent's disk, with the authorities that its certificate is checked by."""
    fingerprint: str | None = None
    """SHA-256 of its certificate, in hex: this one and no other."""
    has_password: bool | None = None
    """Accepted because ``GET`` shows it, like ``has_token``."""
    has_token: bool | None = None


def shown_access(access: Access | None) -> dict[str, Any]:
    """Without the secrets."""
    known = access or NO_ACCESS
    return {
        "user": known.user,
        "has_password": bool(known.password),
        "has_token": bool(known.token),
        "ca": known.ca,
        "fingerprint": known.fingerprint,
    }


def with_access(
    config: Configuration, device: str, body: AccessBody | None, old_address: str, new_address: str
) -> Configuration:
    """With what was said of it. At another host, secrets that were not said anew are gone. Raises: Problem."""
    known = config.access.get(device, NO_ACCESS)
    if _host(old_address) != _host(new_address):
        known = evolve(known, password="", token="")
    if body is not None:
        said = {name: getattr(body, name) for name in ("user", "password", "token", "ca", "fingerprint")}
        try:
            known = check_access(evolve(known, **{name: text for name, text in said.items() if text is not None}))
        except ConfigError as error:
            raise Problem(422, "bad-access", error.template, error.where, **error.fields) from error
    others = {name: access for name, access in config.access.items() if name != device}
    return evolve(config, access=others if known == NO_ACCESS else {**others, device: known})


def _host(text: str) -> str:
    try:
        return parse_address(text).endpoint
    except ConfigError:
        return text
