"""Where a database's functions run: on a thread of its own, or, for commands and tests, at once."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Worker(Protocol):
    """Runs one function after the other."""

    def run(self, function: Callable[[], T]) -> Deferred[T]: ...

    def stop(self) -> None: ...


class DaemonThread(Thread):
    """A thread that nobody stopped must not keep a failed program from ending."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw, daemon=True)


class OwnThread:
    """One thread of its own, one call after the other."""

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(1, 1, name)
        self._pool.threadFactory = DaemonThread
        self._pool.start()
        self._running = True

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._pool, function)

    def stop(self) -> None:
        if self._running:
            self._running = False
            self._pool.stop()


class Here:
    """The calling thread: for commands and for tests."""

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        return execute(function)

    def stop(self) -> None:
        pass
