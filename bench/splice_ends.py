"""The ends that ``bench.splice`` puts together, each a process of its own: ``python -m bench.splice_ends ROLE …``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any


def forward(cloud_port: str, nginx_port: str, cloud_id: str, password: str, folder: str) -> None:
    """An agent whose connections in end-to-end mode end at nginx, over a socket each; prints its label."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
    from twisted.internet.interfaces import IPushProducer
    from twisted.internet.protocol import Protocol
    from zope.interface import implementer

    from charging_manager.agent.uplink import Uplink, UplinkSettings
    from charging_manager.clocks import use_monotonic
    from charging_manager.tunnel.identity import load_or_make_key
    from charging_manager.tunnel.labels import label_of
    from charging_manager.tunnel.lane_ends import Lane
    from charging_manager.tunnel.link import RemoteStream
    from charging_manager.tunnel.pump import Pumps

    use_monotonic(reactor)
    pumps = Pumps(reactor)

    @implementer(IPushProducer)
    class Pipe(Protocol):
        transport: Any
        reading: Any = None
        full = False

        def __init__(self, there: RemoteStream, out: Any) -> None:
            self.there, self.out = there, out

        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            self.transport.registerProducer(self, True)
            self.reading = self.there.start(self)

        def dataReceived(self, data: bytes) -> None:
            if not self.out.write(data):
                self.transport.pauseProducing()

        def connectionLost(self, reason: object = None) -> None:
            self.out.finish()
            if self.reading is not None:
                self.reading.stopped()

        def resumed(self) -> None:
            if self.transport is not None:
                self.transport.resumeProducing()

        def stopped(self) -> None:
            if self.transport is not None:
                self.transport.loseConnection()

        def write(self, data: bytes) -> bool:
            self.transport.write(data)
            return not self.full

        def finish(self) -> None:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

        def pauseProducing(self) -> None:
            self.full = True

        def resumeProducing(self) -> None:
            self.full = False
            if self.reading is not None:
                self.reading.resumed()

        def stopProducing(self) -> None:
            pass

    class Forward:
        def is_open(self) -> bool:
            return True

        def splice(self, source: str, there: RemoteStream) -> RemoteStream:
            def start(out: Any) -> Any:
                pipe = Pipe(there, out)
                endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", int(nginx_port))
                connectProtocol(endpoint, pipe).addErrback(lambda _: out.fail())
                return pipe

            return RemoteStream(start, "")

        def carry(self, source: str, lane: Lane) -> None:
            pump = pumps.make(lambda there, back: None)
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", int(nginx_port))
            reached = connectProtocol(endpoint, pump.far)
            reached.addCallbacks(lambda _: lane.become(pump.near), lambda _: lane.give_up())

    end: Any = None  # nothing is asked by the cloud's own pages
    settings = UplinkSettings(
        key=load_or_make_key(Path(folder) / "key.pem"),
        enabled=True,
        server=f"localhost:{cloud_port}",
        cloud_id=cloud_id,
        password=password,
    )
    uplink = Uplink(reactor, settings, end, splices=Forward())
    claim = b"c" * 32

    def moved() -> None:
        if uplink.side is not None:
            claimed: Deferred[str] = uplink.side.claim(claim)
            claimed.addCallback(lambda _: print("label", label_of(claim), flush=True))

    uplink.watch(moved)
    uplink.startService()
    reactor.run()


def snitun_server(sni_port: str, peer_port: str, key: str) -> None:
    import asyncio

    from snitun.server.run import SniTunServer

    async def serve() -> None:
        await SniTunServer([key], int(sni_port), "127.0.0.1", int(peer_port), "127.0.0.1").start()
        print("ready", flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


def snitun_client(peer_port: str, nginx_port: str, key: str, host: str) -> None:
    import asyncio
    import json
    import os

    from cryptography.fernet import Fernet
    from snitun.client.client_peer import ClientPeer
    from snitun.client.connector import EndpointConnector
    from snitun.utils.server import PROTOCOL_VERSION

    async def connect() -> None:
        aes_key, aes_iv = os.urandom(32), os.urandom(16)
        token = {
            "valid": time.time() + 86_400,
            "hostname": host,
            "aes_key": aes_key.hex(),
            "aes_iv": aes_iv.hex(),
            "protocol_version": PROTOCOL_VERSION,
        }
        client = ClientPeer("127.0.0.1", int(peer_port))
        sealed = Fernet(key).encrypt(json.dumps(token).encode())
        nginx = EndpointConnector("127.0.0.1", int(nginx_port))
        await client.start(nginx, sealed, aes_key, aes_iv, protocol_version=PROTOCOL_VERSION)
        print("ready", flush=True)
        await client.wait()

    asyncio.run(connect())


ROLES: dict[str, Any] = {"forward": forward, "snitun-server": snitun_server, "snitun-client": snitun_client}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
