"""A PostgreSQL of our own for the tests: started from Debian's programs in a temporary folder, stopped by its pid."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.processes import eventually, free_port

_numbers = itertools.count(1)


def programs() -> Path | None:
    """Where Debian keeps the newest server's programs, or where the path leads."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    at = shutil.which("initdb")
    return Path(at).resolve().parent if at else None


def need_postgres() -> Path:
    """Where there is none the test is left out, with the reason."""
    bin_folder = programs()
    if bin_folder is None:
        assert not os.environ.get("CM_LEAVE_OUT_NONE"), "PostgreSQL is missing"
        pytest.skip("apt-get install postgresql")
    return bin_folder


class Postgres:
    """One server. As root it runs as the user postgres, as it refuses to run as root."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._bin = need_postgres()
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}
        folder.mkdir(exist_ok=True)
        if self._user:
            entry = pwd.getpwnam("postgres")
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        subprocess.run(
            [
                self._bin / "initdb",
                "-D",
                folder / "data",
                "-U",
                "cm",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._user,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        """Ready when this returns."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # a killed server is not what is tested; a killed process of ours is
            "max_connections": "60",
            "shared_buffers": "16MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self.folder / "data", *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            **self._user,
        )
        try:
            eventually(self._is_ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(self.folder / 'log').read_text()}") from None

    def _is_ready(self) -> bool:
        with self.connect("postgres"):
            return True

    def connect(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(name), autocommit=True, connect_timeout=3)

    def url(self, name: str) -> str:
        return f"postgresql://cm@127.0.0.1:{self.port}/{name}"

    def database(self, template: str = "template1") -> str:
        """A new database; its name."""
        name = f"cloud_{next(_numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name

    def drop(self, name: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, in order."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(30)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server in a folder of its own, which the user postgres can reach, for the length of a block."""
    need_postgres()
    folder = Path(tempfile.mkdtemp(prefix="cm-pg-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        server = Postgres(folder / "server")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
