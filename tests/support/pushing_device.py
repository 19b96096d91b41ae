"""A box or meter that pushes, made from its driver, in a process of its own.

``python -m tests.support.pushing_device NAME AGENT_PORT DEVICE_ID TOKEN``; it prints what it draws. A line in the file
named by ``PUSHING_ORDERS`` changes it: ``plug``, ``mute``, ``well``.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from charging_manager.devices.json_bus import MISSING, pointed
from charging_manager.devices.loader import load_drivers
from charging_manager.paths import shared
from charging_manager.sim.car import Car
from charging_manager.sim.documents import document_of, write_number
from charging_manager.sim.simulator import Simulator


def main(name: str, port: str, device: str, token: str) -> None:
    """Push twice a second, for ever."""
    driver = load_drivers([shared("drivers")]).drivers[name]
    clock, began_s = Clock(), time.monotonic()
    simulator = Simulator(driver, clock, source=lambda: (2.0, 3.0, 4.0))
    readable = [r for r in driver.registers.values() if r.json]
    orders, done, mute = Path(os.environ["PUSHING_ORDERS"]), 0, False
    while True:
        clock.advance(max(0.0, time.monotonic() - began_s - clock.seconds()))
        simulator.advance()
        words = orders.read_text().split() if orders.exists() else []
        for word in words[done:]:
            done += 1
            if word == "plug":
                simulator.plug(Car(wants_a=16.0))
            mute = word == "mute"
        if not mute:
            for pointer, number in _told(port, device, token, document_of(simulator, readable), driver):
                write_number(simulator, pointer, number)
        print("draws", max(simulator.current_a()), flush=True)
        time.sleep(0.4)


def _told(port: str, device: str, token: str, document: Any, driver: Any) -> list[tuple[Any, float]]:
    line = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        line.request("PUT", f"/api/v1/devices/{device}/reading", json.dumps(document), headers)
        answer = line.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            print("refused", answer.status, told, flush=True)
            return []
    except OSError as error:
        print("no answer", error, flush=True)
        return []
    finally:
        line.close()
    found = [(r, pointed(told, r.tell)) for r in driver.registers.values() if r.tell]
    return [(r, float(number)) for r, number in found if number is not MISSING]


if __name__ == "__main__":
    main(*sys.argv[1:])
