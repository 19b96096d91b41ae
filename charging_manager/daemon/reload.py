"""SIGHUP (``systemctl reload``): what can be read again while everything goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger

from charging_manager.daemon.lifesign import LifeSign
from charging_manager.daemon.options import DaemonOptions
from charging_manager.errors import ConfigError

log = Logger()


class Reload:
    """``works``: what is done, by name, in order. What fails keeps what it had, is named, and hinders nobody."""

    def __init__(self, reactor: Any, life: LifeSign, works: Mapping[str, Callable[[], object]]) -> None:
        self._reactor, self._life, self._works = reactor, life, works

    def listen(self) -> None:
        """From now on SIGHUP means this; before, it ends the program."""
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.run))

    def run(self) -> None:
        """All of it, now."""
        self._life.reloading()
        troubles = []
        for what, work in self._works.items():
            try:
                work()
            except ConfigError as error:
                log.error("{what} could not be read again: {error}; what held before goes on", what=what, error=error)
                troubles.append(f"{what} could not be read again: {error}")
            except Exception:
                log.failure("{what} could not be read again; what held before goes on", what=what)
                troubles.append(f"{what} could not be read again; the log has the details")
        if not troubles:
            log.info("read again: {whats}", whats=", ".join(self._works))
        self._life.ready()
        if troubles:
            self._life.trouble("; ".join(troubles), self._reactor.seconds())


def settings_again(options: DaemonOptions) -> None:
    """The settings file's log level holds; what else was changed in it is named. Raises: ConfigError."""
    later = options.read_again()
    if later:
        log.warn("changed in the settings file, and in force after a restart: {settings}", settings=", ".join(later))
