"""One poller per device: it reads at the device's own pace, and brings it the newest setpoint.

A slow or silent device delays nobody: each has its own loop, and a setpoint that arrives while another is on its way
replaces the one that waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from charging_manager.errors import DeviceError, DeviceSilent
from charging_manager.model.reading import Obedience, Reading

T = TypeVar("T")

_LOOK_EVERY_S = 0.25
_AGAIN_AFTER_S = (0.0, 1.0, 2.0, 5.0)
"""A device that answers nonsense is asked less often; one that says nothing is left alone by its bus."""


class Polled(Protocol):
    """What we need of devices.Device, which prepares itself with the first reading and after silence."""

    most_a: float | None

    async def read(self) -> Reading: ...

    async def apply(self, setpoint_a: float, phases: int | None = None) -> None: ...

    async def lock_storage(self, locked: bool) -> None: ...

    @property
    def storage_locked(self) -> bool | None: ...

    def obedience(self, now_s: float) -> Obedience: ...

    def use_fallback(self, fallback_a: float) -> None: ...

    def close(self) -> None: ...


class Wish(Protocol):
    """What a device is to be brought to. Equal ones are one."""

    async def bring(self, device: Polled) -> None: ...

    def obeyed(self, device: Polled, now_s: float) -> bool: ...


@frozen
class Wanted:
    """What a charge point shall do."""

    setpoint_a: float
    phases: int | None = None
    """1 or 3; None: as they are."""

    async def bring(self, device: Polled) -> None:
        await device.apply(self.setpoint_a, self.phases)

    def obeyed(self, device: Polled, now_s: float) -> bool:
        known = device.obedience(now_s)
        most_a = max(known.confirmed_a or 0.0, known.commanded_a or 0.0)
        return known.confirmed_a is not None and most_a <= self.setpoint_a + 0.05

    def __str__(self) -> str:
        return f"{self.setpoint_a:g} A"


@frozen
class StorageLock:
    """Whether a storage battery shall give nothing."""

    locked: bool

    async def bring(self, device: Polled) -> None:
        await device.lock_storage(self.locked)

    def obeyed(self, device: Polled, now_s: float) -> bool:
        return device.storage_locked is self.locked

    def __str__(self) -> str:
        return "its lock" if self.locked else "its release"


class Poller:
    """Keeps one device read and obeying."""

    log = Logger()

    def __init__(
        self,
        name: str,
        device: Polled,
        sink: Callable[[Reading], None],
        clock: IReactorTime,
        every_s: float = 1.0,
        first_after_s: float = 0.0,
        brought: Callable[[], None] = lambda: None,
    ) -> None:
        """``brought`` is called whenever something that was wanted has reached the device."""
        self.name = name
        self.device: Polled = device
        self._sink = sink
        self._clock = clock
        self._every_s = every_s
        self._first_after_s = first_after_s
        self._loop = LoopingCall(self._poll_once)
        self._loop.clock = clock
        self._heard = False
        self._failures = 0
        self._not_before_s = float("-inf")
        self._brought = brought
        self._wanted: Wish | None = None
        self._last: Wish | None = None
        """What it was brought to with success."""
        self._applying = False
        self._held = False
        self._silent_since_s: float | None = None
        self._stopped = False

    @property
    def answering(self) -> bool:
        """The last poll brought a reading."""
        return self._heard and self._silent_since_s is None

    def start(self) -> None:
        """Begin to poll, after a moment of its own, so that many devices do not speak at once."""

        def begin() -> None:
            if not self._stopped and not self._loop.running:
                self._loop.start(self._every_s).addErrback(
                    lambda failure: self.log.failure("polling of {device} ended", failure=failure, device=self.name)
                )

        self._clock.callLater(self._first_after_s, begin)

    def stop(self) -> None:
        """Poll no more; what is on the wire may finish."""
        self._stopped = True
        if self._loop.running:
            self._loop.stop()

    def want(self, wish: Wish) -> None:
        """Bring the device to this as soon as it takes it. Never waits; what it was brought to already, it keeps."""
        self._wanted = None if wish == self._last and not self._applying else wish
        if self._wanted is not None and not self._applying and not self._held and not self._stopped:
            self._applying = True
            Deferred.fromCoroutine(self._apply_newest())

    @property
    def newest(self) -> Wish | None:
        """What it is to be brought to, or was brought to last."""
        return self._wanted or self._last

    async def alone(self, work: Callable[[Polled], Awaitable[T]]) -> T:
        """Do something with the device while it gets no setpoints from us; afterwards the newest one counts again."""
        self._held = True
        before, self._last = self._last, None
        try:
            return await work(self.device)
        finally:
            self._held, self._last = False, None
            newest = self._wanted or before
            if newest is not None:
                self.want(newest)

    async def leave_at(self, wish: Wish) -> None:
        """Stop polling, and leave the device at this if it still answers.

        Some take a write only seconds after the last one: it is waited for until it is confirmed.
        """
        self.stop()
        self._wanted = None
        try:
            if self.answering:
                await wish.bring(self.device)
                while not wish.obeyed(self.device, self._clock.seconds()):
                    await deferLater(self._clock, _LOOK_EVERY_S)
        except CancelledError:
            raise
        except DeviceError as error:
            self.log.warn(
                "{device} could not be left on {wish}: {reason}", device=self.name, wish=str(wish), reason=str(error)
            )
        except Exception:
            self.log.failure("{device} could not be left on {wish}", device=self.name, wish=str(wish))
        finally:
            self.device.close()

    async def _apply_newest(self) -> None:
        try:
            while self._wanted is not None and not self._stopped and not self._held:
                wish, self._wanted, self._last = self._wanted, None, None
                try:
                    await wish.bring(self.device)
                    self._last = wish
                    self._brought()
                except DeviceError as error:
                    self.log.debug(
                        "{device} did not take {wish}: {reason}", device=self.name, wish=str(wish), reason=str(error)
                    )
        except Exception:
            self.log.failure("setting {device} failed; the next cycle tries again", device=self.name)
        finally:
            self._applying = False

    async def _poll_once(self) -> None:
        if self._clock.seconds() < self._not_before_s:
            return
        try:
            reading = await self.device.read()
        except DeviceError as error:
            self._went_wrong(error)
            return
        except Exception:
            self._wait_longer()
            self.log.failure("poll of {device} failed; the loop goes on", device=self.name)
            return
        if self._stopped:
            return
        self._heard, self._failures = True, 0
        self._silent_since_s = None
        with self.log.failuresHandled("a reading of {device} could not be used", device=self.name):
            self._sink(reading)

    def _went_wrong(self, error: DeviceError) -> None:
        if self._silent_since_s is None:
            self._silent_since_s = self._clock.seconds()
            if not (self._heard and isinstance(error, DeviceSilent)):  # the device itself says when it falls silent
                self.log.warn("{device} does not answer as it should: {reason}", device=self.name, reason=str(error))
        if not isinstance(error, DeviceSilent):
            self._wait_longer()

    def _wait_longer(self) -> None:
        wait_s = _AGAIN_AFTER_S[min(self._failures, len(_AGAIN_AFTER_S) - 1)]
        self._failures += 1
        self._not_before_s = self._clock.seconds() + wait_s
