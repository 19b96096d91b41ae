"""The site's inputs as they are now: on, off, or None, which is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from charging_manager.model.input import STALE_S, Input, InputSource
from charging_manager.model.reading import Reading


@frozen
class Told:
    """What a program or a Modbus client said of an input, and until when that counts."""

    on: bool
    at_s: float
    until_s: float = math.inf


@frozen
class InputState:
    """One input now. ``raw`` is None where nothing is known of late; ``on`` is what rules get."""

    raw: bool | None
    on: bool | None
    age_s: float | None


class Inputs:
    """Looks at readings, and keeps what was told. Nothing survives a restart: what was told is unknown then."""

    def __init__(
        self,
        clock: IReactorTime,
        configured: Callable[[], Mapping[str, Input]],
        last: Callable[[str], Reading | None],
    ) -> None:
        self._clock = clock
        self._configured = configured
        self._last = last
        self._told: dict[str, Told] = {}

    def tell(self, name: str, on: bool, for_s: float | None = None) -> None:
        """Take what somebody says of an input; raises KeyError if there is none of that name."""
        one = self._configured()[name]
        now_s = self._clock.seconds()
        held_s = for_s if for_s is not None else one.holds_s
        self._told[name] = Told(on, now_s, math.inf if held_s is None else now_s + held_s)

    def forget(self, names: set[str]) -> None:
        """What was told of these is void: they are other inputs now."""
        for name in names:
            self._told.pop(name, None)

    def at_register(self, number: int) -> str | None:
        """The input that this register of the map belongs to."""
        for name, one in self._configured().items():
            if one.source is InputSource.MODBUS and one.register == number:
                return name
        return None

    def state(self, name: str) -> InputState:
        """Raises: KeyError if there is none of that name."""
        return self._state(self._configured()[name])

    def states(self) -> dict[str, InputState]:
        """All of them."""
        return {name: self._state(one) for name, one in self._configured().items()}

    def view(self) -> dict[str, bool | None]:
        """As rules see them."""
        return {name: self._state(one).on for name, one in self._configured().items()}

    def _state(self, one: Input) -> InputState:
        raw, age_s = self._of_device(one) if one.source is InputSource.DEVICE else self._of_told(one)
        if raw is not None and one.inverted:
            raw = not raw
        return InputState(raw, one.unknown_counts_as if raw is None else raw, age_s)

    def _of_device(self, one: Input) -> tuple[bool | None, float | None]:
        reading = self._last(one.device or "")
        if reading is None:
            return None, None
        age_s = self._clock.seconds() - reading.taken_s
        if age_s > STALE_S:
            return None, age_s
        return one.reads(reading.values.get(one.value or "")), age_s

    def _of_told(self, one: Input) -> tuple[bool | None, float | None]:
        told = self._told.get(one.id)
        if told is None:
            return None, None
        now_s = self._clock.seconds()
        return (told.on if now_s < told.until_s else None), now_s - told.at_s
