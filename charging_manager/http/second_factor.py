"""The admin's second factor (RFC 6238): one file, ``<data>/admin.totp``, that agent and cloud share like the password.

A code counts once, also over restarts and for both daemons: its time step is on disk before anybody is let in. The
ten recovery codes are kept as hashes. A file that cannot be read counts as a factor that no code fits: then
``charging_manager second-factor off`` on the machine helps.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import orjson
from attrs import evolve, field, frozen
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from charging_manager.clocks import UtcNow, utc_now
from charging_manager.paths import give_to_owner_of, make_private
from charging_manager.storage.files import sync_folder, write_private

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Deferred[T]]

STEP_S = 30
DIGITS = 6
RECOVERY_CODES = 10
PROPOSAL_LASTS_S = 900.0
_SECRET_BYTES = 20
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LONGEST = 40


@frozen
class Kept:
    """What the file holds. ``last_step`` is of the newest code that was used."""

    secret: bytes = field(repr=False)
    last_step: int
    recovery: tuple[str, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        return orjson.dumps(
            {
                "secret": base64.b32encode(self.secret).decode(),
                "last_step": self.last_step,
                "recovery": list(self.recovery),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Kept:
        """Raises: ValueError."""
        try:
            held = orjson.loads(data)
            return cls(base64.b32decode(held["secret"]), int(held["last_step"]), tuple(map(str, held["recovery"])))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError("not a second factor") from error


@frozen
class Proposal:
    """A secret that waits for its first code."""

    secret: bytes = field(repr=False)
    until_s: float

    @property
    def text(self) -> str:
        """For people who type it."""
        return base64.b32encode(self.secret).decode()

    def uri(self, account: str) -> str:
        """For an authenticator's camera."""
        issuer = "Charging Manager"
        label = quote(f"{issuer}:{account}")
        return f"otpauth://totp/{label}?secret={self.text}&issuer={quote(issuer)}&digits={DIGITS}&period={STEP_S}"


class SecondFactor:
    """The second factor of one data folder. What waits for the disk runs in a thread."""

    _log = Logger()

    def __init__(self, path: Path, clock: IReactorTime, now: UtcNow = utc_now, in_thread: Any = deferToThread) -> None:
        self._path, self._clock, self._now, self._in_thread = path, clock, now, in_thread
        self._proposal: Proposal | None = None
        self._watching: LoopingCall | None = None
        self._was_on = self.on

    @property
    def on(self) -> bool:
        """Whether the admin's login needs a code."""
        return os.path.lexists(self._path)

    @property
    def recovery_left(self) -> int:
        """How many recovery codes have not been used."""
        kept = self._read()
        return len(kept.recovery) if kept else 0

    def propose(self) -> Proposal:
        """A fresh secret; it counts when ``confirm`` has seen its first code."""
        until_s = self._clock.seconds() + PROPOSAL_LASTS_S
        self._proposal = Proposal(secrets.token_bytes(_SECRET_BYTES), until_s)
        return self._proposal

    @property
    def is_proposed(self) -> bool:
        """Whether ``confirm`` has something to confirm."""
        return self._proposal is not None and self._clock.seconds() < self._proposal.until_s

    async def confirm(self, code: str) -> list[str] | None:
        """Switch it on, if this code is of the proposed secret: the recovery codes, never shown again. Else None."""
        proposal = self._proposal
        if proposal is None or not self.is_proposed:
            return None
        step = _step_of(proposal.secret, _plain(code), self._step())
        if step is None:
            return None
        codes = _new_codes()
        self._proposal = None
        await self._in_thread(lambda: self._write(Kept(proposal.secret, step, tuple(map(_hash, codes)))))
        self._was_on = True
        return codes

    async def fits(self, code: str, use: bool = True) -> bool:
        """Whether this code (or recovery code) lets the admin in now. With ``use`` it is used up by that.

        It takes about as long without: whoever has a wrong password learns nothing of the code, nor the other way
        round.
        """
        step = self._step()
        fitting: bool = await self._in_thread(lambda: self._try(_plain(code), step, use))
        return fitting

    async def new_recovery_codes(self) -> list[str]:
        """Ten others; the old ones end."""
        codes = _new_codes()

        def replace() -> None:
            with self._locked():
                kept = self._read()
                if kept is not None:
                    self._write(evolve(kept, recovery=tuple(map(_hash, codes))))

        await self._in_thread(replace)
        return codes

    async def off(self) -> None:
        """From now on the password alone counts."""
        self._was_on = False
        await self._in_thread(self.remove)

    def remove(self) -> bool:
        """Switch it off at once: for the command line. False if it was off."""
        if not self.on:
            return False
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)
        return True

    def watch(self, changed: Callable[[bool], object]) -> None:
        """Call ``changed`` within a second when another program switched it on or off."""

        def look() -> None:
            with self._log.failuresHandled("looking at the second factor's file failed; the next look comes"):
                if self.on is not self._was_on:
                    self._was_on = self.on
                    self._log.info("the admin's second factor is now {state}", state="on" if self.on else "off")
                    changed(self.on)

        self._watching = LoopingCall(look)
        self._watching.clock = self._clock
        self._watching.start(0.5, now=False)

    def stop(self) -> None:
        """Stop watching."""
        if self._watching is not None and self._watching.running:
            self._watching.stop()

    def _step(self) -> int:
        return int(self._now().timestamp()) // STEP_S

    def _try(self, code: str, step: int, use: bool) -> bool:
        with self._locked():
            kept = self._read()
            if kept is None:
                return False
            found = _step_of(kept.secret, code, step, kept.last_step)
            coded = _hash(code)
            recovery = [known for known in kept.recovery if not hmac.compare_digest(known, coded)]
            recovers = len(recovery) < len(kept.recovery)
            if (found is None and not recovers) or not use:
                return False
            self._write(evolve(kept, last_step=found or kept.last_step, recovery=tuple(recovery)))
            return True

    def _read(self) -> Kept | None:
        try:
            return Kept.from_bytes(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._log.error("{path} cannot be read: {error}", path=str(self._path), error=error)
            return None

    def _write(self, kept: Kept) -> None:
        make_private(self._path.parent)
        write_private(self._path, kept.to_bytes())

    def _locked(self) -> _Lock:
        return _Lock(self._path.with_name(f"{self._path.name}.lock"))


class _Lock:
    """Agent and cloud may share the file: one of them at a time reads and writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        make_private(self._path.parent)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner_of(self._path.parent, self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _step_of(secret: bytes, code: str, now: int, later_than: int = -1) -> int | None:
    """The time step of this code: the present one, or the one before or after, if it was not used yet."""
    totp = TOTP(secret, DIGITS, SHA1(), STEP_S, enforce_key_length=False)  # noqa: S303 - what authenticators speak
    given = code.encode("utf-8", "replace")
    found = None
    for step in range(max(0, now - 1), now + 2):
        if hmac.compare_digest(totp.generate(step * STEP_S), given) and step > later_than:
            found = step
    return found


def _plain(code: str) -> str:
    """Without the blanks and hyphens that people type."""
    return "".join(code[:_LONGEST].split()).replace("-", "")


def _new_codes() -> list[str]:
    """Of 80 random bits each, so that a hash of them tells nothing."""
    made = ["".join(secrets.choice(_LETTERS) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in made]


def _hash(code: str) -> str:
    letters = _plain(code).upper().translate(_READ_AS)
    return hashlib.sha256(b"recovery code\0" + letters.encode("utf-8", "replace")).hexdigest()
