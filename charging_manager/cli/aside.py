"""One piece of work in a process of its own while this one does another: two runs take the time of one."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from charging_manager.errors import ChargingManagerError, ConfigError

T = TypeVar("T")


class Aside(Generic[T]):
    """Begins at once; ``result`` waits for it, ``end`` stops it if it still runs."""

    def __init__(self, work: Callable[[], T]) -> None:
        context = multiprocessing.get_context("fork")  # what it works on need not be sent
        self._ear, mouth = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(work, mouth), daemon=True)
        self._process.start()
        mouth.close()

    def result(self) -> T:
        """Raises: ChargingManagerError as the work did, or if its process was killed."""
        try:
            good, value = self._ear.recv()
        except EOFError as error:
            raise ConfigError("", "a part of the work was killed; is there memory enough?") from error
        finally:
            self._process.join()
        if not good:
            raise ChargingManagerError(value)
        found: T = value
        return found

    def end(self) -> None:
        """Nobody needs it any more."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _do(work: Callable[[], Any], mouth: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process hears it and ends this one
    try:
        mouth.send((True, work()))
    except ChargingManagerError as error:
        mouth.send((False, str(error)))
