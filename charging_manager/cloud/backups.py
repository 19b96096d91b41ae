"""The cloud server's settings of its backups, beside its other settings."""

from __future__ import annotations

import orjson
from attrs import asdict
from twisted.logger import Logger

from charging_manager.cloud.settings import KEEP
from charging_manager.storage.keeping import BackupSettings
from charging_manager.storage.store import Connection, Store

log = Logger()

_NAME = "backups"


class BackupStore:
    """Kept in the database, and at hand without asking it."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self.current = BackupSettings()

    async def load(self) -> None:
        """Raises: StorageError. What cannot be read is as it is by default, and said."""

        def look(db: Connection) -> str | None:
            row = db.execute("SELECT value FROM setting WHERE name = ?", (_NAME,)).fetchone()
            return row["value"] if row else None

        text = await self._database.read(look)
        if text is None:
            return
        try:
            self.current = BackupSettings(**orjson.loads(text))
        except (TypeError, ValueError) as error:
            log.error("the settings of backups cannot be read, the defaults hold: {error}", error=error)

    async def change(self, settings: BackupSettings) -> None:
        """On disk when this returns."""
        text = orjson.dumps(asdict(settings)).decode()
        await self._database.write(lambda db: db.execute(KEEP, (_NAME, text)))
        self.current = settings
