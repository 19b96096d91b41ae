"""The tunnel over real TLS on loopback, with the real reactor; the listener here is the least that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from charging_manager.agent.uplink import Uplink, UplinkSettings, UplinkState
from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.tunnel.link import RemoteAnswer, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.tls import ClientTls, Trust, pin_of
from tests.support.folders import temporary_path
from tests.tunnel.support import PASSWORD, Bulk, Collected, FakeAgent, FakeCloud, ServerTls, certificate, new_key

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

    async def test_an_agent_with_its_own_key_enters_where_the_certificate_is_trusted(self) -> None:
        self.factory.open_enrolment = True
        here = f"localhost:{self.port.getHost().port}"
        file = Path(temporary_path(self))
        file.write_bytes(certificate()[0])
        pin = pin_of(x509.load_pem_x509_certificate(certificate()[0]))
        for trust in (Trust(ca=str(file)), Trust(pins=frozenset({pin}))):
            uplink = self.uplink(default_server=here, server="", trust=trust)
            await self.connected(uplink)
            self.assertEqual(self.cloud.serials, {uplink.settings.key.serial})
            self.cloud.serials.clear()
            await uplink.stopService()

    async def test_a_certificate_that_is_not_the_configured_one_is_refused_even_with_the_password(self) -> None:
        other = pin_of(x509.load_pem_x509_certificate(certificate("other")[0]))
        for trust in (Trust(ca="system"), Trust(pins=frozenset({other}))):
            uplink = self.uplink(trust=trust)
            await self.until(lambda u=uplink: u.state is UplinkState.REFUSED)
            self.assertEqual(uplink.last_error, "certificate-not-trusted")
        self.assertEqual(self.cloud.events, [])

    async def test_a_certificate_for_another_name_is_refused_by_an_agent_that_has_a_ca(self) -> None:
        self.tls.load("other")
        file = Path(temporary_path(self))
        file.write_bytes(certificate("other")[0])
        uplink = self.uplink(trust=Trust(ca=str(file)))
        await self.until(lambda: uplink.state is UplinkState.REFUSED)
        self.assertEqual(uplink.last_error, "certificate-wrong-name")

    async def test_a_new_certificate_breaks_neither_tunnel_nor_stream_and_serves_the_next_login(self) -> None:
        uplink = self.uplink()
        await self.connected(uplink)
        bulk = Bulk()
        self.agent.answers["/bulk"] = lambda _: bulk.stream()
        stream = await self.factory.links.need("garage").request("t", RemoteRequest("GET", "/bulk"))
        assert isinstance(stream, RemoteStream)
        sink = Collected()
        source = stream.start(sink)
        await self.until(lambda: len(sink.data) > 1_000_000)
        self.tls.load("renewed")
        had = len(sink.data)
        await self.until(lambda: len(sink.data) > had + 1_000_000)
        source.stopped()
        await self.until(lambda: bulk.was_stopped)
        self.cloud.verifiers["house"] = self.cloud.verifiers["garage"]
        second = self.uplink(cloud_id="house")
        await self.until(lambda: second.state is UplinkState.CONNECTED)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)

    async def test_what_is_no_cloud_server_is_told_apart(self) -> None:
        web = ServerTls(alpn=b"http/1.1")
        mute = Factory.forProtocol(Protocol)
        ports = [
            reactor.listenTCP(0, TLSMemoryBIOFactory(web, False, mute), interface="127.0.0.1"),
            reactor.listenTCP(0, Factory.forProtocol(Grumpy), interface="127.0.0.1"),
            reactor.listenTCP(0, mute, interface="127.0.0.1"),
        ]
        codes = []
        unused = ports.pop()
        nowhere = unused.getHost().port
        await unused.stopListening()
        for number in [port.getHost().port for port in ports] + [nowhere]:
            uplink = self.uplink(number)
            await self.until(lambda u=uplink: u.last_error)
            codes.append(uplink.last_error)
            await uplink.stopService()
        for port in ports:
            await port.stopListening()
        self.assertEqual(codes, ["not-a-tunnel", "tls-failed", "unreachable"])

    async def test_a_name_that_nobody_has_is_said_so(self) -> None:
        uplink = self.uplink(server="no-such-host.invalid")
        await self.until(lambda: uplink.last_error)
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, "name-not-found"))

    async def test_a_drained_cloud_tells_its_agents_when_to_come_back(self) -> None:
        uplink = self.uplink()
        await self.connected(uplink)
        await self.factory.drain()
        await self.until(lambda: uplink.state is UplinkState.WAITING)
        self.assertEqual(uplink.last_error, "restart")
        assert uplink.next_try_s is not None
        self.assertTrue(0 < uplink.next_try_s <= 10)


class Grumpy(Protocol):
    """Not TLS at all."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.transport.loseConnection()


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
