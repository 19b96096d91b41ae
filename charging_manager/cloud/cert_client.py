"""``charging_manager cloud_cert``: carries a certificate into the running server, in one blocking call.

Whoever runs the command may read the key (root, often); the server need not. Both are on the same machine, so the
server's own key is known from its runtime file: the connection is pinned to it, whatever certificate it shows.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import pwd
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from charging_manager.daemon.runtime import RuntimeFile, read_runtime
from charging_manager.errors import ConfigError
from charging_manager.paths import state_folder

_DEFAULT_PORT = 4443
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_BYTES = 256 * 1024
_PATIENCE_S = 15.0


def import_certificate(url: str, cert_path: str | Path, key_path: str | Path, data: str | Path | None) -> str:
    """Put this pair into the server at ``url`` and return the sentence that says so.

    ``data`` is the server's state directory; None: the usual places. Raises: ConfigError in one sentence.
    """
    host, port = _place(url)
    body = json.dumps({"cert": _read_pem(cert_path), "key": _read_pem(key_path)})
    connection = _PinnedConnection(host, port)
    try:
        connection.connect()
        runtime = _runtime_file(port, data, connection.fingerprint())
        connection.request(
            "PUT",
            "/api/v1/cloud/admin/certificate",
            body,
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {runtime.token}",
                "Accept-Language": "en",
                "Connection": "close",
            },
        )
        answer = connection.getresponse()
        status, content = answer.status, answer.read(65_536)
    except ConnectionRefusedError as error:
        raise ConfigError(url, f"no server listens on port {port}; start the cloud server first") from error
    except ssl.SSLError as error:
        raise ConfigError(url, "what listens there does not speak TLS; is this the cloud server's port?") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(url, f"the server did not answer ({error or type(error).__name__})") from error
    finally:
        connection.close()
    return _outcome(url, {"cert": str(cert_path), "key": str(key_path)}, status, content)


class _PinnedConnection(http.client.HTTPSConnection):
    """Speaks only to the holder of a known key: nothing is sent before ``fingerprint`` has been compared."""

    def __init__(self, host: str, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin decides
        super().__init__(host, port, timeout=_PATIENCE_S, context=context)
        self.auto_open = 0

    def fingerprint(self) -> str:
        """Hex SHA-256 of the public key that the server has just proved to hold."""
        der = self.sock.getpeercert(binary_form=True)
        if der is None:
            raise OSError("the server showed no certificate")
        key = x509.load_der_x509_certificate(der).public_key()
        return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT
    except ValueError as error:
        raise ConfigError(url, "is not an address; write it like https://localhost:4443") from error
    if parts.scheme != "https":
        raise ConfigError(url, "a certificate travels by https only; write https:// in front")
    if host not in _LOOPBACK and host != socket.gethostname().lower():
        raise ConfigError(
            url, f"a certificate is imported on the server's own machine; run it there with https://localhost:{port}"
        )
    return (host if host in _LOOPBACK else "localhost"), port


def _read_pem(path: str | Path) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(str(path), "is too large to be a certificate or a key")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "is not a PEM file") from error


def _runtime_file(port: int, data: str | Path | None, fingerprint: str) -> RuntimeFile:
    """What the server that holds this very key has left for programs of its machine."""
    trouble: ConfigError | None = None
    for folder in _folders(data):
        try:
            found = read_runtime(folder, port)
        except ConfigError as error:
            closed = isinstance(error.__cause__, PermissionError)
            if trouble is None or (closed and not isinstance(trouble.__cause__, PermissionError)):
                trouble = error  # of the first that may not be looked into
            continue
        if found.fingerprint == fingerprint:
            if found.daemon != "cloud":
                raise ConfigError(f"port {port}", "the agent listens here, not a cloud server")
            return found
        trouble = ConfigError(
            str(folder), f"belongs to another server than the one on port {port}; name its state directory with --data"
        )
    raise trouble or ConfigError(f"port {port}", "no state directory was found; name it with --data")


def _folders(data: str | Path | None) -> Iterator[Path]:
    """The state directory that was named, or those where a server may have been started without naming one."""
    if data is not None:
        yield Path(data).absolute()
        return
    yield state_folder(None, "cloud")
    yield state_folder(None, "agent")
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdigit():
        try:
            home = Path(pwd.getpwuid(int(caller)).pw_dir)
        except KeyError:
            return
        yield home / ".local/state/charging-manager-cloud"
        yield home / ".local/state/charging-manager"


def _outcome(url: str, files: Mapping[str, str], status: int, content: bytes) -> str:
    try:
        answer: Any = json.loads(content)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    if status == 200:
        return f"{url} now shows the certificate of {answer.get('subject')}, valid until {answer.get('not_after')}."
    if status in (401, 403):
        raise ConfigError(
            url, "the server does not permit this; run the command on its machine, as its user or as root"
        )
    sentence = answer.get("detail") or answer.get("title") or "the server refused"
    at = str(answer.get("field") or "")  # cert or key, where one of them is to blame
    raise ConfigError(files.get(at, at or url), f"{sentence}; the server goes on with its old certificate")
