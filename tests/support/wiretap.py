"""A wire to a server that a test can listen to, or turn into one that ends TLS in between; and looks at its memory."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from charging_manager.clocks import utc_now
from charging_manager.http.certificates import self_signed
from charging_manager.http.clienthello import HelloReader, Malformed
from charging_manager.tunnel.labels import label_in
from charging_manager.tunnel.lanes import GREETING


class Wiretap:
    """Everything to and from 127.0.0.1:``port`` passes here and is kept in ``heard``.

    While ``reads_along``, connections to a label of end-to-end mode end here, with a key of our own, and begin anew.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self._to = port
        self.reads_along = False
        self.lets_lanes_pass = True
        """False: a firewall that knows TLS, and lets nothing else pass."""
        self.heard = bytearray()
        self.in_clear = bytearray()
        self._sockets: set[socket.socket] = set()
        pair = self_signed("localhost", utc_now())
        pem = folder / "between.pem"
        pem.write_bytes(pair.to_pem())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError, Malformed):
            if not self.lets_lanes_pass and near.recv(1, socket.MSG_PEEK) == GREETING[:1]:
                near.close()
                return
            name = self._name_wanted(near) if self.reads_along else None
            far = socket.create_connection(("127.0.0.1", self._to))
            kept = self.heard
            if name is not None:
                anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
                near = self._context.wrap_socket(near, server_side=True)
                far = anyone.wrap_socket(far, server_hostname=name)
                kept = self.in_clear
            self._sockets |= {near, far}
            back = threading.Thread(target=self._carry, args=(far, near, kept), daemon=True)
            back.start()
            self._carry(near, far, kept)

    @staticmethod
    def _name_wanted(near: socket.socket) -> str | None:
        near.settimeout(10)
        for size in range(1, 4096, 16):
            seen = near.recv(size, socket.MSG_PEEK | (socket.MSG_WAITALL if size > 1 else 0))
            if seen[0] != 0x16:
                return None
            hello = HelloReader().feed(seen)
            if hello is not None:
                near.settimeout(None)
                return hello.name if hello.name and label_in(hello.name) else None
        return None

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                kept += data
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def memory(pid: int) -> Iterator[bytes]:
    """Every readable region of a process's memory."""
    with open(f"/proc/{pid}/maps") as regions, open(f"/proc/{pid}/mem", "rb", 0) as all_of_it:
        for region in regions:
            span, rights, *_ = region.split()
            if "r" not in rights or region.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(at, 16) for at in span.split("-"))
            with contextlib.suppress(OSError, OverflowError):
                all_of_it.seek(start)
                yield all_of_it.read(end - start)


def in_memory(pid: int, *words: str) -> set[str]:
    """Which of these stand anywhere in the memory of a process."""
    return {word for region in memory(pid) for word in words if word.encode() in region}
