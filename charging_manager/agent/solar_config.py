"""How cars follow the sun, as people enter it: what makes sense, and how it is shown and changed over the API."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import Any

import attrs
from attrs import evolve, frozen

from charging_manager.errors import ConfigError
from charging_manager.model.site import SolarSettings

LEFT_OUT_PHASES = 0
_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "start_a": (1.0, 80.0, "a number of amperes from 1 to 80"),
    "start_after_s": (0.0, 7200.0, "a number of seconds from 0 to 7200"),
    "grace_s": (0.0, 7200.0, "a number of seconds from 0 to 7200"),
    "import_w": (-20000.0, 20000.0, "a number of watts from -20000 to 20000; below 0 something is left to the grid"),
    "three_after_s": (0.0, 7200.0, "a number of seconds from 0 to 7200"),
    "grid_pct": (0.0, 100.0, "a number of per cent from 0 to 100"),
}


@frozen
class SolarBody:
    """What is to be different; all else stays. ``phases`` null: one or three, as the sun is."""

    start_a: float | None = None
    start_after_s: float | None = None
    grace_s: float | None = None
    import_w: float | None = None
    three_after_s: float | None = None
    phases: int | None = LEFT_OUT_PHASES
    grid_pct: float | None = None


NOTHING_SAID = SolarBody()
"""Stands for a body without any of it."""


def check_solar(site: SolarSettings, own: Mapping[str, SolarSettings], boxes: Container[str]) -> None:
    """Raises: ConfigError for a number that no car can follow, or for settings of no charge point."""
    _check("solar", site)
    for name, settings in own.items():
        if name not in boxes:
            raise ConfigError(f"solar_of.{name}", "there is no charge point {name}; name one that exists", name=name)
        _check(f"solar_of.{name}.solar", settings)


def _check(where: str, settings: SolarSettings) -> None:
    for key, (least, most, remedy) in _BOUNDS.items():
        value = getattr(settings, key)
        if not (math.isfinite(value) and least <= value <= most):
            raise ConfigError(f"{where}.{key}", remedy)
    if settings.phases not in (None, 1, 3):
        raise ConfigError(f"{where}.phases", "1 or 3, or empty for as the sun is")


def changed_solar(old: SolarSettings, body: SolarBody) -> SolarSettings:
    """With what the body says."""
    said = {
        field.name: getattr(body, field.name)
        for field in attrs.fields(SolarBody)
        if field.name != "phases" and getattr(body, field.name) is not None
    }
    if body.phases != LEFT_OUT_PHASES:
        said["phases"] = body.phases
    return evolve(old, **said)


def shown_solar(settings: SolarSettings | None) -> dict[str, Any] | None:
    """As JSON; None where the site's settings hold."""
    return None if settings is None else attrs.asdict(settings)
