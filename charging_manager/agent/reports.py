"""Commissioning reports: a test of a device as a document, kept with the device for as long as it is there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from charging_manager import VERSION
from charging_manager.agent.config import Configuration, DeviceSettings
from charging_manager.agent.store import Storage
from charging_manager.devices.driver import Driver
from charging_manager.devices.trial import Spoken, TestStep

KEPT = 10
"""Of each device, the newest so many."""

FORMAT = 1


@frozen
class Listed:
    """A report in a list."""

    number: int
    at: str
    verdict: str
    by: str


@frozen
class Who:
    """Who asked for a test."""

    role: str
    user: str | None
    source: str

    def __str__(self) -> str:
        return self.user or self.role


class Reports:
    """The reports in the database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(self, device: str, by: str, document: Mapping[str, Any]) -> Deferred[int]:
        """Keep a report; the oldest ones make room. Gives its number. Fails with StorageError."""

        def write(connection: sqlite3.Connection) -> int:
            row = (device, document["began_at"], document["verdict"], by, json.dumps(document))
            made = connection.execute(
                "INSERT INTO commissioning_report (device, at, verdict, made_by, document) VALUES (?, ?, ?, ?, ?)", row
            )
            connection.execute(
                "DELETE FROM commissioning_report WHERE device = ? AND id NOT IN"
                " (SELECT id FROM commissioning_report WHERE device = ? ORDER BY id DESC LIMIT ?)",
                (device, device, KEPT),
            )
            return int(made.lastrowid or 0)

        return self._storage.write(write)

    def of(self, device: str) -> Deferred[list[Listed]]:
        """All of a device, newest first."""
        return self._storage.read(
            lambda connection: [
                Listed(row["id"], row["at"], row["verdict"], row["made_by"])
                for row in connection.execute(
                    "SELECT id, at, verdict, made_by FROM commissioning_report WHERE device = ? ORDER BY id DESC",
                    (device,),
                )
            ]
        )

    def get(self, device: str, number: int) -> Deferred[dict[str, Any] | None]:
        """One report."""

        def read(connection: sqlite3.Connection) -> dict[str, Any] | None:
            row = connection.execute(
                "SELECT document FROM commissioning_report WHERE device = ? AND id = ?", (device, number)
            ).fetchone()
            return None if row is None else {"number": number, **json.loads(row["document"])}

        return self._storage.read(read)

    def forget(self, devices: Collection[str]) -> Deferred[None]:
        """These devices are gone, and their reports with them."""
        names = [(name,) for name in devices]
        return self._storage.write(
            lambda connection: _nothing(
                connection.executemany("DELETE FROM commissioning_report WHERE device = ?", names)
            )
        )


def _nothing(_: object) -> None:
    return None


def document_of(
    config: Configuration,
    serial: str,
    device: DeviceSettings,
    driver: Driver,
    condition: Any,
    who: Who,
    began_at: datetime,
    ended_at: datetime,
    verdict: str,
    steps: Collection[TestStep],
    fallback_a: float,
) -> dict[str, Any]:
    """The report as JSON. Sentences stand in it with their fields, to be said in any language."""
    circuit = config.circuits.get(device.circuit)
    identity = {name: value for name, value in condition.identity.items() if value is not None}
    zero_s = min((step.began_s for step in steps), default=0.0)
    return {
        "format": FORMAT,
        "program": f"charging_manager {VERSION}",
        "site": {"name": config.name, "serial": serial},
        "device": {
            "id": device.id,
            "name": device.name,
            "kind": device.kind.value,
            "role": device.role.value if device.role else None,
            "driver": driver.name,
            "model": f"{driver.vendor} {driver.model}",
            "variant": condition.variant,
            "identity": identity,
            "address": device.address,
            "circuit": {
                "id": device.circuit,
                "name": circuit.name if circuit else device.circuit,
                "limit_a": list(circuit.limit_a) if circuit else [],
            },
            "phases": list(device.phases),
            "min_a": device.min_a,
            "max_a": device.max_a,
            "max_w": device.max_w,
            "fallback_a": fallback_a,
        },
        "by": {"role": who.role, "user": who.user, "source": who.source},
        "began_at": began_at.isoformat(timespec="seconds"),
        "ended_at": ended_at.isoformat(timespec="seconds"),
        "verdict": verdict,
        "steps": [_step(step, began_at, zero_s) for step in steps],
    }


def _step(step: TestStep, began_at: datetime, zero_s: float) -> dict[str, Any]:
    def at(instant_s: float) -> str:
        return (began_at + timedelta(seconds=instant_s - zero_s)).isoformat(timespec="milliseconds")

    def spoken(one: Spoken) -> dict[str, Any]:
        return {
            "at": at(one.at_s),
            "wrote": one.wrote,
            "name": one.name,
            "place": one.place,
            "words": " ".join(f"{word:04x}" for word in one.words),
            "value": one.value,
            "unit": one.unit,
            "trouble": one.trouble,
        }

    return {
        "name": step.name,
        "ok": step.ok,
        "sentence": step.sentence,
        "fields": dict(step.fields),
        "began_at": at(step.began_s),
        "ended_at": at(step.ended_s),
        "spoken": [spoken(one) for one in step.spoken],
    }
