"""A device that speaks HTTP and JSON, made from its driver and a simulator: documents by path, and requests that set.

``python -m tests.support.json_device NAME PORT [LOGIN [CERTIFICATES]]`` serves one on loopback.
 A look at ``/_now/WORD`` changes it (``plug``,
``unplug``, ``redirect``, ``endless``, ``absurd``, ``mute``, ``well``) and tells the truth; it prints ``followed`` if
somebody follows the redirect.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor as any_reactor
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.web.guard import BasicCredentialFactory, DigestCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from charging_manager.clocks import use_monotonic
from charging_manager.devices.driver import Driver, HttpWrite, Register
from charging_manager.devices.loader import load_drivers
from charging_manager.paths import shared
from charging_manager.sim.car import Car
from charging_manager.sim.documents import document_of, number_in, write_number
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
                write_number(self.simulator, register, number)
                return 200, b"true"
        shown = [r for r in self.driver.registers.values() if r.json and r.get == path]
        if method != "GET" or not shown:
            return 404, b"<html>not here</html>"
        if self.document is not None:
            return 200, json.dumps(self.document).encode()
        return 200, json.dumps(document_of(self.simulator, shown)).encode()

    def _number(self, register: Register, method: str, path: str, body: str | None) -> float | None:
        rule = register.set
        if not isinstance(rule, HttpWrite) or rule.method != method:
            return None
        for template, given in ((rule.path, path), (rule.body or "", body or "")):
            number = number_in(template, given)
            if number is not None:
                return number
        return None


class Pages(Resource):
    """The device's web server, with moods."""

    isLeaf = True

    def __init__(self, face: JsonFace) -> None:
        super().__init__()
        self.face, self.mood = face, "well"

    def render(self, request: Any) -> Any:
        path = request.uri.decode("ascii")
        if path.startswith("/_now/"):
            request.setHeader("Content-Type", "application/json")
            return self._now(path.removeprefix("/_now/"))
        if path == "/elsewhere":
            print("followed", flush=True)
        self.face.simulator.advance()
        if self.mood == "mute":
            return NOT_DONE_YET
        if self.mood == "redirect":
            request.redirect(b"/elsewhere")
            return b""
        if self.mood == "endless":
            request.write(b"[" + b"1," * 200_000)
            return NOT_DONE_YET
        if self.mood == "absurd":
            return b"<html>hello, this is no JSON</html>"
        code, body = self.face(request.method.decode(), path, request.content.read().decode() or None)
        request.setResponseCode(code)
        return body

    def _now(self, word: str) -> bytes:
        simulator = self.face.simulator
        if word == "plug":
            simulator.plug(Car(wants_a=16.0))
        elif word == "unplug":
            simulator.unplug()
        elif word != "truth":
            self.mood = word
        simulator.advance()
        return json.dumps(
            {"a": simulator.current_a(), "set": [p for _, p, _ in self.face.asked if "/set" in p]}
        ).encode()


@implementer(IRealm)
class Behind:
    """Whoever is let in finds the pages."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def requestAvatar(self, avatar: object, mind: object, *interfaces: object) -> Any:
        return IResource, self.pages, lambda: None


class Door(Resource):
    """The device's login, and the test's own way past it."""

    def __init__(self, pages: Pages, login: Any) -> None:
        super().__init__()
        self.pages, self.login = pages, login

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        if request.uri.startswith(b"/_now/"):
            return self.pages
        return self.login.getChildWithDefault(path, request)


def main(name: str, port: str, login: str = "", certificates: str = "") -> None:
    """Serve until somebody ends this process; ``login`` is basic or digest (user ``box``, password ``ohm``)."""
    use_monotonic(any_reactor)
    driver = load_drivers([shared("drivers")]).drivers[name]
    reactor: Any = any_reactor
    pages = Pages(JsonFace(driver, Simulator(driver, reactor)))
    root: Any = pages
    if login:
        factory = DigestCredentialFactory(b"md5", b"the box") if login == "digest" else BasicCredentialFactory(b"box")
        checker = InMemoryUsernamePasswordDatabaseDontUse(box=b"ohm")
        root = Door(pages, HTTPAuthSessionWrapper(Portal(Behind(pages), [checker]), [factory]))
    if certificates:
        context = DefaultOpenSSLContextFactory(f"{certificates}/server.key", f"{certificates}/server.pem")
        reactor.listenSSL(int(port), Site(root), context, interface="127.0.0.1")
    else:
        reactor.listenTCP(int(port), Site(root), interface="127.0.0.1")
    print("ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
