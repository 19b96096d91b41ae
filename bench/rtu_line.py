"""A 19200 baud RTU line against what the wire itself takes: both frames plus 3.5 characters of silence each way.

A line process joins two pseudo-terminals and passes each byte on 11/19200 s after the one before it. The bus sits on
one end in this process; on the other end a slave of ours answers after 3.5 characters, in a third process. Run alone:
``python -m bench.rtu_line``.
"""

from __future__ import annotations

import heapq
import os
import select
import subprocess
import sys
import time
import tty
from pathlib import Path
from tempfile import TemporaryDirectory

BAUD = 19200
CHAR_S = 11 / BAUD
TRANSACTIONS = 40
ROUNDS = 8
REGISTERS = 10
MODULE = "bench.rtu_line"

Figure = tuple[str, float, str, str, float]


def line(first: str, second: str) -> None:
    """Two pseudo-terminals, linked under these names; a byte takes its time from one to the other."""
    masters = []
    for name in (first, second):
        master, slave = os.openpty()
        tty.setraw(slave)
        os.symlink(os.ttyname(slave), name)
        masters.append(master)
    other = {masters[0]: masters[1], masters[1]: masters[0]}
    free_s = dict.fromkeys(masters, 0.0)
    due: list[tuple[float, int, int, int]] = []
    number = 0
    print("ready", flush=True)
    poller = select.poll()
    for master in masters:
        poller.register(master, select.POLLIN)
    while True:
        now_s = time.monotonic()
        while due and due[0][0] <= now_s:
            _, _, target, byte = heapq.heappop(due)
            os.write(target, bytes((byte,)))
        # Sleep in whole milliseconds while nothing is near; the last stretch is waited out: a byte takes 0.57 ms.
        wait_ms = 20.0 if not due else max(0.0, (due[0][0] - now_s) * 1000 - 1)
        for source, _ in poller.poll(int(wait_ms)):
            heard_s = time.monotonic()
            for byte in os.read(source, 4096):
                free_s[source] = max(free_s[source], heard_s) + CHAR_S
                number += 1
                heapq.heappush(due, (free_s[source], number, other[source], byte))


def slave(device: str) -> None:
    """Registers that hold their own address, on that device."""
    from twisted.internet import reactor
    from twisted.internet.serialport import SerialPort

    from charging_manager.modbus.server import RtuServer

    class Addresses:
        def units(self) -> tuple[int, ...]:
            return (1,)

        def handle(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> list[int]:
            return list(range(address, address + count))

    SerialPort(RtuServer(Addresses(), reactor, gap_s=3.5 * CHAR_S), device, reactor, baudrate=BAUD)
    print("ready", flush=True)
    reactor.run()


def master(device: str) -> None:
    """Seconds for all transactions of a round, one after another: a line for each round."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from charging_manager.modbus.address import RtuAddress
    from charging_manager.modbus.bus import open_bus

    async def run() -> None:
        bus = open_bus(RtuAddress(device, BAUD, "E"), reactor)
        await bus.read(1, 3, 100, REGISTERS)
        for _ in range(ROUNDS):
            began_s = time.monotonic()
            for _ in range(TRANSACTIONS):
                values = await bus.read(1, 3, 100, REGISTERS)
            print(time.monotonic() - began_s, flush=True)
        assert values == list(range(100, 100 + REGISTERS))
        await bus.close()

    done = Deferred.fromCoroutine(run())
    done.addErrback(lambda failure: failure.printTraceback())
    done.addBoth(lambda _: reactor.callWhenRunning(reactor.stop))
    reactor.run()


def measure() -> list[Figure]:
    """Several rounds over the line; the best counts, for other work on the machine only ever adds."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-m", MODULE, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    def first_line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    with TemporaryDirectory() as folder:
        ends = str(Path(folder) / "master"), str(Path(folder) / "slave")
        try:
            assert first_line(start("line", *ends)) == "ready"
            assert first_line(start("slave", ends[1])) == "ready"
            speaker = start("master", ends[0])
            took_s = min(float(first_line(speaker)) for _ in range(ROUNDS))
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
    request, answer = 8, 5 + 2 * REGISTERS
    wire_s = TRANSACTIONS * (request + answer + 2 * 3.5) * CHAR_S
    print(f"rtu line: {1000 * took_s / TRANSACTIONS:.2f} ms each, the wire alone {1000 * wire_s / TRANSACTIONS:.2f} ms")
    return [("rtu-19200-line", round(wire_s / took_s, 3), "ratio", ">=", 0.85)]


FIGURES = {"rtu-19200-line": measure}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        from bench.modbus_tcp import report

        report(measure())
    else:
        {"line": line, "slave": slave, "master": master}[sys.argv[1]](*sys.argv[2:])
