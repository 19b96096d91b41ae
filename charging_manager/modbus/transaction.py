"""One question, one answer: which bytes to send, and whether what came back answers them. No I/O, no clock.

TCP answers carry the number of their question, so a late one is told apart and dropped. Serial ones do not: the bus
keeps apart what could be confused (charging_manager/modbus/units.py, "ghosts").
"""

from __future__ import annotations

from typing import Protocol

from charging_manager.errors import DeviceNonsense
from charging_manager.modbus.frames import RtuAnswers, TcpFrames, crc16, rtu_frame, tcp_frame
from charging_manager.modbus.pdu import Request


class Conversation(Protocol):
    """What the bus needs of a framing: ``ask``, then ``receive`` until it gives the answer, or ``give_up``."""

    tells_late_apart: bool
    """Whether a late answer can be told from one to the open question."""
    broadcasts: bool
    """Whether unit 0 means all units, and none of them answers."""

    @property
    def strays(self) -> int:
        """Answers to nobody (TCP), or bytes that belong to no answer (RTU)."""

    @property
    def garbled(self) -> bool:
        """Whether something came since the question that would have been its answer, had it not been damaged."""

    def ask(self, unit: int, request: Request) -> bytes: ...
    def receive(self, data: bytes) -> bytes | None: ...
    def give_up(self) -> bool: ...
    def restart(self) -> None: ...
    def heard_late(self) -> int | None: ...


class TcpConversation:
    """Questions over Modbus TCP, numbered."""

    tells_late_apart = True
    broadcasts = False
    garbled = False

    def __init__(self) -> None:
        self._frames = TcpFrames()
        self._transaction = 0
        self._open = False
        self._unit = 0
        self._late: int | None = None
        self._strays = 0

    @property
    def strays(self) -> int:
        return self._strays

    def ask(self, unit: int, request: Request) -> bytes:
        """The frame to send; the one question that is open from now on."""
        self._transaction = self._transaction % 0xFFFF + 1
        self._unit = unit
        self._open = True
        return tcp_frame(self._transaction, unit, request.pdu)

    def receive(self, data: bytes) -> bytes | None:
        """The PDU that answers the open question.

        Raises: OutOfSync (the connection must go); DeviceNonsense if the right number comes from the wrong unit.
        """
        answer: bytes | None = None
        wrong_unit: int | None = None
        for transaction, unit, pdu in self._frames.feed(data):
            if not self._open or transaction != self._transaction:
                self._strays += 1
                self._late = unit
                continue
            self._open = False
            if unit == self._unit:
                answer = pdu
            else:
                wrong_unit = unit
        if wrong_unit is not None:
            raise DeviceNonsense(f"unit {self._unit} was asked and unit {wrong_unit} answered")
        return answer

    def give_up(self) -> bool:
        """The open question stays without answer; should one come, it is a stray.

        Whether half a frame is stuck: then nothing that comes behind it could be trusted.
        """
        self._open = False
        return self._frames.buffered > 0

    def restart(self) -> None:
        """A new connection."""
        self._frames = TcpFrames()
        self._open = False

    def heard_late(self) -> int | None:
        """The unit of a stray answer, told once: it lives."""
        late, self._late = self._late, None
        return late


class RtuConversation:
    """Questions over a serial line, or over TCP to a converter that passes the bytes on."""

    tells_late_apart = False
    broadcasts = True

    def __init__(self, echo: bool = False) -> None:
        self._answers = RtuAnswers(echo)
        self._open = False
        self._late: int | None = None

    @property
    def strays(self) -> int:
        return self._answers.junk

    @property
    def garbled(self) -> bool:
        return self._answers.garbled or self._answers.buffered > 1

    def ask(self, unit: int, request: Request) -> bytes:
        """The frame to send; the one question that is open from now on."""
        frame = rtu_frame(unit, request.pdu)
        self._answers.expect(unit, request.function, request.answer_length, frame)
        self._open = True
        return frame

    def receive(self, data: bytes) -> bytes | None:
        """The PDU that answers the open question."""
        pdu = self._answers.feed(data)
        if pdu is not None:
            self._open = False
        elif not self._open and 5 <= len(data) <= 256 and crc16(data) == 0:
            self._late = data[0]
        return pdu

    def give_up(self) -> bool:
        """The open question stays without answer. A serial stream finds its place again by itself."""
        self._open = False
        self._answers.forget()
        return False

    def restart(self) -> None:
        """The line was opened again."""
        self.give_up()

    def heard_late(self) -> int | None:
        """The unit of a whole answer that came too late, told once: it lives."""
        late, self._late = self._late, None
        return late
