"""``charging_manager open``: a browser's way to an installation in end-to-end mode that trusts one key and no warning.

A small listener on this machine. Each connection goes to the installation's label, over TLS; nothing that the browser
says leaves before the key that answers there has been compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.agent.end_to_end import OPEN
from charging_manager.errors import ChargingManagerError, ConfigError, TunnelError
from charging_manager.storage.files import write_private
from charging_manager.tunnel.dial import ServerName, connect_to_label, parse_server
from charging_manager.tunnel.labels import read_code
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.tls import key_shown

_WITHIN_S = 15.0
_OTHER_KEY = (
    "another key than the installation's own answers there: somebody on the way, perhaps the cloud server itself, ends "
    "the encryption; nothing was sent"
)


class OtherKey(ChargingManagerError):
    """The wrong one holds the end of the line."""

    def __init__(self) -> None:
        super().__init__(_OTHER_KEY)


@frozen
class Pinned:
    """An installation's address and its key."""

    server: ServerName
    key: str

    @property
    def near_host(self) -> str:
        """An address of this machine for this installation alone, so that no other's pages get its cookies."""
        a, b, c = hashlib.sha256(self.server.host.encode()).digest()[:3]
        return f"127.{a}.{b}.{c % 254 + 1}"


def open_private(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises: ChargingManagerError in one sentence."""
    known = Known(_config_folder() / "installations.json")
    pinned = pin(arguments.url, arguments.cloud_id, arguments.code, known)
    from twisted.internet import reactor

    door = Door(reactor, pinned, arguments.port)
    door.come(lambda: known.keep(arguments.url, arguments.cloud_id, arguments.code))
    reactor.run()
    if door.trouble is not None:
        raise door.trouble
    return 0


def pin(url: str, cloud_id: str, code: str | None, known: Known) -> Pinned:
    """Where to go and which key to expect there. Raises: ConfigError."""
    server = parse_server(url)
    if server is None or isIPAddress(server.host) or isIPv6Address(server.host):
        raise ConfigError(url, "is not the address of a cloud server; write its name, as in https://cloud.example:4443")
    code = code or known.code_of(url, cloud_id)
    if code is None:
        raise ConfigError(
            cloud_id,
            'is not known here yet; add --code CODE, which the installation\'s own page "Cloud service" shows at the '
            "site under end-to-end mode",
        )
    read = read_code(code)
    if read is None:
        raise ConfigError("--code", "is not such a code; copy the whole of it, from cm- on")
    label, key = read
    return Pinned(ServerName(f"{label}.{server.host}", server.port), key)


class Known:
    """The codes of installations that were opened before: a file of its owner's alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def code_of(self, url: str, cloud_id: str) -> str | None:
        code = self._read().get(_name(url, cloud_id))
        return code if isinstance(code, str) else None

    def keep(self, url: str, cloud_id: str, code: str | None) -> None:
        """Raises: ConfigError."""
        if code is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, json.dumps({**self._read(), _name(url, cloud_id): code}, indent=1).encode())
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be written ({error.strerror})") from error

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                str(self._path), "cannot be read; repair it, or remove it and give --code again"
            ) from error
        return found if isinstance(found, dict) else {}


def _name(url: str, cloud_id: str) -> str:
    return f"{parse_server(url)} {cloud_id.lower()}"


def _config_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "charging-manager"


class Door:
    """The listener on this machine. ``trouble`` is why it ended, if it did not end by Ctrl-C."""

    def __init__(self, reactor: Any, pinned: Pinned, port: int) -> None:
        self.reactor, self.pinned, self._port = reactor, pinned, port
        self.trouble: ChargingManagerError | None = None

    def come(self, proven: Any) -> None:
        """Once the key has been seen (``proven`` is called then), listen and say where."""

        async def come() -> None:
            far = Far(self.pinned.key)
            await self.dial(far)
            far.transport.loseConnection()
            proven()
            factory = Factory.forProtocol(lambda: Near(self))
            factory.noisy = False
            try:
                port = self.reactor.listenTCP(self._port, factory, interface=self.pinned.near_host)
            except CannotListenError as error:
                raise ConfigError(f"port {self._port}", "is in use; choose another with --port") from error
            print(f"open: http://{self.pinned.near_host}:{port.getHost().port}/", flush=True)
            print("The installation's own key answers. Ctrl-C ends this.", flush=True)

        def start() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self.reactor.callFromThread(self.reactor.stop))
            Deferred.fromCoroutine(come()).addErrback(self.give_up)

        self.reactor.callWhenRunning(start)

    async def dial(self, far: Far) -> None:
        """Connect this to the installation. Raises: OtherKey, TunnelError."""
        await connect_to_label(self.reactor, self.pinned.server, far, OPEN)
        too_late = self.reactor.callLater(_WITHIN_S, far.end, trouble("timeout"))
        try:
            await far.ready
        finally:
            if too_late.active():
                too_late.cancel()

    def give_up(self, failure: Failure) -> None:
        """End the program with this as its reason."""
        error = failure.value
        if isinstance(error, TunnelError):
            error = ConfigError(str(self.pinned.server), f"{error} Is the installation connected, in end-to-end mode?")
        if not isinstance(error, ChargingManagerError):
            failure.printTraceback()
            error = ChargingManagerError("ended by a mistake of ours; the report is above")
        if self.trouble is None:
            self.trouble = error
            self.reactor.stop()


@implementer(IHandshakeListener)
class Far(Protocol):
    """Our TLS connection to the installation; ``ready`` fires when it is the right one that answers."""

    transport: Any

    def __init__(self, key: str) -> None:
        self._key = key
        self.ready: Deferred[None] = Deferred()
        self.near: Near | None = None

    def handshakeCompleted(self) -> None:
        if self.ready.called:
            return
        try:
            if key_shown(self.transport) != self._key:
                self.end(OtherKey())
            elif self.transport.negotiatedProtocol != OPEN:
                self.end(trouble("versions"))
            else:
                self.ready.callback(None)
        except TunnelError as error:
            self.end(error)

    def dataReceived(self, data: bytes) -> None:
        if self.near is not None:
            self.near.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end(trouble("offline" if "unrecognized name" in str(reason.value) else "lost"))
        if self.near is not None:
            self.near.transport.loseConnection()

    def end(self, error: Exception) -> None:
        if not self.ready.called:
            self.ready.errback(Failure(error))
            self.transport.abortConnection()


class Near(Protocol):
    """A browser's connection."""

    transport: Any

    def __init__(self, door: Door) -> None:
        self._door = door
        self._far: Far | None = None
        self._gone = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.pauseProducing()
        Deferred.fromCoroutine(self._join()).addErrback(self._not_joined)

    async def _join(self) -> None:
        far = Far(self._door.pinned.key)
        await self._door.dial(far)
        if self._gone:
            far.transport.abortConnection()
            return
        self._far, far.near = far, self
        far.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(far.transport, True)
        self.transport.resumeProducing()

    def _not_joined(self, failure: Failure) -> None:
        self.transport.abortConnection()
        if failure.check(TunnelError) is None:
            self._door.give_up(failure)

    def dataReceived(self, data: bytes) -> None:
        if self._far is not None:
            self._far.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        if self._far is not None:
            self._far.transport.unregisterProducer()
            self._far.transport.loseConnection()
