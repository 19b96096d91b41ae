"""Simulators on a clock that the test moves, and devices that speak to them over a bus in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.devices.driver import Driver
from charging_manager.devices.loader import load_drivers
from charging_manager.modbus.bus import Bus
from charging_manager.modbus.lines import TcpLine
from charging_manager.modbus.server import TcpServerFactory
from charging_manager.modbus.transaction import TcpConversation
from charging_manager.sim.lines import Together
from charging_manager.sim.simulator import Simulator
from tests.modbus.rigs import MemoryEndpoint

SHIPPED = load_drivers([Path(__file__).resolve().parents[2] / "drivers"]).drivers
DRIVERS = {name: driver for name, driver in SHIPPED.items() if driver.speaks_modbus}
"""Those that speak Modbus; tests/drivers/test_http.py has the others."""
CHARGERS = ("abb-terra-ac", "cfos-power-brain", "heidelberg-energy-control", "keba-p30")
METERS = ("eastron-sdm630", "sunspec-meter-203")
T = TypeVar("T")


class Bench:
    """One simulator behind a bus in memory."""

    def __init__(self, driver: str | Driver, **options: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.driver = SHIPPED[driver] if isinstance(driver, str) else driver
        self.simulator = Simulator(self.driver, self.clock, **options)
        together = Together([self.simulator])
        factory = TcpServerFactory(together, most_clients=self.driver.bus.clients, spoil=together.spoil_tcp)
        self.simulator.restarted = factory.drop_all
        self.endpoint = MemoryEndpoint(factory)
        self.bus = Bus(TcpLine("box", 502, "tcp://box:502", self.clock, self.endpoint), TcpConversation(), self.clock)

    def run(self, seconds: float, step_s: float = 0.1) -> None:
        """Let that much time pass."""
        for _ in range(round(seconds / step_s)):
            self.flush()
            self.clock.advance(step_s)
            self.simulator.advance()
        self.flush()

    def flush(self) -> None:
        """Deliver all that was sent."""
        while any(pump.pump() for pump in list(self.endpoint.pumps)):
            pass

    def get(self, work: Coroutine[Any, Any, T] | Deferred[T], most_s: float = 60.0) -> T:
        """The result of this work, letting time pass until it is there."""
        found: list[Any] = []
        done = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        done.addBoth(found.append)
        for _ in range(round(most_s / 0.05)):
            self.flush()
            if found:
                break
            self.clock.advance(0.05)
        assert found, f"nothing came within {most_s} s"
        result = found[0]
        if hasattr(result, "raiseException"):
            result.raiseException()
        return result  # type: ignore[no-any-return]

    def until(self, holds: Callable[[], bool], most_s: float = 60.0) -> float:
        """How long it takes until that is so."""
        began_s = self.clock.seconds()
        while not holds():
            assert self.clock.seconds() - began_s < most_s, f"not so after {most_s} s"
            self.run(0.1)
        return self.clock.seconds() - began_s
