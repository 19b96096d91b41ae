"""Polls units of one line with the product's own bus: ``python -m tests.e2e.bus_client ADDRESS SECONDS UNIT …``.

Every unit is asked ten times a second for voltages (function 4, address 0), with a timeout of 0.4 s. Prints one line of
JSON: for each unit the answers, the failures and the longest wait for an answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from charging_manager.clocks import use_monotonic
from charging_manager.errors import DeviceError
from charging_manager.modbus.address import parse_address
from charging_manager.modbus.bus import Bus, open_bus


async def poll(reactor: Any, bus: Bus, unit: int, until_s: float) -> dict[str, float]:
    seen = {"answers": 0, "failures": 0, "longest_s": 0.0}
    while (began_s := reactor.seconds()) < until_s:
        try:
            got = await bus.read(unit, 4, 0, 6, timeout_s=0.4)
            assert len(got) == 6
            seen["answers"] += 1
            seen["longest_s"] = max(seen["longest_s"], reactor.seconds() - began_s)
        except DeviceError:
            seen["failures"] += 1
        await deferLater(reactor, 0.1, lambda: None)
    return seen


async def run(reactor: Any, address: str, seconds: str, *units: str) -> None:
    use_monotonic(reactor)
    bus = open_bus(parse_address(address), reactor)
    until_s = reactor.seconds() + float(seconds)
    polls = [Deferred.fromCoroutine(poll(reactor, bus, int(unit), until_s)) for unit in units]
    print(json.dumps({unit: await each for unit, each in zip(units, polls, strict=True)}), flush=True)
    await bus.close()


if __name__ == "__main__":
    react(lambda reactor, *rest: Deferred.fromCoroutine(run(reactor, *rest)), sys.argv[1:])
