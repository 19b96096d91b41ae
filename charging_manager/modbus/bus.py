"""One bus: an endpoint or a serial line, the units on it, one request in flight, the most urgent first.

What ``read`` and ``write`` fail with: DeviceSilent (no answer, no connection, or left alone for a while after silence),
DeviceRefused (an exception answer; a gateway's "target did not respond" counts as silence), DeviceNonsense (an answer
that cannot be one to the question). Cancelling a Deferred takes the request out of the queue; one that is under way
already is waited for, because the line stays busy until its answer or its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from charging_manager.errors import ConfigError, DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.address import Address, OcppAddress, RtuAddress, RtuTcpAddress
from charging_manager.modbus.frames import OutOfSync
from charging_manager.modbus.lines import Line, SerialLine, TcpLine
from charging_manager.modbus.pdu import NO_PATH, NO_TARGET, READS, Request, decode_answer, read_request, write_request
from charging_manager.modbus.transaction import Conversation, RtuConversation, TcpConversation
from charging_manager.modbus.units import Job, Priority, Queue, Unit

__all__ = ["Bus", "Priority", "Statistics", "open_bus"]

MOST_WAITING = 1000
PATIENCE_S = 10.0
"""So long a request waits for its turn, or three of its own timeouts if that is longer."""

SILENT_CONNECTION = 3
"""After so many timeouts with no byte in between a connection is opened anew before the next request."""

TURNAROUND_S = 0.1
"""After a broadcast, which nobody answers (Modbus over Serial Line 1.02, section 2.4.1: 100 to 200 ms)."""

_ALMOST_S = 1e-6


@define
class Statistics:
    """Counts since the bus was opened."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    timeouts: int = 0
    retries: int = 0
    nonsense: int = 0
    strays: int = 0
    """Late answers (TCP) or bytes that belong to none (RTU)."""
    connections: int = 0
    expired: int = 0
    """Requests whose turn never came."""
    busy_s: float = 0.0


