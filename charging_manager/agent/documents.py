"""Parts of the configuration that are read and changed as a whole: kept as JSON, one row of ``document`` each.

A field of ``Configuration`` that is named here is stored so; one that is as it is by default has no row. A field that
this version does not know is left alone by reading and gone with the next change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

import attrs
import orjson
from cattrs.preconf.orjson import make_converter

from charging_manager.agent.acme_settings import AcmeSettings
from charging_manager.agent.config import Configuration
from charging_manager.agent.ocpp_config import OcppSettings
from charging_manager.agent.recording_settings import RecordingSettings
from charging_manager.devices.access import Access
from charging_manager.model.goal import Goal
from charging_manager.model.grid import GridSettings
from charging_manager.model.input import Input
from charging_manager.model.rule import Rule
from charging_manager.model.site import SolarSettings
from charging_manager.model.vehicle import Vehicle
from charging_manager.storage.keeping import BackupSettings
from charging_manager.tariffs.settings import SunSettings, TariffSettings

DOCUMENTS: Mapping[str, Any] = {
    "timezone": str,
    "first_come": bool,
    "unbalance_with_house": bool,
    "solar": SolarSettings,
    "storage_lock": bool,
    "measure_cars": bool,
    "solar_of": dict[str, SolarSettings],
    "rules": tuple[Rule, ...],
    "goals": dict[str, Goal],
    "tariff": TariffSettings,
    "sun_forecast": SunSettings,
    "vehicles": dict[str, Vehicle],
    "inputs": dict[str, Input],
    "grid": GridSettings,
    "recording": RecordingSettings,
    "end_to_end": bool,
    "own_domain": str,
    "acme": AcmeSettings,
    "access": dict[str, Access],
    "push_tokens": dict[str, str],
    "ocpp": OcppSettings,
    "backups": BackupSettings,
}
"""By field of the configuration: its type."""


def _make_converter() -> Any:
    converter = make_converter()
    for kind in (time, date):
        converter.register_unstructure_hook(kind, lambda value: value.isoformat())
        converter.register_structure_hook(kind, lambda value, kind: kind.fromisoformat(value))
    converter.register_unstructure_hook(datetime, lambda value: value.isoformat())
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    return converter


CONVERTER = _make_converter()
"""Values of the model to JSON and back: times and dates in ISO 8601."""


def documents(config: Configuration) -> Iterator[tuple[str, str]]:
    """Name and JSON of every document that differs from the default."""
    plain = Configuration()
    for name, kind in DOCUMENTS.items():
        value = getattr(config, name)
        if value != getattr(plain, name):
            yield name, orjson.dumps(CONVERTER.unstructure(value, kind), option=orjson.OPT_SORT_KEYS).decode()


def read_documents(rows: Callable[[str], sqlite3.Cursor]) -> dict[str, Any]:
    """Fields of the configuration. Raises: ValueError, or cattrs errors, for what none of ours wrote."""
    return {
        name: CONVERTER.structure(orjson.loads(value), DOCUMENTS[name])
        for name, value in rows("SELECT name, value FROM document")
        if name in DOCUMENTS
    }


assert DOCUMENTS.keys() <= {one.name for one in attrs.fields(Configuration)}  # noqa: S101
