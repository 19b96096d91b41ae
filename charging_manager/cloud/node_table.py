"""The servers of one cloud, as they stand in their database: where each is reached by the others, and which live."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from charging_manager import VERSION
from charging_manager.errors import ConfigError
from charging_manager.storage.files import write_private
from charging_manager.storage.store import Connection, Store

BEAT_EVERY_S = 5.0
DEAD_AFTER_S = 20
"""By the database's clock, which is one for all."""
NEWS = "servers"
"""What servers tell each other when one comes or goes."""
_FORGOTTEN_AFTER_S = 7 * 86_400


@frozen
class Node:
    """One server that lives."""

    id: str
    address: str


@frozen
class Beat:
    """What a look at the table showed: the others that live, and how many died just now."""

    others: tuple[Node, ...]
    died: tuple[str, ...]


def load_node_id(folder: Path) -> str:
    """This server's own name among the others; made at the first start. Raises: ConfigError."""
    path = folder / "node"
    try:
        if not path.exists():
            write_private(path, f"{secrets.token_hex(8)}\n".encode())
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "cannot be read or written; remove it, it is made anew") from error


class NodeTable:
    """Tables that only a shared database has."""

    def __init__(self, database: Store, me: str) -> None:
        self._database, self._me = database, me

    async def check_secret(self, secret: bytes) -> None:
        """All servers of one cloud have one secret. Raises: ConfigError."""
        mine = hmac.digest(secret, b"which cloud", "sha256").hex()

        def compare(db: Connection) -> str:
            db.execute("INSERT INTO cluster (one, secret_check) VALUES (1, ?) ON CONFLICT (one) DO NOTHING", (mine,))
            return str(db.execute("SELECT secret_check FROM cluster").fetchone()[0])

        if not hmac.compare_digest(mine, await self._database.write(compare)):
            raise ConfigError(
                "cloud/secret",
                "is not that of the other servers at this database; copy the file of this name from the state "
                "directory of one of them, then start again",
            )

    async def beat(self, address: str, judges: bool) -> Beat:
        """Say that we live, and see who else does. Raises: StorageError.

        ``judges``: we said so not long ago, so that the database answered all the time, and who did not is dead.
        """

        def look(db: Connection) -> Beat:
            known = db.execute("SELECT address FROM node WHERE id = ? AND alive <> 0", (self._me,)).fetchone()
            if known is None or known["address"] != address:
                self._database.tell(db, NEWS)
            db.execute(
                "INSERT INTO node (id, address, program, alive, seen_at) VALUES (?, ?, ?, 1, now())"
                " ON CONFLICT (id) DO UPDATE SET address = excluded.address, program = excluded.program,"
                " alive = 1, seen_at = now()",
                (self._me, address, VERSION),
            )
            died = db.execute(
                "UPDATE node SET alive = 0 WHERE alive <> 0 AND seen_at < now() - make_interval(secs => ?) AND ? <> 0"
                " RETURNING id",
                (DEAD_AFTER_S, judges),
            ).fetchall()
            for row in died:
                db.execute("UPDATE installations SET online = 0 WHERE online <> 0 AND node = ?", (row["id"],))
            db.execute("DELETE FROM node WHERE seen_at < now() - make_interval(secs => ?)", (_FORGOTTEN_AFTER_S,))
            others = db.execute("SELECT id, address FROM node WHERE alive <> 0 AND id <> ? ORDER BY id", (self._me,))
            return Beat(tuple(Node(row["id"], row["address"]) for row in others), tuple(row["id"] for row in died))

        return await self._database.write(look)

    def on_news(self, changed: Callable[[], object]) -> None:
        """``changed`` is called when another server has come or gone."""
        self._database.listen(NEWS, lambda detail: changed())

    async def leave(self) -> None:
        """We end in order: nobody need wait for us. Raises: StorageError."""

        def end(db: Connection) -> None:
            db.execute("UPDATE node SET alive = 0 WHERE id = ?", (self._me,))
            self._database.tell(db, NEWS)

        await self._database.write(end)
