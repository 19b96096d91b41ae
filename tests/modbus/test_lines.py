"""Lines under a bus: opening, losing and closing them, without a port of this machine."""

from __future__ import annotations

import errno
import termios
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from serial import SerialException
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from charging_manager.errors import DeviceSilent
from charging_manager.modbus.address import RtuAddress, parse_address
from charging_manager.modbus.bus import Bus, open_bus
from charging_manager.modbus.frames import rtu_frame
from charging_manager.modbus.lines import SerialLine, TcpLine, _endpoint
from charging_manager.modbus.transaction import RtuConversation, TcpConversation

ADDRESS = RtuAddress("/dev/ttyX", 19200, "E", 1)
ANSWER = rtu_frame(1, bytes.fromhex("03020007"))


class Port:
    """A serial port in memory; ``errors`` are raised by the next tries to open one."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.opened: list[OpenPort] = []

    def __call__(self, wire: Any, device: str, reactor: Any, **settings: Any) -> OpenPort:
        self.settings = settings
        if self.errors:
            raise self.errors.pop(0)
        port = OpenPort(wire)
        self.opened.append(port)
        return port


class OpenPort:
    shared: Path | None = None
    """Stands for the device, where several programs open one."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.written: list[bytes] = []
        self.file = TemporaryFile() if self.shared is None else self.shared.open("w")  # noqa: SIM115
        wire.makeConnection(self)

    def fileno(self) -> int:
        return self.file.fileno()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.file.close()
        self.wire.connectionLost(Failure(ConnectionDone()))


def serial_bus() -> tuple[Bus, Port, Clock]:
    port, clock = Port(), Clock()
    return Bus(SerialLine(ADDRESS, clock, port), RtuConversation(), clock), port, clock


def result(done: Deferred[Any]) -> Any:
    """What came, or the exception; None: nothing yet."""
    found: list[Any] = [None]
    done.addBoth(lambda value: found.__setitem__(0, value))
    return found[0].value if isinstance(found[0], Failure) else found[0]


def test_a_serial_line_is_opened_by_the_first_request_with_its_settings() -> None:
    bus, port, _ = serial_bus()
    assert port.opened == []
    done = bus.read(1, 3, 0, 1)
    assert port.settings == {"baudrate": 19200, "parity": "E", "stopbits": 1}
    port.opened[0].wire.dataReceived(ANSWER)
    assert result(done) == [7]


@pytest.mark.parametrize(
    "error", [termios.error(22, "Invalid argument"), OSError(errno.EINVAL, "x"), SerialException(errno.EINVAL, "x")]
)
def test_a_pseudo_terminal_that_knows_no_parity_is_opened_without_and_that_is_said_once(error: BaseException) -> None:
    bus, port, clock = serial_bus()
    port.errors = [error]
    with capturedLogs() as logs:
        bus.read(1, 3, 0, 1)
    assert port.settings["parity"] == "N"
    assert [event["parity"] for event in logs] == ["E"]
    port.opened[0].loseConnection()
    clock.advance(2)
    with capturedLogs() as logs:
        bus.read(1, 3, 0, 1)
    assert len(port.opened) == 2
    assert "parity" not in [key for event in logs for key in event]


def test_a_missing_device_fails_with_its_reason_and_is_looked_for_again() -> None:
    bus, port, clock = serial_bus()
    port.errors = [SerialException(2, "could not open port /dev/ttyX: No such file or directory") for _ in range(3)]
    with capturedLogs() as logs:
        for _ in range(100):
            error = result(bus.read(1, 3, 0, 1))
            if not isinstance(error, DeviceSilent):
                break
            assert "No such file" in str(error)
            clock.advance(0.1)
    assert clock.seconds() == pytest.approx(6.0, abs=0.3)  # tries at 0, 1, 3 and 6 s
    assert len(port.opened) == 1
    assert len([event for event in logs if "No such file" in str(event.get("why"))]) == 1
    assert any("open again" in str(event["log_format"]) for event in logs)


def test_a_device_that_is_pulled_out_is_looked_for_again() -> None:
    bus, port, clock = serial_bus()
    done = bus.read(1, 3, 0, 1)
    port.opened[0].loseConnection()
    assert isinstance(result(done), DeviceSilent)
    assert not bus.connected
    clock.advance(1.1)
    again = bus.read(1, 3, 0, 1)
    port.opened[1].wire.dataReceived(ANSWER)
    assert result(again) == [7]


def test_closing_a_serial_line_closes_the_port_and_leaves_no_alarm() -> None:
    bus, port, clock = serial_bus()
    done = bus.read(1, 3, 0, 1)
    port.opened[0].wire.dataReceived(ANSWER)
    assert result(done) == [7]
    assert bus.close().called
    assert not bus.connected
    assert clock.getDelayedCalls() == []
    assert bus.close().called


def test_literal_addresses_need_no_name_server() -> None:
    clock = MemoryReactorClock()
    assert isinstance(_endpoint("127.0.0.1", 502, clock), TCP4ClientEndpoint)
    assert isinstance(_endpoint("::1", 502, clock), TCP6ClientEndpoint)
    assert isinstance(_endpoint("box.lan", 502, clock), HostnameEndpoint)


def test_every_kind_of_address_gives_a_bus_named_after_it() -> None:
    for text in ("tcp://127.0.0.1:502", "rtutcp://127.0.0.1:4001", "rtu:///dev/ttyX"):
        assert open_bus(parse_address(text), Clock()).name == text


class Never:
    """An endpoint that is still connecting."""

    def __init__(self) -> None:
        self.cancelled = False

    def connect(self, factory: Any) -> Deferred[Any]:
        return Deferred(lambda _: setattr(self, "cancelled", True))


def test_closing_while_connecting_gives_up_the_try() -> None:
    endpoint, clock = Never(), Clock()
    bus = Bus(TcpLine("box", 502, "tcp://box:502", clock, endpoint), TcpConversation(), clock)  # type: ignore[arg-type]
    done = bus.read(1, 3, 0, 1)
    assert result(done) is None
    assert bus.close().called
    assert endpoint.cancelled


def test_a_line_that_another_program_of_ours_speaks_on_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenPort, "shared", tmp_path / "line")
    first, _, first_clock = serial_bus()
    reading = first.read(1, 3, 0, 1)
    second, port, clock = serial_bus()
    refused = result(second.read(1, 3, 0, 1))
    assert isinstance(refused, DeviceSilent) and "another program is using it" in str(refused)
    assert port.opened[0].file.closed and not port.opened[0].written
    reading.addErrback(lambda _: None)
    closed = first.close()
    first_clock.advance(2)
    assert closed.called
    clock.advance(5)
    second.read(1, 3, 0, 1).addErrback(lambda _: None)
    assert port.opened[1].written, "the line is free again"
