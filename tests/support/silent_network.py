"""A network of simulated silence: ``python -m tests.support.silent_network FILE`` in a network namespace of its own.

10.77.0.0/24 lies behind a TUN device that nobody answers on, so a knock there waits as it does at an address without a
host. Five of its addresses are simulated devices. Every TCP connection that is begun towards the silence is noted in
FILE, a line each: when, address, port. It prints ``network ready``, and with ``multicast`` as a second word
it also answers multicast DNS.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as any_reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall
from twisted.names import dns

from charging_manager.clocks import use_monotonic
from charging_manager.devices.loader import load_drivers
from charging_manager.modbus.server import TcpServerFactory
from charging_manager.paths import shared
from charging_manager.sim.lines import Together
from charging_manager.sim.simulator import Simulator

NETWORK = "10.77.0.0/24"
OWN = "10.77.0.1"
DEVICES = {
    "10.77.0.5": ("sunspec-inverter-103", 1, 502),
    "10.77.0.20": ("keba-p30", 255, 502),
    "10.77.0.77": ("phoenix-em-cp-pp-eth", 180, 502),
    "10.77.0.150": ("webasto-next", 255, 502),
    "10.77.0.200": ("abb-terra-ac", 1, 502),
}
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SYN, _ACK = 0x02, 0x10
_ALL = 3
_SO_TIMESTAMPNS = 35


def lay() -> int:
    """The network with its silence; gives the descriptor that keeps it."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", b"silence", _IFF_TUN | _IFF_NO_PI))
    words = ["link set lo up", f"addr add {OWN}/24 dev silence", "link set silence up multicast on"]
    words += [f"addr add {address}/32 dev lo" for address in DEVICES]
    for word in words:
        subprocess.run(["ip", *word.split()], check=True)
    return tun


class Silence:
    """Sees what is sent into the silence and notes what would be a new connection, by the kernel's own clock."""

    def __init__(self, log: Path) -> None:
        self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._ear.setblocking(False)
        self._ear.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._ear.bind(("silence", _ALL))
        self._begun: dict[tuple[int, int, bytes], float] = {}
        self._log = log.open("a", encoding="ascii", buffering=1)

    def fileno(self) -> int:
        return self._ear.fileno()

    def logPrefix(self) -> str:
        return "silence"

    def connectionLost(self, reason: object) -> None:
        """It does not end."""

    def doRead(self) -> None:
        while True:
            try:
                packet, about, _, _ = self._ear.recvmsg(4096, 64)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
                seconds, nanoseconds = struct.unpack("qq", about[0][2])
                self._tcp(packet, seconds + nanoseconds / 1e9)

    def _tcp(self, packet: bytes, at_s: float) -> None:
        head = (packet[0] & 15) * 4
        flags = packet[head + 13]
        if flags & _SYN and not flags & _ACK:
            own, port = struct.unpack(">HH", packet[head : head + 4])
            begun_s, self._begun[own, port, packet[16:20]] = self._begun.get((own, port, packet[16:20]), 0.0), at_s
            if at_s - begun_s < 5.0:
                return  # the system repeats itself, because the program was too busy to give up in time
            print(f"{at_s:.6f} {socket.inet_ntoa(packet[16:20])} {port}", file=self._log)


class Responder(DatagramProtocol):
    """Says that there is a KEBA, and a printer."""

    def startProtocol(self) -> None:
        transport: Any = self.transport
        transport.joinGroup("224.0.0.251", interface=OWN)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = dns.Message()
        message.fromStr(datagram)
        if message.answer or not any(query.type == dns.PTR for query in message.queries):
            return
        answer = dns.Message(answer=1)
        service = b"_http._tcp.local"
        for name, host, address in (
            (b"Keba garage", b"keba.local", "10.77.0.20"),
            (b"Office printer", b"lp.local", "10.77.0.9"),
        ):
            full = name + b"." + service
            answer.answers.append(dns.RRHeader(service, dns.PTR, payload=dns.Record_PTR(full, 120)))
            answer.additional.append(dns.RRHeader(full, dns.SRV, payload=dns.Record_SRV(0, 0, 80, host, 120)))
            answer.additional.append(dns.RRHeader(host, dns.A, payload=dns.Record_A(address, 120)))
        transport: Any = self.transport
        transport.setOutgoingInterface(OWN)
        transport.write(answer.toStr(), ("224.0.0.251", 5353))


def main() -> None:
    reactor: Any = any_reactor
    use_monotonic(reactor)
    drivers = load_drivers([shared("drivers")]).drivers
    tun = lay()  # nobody reads what comes out there: it is the silence
    reactor.addReader(Silence(Path(sys.argv[1])))
    for address, (name, unit, port) in DEVICES.items():
        simulator = Simulator(drivers[name], reactor, unit=unit)
        LoopingCall(simulator.advance).start(0.5)
        factory = TcpServerFactory(Together([simulator]), most_clients=drivers[name].bus.clients)
        reactor.listenTCP(port, factory, interface=address)
    if sys.argv[2:] == ["multicast"]:
        reactor.listenMulticast(5353, Responder(), listenMultiple=True)
    print("network ready", flush=True)
    reactor.run()
    os.close(tun)


if __name__ == "__main__":
    main()
