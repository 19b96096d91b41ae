"""A search on its way: knocks at doors at the course's pace, talks behind those that open, listens to announcements.

Theory of operation. ``Course`` says when the next connection may be made; the connection of a knock that was answered
is the one over which Modbus is then spoken, because many boxes let one client in. Serial lines are searched beside,
each on its own. Whatever is found is there at once; ``cancel`` ends everything within the time of one question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import NoRouteError
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.devices.driver import Driver
from charging_manager.devices.http_client import PlainClient
from charging_manager.devices.json_bus import JsonBus
from charging_manager.finding.course import KNOCK_S, Course, Progress
from charging_manager.finding.found import Found, How, known_device
from charging_manager.finding.ground import Interface, has
from charging_manager.finding.listening import Announcements
from charging_manager.finding.mdns import SERVICES, Service
from charging_manager.finding.plan import (
    Door,
    LineSettings,
    Talk,
    doors,
    http_candidates,
    line_settings,
    modbus_candidates,
    serial_candidates,
    units_behind,
)
from charging_manager.finding.talk import Met, Talker, Unit
from charging_manager.modbus.address import HttpAddress, RtuAddress, TcpAddress
from charging_manager.modbus.bus import Bus, open_bus
from charging_manager.modbus.lines import TcpLine
from charging_manager.modbus.transaction import TcpConversation


@frozen
class Wish:
    """What is to be searched."""

    networks: tuple[IPv4Network, ...] = ()
    lines: tuple[str, ...] = ()
    ports: Mapping[int, Talk] = field(factory=dict)
    units: tuple[int, ...] | None = None
    """None: those that are usual there."""
    announced: bool = True
    """Other ports too, where something that concerns us says by itself that it listens."""


class Search:
    """One search, from ``start`` to the end of its Deferred."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        drivers: Sequence[Driver],
        wish: Wish,
        *,
        interfaces: Sequence[Interface] = (),
        in_use: Mapping[IPv4Address, Sequence[Found]] | None = None,
        met: Callable[[Found], None] = lambda found: None,
        open_line: Callable[[RtuAddress, Any], Any] = open_bus,
    ) -> None:
        """``in_use``: hosts that are not to be disturbed, with what stands for them among the results.

        ``met`` is called with everything that answers, at once.
        """
        self.wish = wish
        self._reactor = reactor
        self._drivers = tuple(drivers)
        self._in_use = {host: f for host, f in (in_use or {}).items() if has(wish.networks, host)}
        self._tell = met
        self._open_line = open_line
        own = {one.address for one in interfaces if one.network.prefixlen < 32}
        asked = doors(wish.networks, wish.ports, leave_out={*own, *self._in_use})
        self.course = Course.through(asked)
        self._found: list[Found] = []
        self._names: dict[IPv4Address, Service] = {}
        self._hosts_met: set[IPv4Address] = set()
        near = [one for one in interfaces if any(one.network.overlaps(network) for network in wish.networks)]
        self._announcements = Announcements(near, self._heard, reactor)
        self._timer: IDelayedCall | None = None
        self._knocks: dict[Door, Any] = {}
        self._work: set[Deferred[None]] = set()
        self._done: Deferred[None] = Deferred()
        self._ended = False

    # -- the seam ----------------------------------------------------------------------------------------------------

    def start(self) -> Deferred[None]:
        """Begin; fires when all is over, also after ``cancel``. Never fails."""
        for each in self._in_use.values():
            self._found += each
        if self.wish.networks:
            self._announcements.start()
        for line in self.wish.lines:
            self.course.talks.begin(line, sum(len(units) for _, units in self._line_plan()))
        for line in self.wish.lines:
            self._begin(self._search_line(line), line)
        self._pump()
        return self._done

    def cancel(self) -> None:
        """Ask nobody any more. What was found stays."""
        if self._ended:
            return
        self.course.cancel()
        for connector in tuple(self._knocks.values()):
            connector.disconnect()
        for work in tuple(self._work):
            work.cancel()
        self._pump()

    @property
    def over(self) -> bool:
        """Nothing more will be found."""
        return self._ended

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.course.progress(self._reactor.seconds())

    @property
    def found(self) -> tuple[Found, ...]:
        """Everything so far: devices first, then what nobody knows, then what only announced itself."""
        met = [evolve(one, called=self._called(one)) for one in self._found]
        announced = [
            Found(_shown_address(service), How.ANNOUNCED, called=service.name)
            for host, service in self._names.items()
            if host not in self._hosts_met and host not in self._in_use and self._concerns_us(service)
        ]
        return (*sorted(met, key=lambda one: one.driver is None), *announced)

    # -- knocking ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Knock at whatever door is due, and see whether all is over."""
        if self._ended:
            return
        wait_s = None
        while True:
            door, wait_s = self.course.next(self._reactor.seconds())
            if door is None:
                break
            self._knocks[door] = self._reactor.connectTCP(
                str(door.host), door.port, _Knock(self, door), timeout=KNOCK_S
            )
        if wait_s is not None and self._timer is None:
            self._timer = self._reactor.callLater(wait_s, self._rung)
        if self.course.over and not self._work:
            self._end()

    def _rung(self) -> None:
        self._timer = None
        self._pump()

    def _end(self) -> None:
        self._ended = True
        self._announcements.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._done.callback(None)

    def shut(self, door: Door, failure: Failure) -> None:
        """Nobody opened."""
        self._knocks.pop(door, None)
        self.course.closed(door)
        if failure.check(NoRouteError):
            self.course.absent(door.host)
        self._reactor.callLater(0, self._pump)  # it may have failed before the loop above went on

    def opened(self, door: Door, transport: Any) -> None:
        """Somebody is there."""
        self._knocks.pop(door, None)
        if self.course.cancelled:
            transport.abortConnection()
            self.course.closed(door)
            self._pump()
        elif door.talk is Talk.MODBUS:
            units = self.wish.units or units_behind(door.port, self._drivers)
            self.course.talks.begin(door, len(units))
            self._begin(self._talk_modbus(door, transport, units), door)
        else:
            transport.abortConnection()
            candidates = http_candidates(self._drivers)
            self.course.talks.begin(door, len(candidates))
            self._begin(self._talk_http(door, candidates), door)

    # -- talking -----------------------------------------------------------------------------------------------------

    def _begin(self, work: Any, who: object) -> None:
        """Own a piece of work until it is over, however that comes."""
        done: Deferred[None] = Deferred.fromCoroutine(work)
        self._work.add(done)

        def over(result: Any) -> None:
            self._work.discard(done)
            self.course.talks.end(who)
            if isinstance(who, Door):
                self.course.closed(who)
            if isinstance(result, Failure) and not result.check(CancelledError):
                self.log.failure("asking {who} failed; the search goes on", failure=result, who=str(who))
            self._reactor.callLater(0, self._pump)

        done.addBoth(over)

    async def _talk_modbus(self, door: Door, transport: Any, units: Sequence[int]) -> None:
        delay_s = max((d.bus.connect_delay_s for d in self._drivers if d.tcp and d.tcp.port == door.port), default=0.0)
        endpoint = _Ajar(self._reactor, door, transport, self._turn)
        line = TcpLine(str(door.host), door.port, str(door), self._reactor, endpoint)
        bus = Bus(line, TcpConversation(), self._reactor, connect_delay_s=delay_s)
        asked = [Unit(unit, modbus_candidates(self._drivers, door.port, unit)) for unit in units]
        try:
            async for met in self._talker(bus, door).meet(asked, alone=self.wish.units is None):
                self._hosts_met.add(door.host)
                self._note(str(TcpAddress(str(door.host), door.port, met.unit)), How.MODBUS, met)
        finally:
            await bus.close()

    async def _talk_http(self, door: Door, candidates: Sequence[Driver]) -> None:
        address = str(HttpAddress(str(door.host), door.port))
        plain = PlainClient(address, self._reactor)

        async def in_turn(method: str, path: str, body: str | None, timeout_s: float) -> tuple[int, bytes]:
            await deferLater(self._reactor, self._turn())
            return await plain(method, path, body, timeout_s)

        for driver in candidates:
            bus = JsonBus(driver, lambda *asked: Deferred.fromCoroutine(in_turn(*asked)), self._reactor, address)
            async for met in self._talker(bus, door).meet([Unit(1, (driver,))]):
                if met.driver is not None:
                    self._hosts_met.add(door.host)
                    self._note(address, How.HTTP, met)
                    return

    async def _search_line(self, device: str) -> None:
        for settings, units in self._line_plan():
            line = RtuAddress(device, settings.baud, settings.parity, settings.stopbits)
            asked = [Unit(unit, serial_candidates(self._drivers, settings, unit)) for unit in units]
            bus = self._open_line(line, self._reactor)
            hit = False
            try:
                async for met in self._talker(bus, device).meet(asked):
                    hit = True
                    self._note(str(evolve(line, unit=met.unit)), How.SERIAL, met)
            finally:
                await bus.close()
            if hit:  # a line has one speed
                return

    def _line_plan(self) -> list[tuple[LineSettings, tuple[int, ...]]]:
        units = tuple(unit for unit in self.wish.units or () if 1 <= unit <= 247)
        return [(settings, units or own) for settings, own in line_settings(self._drivers).items()]

    def _talker(self, bus: Any, who: object) -> Talker:
        return Talker(bus, self._reactor, lambda took_s: self.course.talks.step(who, took_s))

    def _turn(self) -> float:
        return self.course.turn(self._reactor.seconds())

    def _note(self, address: str, how: How, met: Met) -> None:
        found = Found(address, how) if met.driver is None else known_device(address, how, met.driver, met.said)
        self._found.append(found)
        self._tell(evolve(found, called=self._called(found)))

    # -- announcements -----------------------------------------------------------------------------------------------

    def _heard(self, service: Service) -> None:
        if not has(self.wish.networks, service.address) or service.address in self._in_use:
            return
        known = self._names.get(service.address)
        if known is None or known.service == "_http._tcp.local":
            self._names[service.address] = service
        talk = SERVICES[service.service]
        more = self.wish.announced and service.port not in self.wish.ports and self._concerns_us(service)
        if talk is not None and more and not self.course.cancelled:
            self.course.add(Door(service.address, service.port, talk))
        self.course.prefer(service.address)
        self._pump()

    def _called(self, found: Found) -> str:
        host = found.address.partition("//")[2].partition(":")[0]
        return next((service.name for address, service in self._names.items() if str(address) == host), "")

    def _concerns_us(self, service: Service) -> bool:
        """Printers and televisions have web pages too: of those, only what bears the name of a maker that we know."""
        if service.service != "_http._tcp.local":
            return True
        return any(driver.vendor.partition(" ")[0].lower() in service.name for driver in self._drivers)