class Bus:
    """Reads from and writes to the units of one line, one at a time."""

    _log = Logger()

    def __init__(
        self, line: Line, conversation: Conversation, clock: IReactorTime, *, connect_delay_s: float = 0.0
    ) -> None:
        self.connect_delay_s = connect_delay_s
        """How long a device needs after a connect before it may be asked."""
        self._line = line
        self._conversation = conversation
        self._clock = clock
        self._queue = Queue()
        self._units: dict[int, Unit] = {}
        self._job: Job | None = None
        self._broadcasting = False
        self._deadline_s = 0.0
        self._transmit_s = 0.0
        self._ready_s = 0.0
        self._alarm: IDelayedCall | None = None
        self._number = 0
        self._silent_timeouts = 0
        self._closing: Deferred[None] | None = None
        self._closed = False
        self._statistics = Statistics()
        line.listener = self

    @property
    def name(self) -> str:
        """The endpoint or line, as in addresses."""
        return self._line.name

    @property
    def connected(self) -> bool:
        """Whether the line is open now. It is opened by the first request, not before."""
        return self._line.up

    @property
    def connections(self) -> int:
        """How often the line was opened: who was at the other end may have restarted in between."""
        return self._statistics.connections

    @property
    def statistics(self) -> Statistics:
        """Counts so far."""
        self._statistics.strays = self._conversation.strays
        return self._statistics

    def quiet_s(self, unit: int) -> float:
        """How long this unit will still be left alone because it was silent; 0 if it is not."""
        known = self._units.get(unit)
        return max(0.0, known.quiet_until_s - self._clock.seconds()) if known else 0.0

    def read(
        self,
        unit: int,
        function: int,
        address: int,
        count: int,
        *,
        priority: Priority = Priority.LIVE,
        timeout_s: float = 1.0,
        gap_s: float = 0.0,
    ) -> Deferred[list[int]]:
        """Registers (or coils, as 0 and 1) from a unit. ``timeout_s`` runs from when the request is sent;
        ``gap_s`` is the silence this unit needs since its last exchange. Raises: ValueError for an impossible request.
        """
        return self._submit(unit, read_request(function, address, count), priority, timeout_s, gap_s)

    def write(
        self,
        unit: int,
        function: int,
        address: int,
        words: Sequence[int],
        *,
        priority: Priority = Priority.SETPOINT,
        timeout_s: float = 1.0,
        gap_s: float = 0.0,
    ) -> Deferred[None]:
        """Write registers or coils; fires with None once the unit has confirmed it. Otherwise as ``read``."""
        done = self._submit(unit, write_request(function, address, words), priority, timeout_s, gap_s)
        return done.addCallback(_nothing)

    def close(self) -> Deferred[None]:
        """Take no more requests, wait for the one under way or for its time, and close the line."""
        if self._closing is None:
            self._closing = Deferred()
            for job in self._take_all():
                self._fail(job, DeviceSilent(f"{self.name} was closed"))
            self._finish_closing()
        done: Deferred[None] = Deferred()
        self._closing.addCallback(lambda _: done.callback(None))
        return done

    # -- submitting --------------------------------------------------------------------------------------------------

    def _submit(
        self, number: int, request: Request, priority: Priority, timeout_s: float, gap_s: float
    ) -> Deferred[list[int]]:
        unit = self._units.get(number)
        if unit is None:
            if not 0 <= number <= 255:
                raise ValueError(f"units go from 0 to 255, not {number}")
            unit = self._units[number] = Unit(number)
        if number == 0 and self._conversation.broadcasts and request.function in READS:
            raise ValueError("unit 0 is everybody on a serial line; nobody answers a read")
        job = Job(unit, request, priority, timeout_s, gap_s)
        deferred: Deferred[list[int]] = Deferred(lambda _: self._cancelled(job))
        job.deferred = deferred
        now_s = self._clock.seconds()
        if self._closing is not None:
            self._fail(job, DeviceSilent(f"{self.name} was closed"))
        elif unit.quiet_until_s > now_s:
            self._fail(job, self._left_alone(unit, now_s))
        elif (
            self._job is None
            and not self._queue.jobs
            and self._line.up
            and now_s >= self._ready_s
            and unit.free_s(job) <= now_s
            and not self._stale_connection()
        ):
            job.since_s = now_s
            self._send(job, now_s)
        else:
            self._enqueue(job, now_s)
        return deferred

    def _enqueue(self, job: Job, now_s: float) -> None:
        if len(self._queue.jobs) >= MOST_WAITING:
            self._fail(job, DeviceSilent(f"{self.name} has {MOST_WAITING} requests waiting already"))
            return
        self._number += 1
        job.number = self._number
        job.since_s = now_s
        self._queue.jobs.append(job)
        self._pump()

    def _cancelled(self, job: Job) -> None:
        job.deferred = None
        if job in self._queue.jobs:
            self._queue.jobs.remove(job)

    def _left_alone(self, unit: Unit, now_s: float) -> DeviceSilent:
        wait_s = unit.quiet_until_s - now_s
        return DeviceSilent(f"unit {unit.number} at {self.name} did not answer; next try in {wait_s:.0f} s")

    # -- sending -----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send the next request if the line is free."""
        if self._job is not None or not self._queue.jobs:
            return
        now_s = self._clock.seconds()
        self._drop_expired(now_s)
        if not self._queue.jobs:
            return
        if not self._line.up:
            self._line.ensure()
            return
        if now_s < self._ready_s - _ALMOST_S:
            self._wake_at(self._ready_s, now_s)
            return
        if self._stale_connection():
            self._silent_timeouts = 0
            self._line.abort("nothing came back for a while")
            return
        job, next_s = self._queue.pick(now_s + _ALMOST_S)
        if job is not None:
            self._send(job, now_s)
        else:
            self._wake_at(next_s, now_s)

    def _drop_expired(self, now_s: float) -> None:
        expired = [job for job in self._queue.jobs if now_s - job.since_s > max(PATIENCE_S, 3 * job.timeout_s)]
        for job in expired:
            self._queue.jobs.remove(job)
            self._statistics.expired += 1
            self._fail(job, DeviceSilent(f"{self.name} was too busy for {now_s - job.since_s:.0f} s"))

    def _stale_connection(self) -> bool:
        return self._silent_timeouts >= SILENT_CONNECTION and self._line.reopens

    def _send(self, job: Job, now_s: float) -> None:
        self._job = job
        job.attempts += 1
        job.unit.sending(job.request, now_s, job.timeout_s)
        job.sent_s = now_s
        frame = self._conversation.ask(job.unit.number, job.request)
        line = self._line
        self._broadcasting = job.unit.number == 0 and self._conversation.broadcasts
        if self._broadcasting:
            self._deadline_s = now_s + line.transmit_s(len(frame)) + TURNAROUND_S
        else:
            self._transmit_s = line.transmit_s(len(frame) + job.request.answer_length + 3)
            self._deadline_s = now_s + job.unit.patience_s(job.timeout_s) + self._transmit_s
        self._statistics.requests += 1
        self._wake_at(self._deadline_s, now_s)
        line.send(frame)

    def _wake_at(self, at_s: float, now_s: float) -> None:
        """One alarm for all purposes: an early ring costs less than a new alarm for every request."""
        alarm = self._alarm
        if alarm is None:
            self._alarm = self._clock.callLater(max(0.0, at_s - now_s), self._rung)
        elif alarm.getTime() > at_s + _ALMOST_S:
            alarm.reset(max(0.0, at_s - now_s))

    def _rung(self) -> None:
        self._alarm = None
        now_s = self._clock.seconds()
        if self._job is None:
            self._pump()
        elif now_s >= self._deadline_s - _ALMOST_S:
            self._timed_out(now_s)
        else:
            self._wake_at(self._deadline_s, now_s)

    # -- what the line tells -----------------------------------------------------------------------------------------

    def line_up(self) -> None:
        """The line is open; requests that waited for it go."""
        self._statistics.connections += 1
        self._silent_timeouts = 0
        self._conversation.restart()
        self._ready_s = self._clock.seconds() + self.connect_delay_s
        self._pump()

    def line_down(self, why: str) -> None:
        """The line is lost. A request under way is tried once more if the line can be opened again at once."""
        self._conversation.restart()
        job, self._job = self._job, None
        if job is not None:
            now_s = self._clock.seconds()
            job.unit.last_s = now_s
            self._statistics.busy_s += now_s - job.sent_s
            if job.attempts == 1 and job.deferred is not None and self._closing is None:
                self._statistics.retries += 1
                self._queue.jobs.append(job)
            else:
                self._fail(job, DeviceSilent(f"{self.name}: {why}"))
        if not self._finish_closing():
            self._pump()

    def line_failed(self, why: str) -> None:
        """The line cannot be opened now."""
        for job in self._take_all():
            self._fail(job, DeviceSilent(f"{self.name}: {why}"))

    def line_received(self, data: bytes) -> None:
        """Bytes came."""
        self._silent_timeouts = 0
        try:
            pdu = self._conversation.receive(data)
        except OutOfSync as error:
            self._log.warn("{bus} sent what is no Modbus; the connection is opened anew", bus=self.name)
            self._statistics.nonsense += 1
            job, self._job = self._job, None
            if job is not None:
                self._fail(job, DeviceNonsense(str(error)))
            self._line.abort("it sent what is no Modbus", blame=True)
            return
        except DeviceNonsense as error:
            self._settle(error)
            return
        if pdu is None:
            if self._line.gap_s:
                self._ready_s = self._clock.seconds() + self._line.gap_s
            self._hear_late(self._conversation.heard_late())
            return
        job = self._job
        if job is None or self._broadcasting:
            return
        try:
            values = decode_answer(job.request, pdu)
        except DeviceRefused as error:
            if error.code in (NO_PATH, NO_TARGET):
                self._ended(job)
                self._silent(job, self._clock.seconds(), str(error))
            else:
                self._statistics.refused += 1
                self._settle(error)
        except DeviceNonsense as error:
            self._settle(error)
        else:
            now_s = self._ended(job)
            job.unit.answered(now_s, now_s - job.sent_s - self._transmit_s)
            self._queue.answered()
            self._statistics.answers += 1
            late = self._conversation.heard_late()
            if late is not None:
                self._hear_late(late)
            deferred, job.deferred = job.deferred, None
            if deferred is not None:
                deferred.callback(values)
            if self._queue.jobs or self._closing is not None:
                self._next()

    def _hear_late(self, number: int | None) -> None:
        """An answer to a question that we gave up: its unit lives."""
        if number is not None and number in self._units and self._units[number].heard_late(self._clock.seconds()):
            self._log.info("unit {unit} at {bus} answered late, so it lives", unit=number, bus=self.name)

    # -- how a request ends ------------------------------------------------------------------------------------------

    def _ended(self, job: Job) -> float:
        now_s = self._clock.seconds()
        self._job = None
        self._statistics.busy_s += now_s - job.sent_s
        self._ready_s = now_s + self._line.gap_s
        self._line.worked()
        return now_s

    def _settle(self, error: DeviceError) -> None:
        """The request under way got an answer, though not a good one."""
        job = self._job
        if job is None:
            return
        if isinstance(error, DeviceNonsense):
            self._statistics.nonsense += 1
        now_s = self._ended(job)
        job.unit.answered(now_s, now_s - job.sent_s - self._transmit_s)
        self._queue.answered()
        self._fail(job, error)
        self._next()

    def _timed_out(self, now_s: float) -> None:
        job = self._job
        assert job is not None  # noqa: S101  # told to mypy: only _rung calls this
        garbled = self._conversation.garbled
        torn = self._conversation.give_up()
        self._job = None
        self._statistics.busy_s += now_s - job.sent_s
        self._ready_s = now_s + self._line.gap_s
        if self._broadcasting:
            self._broadcasting = False
            deferred, job.deferred = job.deferred, None
            if deferred is not None:
                deferred.callback([])
            self._next()
            return
        self._statistics.timeouts += 1
        self._silent_timeouts += 1
        if torn:
            self._line.abort("half an answer came")
        if not self._conversation.tells_late_apart:
            job.unit.haunt(job.request, now_s + job.timeout_s)
        why = "the answers are damaged; check cable and termination" if garbled else "no answer"
        self._silent(job, now_s, f"{why} (within {job.timeout_s:g} s)", garbled)

    def _silent(self, job: Job, now_s: float, why: str, garbled: bool = False) -> None:
        unit = job.unit
        alone = not any(other.lives(now_s) for other in self._units.values() if other is not unit)
        unit.failed(now_s, now_s - job.sent_s, alone=alone, garbled=garbled)
        self._queue.failed(unit)
        where = f"unit {unit.number} at {self.name}: {why}"
        error: DeviceError = DeviceNonsense(where) if garbled else DeviceSilent(where)
        if unit.failures == 1 and self._closing is None:
            if job.deferred is not None:
                self._statistics.retries += 1
                self._queue.jobs.append(job)
        else:
            if unit.failures == 2:
                self._log.warn("unit {unit} at {bus} is silent: {why}", unit=unit.number, bus=self.name, why=why)
            self._fail(job, error)
            for waiting in [waiting for waiting in self._queue.jobs if waiting.unit is unit]:
                self._queue.jobs.remove(waiting)
                self._fail(waiting, error)
        self._next()

    def _next(self) -> None:
        if not self._finish_closing():
            self._pump()

    def _fail(self, job: Job, error: DeviceError) -> None:
        deferred, job.deferred = job.deferred, None
        if deferred is not None:
            deferred.errback(error)

    def _take_all(self) -> list[Job]:
        jobs, self._queue.jobs = self._queue.jobs, []
        return jobs

    def _finish_closing(self) -> bool:
        if self._closing is None or self._job is not None:
            return False
        if not self._closed:
            self._closed = True
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._line.close().chainDeferred(self._closing)
        return True


def _nothing(_: list[int]) -> None:
    return None


def open_bus(address: Address, reactor: Any, *, connect_delay_s: float = 0.0) -> Bus:
    """The bus that this address is on; nothing is opened before the first request."""
    line: Line
    conversation: Conversation
    if isinstance(address, OcppAddress):
        raise ConfigError("address", "a charge point that speaks OCPP calls us; there is no road to it")
    if isinstance(address, RtuAddress):
        line, conversation = SerialLine(address, reactor), RtuConversation(address.echo)
    elif isinstance(address, RtuTcpAddress):
        line = TcpLine(address.host, address.port, address.endpoint, reactor)
        conversation = RtuConversation(address.echo)
    else:
        line, conversation = TcpLine(address.host, address.port, address.endpoint, reactor), TcpConversation()
    return Bus(line, conversation, reactor, connect_delay_s=connect_delay_s)
