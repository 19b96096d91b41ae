"""The webhook's poster against servers that behave, and servers that do not."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.processes import ROOT, free_port

pytestmark = pytest.mark.e2e


class Receiver(BaseHTTPRequestHandler):
    """Answers by path; what it heard is in the server's ``heard``."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.heard.append((self.path, body, self.headers["Content-Type"]))
        if self.path == "/silent":
            server.over.wait(20)
            return
        self.send_response({"/ok": 204, "/busy": 503, "/elsewhere": 302}.get(self.path, 200))
        if self.path == "/elsewhere":
            self.send_header("Location", "/ok")
        self.end_headers()
        with contextlib.suppress(OSError):
            while self.path == "/endless" and not server.over.is_set():
                self.wfile.write(b"x" * 65_536)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.heard, server.over, server.daemon_threads = [], threading.Event(), True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server
    server.over.set()
    server.shutdown()
    serving.join(5)
    server.server_close()


def post(url: str, timeout_s: float = 10) -> str:
    command = [sys.executable, "-m", "tests.e2e.webhook_post", url, str(timeout_s)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True).stdout.strip()


@pytest.mark.parametrize(("path", "said"), [("ok", "204"), ("busy", "503"), ("elsewhere", "302"), ("endless", "200")])
def test_a_call_says_what_was_answered_and_reads_no_more(receiver: Any, path: str, said: str) -> None:
    receiver.heard.clear()
    assert post(f"http://127.0.0.1:{receiver.server_port}/{path}") == said
    assert receiver.heard == [(f"/{path}", b'{"events":[]}', "application/json")]  # so no redirect was followed


def test_a_call_that_nobody_answers_or_whose_certificate_nobody_vouches_for_ends(receiver: Any) -> None:
    assert "ResponseNeverReceived" in post(f"http://127.0.0.1:{receiver.server_port}/silent", 0.5)
    assert "Refused" in post(f"http://127.0.0.1:{free_port()}/ok")
    assert post(f"https://127.0.0.1:{receiver.server_port}/ok", 3) not in ("200", "204", "")
