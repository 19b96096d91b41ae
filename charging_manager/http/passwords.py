"""The admin password: one file, ``<data>/admin``, that agent, cloud server and command line share.

Missing: never set. The word ``emptied``: taken away on purpose, which refuses every login from afar. Else an Argon2id
hash. A file that cannot be read counts as emptied: not as never set, which would open the first set-up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from charging_manager.errors import ConfigError
from charging_manager.http.routes import Problem
from charging_manager.paths import make_private
from charging_manager.storage.files import write_private

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Deferred[T]]
State = Literal["unset", "emptied", "set"]

_EMPTIED = "emptied"
_LONGEST = 1024
_QUEUE = 16
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
# Of a password that nobody knows: checking against it costs what a real check costs.
_DUMMY = "$argon2id$v=19$m=32768,t=3,p=1$bm9ib2R5IGtub3dzIGl0Lg$dGhpcnR5LXR3byBieXRlcyBvZiBubyBwYXNzd29yZC4"


class AdminPassword:
    """The admin password of one data folder. Checks run in a thread, one at a time."""

    _log = Logger()

    def __init__(self, path: Path, in_thread: Any = deferToThread) -> None:
        self._path = path
        self._in_thread = in_thread
        self._one_at_a_time = DeferredLock()
        self._signature: tuple[int, ...] | None = None
        self._content: str | None = None
        self._watching: LoopingCall | None = None
        self._look: Callable[[], None] = self._refresh
        self._refresh()

    @property
    def state(self) -> State:
        """``unset``, ``emptied`` or ``set``, as the file says at this moment."""
        self._refresh()
        if self._content is None:
            return "unset"
        return "set" if self._content.startswith("$argon2id$") else "emptied"

    async def check(self, secret: str) -> bool:
        """Whether this is the password; as slow where there is none. Raises: Problem 503 if too many ask at once."""
        self._look()  # what a change ends, it ends before anybody logs in with the new one
        known = self.state == "set" and 0 < len(secret) <= _LONGEST
        content = self._content if known and self._content else _DUMMY
        if len(self._one_at_a_time.waiting) >= _QUEUE:
            raise Problem(503, "busy", "too many logins at once; try again in a few seconds")
        right: bool = await self._one_at_a_time.run(self._in_thread, lambda: _verify(content, secret[:_LONGEST]))
        return right and known and self.state == "set" and self._content == content  # it may have changed meanwhile

    async def set(self, secret: str) -> None:
        """Raises: ConfigError if it is empty or too long, OSError if it cannot be written."""
        _check_form(secret)
        await self._one_at_a_time.run(self._in_thread, lambda: self.write(secret))
        self._refresh()

    async def empty(self) -> None:
        """Take the password away: from now on nobody logs in from afar."""
        self.write(None)

    def write(self, secret: str | None) -> None:
        """Set (or, with None, empty) it at once: for the command line. Raises: ConfigError, OSError."""
        if secret is not None:
            _check_form(secret)
        make_private(self._path.parent)
        write_private(self._path, (_EMPTIED if secret is None else _HASHER.hash(secret)).encode() + b"\n")

    def watch(self, clock: IReactorTime, changed: Callable[[], object]) -> None:
        """Call ``changed`` within a second after the file changed, whoever changed it."""
        self._refresh()
        seen = self._signature

        def look() -> None:
            nonlocal seen
            with self._log.failuresHandled("looking at the admin password's file failed; the next look comes"):
                self._refresh()
                if self._signature != seen:
                    seen = self._signature
                    self._log.info("the admin password is now {state}", state=self.state)
                    changed()

        self._look = look
        self._watching = LoopingCall(look)
        self._watching.clock = clock
        self._watching.start(0.5, now=False)

    def stop(self) -> None:
        """Stop watching."""
        if self._watching is not None and self._watching.running:
            self._watching.stop()

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            signature = (status.st_mtime_ns, status.st_ino, status.st_size)
            if signature != self._signature:
                self._content = self._path.read_text(encoding="ascii", errors="replace").strip()
                self._signature = signature
        except FileNotFoundError:
            self._content = self._signature = None
        except OSError as error:
            if self._signature != (0,):
                self._log.error("{path} cannot be read: {error}", path=str(self._path), error=error.strerror)
            self._content, self._signature = _EMPTIED, (0,)


def _check_form(secret: str) -> None:
    if not secret:
        raise ConfigError("password", "must not be empty; to take it away, use 'charging_manager passwd --empty'")
    if len(secret) > _LONGEST:
        raise ConfigError("password", f"has at most {_LONGEST} characters")


def _verify(content: str, secret: str) -> bool:
    try:
        return _HASHER.verify(content, secret.encode("utf-8", "replace"))
    except (Argon2Error, InvalidHashError):
        return False
