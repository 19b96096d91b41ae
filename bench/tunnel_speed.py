"""The tunnel against a bare Twisted TLS connection, requests beside a bulk stream, and what an idle tunnel costs.

The two ends are processes of their own, so that CPU time and memory belong to one of them. Run alone:
``python -m bench.tunnel_speed``.
"""

from __future__ import annotations

import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

MEGABYTES = 1024
ROUNDS = 4
REQUESTS = 1000
TURNS = 6
IDLE = 1000

Figure = tuple[str, float, str, str, float]


# -- the parent: starts both ends, reads what they print


def _two_ends(far: str, near: str, *arguments: str) -> dict[str, float]:
    """Start the listening end and the connecting one; everything that they print as ``key value``."""
    listening = subprocess.Popen(
        [sys.executable, "-m", "bench.tunnel_speed", far, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert listening.stdout is not None
        port = listening.stdout.readline().strip()
        connecting = subprocess.Popen(
            [sys.executable, "-m", "bench.tunnel_speed", near, port, *arguments], stdout=subprocess.PIPE, text=True
        )
        try:
            said = [listening.communicate(timeout=120)[0], connecting.communicate(timeout=120)[0]]
        finally:
            connecting.kill()
    finally:
        listening.kill()
    pairs = [line.split() for text in said for line in text.splitlines()]
    return {key: float(value) for key, value in pairs}


def bulk() -> list[Figure]:
    """CPU per MB, both ends together, in turns; the best of each."""
    bare: list[float] = []
    tunnel: list[float] = []
    for _ in range(ROUNDS):
        for results, kind in ((bare, "bare"), (tunnel, "tunnel")):
            said = _two_ends(f"{kind}-reads", f"{kind}-sends", str(MEGABYTES))
            results.append((said["reader_cpu_s"] + said["sender_cpu_s"]) * 1000 / MEGABYTES)
    return [
        ("tunnel-bulk-cpu", min(tunnel), "ms/MB", "<=", min(bare) / 0.6),
        ("tunnel-bulk-ratio", min(bare) / min(tunnel), "of-bare-tls", ">=", 0.6),
    ]


def beside() -> list[Figure]:
    """1 KiB requests, one after the other, alone and beside a bulk stream, in turns.

    A neighbour on the machine only ever adds to a time: the best turn of each kind counts.
    """
    said = _two_ends("asks", "answers", str(REQUESTS))
    alone_ms, beside_ms = said["alone_p99_ms"], said["beside_p99_ms"]
    return [
        ("tunnel-request-p99-beside-bulk", beside_ms, "ms", "<=", 3 * alone_ms),
        ("tunnel-request-p99-ratio", beside_ms / alone_ms, "times-alone", "<=", 3),
    ]


def idle() -> list[Figure]:
    """What the cloud's process grows by for each connected agent that has nothing to say."""
    said = _two_ends("houses", "many-agents", str(IDLE))
    return [
        ("tunnel-idle-memory", said["kib_each"], "KiB", "<=", 64),
        ("tunnel-handshake-cpu", said["cpu_ms_each"], "ms", "<=", 5),
    ]


FIGURES: dict[str, Callable[[], list[Figure]]] = {
    "tunnel-bulk": bulk,
    "tunnel-beside": beside,
    "tunnel-idle": idle,
}


# -- the children


def _say(**figures: float) -> None:
    for key, value in figures.items():
        print(key, value, flush=True)


def _listen(factory: Any) -> None:
    from twisted.internet import reactor
    from twisted.protocols.tls import TLSMemoryBIOFactory

    from tests.tunnel.support import ServerTls

    tls = TLSMemoryBIOFactory(ServerTls(), False, factory)
    port = reactor.listenTCP(0, tls, backlog=4096, interface="127.0.0.1")
    print(port.getHost().port, flush=True)


def _stop(_: object = None) -> None:
    from twisted.internet import reactor

    reactor.callLater(0.2, reactor.stop)


def _bare_reads(megabytes: int) -> None:
    from twisted.internet.protocol import Factory, Protocol

    class Reader(Protocol):
        left = megabytes << 20
        began_s = 0.0

        def dataReceived(self, data: bytes) -> None:
            if not self.began_s:
                self.began_s = time.process_time()
            self.left -= len(data)
            if self.left <= 0:
                _say(reader_cpu_s=time.process_time() - self.began_s)
                self.transport.loseConnection()
                _stop()

    _listen(Factory.forProtocol(Reader))


def _bare_sends(port: int, megabytes: int) -> None:
    from twisted.internet import reactor
    from twisted.internet.endpoints import TCP4ClientEndpoint
    from twisted.internet.interfaces import IPushProducer
    from twisted.internet.protocol import Factory, Protocol
    from twisted.protocols.tls import TLSMemoryBIOFactory
    from zope.interface import implementer

    from charging_manager.tunnel.tls import ClientTls, Trust

    @implementer(IPushProducer)
    class Sender(Protocol):
        left = megabytes << 20
        paused = False
        piece = b"x" * 65536
        began_s = 0.0

        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            self.began_s = time.process_time()
            self.transport.registerProducer(self, True)
            self.resumeProducing()

        def pauseProducing(self) -> None:
            self.paused = True

        def stopProducing(self) -> None:
            self.paused = True

        def resumeProducing(self) -> None:
            self.paused = False
            while self.left and not self.paused:
                self.left -= len(self.piece)
                self.transport.write(self.piece)

        def connectionLost(self, reason: object = None) -> None:
            _say(sender_cpu_s=time.process_time() - self.began_s)
            reactor.stop()

    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    endpoint.connect(TLSMemoryBIOFactory(ClientTls("localhost", Trust()), True, Factory.forProtocol(Sender)))


class _Reader:
    """A sink that only counts."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.bytes = 0
        self._ended = ended

    def write(self, data: bytes) -> bool:
        self.bytes += len(data)
        return True

    def finish(self) -> None:
        self._ended()


def _cloud(connected: Callable[[Any], Awaitable[None]]) -> Any:
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from charging_manager.cloud.downlink import TunnelFactory
    from tests.tunnel.support import PASSWORD, FakeCloud

    class Cloud(FakeCloud):
        def connected(self, link: Any) -> None:
            Deferred.fromCoroutine(connected(link)).addErrback(lambda f: f.printTraceback())

    factory = TunnelFactory(reactor, Cloud(garage=PASSWORD), salt_key=b"s" * 32)
    _listen(factory)
    return factory


def _agent(port: int, agent: Any) -> None:
    from twisted.internet import reactor

    from charging_manager.agent.uplink import Uplink, UplinkSettings
    from tests.tunnel.support import PASSWORD, new_key

    settings = UplinkSettings(
        key=new_key(), enabled=True, server=f"127.0.0.1:{port}", cloud_id="garage", password=PASSWORD
    )
    uplink = Uplink(reactor, settings, agent)
    uplink.startService()
    uplink.watch(lambda: uplink.state == "waiting" and reactor.stop())


def _tunnel_reads(megabytes: int) -> None:
    from charging_manager.tunnel.link import RemoteRequest

    async def read(link: Any) -> None:
        stream = await link.request("token", RemoteRequest("GET", "/bulk"))
        began_s = time.process_time()

        def ended() -> None:
            _say(reader_cpu_s=time.process_time() - began_s)
            link.hang_up("restart")
            _stop()

        stream.start(_Reader(ended))

    _cloud(read)


def _tunnel_sends(port: int, megabytes: int) -> None:
    from tests.tunnel.support import Bulk, FakeAgent

    began_s = 0.0

    def start(_request: object) -> Any:
        nonlocal began_s
        began_s = time.process_time()
        return Bulk(megabytes << 20).stream()

    from twisted.internet import reactor

    agent = FakeAgent()
    agent.answers["/bulk"] = start
    _agent(port, agent)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: _say(sender_cpu_s=time.process_time() - began_s))


def _asks(requests: int) -> None:
    from charging_manager.tunnel.link import RemoteRequest

    async def times_ms(link: Any) -> list[float]:
        taken = []
        for _ in range(requests):
            began_s = time.perf_counter()
            await link.request("token", RemoteRequest("GET", "/small"))
            taken.append((time.perf_counter() - began_s) * 1000)
        return sorted(taken)

    async def ask(link: Any) -> None:
        await times_ms(link)  # warm up
        p99 = requests * 99 // 100
        alone, beside, rates = [], [], []
        for _ in range(TURNS):
            alone.append(await times_ms(link))
            stream = await link.request("token", RemoteRequest("GET", "/bulk"))
            reader = _Reader(lambda: None)
            source = stream.start(reader)
            began_s = time.perf_counter()
            beside.append(await times_ms(link))
            rates.append(reader.bytes / (time.perf_counter() - began_s) / 1e6)
            source.stopped()
        _say(alone_p99_ms=min(t[p99] for t in alone), beside_p99_ms=min(t[p99] for t in beside))
        _say(alone_p50_ms=min(t[len(t) // 2] for t in alone), beside_p50_ms=min(t[len(t) // 2] for t in beside))
        _say(beside_mb_per_s=statistics.median(rates))
        link.hang_up("restart", now=True)
        _stop()

    _cloud(ask)


def _answers(port: int, _requests: int) -> None:
    from charging_manager.tunnel.link import RemoteAnswer
    from tests.tunnel.support import Bulk, FakeAgent

    agent = FakeAgent()
    small = RemoteAnswer(200, "application/json", b"y" * 1024)
    agent.answers["/small"] = lambda _: small
    agent.answers["/bulk"] = lambda _: Bulk().stream()
    agent.seen = _Nothing()
    _agent(port, agent)


class _Nothing(list[Any]):
    def append(self, _: Any) -> None:
        pass


def _houses(agents: int) -> None:
    from twisted.internet import reactor

    import charging_manager.cloud.downlink as downlink

    def resident_kib() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024

    before = 0
    began_s = 0.0

    async def count(_link: Any) -> None:
        nonlocal before, began_s
        if len(factory.links) == 20:  # what is loaded once is not counted for each
            gc.collect()
            before, began_s = resident_kib(), time.process_time()
        if len(factory.links) == agents:
            cpu_ms = (time.process_time() - began_s) * 1000 / (agents - 20)
            reactor.callLater(1.0, finish, cpu_ms)

    def finish(cpu_ms: float) -> None:
        gc.collect()
        _say(kib_each=(resident_kib() - before) / (agents - 20), cpu_ms_each=cpu_ms)
        reactor.stop()

    _raise_file_limit()
    factory = _cloud(count)
    assert isinstance(factory, downlink.TunnelFactory)
    from tests.tunnel.support import verifier_of

    factory.end.verifiers = {f"site-{n}": verifier_of() for n in range(agents)}


def _many_agents(port: int, agents: int) -> None:
    from twisted.internet import reactor
    from twisted.internet.address import IPv4Address
    from twisted.internet.defer import Deferred, DeferredSemaphore, maybeDeferred

    from charging_manager.tunnel.agent_side import AgentSide, Credentials
    from charging_manager.tunnel.dial import connect
    from charging_manager.tunnel.tls import ClientTls, Trust
    from tests.tunnel.support import PASSWORD, FakeAgent, new_key

    _raise_file_limit()
    tls, key, end = ClientTls("localhost", Trust()), new_key(), FakeAgent()
    address = IPv4Address("TCP", "127.0.0.1", port)
    few = DeferredSemaphore(8)
    sides = []
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            reactor.stop()

    async def come(number: int) -> None:
        side = AgentSide(reactor, end, Credentials(key, f"site-{number}", PASSWORD), "bench", maybeDeferred)
        sides.append(side)
        side.gone.addCallback(lambda _: stop())
        await connect(reactor, [address], tls, side)
        await side.entered

    for number in range(agents):
        few.run(lambda n=number: Deferred.fromCoroutine(come(n))).addErrback(lambda f: f.printTraceback())


def _raise_file_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))


def _child(role: str, *arguments: str) -> None:
    from twisted.internet import reactor

    roles: dict[str, Callable[..., None]] = {
        "bare-reads": _bare_reads,
        "bare-sends": _bare_sends,
        "tunnel-reads": _tunnel_reads,
        "tunnel-sends": _tunnel_sends,
        "asks": _asks,
        "answers": _answers,
        "houses": _houses,
        "many-agents": _many_agents,
    }
    reactor.callWhenRunning(roles[role], *map(int, arguments))
    reactor.run()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _child(*sys.argv[1:])
    else:
        for measure in FIGURES.values():
            for figure in measure():
                print(*figure)
