"""Real proxies in TCP mode in front of a server: Debian's haproxy, and nginx with its stream module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import Running, answers, eventually, running

_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Debian's libnginx-mod-stream."""


_DEFAULTS = (
    "global\n  maxconn 2000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
)


@contextlib.contextmanager
def haproxy(folder: Path, sections: str, port: int, defaults: str = _DEFAULTS) -> Iterator[Running]:
    """haproxy with these sections; ``port`` is one that it listens on."""
    file = folder / "haproxy.cfg"
    file.write_text(defaults + sections)
    with running("haproxy", "-db", "-f", file) as process:
        yield _ready(process, port)


@contextlib.contextmanager
def nginx(folder: Path, servers: str, port: int) -> Iterator[Running]:
    """nginx with these servers of its stream module."""
    file = folder / "nginx.conf"
    temporary = "".join(
        f"  {part}_temp_path {folder}/{part};\n" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"load_module {_STREAM};\npid {folder}/nginx.pid;\nerror_log stderr;\ndaemon off;\nmaster_process off;\n"
        f"events {{}}\nhttp {{\n{temporary}  access_log off;\n}}\nstream {{\n{servers}\n}}\n"
    )
    with running("nginx", "-p", folder, "-e", "stderr", "-c", file) as process:
        yield _ready(process, port)


def _ready(process: Running, port: int) -> Running:
    eventually(lambda: process.process.poll() is not None or answers(port))
    assert process.process.poll() is None, process.output
    return process
