"""A real DNS server (BIND) on a free port of the loopback, whose zones take updates signed with its key."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
from attrs import define, field

from tests.support.processes import Running, eventually, free_port

KEY_NAME = "charging-manager"
_START = "$TTL 1\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\nns A 127.0.0.1\n* A 127.0.0.1\n"


def make_key(path: Path, name: str = KEY_NAME) -> Path:
    """As an operator makes one."""
    path.write_text(subprocess.run(["tsig-keygen", name], check=True, capture_output=True, text=True).stdout)
    path.chmod(0o640)
    return path


@define
class NameServer:
    """Authoritative for its zones, and follows a CNAME from one to the other. Stopped, it may come back on its port."""

    folder: Path
    zones: tuple[str, ...]
    locked: str
    """A zone that nobody may change; empty: there is none."""
    port: int = field(factory=free_port)
    process: Running | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def key(self) -> Path:
        return self.folder / "tsig.key"

    def start(self) -> None:
        if not self.key.exists():
            make_key(self.key)
            for zone in filter(None, (*self.zones, self.locked)):
                (self.folder / zone).write_text(_START)
        config = self.folder / "named.conf"
        config.write_text(
            f'include "{self.key}";\noptions {{ directory "{self.folder}"; listen-on-v6 {{ none; }}; recursion yes;\n'
            f" listen-on port {self.port} {{ 127.0.0.1; }}; allow-transfer {{ none; }}; notify no;\n"
            " pid-file none; session-keyfile none; empty-zones-enable no; dnssec-validation no; };\ncontrols { };\n"
            + "".join(
                f'zone "{zone}" {{ type primary; file "{zone}";\n'
                f' update-policy {{ grant "{KEY_NAME}" zonesub TXT CNAME; }}; }};\n'
                for zone in self.zones
            )
            + (f'zone "{self.locked}" {{ type primary; file "{self.locked}"; }};\n' if self.locked else "")
        )
        program = self.folder / "named"  # a copy: where AppArmor is on, Debian's own may read no files of tests
        if not program.exists():
            shutil.copy2(str(shutil.which("named")), program)
        self.process = Running(program, "-g", "-n", "1", "-c", config)
        eventually(lambda: self.texts(f"ns.{self.zones[0]}") == [])

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.stop()

    def texts(self, name: str) -> list[str]:
        """The TXT records of a name, as anybody gets them."""
        answer = dns.query.udp(dns.message.make_query(name, dns.rdatatype.TXT), "127.0.0.1", port=self.port, timeout=2)
        assert answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), answer
        return [
            b"".join(record.strings).decode()
            for records in answer.answer
            if records.rdtype == dns.rdatatype.TXT
            for record in records
        ]

    def update(self, *lines: str) -> None:
        """As a keeper changes his zone: lines of nsupdate."""
        commands = "\n".join([f"server 127.0.0.1 {self.port}", *lines, "send", ""])
        subprocess.run(["nsupdate", "-k", self.key], input=commands, check=True, text=True, capture_output=True)


@contextlib.contextmanager
def name_server(folder: Path, *zones: str, locked: str = "") -> Iterator[NameServer]:
    """For the length of a block."""
    folder.mkdir(exist_ok=True)
    server = NameServer(folder, zones, locked)
    server.start()
    try:
        yield server
    finally:
        server.stop()
