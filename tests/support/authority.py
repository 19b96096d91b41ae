"""A real ACME server (Let's Encrypt's Pebble) on free ports of the loopback, which asks a DNS server of the test.

It refuses nonces at random, waits as it likes, and forgets everything when it is stopped: it was made for that.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.support.certificates import make_certificates
from tests.support.processes import Running, answers, eventually, free_port


@define
class TestAuthority:
    """``ca`` names who vouches for its own address; ``root`` who signs what it gives."""

    __test__ = False

    folder: Path
    dns: str
    config: dict[str, Any]
    port: int = field(factory=free_port)
    management: int = field(factory=free_port)
    process: Running | None = None

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def start(self, **config: Any) -> None:
        if not self.ca.exists():
            make_certificates(self.folder)
        self.config |= config
        said = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.folder / "server.pem"),
            "privateKey": str(self.folder / "server.key"),
            "httpPort": 1,
            "tlsPort": 1,
            **self.config,
        }
        path = self.folder / "pebble.json"
        path.write_text(json.dumps({"pebble": said}))
        env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}
        command = ("pebble", "-config", path, "-dnsserver", self.dns, "-strict")
        self.process = Running(*command, env=env, cwd=self.folder)
        eventually(lambda: answers(self.port) and answers(self.management))

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.stop()

    def root(self) -> str:
        """PEM of the root under which its certificates are; another one after each start."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://localhost:{self.management}/roots/0", context=context) as answer:
            return str(answer.read().decode())


@contextlib.contextmanager
def authority(folder: Path, dns: str, **config: Any) -> Iterator[TestAuthority]:
    """For the length of a block."""
    folder.mkdir(exist_ok=True)
    server = TestAuthority(folder, dns, dict(config))
    server.start()
    try:
        yield server
    finally:
        server.stop()
