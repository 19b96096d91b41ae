"""Simulated sites in processes of their own, and agents configured for them as a person would do it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.processes import Running, running

PASSWORD = "correct horse battery"


@frozen
class Simulated:
    """A running simulation: where each device is, and the door through which a test looks and changes."""

    process: Running
    addresses: dict[str, str]
    door: Browser

    def truth(self) -> Any:
        return self.door.get("/state")

    def change(self, **what: object) -> Any:
        return self.door.post("/state", what)


@contextlib.contextmanager
def simulated_site(folder: Path, toml: str, name: str = "site", drivers: Path | None = None) -> Iterator[Simulated]:
    """Run ``toml`` (docs/simulators.md), with one more folder of drivers."""
    plan = folder / f"{name}.toml"
    plan.write_text(toml)
    more = () if drivers is None else ("--drivers", drivers)
    with running(sys.executable, "-m", "charging_manager.sim", plan, "--control", "0", *more) as process:
        process.wait_line("simulators ready")
        said = dict(line.split(": ", 1) for line in process.lines if ": " in line)
        port = int(said.pop("control").rsplit(":", 1)[1].split("/")[0])
        yield Simulated(process, said, Browser(port))


def set_password(data: Path, password: str = PASSWORD) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    AdminPassword(data / "admin").write(password)


def admin_of(port: int, password: str = PASSWORD, secure: bool = False) -> Browser:
    """Logged in as the agent's admin."""
    browser = Browser(port, secure)
    browser.post("/api/v1/login", {"password": password})
    return browser


def furnish(admin: Browser, circuits: Sequence[dict[str, Any]], devices: Sequence[dict[str, Any]]) -> None:
    """Enter circuits and devices; a circuit's ``meter`` is set once that meter is there."""
    bare = [{key: value for key, value in circuit.items() if key != "meter"} for circuit in circuits]
    admin.put("/api/v1/site", {"circuits": bare})
    for device in devices:
        admin.post("/api/v1/devices", device)
    admin.put("/api/v1/site", {"circuits": list(circuits)})
