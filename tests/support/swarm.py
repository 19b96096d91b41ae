"""Thousands of agents for a cloud: the real uplink with real TLS and SCRAM, in a few processes, from many addresses.

As a program (``python -m tests.support.swarm PORT FIRST COUNT NETWORK PER_S``) it is one process: it runs agents
``a-FIRST`` and so on, each from an address ``127.0.NETWORK.*``, so many a second at first, answers one line on its
standard input with one line of JSON, and ends with its input. ``count``: how many are connected. ``mark``: from now on
tries are counted anew. ``stats``: what happened since then. Times are seconds on the machine's monotonic clock, which
all processes share.
"""

from __future__ import annotations

import contextlib
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import define, field

from charging_manager.storage.database import Database
from charging_manager.tunnel.scram import make_verifier
from tests.support.processes import ROOT

PASSWORD = "the password of them all"
SECRET = "lets a browser in at each of them"
_SOURCES = 250
_BEGIN_PER_S = 300.0


def name_of(number: int) -> str:
    return f"a-{number:05}"


def furnish(data: Path, count: int) -> None:
    """Write so many installations, all with one password, into the state directory of a cloud that does not run."""
    verifier = make_verifier(PASSWORD, iterations=100_000).to_text()
    rows = [(name_of(number), verifier, "2026-03-01T12:00:00+00:00") for number in range(count)]
    (data / "cloud").mkdir(mode=0o700, exist_ok=True)
    database = Database.open_here(data / "cloud" / "cloud.sqlite", files("charging_manager.cloud.schema"))
    database.write(
        lambda connection: connection.executemany(
            "INSERT INTO installations (cloud_id, source, verifier, created_at, approved) VALUES (?, 'added', ?, ?, 1)",
            rows,
        )
    )
    database.close()


# -- the parent's side


@define
class Swarm:
    """The processes that run the agents."""

    processes: list[subprocess.Popen[str]] = field(factory=list)

    def ask(self, word: str) -> list[Any]:
        """Of every process its answer; they all work on it at once."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(word + "\n")
            process.stdin.flush()
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"an agents' process ended: {process.poll()}"
            answers.append(json.loads(line))
        return answers

    @property
    def connected(self) -> int:
        return sum(self.ask("count"))

    def stats(self) -> dict[str, float]:
        """Of all agents since ``mark``; ``least_gap_s`` is between two tries of one agent."""
        answers = self.ask("stats")
        return {
            "tries": sum(one["tries"] for one in answers),
            "put_off": sum(one["put_off"] for one in answers),
            "most_tries": max(one["most_tries"] for one in answers),
            "least_gap_s": min(one["least_gap_s"] for one in answers),
            "last_up_s": max(one["last_up_s"] for one in answers),
        }


@contextlib.contextmanager
def swarm(port: int, count: int, processes: int = 4, network: int = 10, begin: int = 0) -> Iterator[Swarm]:
    """So many agents, from number ``begin`` on, at the cloud on this port, in so many processes; one after the other
    they come."""
    whole = Swarm()
    each = -(-count // processes)
    try:
        for part in range(processes):
            first = part * each
            size = min(each, count - first)
            words = map(str, (port, begin + first, size, network + part, _BEGIN_PER_S / processes))
            command = [sys.executable, "-m", "tests.support.swarm", *words]
            whole.processes.append(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        yield whole
    finally:
        for process in whole.processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in whole.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


# -- the process of the agents


def main() -> None:
    from twisted.internet import reactor as the_reactor
    from twisted.internet import stdio
    from twisted.protocols.basic import LineOnlyReceiver

    from charging_manager.agent.uplink import Uplink, UplinkSettings, UplinkState
    from charging_manager.clocks import use_monotonic
    from charging_manager.tunnel.identity import AgentKey, Ed25519PrivateKey
    from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant
    from charging_manager.tunnel.reasons import Refusal
    from charging_manager.tunnel.scram import Stretched

    port, first, count, network = map(int, sys.argv[1:5])
    per_s = float(sys.argv[5])
    reactor: Any = the_reactor
    use_monotonic(reactor)

    class End:
        """Whoever has the secret logs in here; what is asked is answered with nothing."""

        async def login(self, login: Any) -> RemoteGrant:
            if login.secret != SECRET:
                raise Refusal("refused")
            return RemoteGrant("the token of them all", "admin")

        async def request(self, token: str, request: Any) -> RemoteAnswer:
            return RemoteAnswer(204)

        async def logout(self, token: str) -> None: ...

    class Place:
        """The reactor as one agent sees it: its connections come from one address, and each try is noted."""

        __slots__ = ("gap_s", "last_s", "source", "tries")

        def __init__(self, source: str) -> None:
            self.source = source
            self.tries, self.last_s, self.gap_s = 0, None, float("inf")

        def __getattr__(self, name: str) -> Any:
            return getattr(reactor, name)

        def connectTCP(self, host: str, number: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
            now_s = reactor.seconds()
            if self.last_s is not None:
                self.gap_s = min(self.gap_s, now_s - self.last_s)
            self.tries, self.last_s = self.tries + 1, now_s
            return reactor.connectTCP(host, number, factory, timeout, (self.source, 0))

    key, stretched, chance = AgentKey(Ed25519PrivateKey.generate()), Stretched(), random.Random(first)
    places: list[Place] = []
    uplinks: list[Uplink] = []
    up_s, put_off = [0.0], [0]

    def watch(uplink: Uplink) -> None:
        if uplink.state is UplinkState.CONNECTED:
            up_s[0] = reactor.seconds()
        elif uplink.state is UplinkState.WAITING and uplink.last_error == "busy":
            put_off[0] += 1

    for number in range(first, first + count):
        place = Place(f"127.0.{network}.{number % _SOURCES + 1}")
        settings = UplinkSettings(key, True, f"127.0.0.1:{port}", name_of(number), PASSWORD)
        uplink = Uplink(place, settings, End(), chance=chance, stretched=stretched)
        uplink.watch(lambda uplink=uplink: watch(uplink))
        places.append(place)
        uplinks.append(uplink)
        reactor.callLater((number - first) / per_s, uplink.startService)

    def answer(word: str) -> Any:
        if word == "count":
            return sum(uplink.state is UplinkState.CONNECTED for uplink in uplinks)
        if word == "mark":
            up_s[0], put_off[0] = 0.0, 0
            for place in places:
                place.tries, place.gap_s = 0, float("inf")
            return "marked"
        assert word == "stats", word
        return {
            "tries": sum(place.tries for place in places),
            "most_tries": max(place.tries for place in places),
            "least_gap_s": min(1e9, *(place.gap_s for place in places)),
            "put_off": put_off[0],
            "last_up_s": up_s[0],
        }

    class Commands(LineOnlyReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            self.sendLine(json.dumps(answer(line.decode())).encode())

        def connectionLost(self, reason: object = None) -> None:
            reactor.stop()

    gc.freeze()
    stdio.StandardIO(Commands())
    reactor.run()


def now_s() -> float:
    """The clock of ``last_up_s``."""
    return time.monotonic()


if __name__ == "__main__":
    main()
