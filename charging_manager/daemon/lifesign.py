"""What systemd hears of a daemon (sd_notify(3)): ready, alive, reloading, stopping, and in words how it stands.

The watchdog (WatchdogSec=) is fed by what must not stand still: the control loop at the agent, the listener at the
cloud. When that stops, systemd ends the process and begins it anew.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

Send = Callable[[bytes], object]
STATUS_EVERY_S = 10.0
"""A status that changes all the time is said so often."""
TROUBLE_STANDS_S = 60.0
"""So long a person can read what went wrong, before the usual status comes back."""
_LONGEST_STATUS = 400


class LifeSign:
    """Does nothing where nobody watches: there is no ``NOTIFY_SOCKET`` then.

    ``watch_s``: so long may pass between two signs of life; None: nobody counts.
    """

    log = Logger()

    def __init__(self, send: Send | None, watch_s: float | None = None) -> None:
        self._send = send
        self.watch_s = watch_s
        self._status = ""
        self._over = self._deaf = False
        self._next_s = float("-inf")

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> LifeSign:
        """As systemd says; a name that begins with ``@`` is in the abstract namespace."""
        name = environment.get("NOTIFY_SOCKET", "")
        send = _sender(name.replace("@", "\0", 1) if name.startswith("@") else name) if name else None
        return cls(send, _watch_s(environment))

    @property
    def is_heard(self) -> bool:
        """Somebody watches."""
        return self._send is not None

    def ready(self) -> None:
        """The program has started, or has done what a reload asks for."""
        self._say(b"READY=1")

    def alive(self) -> None:
        """What must not stand still has moved."""
        self._say(b"WATCHDOG=1")

    def reloading(self) -> None:
        """Settings are being read again; ``ready`` ends it."""
        self._say(b"RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000))

    def stopping(self) -> None:
        """The program is being stopped in order."""
        self._say(b"STOPPING=1")
        self.status("stopping")

    def status(self, words: str, now_s: float | None = None) -> None:
        """How things stand, for ``systemctl status``; the same words are not said twice.

        With ``now_s`` (monotonic) not more often than every STATUS_EVERY_S.
        """
        if self._over or words == self._status or (now_s is not None and not self.wants_status(now_s)):
            return
        self._status = words
        if now_s is not None:
            self._next_s = now_s + STATUS_EVERY_S
        self._say(_status(words))

    def trouble(self, words: str, now_s: float) -> None:
        """Something went wrong and the program goes on: said at once."""
        self.status(words)
        self._next_s = now_s + TROUBLE_STANDS_S

    def wants_status(self, now_s: float) -> bool:
        """Somebody watches, and heard the last one long enough ago: then it is worth making."""
        return self.is_heard and now_s >= self._next_s

    def failed(self, sentence: str, error: BaseException | None = None) -> None:
        """The program ends because of this: its last status. systemd shows the errno behind ``error`` too."""
        self._over = True
        self._say(_status(sentence) + (b"\nERRNO=%d" % number if (number := errno_of(error)) else b""))

    def _say(self, what: bytes) -> None:
        if self._send is None:
            return
        try:
            self._send(what)
        except BlockingIOError:
            return  # systemd is busy; the next sign says it again
        except OSError as error:
            if not self._deaf:
                self.log.warn("systemd cannot be told how we are: {reason}", reason=error.strerror)
            self._deaf = True
        else:
            self._deaf = False


class Telling:
    """Says how a daemon stands, over and over, where nothing else of it beats."""

    def __init__(self, clock: IReactorTime, life: LifeSign, words: Callable[[], str]) -> None:
        self._clock, self._life, self._words = clock, life, words
        self._loop = LoopingCall(self._tell)
        self._loop.clock = clock

    def start(self) -> None:
        """At once, then as often as it is worth while; not at all where nobody watches."""
        if self._life.is_heard:
            self._loop.start(STATUS_EVERY_S / 2)

    def stop(self) -> None:
        """No more."""
        if self._loop.running:
            self._loop.stop()

    def _tell(self) -> None:
        with self._life.log.failuresHandled("how things stand could not be told to systemd"):
            now_s = self._clock.seconds()
            if self._life.wants_status(now_s):
                self._life.status(self._words(), now_s)


def errno_of(error: BaseException | None) -> int | None:
    """The errno of the first OSError in a chain of causes."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__
    return None


def _status(words: str) -> bytes:
    line = " ".join(words.split())
    return b"STATUS=" + (line if len(line) <= _LONGEST_STATUS else line[: _LONGEST_STATUS - 1] + "…").encode()


def _watch_s(environment: Mapping[str, str]) -> float | None:
    pid, usec = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC", "")
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0 or pid not in (None, str(os.getpid())):
        return None
    return int(usec) / 1e6


def _sender(name: str) -> Send:
    """By one socket that is kept: when there is no descriptor left, systemd must hear all the more."""
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    return lambda what: out.sendto(what, name)


the_life = LifeSign.of_environment(os.environ)
"""There is one process, and systemd knows it by the environment it was started with."""
