"""The tunnel over real TLS on loopback, with the real reactor; the listener here is the least that serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from charging_manager.agent.uplink import Uplink, UplinkSettings, UplinkState
from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.tunnel.link import RemoteAnswer, RemoteLogin, RemoteRequest, RemoteStream
from tests.tunnel.support import PASSWORD, Bulk, Collected, FakeAgent, FakeCloud, ServerTls, new_key

pytestmark = pytest.mark.e2e


class Site(TestCase):
    """A cloud's port and agents that connect to it."""

    timeout = 30

    def setUp(self) -> None:
        self.agent = FakeAgent()
        self.cloud = FakeCloud(garage=PASSWORD)
        self.tls = ServerTls()
        self.factory = TunnelFactory(reactor, self.cloud, salt_key=b"s" * 32)
        self.port = reactor.listenTCP(0, TLSMemoryBIOFactory(self.tls, False, self.factory), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def uplink(self, port: int | None = None, **changes: Any) -> Uplink:
        settings = UplinkSettings(
            **{
                "key": new_key(),
                "enabled": True,
                "server": f"localhost:{port or self.port.getHost().port}",
                "cloud_id": "Garage",
                "password": PASSWORD,
                **changes,
            }
        )
        uplink = Uplink(reactor, settings, self.agent)
        uplink.startService()
        self.addCleanup(uplink.stopService)
        return uplink

    async def until(self, what: Callable[[], Any]) -> None:
        """The test's own time limit ends a wait in vain."""
        while not what():
            await deferLater(reactor, 0.01)

    async def connected(self, uplink: Uplink) -> None:
        await self.until(lambda: uplink.state is UplinkState.CONNECTED and len(self.factory.links))


class Connecting(Site):
    async def test_a_login_a_request_and_a_stream_pass(self) -> None:
        uplink = self.uplink()
        await self.connected(uplink)
        link = self.factory.links.need("GARAGE")
        grant = await link.login(RemoteLogin("open sesame", True, "de"))
        self.assertEqual((grant.role, grant.language), ("admin", "de"))
        answer = await link.request(grant.token, RemoteRequest("GET", "/api/v1/state"))
        assert isinstance(answer, RemoteAnswer)
        self.assertEqual(answer.body, b'{"path": "/api/v1/state"}')
        self.agent.answers["/bulk"] = lambda _: Bulk(5_000_000).stream()
        stream = await link.request(grant.token, RemoteRequest("GET", "/bulk"))
        assert isinstance(stream, RemoteStream)
        sink = Collected()
        stream.start(sink)
        await self.until(lambda: sink.ended)
        self.assertEqual(len(sink.data), 5_000_000)

    async def test_a_wrong_password_is_said_in_words_and_tried_again_slowly(self) -> None:
        uplink = self.uplink(password="not the password")
        await self.until(lambda: uplink.state is UplinkState.REFUSED)
        self.assertEqual(uplink.last_error, "refused")
        assert uplink.next_try_s is not None
        self.assertGreaterEqual(uplink.next_try_s, 59)
        self.assertEqual(len(self.factory.links), 0)

    async def test_an_agent_with_its_own_key_wants_a_trusted_certificate(self) -> None:
        self.factory.open_enrolment = True
        uplink = self.uplink(
            server="", default_server=f"localhost:{self.port.getHost().port}", cloud_id="", password=""
        )
        await self.until(lambda: uplink.state is UplinkState.REFUSED)
        self.assertEqual(uplink.last_error, "certificate-not-trusted")
        self.assertEqual(self.cloud.serials, set())


class Pipe(Protocol):
    """Copies bytes both ways between two connections, as a man in the middle that ends TLS on both sides."""

    other: Protocol | None = None

    def __init__(self) -> None:
        self.early = b""

    def join(self, other: Pipe) -> None:
        self.other, other.other = other, self
        for one, two in ((self, other), (other, self)):
            if one.early:
                two.transport.write(one.early)

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()


class ManInTheMiddle(Site):
    async def test_another_certificate_in_between_gets_no_login_and_the_agent_says_why(self) -> None:
        from twisted.internet.endpoints import TCP4ClientEndpoint

        from charging_manager.tunnel.tls import ClientTls, Trust

        real = self.port.getHost().port

        class Middle(Factory):
            noisy = False

            def buildProtocol(self, addr: Any) -> Pipe:
                near, far = Pipe(), Pipe()
                endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", real)
                connecting: Deferred[Any] = endpoint.connect(
                    TLSMemoryBIOFactory(ClientTls("localhost", Trust()), True, Factory.forProtocol(lambda: far))
                )
                connecting.addCallback(lambda _: near.join(far))
                return near

        foreign = ServerTls("somebody-else")
        port = reactor.listenTCP(0, TLSMemoryBIOFactory(foreign, False, Middle()), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        uplink = self.uplink(port.getHost().port)
        await self.until(lambda: uplink.state is UplinkState.REFUSED)
        self.assertEqual(uplink.last_error, "man-in-the-middle")
        self.assertEqual((self.cloud.events, self.agent.logins), ([], []))
