"""The fetcher against real servers on the loopback interface: plain, with TLS of a test CA, and of every bad kind."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from charging_manager.agent.fetch import trust_root
from charging_manager.errors import ConfigError

ONE_FETCH = """
import sys
from twisted.internet import reactor
from twisted.internet.task import react
from charging_manager.agent import fetch

fetch.PATIENCE_S = float(sys.argv[3])

async def main(reactor):
    try:
        body = sys.argv[4].encode() if len(sys.argv) > 4 else None
        ask = fetch.Fetcher(reactor, fetch.trust_root(sys.argv[2]))
        got = await ask(fetch.Asked(sys.argv[1], {"X-Token": "t"}, body))
        print("got", got.decode()[:200])
    except fetch.FetchError as error:
        print("error", error)

react(lambda reactor: __import__("twisted.internet.defer").internet.defer.Deferred.fromCoroutine(main(reactor)))
"""


class Answers(BaseHTTPRequestHandler):
    """One address for each way to answer."""

    def do_GET(self) -> None:
        if self.path == "/good":
            self._say(200, b'{"token": "' + self.headers["X-Token"].encode() + b'"}')
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
        elif self.path == "/large":
            self._say(200, b"x" * 1_200_000)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x")
        elif self.path == "/slow":
            self.server.patience.wait(20)  # type: ignore[attr-defined]
        else:
            self._say(500, b"")

    def do_POST(self) -> None:
        self._say(200, self.rfile.read(int(self.headers["Content-Length"])))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def certificate(folder: Path) -> None:
    """A CA, and a server certificate of it for localhost."""

    def made(
        name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool
    ):  # type: ignore[no-untyped-def]
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(signer, hashes.SHA256())

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made("Test CA", name, authority, authority, True).public_bytes(pem))
    private = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + made("localhost", name, server, authority, False).public_bytes(pem))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    certificate(made)
    return made


@pytest.fixture(scope="module", params=["http", "https"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    found.patience = threading.Event()  # type: ignore[attr-defined]
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        found.socket = context.wrap_socket(found.socket, server_side=True)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield f"{request.param}://localhost:{found.server_port}"
    found.patience.set()  # type: ignore[attr-defined]
    found.shutdown()
    found.server_close()


def fetched(url: str, ca: Path | str, patience_s: float = 20.0, *body: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ONE_FETCH, url, str(ca), str(patience_s), *body],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return (done.stdout or done.stderr).strip()


@pytest.mark.e2e
def test_a_good_answer_comes_with_the_token_sent(server: str, folder: Path) -> None:
    assert fetched(f"{server}/good", folder / "ca.pem") == 'got {"token": "t"}'
    assert fetched(f"{server}/gql", folder / "ca.pem", 20.0, '{"query": 1}') == 'got {"query": 1}'


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("away", "error it sends elsewhere"),
        ("large", "error its answer is larger than 1 MiB"),
        ("short", "error its answer broke off"),
        ("none", "error it answers with HTTP status 500"),
    ],
)
def test_a_bad_answer_is_named(server: str, folder: Path, path: str, said: str) -> None:
    assert fetched(f"{server}/{path}", folder / "ca.pem").startswith(said)


@pytest.mark.e2e
def test_nobody_is_waited_for_without_end(server: str, folder: Path) -> None:
    assert fetched(f"{server}/slow", folder / "ca.pem", 1.0).startswith("error it has not answered for 1 s")


@pytest.mark.e2e
def test_a_certificate_that_nobody_vouches_for_is_refused(server: str) -> None:
    if server.startswith("https"):
        assert fetched(f"{server}/good", "system").startswith("error it cannot be reached")


@pytest.mark.e2e
def test_a_certificate_for_another_name_is_refused(server: str, folder: Path) -> None:
    if server.startswith("https"):
        elsewhere = server.replace("localhost", "127.0.0.1")
        assert fetched(f"{elsewhere}/good", folder / "ca.pem").startswith("error it cannot be reached")


def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path in (bad, tmp_path / "none.pem"):
        with pytest.raises(ConfigError):
            trust_root(str(path))
    assert trust_root("") is None
    assert trust_root("system") is None
