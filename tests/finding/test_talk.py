"""Who is there: each box is met once, at its own unit; nobody is asked a second question after silence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.devices.driver import Driver
from charging_manager.finding.plan import modbus_candidates, units_behind
from charging_manager.finding.talk import Met, Talker, Unit
from charging_manager.modbus.bus import Bus
from charging_manager.modbus.lines import TcpLine
from charging_manager.modbus.server import Mute, TcpServerFactory
from charging_manager.modbus.transaction import TcpConversation
from charging_manager.sim.lines import Together
from charging_manager.sim.simulator import Simulator
from tests.modbus.rigs import MemoryEndpoint
from tests.sim.rigs import SHIPPED

ALL = tuple(SHIPPED.values())


class Gateway(Together):
    """Simulators behind one port. What is asked is counted by unit; ``mute`` units never answer."""

    def __init__(self, simulators: Sequence[Simulator], *, any_unit: bool = False, mute: bool = False) -> None:
        super().__init__(simulators)
        self.any_unit, self.mute = any_unit, mute
        self.asked: dict[int, list[float]] = {}
        self.written = 0

    def units(self) -> Any:
        return range(256) if self.any_unit or self.mute else super().units()

    def welcome(self) -> Any:
        return self

    def handle(self, unit: int, function: int, address: int, count: int, words: Any, client: Any = None) -> Any:
        here = unit in set(Together.units(self)) if not self.any_unit else True  # type: ignore[call-overload]
        if not here:
            self.asked.setdefault(unit, []).append(0.0)
            raise Mute
        simulator = self.simulators[0] if self.any_unit else self._of(unit)
        assert simulator is not None
        self.asked.setdefault(unit, []).append(simulator.clock.seconds())
        self.written += function not in (1, 2, 3, 4)
        return simulator.handle(simulator.unit, function, address, count, words)


def found(
    *boxes: tuple[str | Driver, int], units: tuple[int, ...] | None = None, port: int = 502, **options: bool
) -> tuple[list[Met], Gateway, float]:
    """Who is met behind a port where these drivers' devices are at these units."""
    clock = Clock()
    clock.advance(1000.0)
    simulators = [
        Simulator(SHIPPED[box] if isinstance(box, str) else box, clock, unit=unit, shows={"serial": 1000 + unit})
        for box, unit in boxes
    ]
    gateway = Gateway(simulators, **options)
    endpoint = MemoryEndpoint(TcpServerFactory(gateway))
    bus = Bus(TcpLine("box", port, f"tcp://box:{port}", clock, endpoint), TcpConversation(), clock)
    asked = [Unit(unit, modbus_candidates(ALL, port, unit)) for unit in units or units_behind(port, ALL)]
    met: list[Met] = []

    async def ask() -> None:
        async for one in Talker(bus, clock).meet(asked, alone=units is None):
            met.append(one)

    done = Deferred.fromCoroutine(ask())
    for _ in range(20 * 600):
        while any(pump.pump() for pump in list(endpoint.pumps)):
            pass
        if done.called:
            break
        clock.advance(0.05)
        for simulator in simulators:
            simulator.advance()
    assert done.called
    done.addErrback(lambda failure: failure.raiseException())
    return met, gateway, clock.seconds() - 1000.0


def shown(met: list[Met]) -> list[tuple[int, str | None]]:
    return [(one.unit, one.driver.name if one.driver else None) for one in met]


def test_a_box_is_met_by_its_driver_and_says_what_it_is() -> None:
    met, gateway, _ = found(("keba-p30", 255))
    assert shown(met) == [(255, "keba-p30")]
    assert met[0].said["hardware_max_a"] == 32
    assert gateway.written == 0


def test_a_box_that_answers_to_any_unit_is_met_once_at_the_unit_of_its_maker() -> None:
    met, _, _ = found(("webasto-next", 255), any_unit=True)
    assert shown(met) == [(255, "webasto-next")]


def test_of_a_meter_that_answers_to_any_unit_one_is_met() -> None:
    met, _, _ = found(("eastron-sdm630", 1), any_unit=True)
    assert shown(met) == [(1, "eastron-sdm630")]


def test_two_boxes_of_a_kind_behind_a_gateway_are_two() -> None:
    met, gateway, _ = found(("heidelberg-energy-control", 1), ("heidelberg-energy-control", 3), units=(1, 2, 3))
    assert shown(met) == [(1, "heidelberg-energy-control"), (3, "heidelberg-energy-control")]
    assert gateway.written == 0


def test_between_two_questions_to_a_unit_lies_the_silence_that_the_slowest_device_wants() -> None:
    _, gateway, _ = found(("heidelberg-energy-control", 1))
    asked = gateway.asked[1]
    assert len(asked) > 5
    assert min(later - earlier for earlier, later in pairwise(asked)) >= 0.45


def test_who_is_silent_is_asked_once_more_and_then_left_alone() -> None:
    met, gateway, took_s = found(("keba-p30", 77), mute=True)
    assert met == []
    assert {unit: len(times) for unit, times in gateway.asked.items()} == {1: 2, 255: 2, 180: 2}
    assert took_s < 15


def stranger() -> Driver:
    known = SHIPPED["eastron-sdm630"]
    return evolve(
        known, name="stranger", registers={n: evolve(r, address=r.address + 5000) for n, r in known.registers.items()}
    )


def test_somebody_whom_no_driver_knows_is_named_once() -> None:
    met, gateway, _ = found((stranger(), 1), any_unit=True)
    assert shown(met) == [(1, None)]
    assert gateway.written == 0


def test_every_tcp_box_is_met_where_it_is_when_nobody_changed_that() -> None:
    for driver in ALL:
        if driver.tcp is not None and driver.discover is None:
            met, _, took_s = found((driver.name, driver.tcp.unit), port=driver.tcp.port)
            assert shown(met) == [(driver.tcp.unit, driver.name)]
            assert took_s < 20, driver.name
