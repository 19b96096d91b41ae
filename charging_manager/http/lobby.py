"""Where an agent's connection waits until its login may begin: its ClientHello is here, TLS has not begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from charging_manager.http.admission import Admission, Place
from charging_manager.http.clienthello import LARGEST


class Waiting(Protocol):
    """A guest of ``Admission``. ``begin`` makes the protocol that goes on with the bytes that came so far."""

    transport: Any

    def __init__(self, admission: Admission, source: str, begin: Callable[[Place], Any]) -> None:
        self._admission, self._source, self._begin = admission, source, begin
        self._taken = b""

    def dataReceived(self, data: bytes) -> None:
        first, self._taken = not self._taken, self._taken + data
        if first:
            self._admission.come(self, self._source)
        elif len(self._taken) > LARGEST:
            self._admission.gone(self, self._source)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._admission.gone(self, self._source)

    def go(self, place: Place) -> None:
        protocol = self._begin(place)
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        protocol.dataReceived(self._taken)

    def put_off(self, told: bytes) -> None:
        self.transport.write(told)
        self.transport.loseConnection()
