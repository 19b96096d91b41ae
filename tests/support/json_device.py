"""A device that speaks HTTP and JSON, made from its driver and a simulator: documents by path, and requests that set.

``python -m tests.support.json_device NAME PORT`` serves one on loopback; lines on stdin change it: ``plug``, ``unplug``,
``redirect``, ``endless``, ``absurd``, ``mute``, ``well``. It prints every request that sets something.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any
from urllib.parse import unquote

from charging_manager.devices.codec import decode
from charging_manager.devices.driver import Driver, Register, Type
from charging_manager.sim.simulator import Simulator


class JsonFace:
    """What the device answers to a request: status and body."""

    def __init__(self, driver: Driver, simulator: Simulator) -> None:
        self.driver, self.simulator = driver, simulator
        self.asked: list[tuple[str, str, str | None]] = []
        self.document: Any = None
        """Shown instead of what the simulator has."""

    def __call__(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        self.asked.append((method, path, body))
        for register in self.driver.registers.values():
            number = self._number(register, method, path, body)
            if number is not None:
                words = struct.unpack(">4H", struct.pack(">d", number))
                self.simulator.handle(self.simulator.unit, 16, register.address, 4, words)
                return 200, b"true"
        shown = [r for r in self.driver.registers.values() if r.json and r.get == path]
        if method != "GET" or not shown:
            return 404, b"<html>not here</html>"
        if self.document is not None:
            return 200, json.dumps(self.document).encode()
        return 200, json.dumps(self._document(shown)).encode()

    def _number(self, register: Register, method: str, path: str, body: str | None) -> float | None:
        rule = register.set
        if rule is None or rule.method != method:
            return None
        for template, given in ((rule.path, path), (rule.body or "", body or "")):
            before, found, after = template.partition("{value}")
            if found and given.startswith(before) and given.endswith(after):
                return float(given[len(before) : len(given) - len(after)])
        return None

    def _document(self, shown: list[Register]) -> Any:
        tree: dict[str, Any] = {}
        for register in shown:
            words = list(self.simulator.handle(self.simulator.unit, 3, register.address, register.count, ()))  # type: ignore[arg-type]
            value = decode(register, words)
            if isinstance(value, int | float):
                value = (value - register.offset) / register.scale
                value = int(value) if value == int(value) and register.type is not Type.STR else value
            at = tree
            *way, last = (register.json or "").split("/")[1:]
            for step in way:
                at = at.setdefault(step, {})
            at[last] = value
        return _lists(tree)


def _lists(tree: Any) -> Any:
    """Tables whose keys are numbers are lists."""
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdigit() for key in tree):
        return [_lists(tree.get(str(n))) for n in range(max(map(int, tree)) + 1)]
    return {key: _lists(value) for key, value in tree.items()}


def main(name: str, port: int) -> None:
    from twisted.internet import reactor as any_reactor
    from twisted.internet.stdio import StandardIO
    from twisted.protocols.basic import LineReceiver
    from twisted.web.resource import Resource
    from twisted.web.server import NOT_DONE_YET, Site

    from charging_manager.clocks import use_monotonic
    from charging_manager.devices.loader import load_drivers
    from charging_manager.paths import shared
    from charging_manager.sim.car import Car

    reactor: Any = any_reactor
    use_monotonic(reactor)
    driver = load_drivers([shared("drivers")]).drivers[name]
    simulator = Simulator(driver, reactor)
    face = JsonFace(driver, simulator)
    moods = ["well"]

    class Pages(Resource):
        isLeaf = True

        def render(self, request: Any) -> Any:
            path = request.uri.decode("ascii")
            simulator.advance()
            if moods[-1] == "mute":
                return NOT_DONE_YET
            if moods[-1] == "redirect":
                request.redirect(b"http://127.0.0.1:%d/elsewhere" % port)
                return b""
            if moods[-1] == "endless":
                request.write(b"[" + b"1," * 200_000)
                return NOT_DONE_YET
            if moods[-1] == "absurd":
                return b"<html>hello, this is no JSON</html>"
            code, body = face(request.method.decode(), path, request.content.read().decode() or None)
            request.setResponseCode(code)
            if code == 200 and any(
                r.set and unquote(path).startswith(r.set.path.split("{")[0]) for r in driver.registers.values()
            ):
                print("set", path, flush=True)
            if path == "/elsewhere":
                print("followed", flush=True)
            return body

    class Orders(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            word = line.decode().strip()
            if word == "plug":
                simulator.plug(Car())
            elif word == "unplug":
                simulator.unplug()
            else:
                moods.append(word)
            print("now", word, flush=True)

    StandardIO(Orders())
    reactor.listenTCP(port, Site(Pages()), interface="127.0.0.1")
    print("ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
