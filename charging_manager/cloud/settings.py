"""What the cloud's admin has set for the whole server; kept in the database, and at hand without asking it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import orjson
from attrs import asdict, field, frozen
from twisted.logger import Logger

from charging_manager.cloud.hearing import quietly
from charging_manager.http.fields import between, length
from charging_manager.http.routes import Problem
from charging_manager.storage.store import Connection, Store

log = Logger()
T = TypeVar("T")

_NAME = "server"
_TOPIC = "settings"
_DAY_S = 86_400
KEEP = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


@frozen
class CloudSettings:
    """Defaults are those of a server that was never set."""

    enrolment_approval: bool = False
    """An installation that comes with its own key for the first time waits for the admin."""
    alarm_after_s: int = field(default=3600, validator=between(0, 30 * _DAY_S))
    """So long offline raises an alarm; 0: never."""
    webhook_url: str = field(default="", validator=length(0, 500))
    """Where alarms are sent, if anywhere."""
    webhook_secret: str = field(default="", repr=False, validator=length(0, 200))
    """Signs what is sent; empty: nothing is signed."""


async def read_kept(database: Store, name: str, kind: Callable[..., T]) -> T | None:
    """What is set under this name; None: nothing, or what none of this version can read, which is said."""

    def look(db: Connection) -> str | None:
        row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else None

    text = await database.read(look)
    if text is None:
        return None
    try:
        return kind(**orjson.loads(text))
    except (TypeError, ValueError) as error:
        log.error("the settings of {name} cannot be read, the defaults hold: {error}", name=name, error=error)
        return None


class SettingsStore:
    """The settings in the database."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self.current = CloudSettings()
        database.listen(_TOPIC, lambda detail: quietly(self.load(), log, "the server's settings"))

    async def load(self) -> None:
        """Raises: StorageError. What cannot be read (of a newer version) is as it is by default, and said."""

        self.current = await read_kept(self._database, _NAME, CloudSettings) or self.current

    async def change(self, settings: CloudSettings) -> None:
        """On disk when this returns."""
        text = orjson.dumps(asdict(settings)).decode()

        def keep(db: Connection) -> None:
            db.execute(KEEP, (_NAME, text))
            self._database.tell(db, _TOPIC)

        await self._database.write(keep)
        self.current = settings


def check_webhook_url(url: str) -> None:
    """Raises: Problem 422. Encrypted, or on this machine."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    fine = bool(host) and port != 0 and url.isascii() and url.isprintable() and " " not in url
    if not fine or parts.username is not None or parts.fragment:
        raise Problem(422, "bad-webhook", "This is an address like https://alarms.example/cloud.", "webhook_url")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        sentence = "The address must begin with https://; http:// is possible on this machine only."
        raise Problem(422, "bad-webhook", sentence, "webhook_url")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
