"""What processes that share a PostgreSQL tell each other (LISTEN, NOTIFY), and which of them leads.

A thread of its own waits for it. After every new connection all listeners hear None: something may have been missed.
The one that leads holds an advisory lock for as long as its connection lasts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from threading import Event
from typing import Any

import psycopg
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.storage.pg_line import FIRST_PAUSE_S, LONGEST_PAUSE_S, Line, Place
from charging_manager.storage.store import Connection
from charging_manager.storage.workers import DaemonThread

LEADER = 0x434D_0003
"""The advisory lock of the process that leads."""
CHANNEL = "cm_news"
LOOK_EVERY_S = 2.0
_LONGEST_DETAIL = 7000


class News:
    """Listeners are called in the reactor's thread."""

    _log = Logger()

    def __init__(self, place: Place, reactor: Any) -> None:
        self._reactor = reactor
        self._line = Line(place, reactor)
        self._me = secrets.token_hex(8)
        self._listeners: list[tuple[str, Callable[[str | None], object]]] = []
        self._stopping = Event()
        self._thread = DaemonThread(target=self._live, name="database news")
        self._watching = LoopingCall(self._line.break_if_stuck)
        self._watching.clock = reactor
        self.leads = False

    def start(self) -> None:
        """Begin to listen."""
        self._watching.start(1.0, now=False)
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing any more, and let another one lead; the thread ends by itself."""
        self._stopping.set()
        if self._watching.running:
            self._watching.stop()

    def listen(self, topic: str, heard: Callable[[str | None], object]) -> None:
        self._listeners.append((topic, heard))

    def tell(self, db: Connection, topic: str, detail: str) -> None:
        """In a transaction: the others hear of it when it is committed."""
        told = detail if len(detail.encode()) <= _LONGEST_DETAIL else "\n"
        db.execute("SELECT pg_notify(?, ?)", (CHANNEL, f"{self._me} {topic} {told}"))

    # -- in the thread

    def _live(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                with self._line.alone() as connection:
                    self._line.run(f"LISTEN {CHANNEL}")
                    self._reactor.callFromThread(self._hear_all)
                    pause_s = FIRST_PAUSE_S
                    while not self._stopping.is_set():
                        self._stay_leader()
                        for notice in connection.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                            self._reactor.callFromThread(self._hear, notice.payload)
            except psycopg.Error:
                pass  # said by the store, which asks all the time
            except Exception:
                self._log.failure("listening at the database failed; it is tried again")
            finally:
                self.leads = False
            self._stopping.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _stay_leader(self) -> None:
        """Also shows that the connection still is one."""
        if self.leads:
            self._line.run("SELECT 1")
        else:
            self.leads = bool(self._line.run(f"SELECT pg_try_advisory_lock({LEADER})").fetchone()[0])

    # -- in the reactor

    def _hear(self, payload: str) -> None:
        who, _, rest = payload.partition(" ")
        topic, _, detail = rest.partition(" ")
        if who != self._me:
            self._call(topic, None if detail == "\n" else detail)

    def _hear_all(self) -> None:
        for topic in dict.fromkeys(topic for topic, _ in self._listeners):
            self._call(topic, None)

    def _call(self, topic: str, detail: str | None) -> None:
        for wanted, heard in self._listeners:
            if wanted == topic and not self._stopping.is_set():
                with self._log.failuresHandled("what another process told could not be taken in: {topic}", topic=topic):
                    heard(detail)
