"""A plugin's hook at one device: what it raises, gives wrongly or never finishes is trouble of that device alone.

One thing cannot be held: a plain function that never returns stops the whole program, until the service's watchdog
starts it again. Hooks are pure for that reason (docs/drivers.md, "Plugins").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from charging_manager.devices.driver import Driver, Value, Write
from charging_manager.errors import DeviceError, DeviceNonsense

LONGEST_HOOK_S = 30.0
"""What a hook may take after connecting."""


class Hooked:
    """The hook of ``driver`` for one device, if it has one. Its calls raise DeviceError kinds only."""

    def __init__(self, driver: Driver, clock: IReactorTime) -> None:
        self._driver, self._clock = driver, clock
        self._made: Any = None
        self._broken: Exception | None = None
        if driver.hook is not None:
            try:
                self._made = driver.hook()
            except Exception as error:
                self._broken = error

    @property
    def encode(self) -> Callable[[float], tuple[Write, ...]] | None:
        """The writes for a current, if the hook has a say in that."""
        return self._encoded if self._broken or hasattr(self._made, "encode") else None

    def decode(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """What is known, with what the hook makes of it."""
        self._whole()
        if not hasattr(self._made, "decode"):
            return values
        found = self._call("decode", dict(values))
        if not isinstance(found, Mapping) or not all(map(_is_value, found.values())):
            raise DeviceNonsense("its plugin's decode gave something that is no table of values")
        return {**values, **found}

    async def after_connect(self, device: object) -> None:
        """Let it do what it does after connecting, for half a minute at most."""
        self._whole()
        if not hasattr(self._made, "after_connect"):
            return
        work = maybeDeferred(self._made.after_connect, device)
        late: list[bool] = []

        def give_up() -> None:
            late.append(True)
            work.cancel()

        timer = self._clock.callLater(LONGEST_HOOK_S, give_up)
        try:
            await work
        except DeviceError:
            raise
        except CancelledError:
            if not late:
                raise
            raise DeviceNonsense(f"its plugin's after_connect did not end within {LONGEST_HOOK_S:g} s") from None
        except Exception as error:
            raise _failed("after_connect", error) from error
        finally:
            if timer.active():
                timer.cancel()

    def _encoded(self, setpoint_a: float) -> tuple[Write, ...]:
        self._whole()
        found = self._call("encode", setpoint_a)
        try:
            writes = tuple(found)
        except TypeError:
            writes = (None,)
        for write in writes:
            if (
                not isinstance(write, Write)
                or write.register not in self._driver.registers
                or not _is_finite(write.value)
            ):
                raise DeviceNonsense("its plugin's encode gave something that cannot be written")
        return writes

    def _whole(self) -> None:
        if self._broken is not None:
            raise _failed("class", self._broken) from self._broken

    def _call(self, name: str, *arguments: object) -> Any:
        try:
            return getattr(self._made, name)(*arguments)
        except DeviceError:
            raise
        except Exception as error:
            raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> DeviceNonsense:
    return DeviceNonsense(f"its plugin's {name} failed: {type(error).__name__}: {error}")


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, str) or _is_finite(value)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
