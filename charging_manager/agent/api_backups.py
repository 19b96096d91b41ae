"""Backups of the agent's state over the API."""

from __future__ import annotations

from collections.abc import Awaitable

from attrs import evolve

from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.backup_pages import BackupPages
from charging_manager.http.routes import Route
from charging_manager.storage.keeping import BackupSettings


def backup_routes(site: RunningSite, people: People) -> list[Route]:
    """None where the site has nobody who keeps backups."""
    if site.keeper is None:
        return []

    def change(settings: BackupSettings) -> Awaitable[object]:
        return site.config.change(lambda config: evolve(config, backups=settings))

    return BackupPages(
        site.keeper,
        "/api/v1/backups",
        change,
        lambda caller, action, detail: people.note(caller, action, "", detail),
    ).routes()
