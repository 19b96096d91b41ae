"""Small sites and readings for the agent's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from charging_manager.agent.config import Configuration, DeviceSettings, Kind, UserSettings
from charging_manager.model.reading import Reading, Status
from charging_manager.model.site import Circuit, MeterRole

START_AT = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


def box(name: str = "garage", **more: object) -> DeviceSettings:
    """A charge point on the main circuit."""
    settings = {
        "id": name,
        "name": name.title(),
        "kind": Kind.CHARGE_POINT,
        "driver": "acme",
        "address": f"tcp://127.0.0.1:1502?unit={len(name)}",
        "circuit": "main",
    }
    return DeviceSettings(**{**settings, **more})  # type: ignore[arg-type]


def meter(name: str = "grid", **more: object) -> DeviceSettings:
    """A grid meter on the main circuit."""
    settings = {
        "id": name,
        "name": name.title(),
        "kind": Kind.METER,
        "driver": "acme-meter",
        "address": "tcp://127.0.0.1:1503?unit=9",
        "circuit": "main",
        "role": MeterRole.GRID,
    }
    return DeviceSettings(**{**settings, **more})  # type: ignore[arg-type]


def house(*devices: DeviceSettings, users: tuple[UserSettings, ...] = (), **more: object) -> Configuration:
    """A site with one circuit of 32 A."""
    return Configuration(
        name="House",
        circuits={"main": Circuit("main", "Main", None, (32.0, 32.0, 32.0))},
        devices={device.id: device for device in devices},
        users={user.id: user for user in users},
        **more,  # type: ignore[arg-type]
    )


def reading(
    status: Status | None = Status.CHARGING, taken_s: float = 0.0, device: str = "garage", **more: object
) -> Reading:
    """What a box or meter says."""
    return Reading(device=device, taken_s=taken_s, status=status, **more)  # type: ignore[arg-type]


def later(seconds: float) -> datetime:
    """A moment after the start."""
    return START_AT + timedelta(seconds=seconds)
