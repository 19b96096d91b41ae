"""Which requests read a set of values: the fewest that the device allows, and which of them are due now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from charging_manager.devices.driver import Driver, Group, Register

TURN_S = 1.0
"""One turn of reading shall take about so long, however many values a slow device has."""

SLOW_S = 30.0
"""How old a slow value may get before it is read again."""

SLOW_WHERE_PACED_S = 60.0
"""The same at a device that cannot give all its live values in one turn: they shall not wait for the slow ones."""


@frozen(cache_hash=True)
class Request:
    """One read on the wire, and the values that its answer holds."""

    function: int
    address: int
    count: int
    unit: int | None
    port: int | None
    registers: tuple[Register, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the answer holds, by name."""
        return tuple(register.name for register in self.registers)

    def cut(self, words: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """The words of every value in an answer to this request."""
        return {r.name: tuple(words[r.address - self.address : r.end - self.address]) for r in self.registers}


def plan_reads(driver: Driver, registers: Iterable[Register]) -> tuple[Request, ...]:
    """The fewest legal requests for these values, lowest addresses first.

    Neighbours share a request up to ``bus.max_read`` registers, over undefined addresses only with ``bus.gaps``;
    with ``bus.alone`` only parts of one and the same value do. Functions, units and ports never mix.
    """
    readable = [register for register in registers if register.function is not None]
    readable.sort(key=lambda r: (r.at_port or 0, r.at_unit or -1, r.function or 0, r.address, r.count))
    planned: list[Request] = []
    for register in readable:
        last = planned[-1] if planned else None
        if last is not None and _fits(driver, last, register):
            end = max(last.address + last.count, register.end)
            planned[-1] = evolve(last, count=end - last.address, registers=(*last.registers, register))
        else:
            planned.append(_alone(register))
    return tuple(planned)


def _alone(register: Register) -> Request:
    assert register.function is not None  # noqa: S101 - told to mypy: only readable ones come here
    return Request(register.function, register.address, register.count, register.at_unit, register.at_port, (register,))


def _fits(driver: Driver, last: Request, register: Register) -> bool:
    if (last.function, last.unit, last.port) != (register.function, register.at_unit, register.at_port):
        return False
    end = last.address + last.count
    if driver.bus.alone:
        return (register.address, register.end) == (last.address, end)
    if max(end, register.end) - last.address > driver.bus.max_read:
        return False
    return register.address <= end or driver.bus.gaps


def seen_first(driver: Driver) -> list[Register]:
    """What tells what a box obeys, how it is armed, and which values mean something: before anything else."""
    names = {write.register for write in driver.start}
    names |= {condition.register for r in driver.registers.values() for condition in r.only_when}
    if driver.setpoint is not None:
        rule = driver.setpoint
        names |= {rule.register, rule.applied or "", *(w.register for w in (*rule.pause, *rule.resume))}
    if driver.watchdog is not None:
        names |= {driver.watchdog.timeout or "", driver.watchdog.fallback or ""}
    if driver.storage is not None:
        names |= {write.register for write in (*driver.storage.lock, *driver.storage.unlock)}
    if driver.phases is not None:
        names |= {driver.phases.register, driver.phases.state or "", *(c.register for c in driver.phases.when)}
    readable = (r for r in driver.registers.values() if r.function is not None and r.group is not Group.RARE)
    return [r for r in readable if r.name in names]


def split(driver: Driver, request: Request) -> tuple[Request, ...]:
    """The same values with a request each (parts of one value together), for a device that refused the block."""
    careful = evolve(driver, bus=evolve(driver.bus, alone=True))
    return plan_reads(careful, request.registers)


class Rounds:
    """Whose turn it is: live values every turn, or as often as the device's own pace allows; slow ones when due.

    A device that wants silence between requests gets about ``TURN_S`` of them a turn, the most overdue first: a live
    value is due after one round, a slow one after ``slow_s``.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._live = plan_reads(driver, driver.grouped(Group.LIVE))
        self._slow = plan_reads(driver, driver.grouped(Group.SLOW))
        self.live_names = names_of(self._live)
        """Names of all live values."""
        self._taken: dict[Request, float] = {}
        self._wished: list[Request] = []

    @property
    def per_turn(self) -> int | None:
        """So many requests fit into a turn; None: as many as there are."""
        gap_s = self._driver.bus.gap_s
        return max(1, round(TURN_S / gap_s)) if gap_s else None

    @property
    def round_s(self) -> float:
        """How long it takes until every live value was read once, when nothing else is due."""
        most = self.per_turn
        return TURN_S if most is None else max(TURN_S, math.ceil(len(self._live) / most) * TURN_S)

    @property
    def slow_s(self) -> float:
        """How old a slow value may get."""
        most = self.per_turn
        return SLOW_S if most is None or most >= len(self._live) else SLOW_WHERE_PACED_S

    def everything(self) -> tuple[Request, ...]:
        """All requests, live ones first: what a whole first reading needs."""
        return (*self._live, *self._slow)

    def live(self) -> tuple[Request, ...]:
        """All live requests."""
        return self._live

    def wish(self, names: Iterable[str]) -> None:
        """These values are wanted in the next turn (to read back what was written)."""
        wanted = set(names)
        for request in (*self._live, *self._slow):
            if wanted.intersection(request.names) and request not in self._wished:
                self._wished.append(request)

    def turn(self, now_s: float) -> tuple[Request, ...]:
        """What to ask now."""
        due = {request: self._age(request, now_s) / self.round_s for request in self._live}
        late = {request: min(self._age(request, now_s) / self.slow_s, 1.5) for request in self._slow}
        late = {request: lateness for request, lateness in late.items() if lateness >= 1.0}
        most = self.per_turn
        if most is None or len(due) + len(late) + len(self._wished) <= most:
            chosen = [*self._wished, *due, *sorted(late, key=lambda r: -late[r])[:2]]
        else:
            ranked = sorted({**due, **late}.items(), key=lambda item: -item[1])
            chosen = [*self._wished[:1], *(request for request, _ in ranked)][:most]
        chosen = list(dict.fromkeys(chosen))
        self._wished = [request for request in self._wished if request not in chosen]
        return tuple(chosen)

    def taken(self, request: Request, at_s: float) -> None:
        """This request was answered (or refused: it will not be asked again before it is due)."""
        self._taken[request] = at_s

    def answered(self, request: Request) -> bool:
        """The device has shown this before."""
        return request in self._taken

    def replace(self, request: Request, parts: Sequence[Request]) -> None:
        """The device refused ``request``; these stand for it from now on, none if the value does not exist."""
        self._live = _replaced(self._live, request, parts)
        self.live_names = names_of(self._live)
        self._slow = _replaced(self._slow, request, parts)

    def _age(self, request: Request, now_s: float) -> float:
        taken_s = self._taken.get(request)
        return math.inf if taken_s is None else now_s - taken_s


def names_of(requests: Iterable[Request]) -> frozenset[str]:
    """What their answers hold."""
    return frozenset(name for request in requests for name in request.names)


def _replaced(requests: Sequence[Request], old: Request, parts: Sequence[Request]) -> tuple[Request, ...]:
    return tuple(part for request in requests for part in (parts if request == old else (request,)))


def moved(driver: Driver, base: int) -> Driver:
    """The driver with its offsets turned into addresses, ``base`` being where discovery found its block."""
    registers: Mapping[str, Register] = {
        name: evolve(register, address=register.address + base) for name, register in driver.registers.items()
    }
    return evolve(driver, registers=registers)
