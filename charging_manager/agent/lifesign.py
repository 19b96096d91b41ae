"""Tells systemd that the control loop lives (sd_notify, WatchdogSec): when it stands still, systemd restarts us."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from twisted.logger import Logger

Send = Callable[[bytes], None]


class LifeSign:
    """Does nothing where nobody watches: there is no ``NOTIFY_SOCKET`` then."""

    log = Logger()

    def __init__(self, send: Send | None) -> None:
        self._send = send

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> LifeSign:
        """As systemd says (sd_notify(3)); a name that begins with ``@`` is in the abstract namespace."""
        name = environment.get("NOTIFY_SOCKET", "")
        return cls(_sender(name.replace("@", "\0", 1) if name.startswith("@") else name) if name else None)

    def ready(self) -> None:
        """The program has started."""
        self._say(b"READY=1")

    def alive(self) -> None:
        """A cycle was decided."""
        self._say(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The program is being stopped in order."""
        self._say(b"STOPPING=1")

    def _say(self, what: bytes) -> None:
        if self._send is None:
            return
        try:
            self._send(what)
        except BlockingIOError:
            return  # systemd is busy; the next cycle says it again
        except OSError as error:
            self.log.warn("systemd cannot be told that we live: {reason}", reason=error.strerror)
            self._send = None


def _sender(name: str) -> Send:
    def send(what: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)
            out.sendto(what, name)

    return send
