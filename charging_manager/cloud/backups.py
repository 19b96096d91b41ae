"""The cloud server's settings of its backups, beside its other settings."""

from __future__ import annotations

import orjson
from attrs import asdict

from charging_manager.cloud.settings import KEEP, read_kept
from charging_manager.storage.keeping import BackupSettings
from charging_manager.storage.store import Store

_NAME = "backups"


class BackupStore:
    """Kept in the database, and at hand without asking it."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self.current = BackupSettings()

    async def load(self) -> None:
        """Raises: StorageError. What cannot be read is as it is by default, and said."""
        self.current = await read_kept(self._database, _NAME, BackupSettings) or self.current

    async def change(self, settings: BackupSettings) -> None:
        """On disk when this returns."""
        text = orjson.dumps(asdict(settings)).decode()
        await self._database.write(lambda db: db.execute(KEEP, (_NAME, text)))
        self.current = settings