def _shown_address(service: Service) -> str:
    scheme = "tcp" if SERVICES[service.service] is Talk.MODBUS else "http"
    return f"{scheme}://{service.address}:{service.port}"


class _Knock(ClientFactory):
    noisy = False

    def __init__(self, search: Search, door: Door) -> None:
        self._search, self._door = search, door

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Threshold(self._search, self._door)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self._search.shut(self._door, reason)


class _Threshold(Protocol):
    """The first moment of a connection, before anybody has spoken."""

    def __init__(self, search: Search, door: Door) -> None:
        self._search, self._door = search, door

    def connectionMade(self) -> None:
        self._search.opened(self._door, self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It was of no use, or is somebody else's now."""


@implementer(IStreamClientEndpoint)
class _Ajar:
    """An endpoint whose first connection is open already; the next ones wait for their turn."""

    def __init__(self, reactor: Any, door: Door, transport: Any, turn: Callable[[], float]) -> None:
        self._reactor, self._door, self._transport, self._turn = reactor, door, transport, turn

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        transport, self._transport = self._transport, None
        if transport is not None and transport.connected:
            wire: Any = factory.buildProtocol(transport.getPeer())
            transport.protocol = wire
            wire.makeConnection(transport)
            return succeed(wire)
        again = TCP4ClientEndpoint(self._reactor, str(self._door.host), self._door.port, timeout=KNOCK_S)
        waiting: Deferred[Any] = deferLater(self._reactor, self._turn(), again.connect, factory)
        return waiting
