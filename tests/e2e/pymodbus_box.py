"""A wallbox and a grid meter out of plain pymodbus servers: ``python -m tests.e2e.pymodbus_box``.

Prints ``listening PORT PORT`` (a KEBA P30 over TCP, unit 255; an SDM630 over RTU in TCP, unit 1), then a line for every
write. The values are coded here, by struct, not by the product. A car at the box wants 9 A; the house takes 2.25 A.
"""

from __future__ import annotations

import asyncio
import itertools
import struct

from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

CAR_A = (9.0, 8.9, 8.8)
HOUSE_A = (2.25, -2.5, 0.5)
VOLTS = (230.5, 229.5, 231.0)

KEBA = {1000: 3, 1004: 7, 1006: 0, 1008: 0, 1010: 0, 1012: 0, 1014: 17_619_300, 1016: 3_142_520, 1018: 30_951}
KEBA |= {1020: 0, 1036: 12_345_670, 1040: 230, 1042: 229, 1044: 231, 1046: 998, 1100: 16_000, 1110: 32_000}
KEBA |= {1500: 0, 1502: 45_000, 1550: 3, 1552: 1, 1600: 0, 1602: 0}
KEBA_WRITABLE = {5004: 16_000, 5014: 1, 5016: 0, 5018: 0, 5050: 3, 5052: 1}


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


class Box:
    """What was written, and what therefore flows."""

    def __init__(self) -> None:
        self.told = dict(KEBA_WRITABLE)
        self.wobble = itertools.cycle((0.0, 0.01, 0.02, 0.01))

    def offered_a(self) -> float:
        return self.told[5004] / 1000 if self.told[5014] else 0.0

    def car_a(self) -> list[float]:
        return [min(amps, self.offered_a()) for amps in CAR_A]

    async def keba(
        self, function: int, start: int, address: int, count: int, registers: list[int], new: list[int] | None
    ) -> None:
        if new:
            print(f"write {address} {new[0]}", flush=True)
            self.told[address] = new[0]
        amps = self.car_a()
        shown = dict(zip((1008, 1010, 1012), (round(1000 * a) for a in amps), strict=True))
        shown |= {1000: 3 if any(amps) else 5, 1100: round(1000 * self.offered_a())}
        shown |= {1020: round(1000 * sum(a * v for a, v in zip(amps, VOLTS, strict=True)))}
        shown |= {1600: self.told[5016], 1602: self.told[5018]}
        for at, value in shown.items():
            registers[at - start : at - start + 2] = words(struct.pack(">I", value))

    async def sdm630(
        self, function: int, start: int, address: int, count: int, registers: list[int], new: list[int] | None
    ) -> None:
        shake = next(self.wobble)
        amps = [house + car + shake for house, car in zip(HOUSE_A, self.car_a(), strict=True)]
        power = [a * v for a, v in zip(amps, VOLTS, strict=True)]
        shown = {6 + 2 * phase: abs(amps[phase]) for phase in range(3)}
        shown |= {12 + 2 * phase: power[phase] for phase in range(3)} | {52: sum(power)}
        for at, value in shown.items():
            registers[at - start : at - start + 2] = words(struct.pack(">f", value))


def keba(box: Box) -> SimDevice:
    blocks = [
        SimData(at, values=words(struct.pack(">I", value)), datatype=DataType.REGISTERS) for at, value in KEBA.items()
    ]
    blocks += [SimData(at, values=[value], datatype=DataType.REGISTERS) for at, value in KEBA_WRITABLE.items()]
    return SimDevice(255, simdata=blocks, action=box.keba)  # type: ignore[arg-type]


def sdm630(box: Box) -> SimDevice:
    fixed = {0: VOLTS[0], 2: VOLTS[1], 4: VOLTS[2], 70: 50.02, 72: 4321.5, 74: 12.25}
    block = [word for at in range(0, 76, 2) for word in words(struct.pack(">f", fixed.get(at, 0.0)))]
    blocks = [SimData(0, values=block, datatype=DataType.REGISTERS)]
    blocks.append(SimData(342, values=[0] * 16, datatype=DataType.REGISTERS))
    blocks.append(SimData(0xFC00, values=words(struct.pack(">I", 87_654_321)), datatype=DataType.REGISTERS))
    return SimDevice(1, simdata=blocks, action=box.sdm630)  # type: ignore[arg-type]


async def serve() -> None:
    box, ports = Box(), []
    for device, framer in ((keba(box), FramerType.SOCKET), (sdm630(box), FramerType.RTU)):
        server = ModbusTcpServer(device, framer=framer, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        assert server.transport is not None
        ports.append(server.transport.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
    print("listening", *ports, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
