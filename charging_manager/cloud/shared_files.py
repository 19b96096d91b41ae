"""Files that are the same at all servers of one cloud: the admin password and the second factor.

Each server has them in its state directory, where the commands look, and so has the database. What was changed here
since both agreed goes there, and otherwise what is there comes here. A note says on what both agreed last, so that a
change while this server did not run is known for one.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import orjson
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.cloud.hearing import quietly
from charging_manager.storage.database import StorageError
from charging_manager.storage.files import sync_folder, write_private
from charging_manager.storage.store import Connection, Store

NAMES = ("admin", "admin.totp")
LOOK_EVERY_S = 0.5
_TOPIC = "shared-file"
_PUSH = (
    "INSERT INTO shared_file (name, content, version) VALUES (?, ?, 1)"
    " ON CONFLICT (name) DO UPDATE SET content = excluded.content, version = shared_file.version + 1"
)

_Signature = tuple[int, int, int] | None


class SharedFiles:
    """``folder`` holds the files, ``note`` is a file of our own; ``taken`` is called when one came from elsewhere."""

    _log = Logger()

    def __init__(
        self,
        database: Store,
        folder: Path,
        note: Path,
        clock: IReactorTime,
        taken: Callable[[], object] = lambda: None,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        self._database, self._folder, self._note = database, folder, note
        self.taken = taken
        self._names = names
        self._agreed: dict[str, str] = _read_note(note)
        self._seen: dict[str, _Signature] = {}
        self._one_at_a_time = DeferredLock()
        self._loop = LoopingCall(self._look_guarded)
        self._loop.clock = clock
        database.listen(_TOPIC, lambda detail: quietly(self._settled(), self._log, "files"))

    async def begin(self) -> None:
        """Agree with the others, then keep to it. Raises: StorageError."""
        await self.settle()
        self._loop.start(LOOK_EVERY_S, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def settle(self) -> Deferred[None]:
        """Agree now. Fails with StorageError; then it is tried again by itself."""
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._settle()))

    async def _settled(self) -> None:
        await self.settle()

    async def _look_guarded(self) -> None:
        tried_again = self._log.failuresHandled("looking at the files of all servers failed; the next look comes")
        with tried_again, contextlib.suppress(StorageError):
            if any(_signature(self._folder / name) != self._seen.get(name, ()) for name in self._names):
                await self.settle()

    async def _settle(self) -> None:
        came = False
        for name in self._names:
            path = self._folder / name
            signature = _signature(path)
            came = await self._settle_one(name, path) or came
            self._seen[name] = signature if signature == _signature(path) else ()  # type: ignore[assignment]
        if came:
            self.taken()

    async def _settle_one(self, name: str, path: Path) -> bool:
        """Whether it came from elsewhere."""
        here = _read(path)

        def look(db: Connection) -> tuple[bool, str | None]:
            row = db.execute("SELECT content FROM shared_file WHERE name = ?", (name,)).fetchone()
            return row is not None, row["content"] if row is not None else None

        known, there = await self._database.read(look)
        if here == there:
            self._agree(name, here)
            return False
        changed_here = name in self._agreed and _digest(here) != self._agreed[name]
        if changed_here or not known:
            await self._push(name, here)
            self._agree(name, here)
            return False
        if there is None:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        else:
            write_private(path, there.encode("latin-1"))
        self._log.info("{name} is now as at the other servers", name=name)
        self._agree(name, there)
        return True

    async def _push(self, name: str, content: str | None) -> None:
        def keep(db: Connection) -> None:
            db.execute(_PUSH, (name, content))
            self._database.tell(db, _TOPIC, name)

        await self._database.write(keep)

    def _agree(self, name: str, content: str | None) -> None:
        digest = _digest(content)
        if self._agreed.get(name) != digest:
            self._agreed[name] = digest
            write_private(self._note, orjson.dumps(self._agreed))


def _read(path: Path) -> str | None:
    try:
        return path.read_text("latin-1")
    except FileNotFoundError:
        return None


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _digest(content: str | None) -> str:
    return "" if content is None else hashlib.sha256(content.encode("latin-1")).hexdigest()


def _read_note(path: Path) -> dict[str, str]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}
