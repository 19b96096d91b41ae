"""Who an agent is: its Cloud ID and password, or its own key, of which the serial number is a fingerprint."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from charging_manager.errors import ConfigError

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SERIAL = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-?[0-9A-HJKMNP-TV-Z]{4}){3}", re.IGNORECASE)
_CLOUD_ID = re.compile(r"[A-Za-z0-9._-]{3,64}")
_CONTEXT = b"cm-tunnel/1 agent login\0"


def serial_of(public_key: bytes) -> str:
    """80 bits of SHA-256 of the agent's public key, as four groups of Crockford's base32."""
    number = int.from_bytes(hashlib.sha256(public_key).digest()[:10])
    letters = "".join(_CROCKFORD[number >> shift & 31] for shift in range(75, -1, -5))
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def is_serial(text: str) -> bool:
    """Whether this has the form of a serial number, dashes or not, which no chosen Cloud ID may have."""
    return _SERIAL.fullmatch(text) is not None


def check_cloud_id(text: str) -> str:
    """A Cloud ID that somebody chose; compared without case. Raises: ConfigError."""
    if not _CLOUD_ID.fullmatch(text):
        raise ConfigError("cloud_id", "A Cloud ID has 3 to 64 letters (A-Z), digits, dots, dashes or underscores.")
    if is_serial(text):
        raise ConfigError("cloud_id", "A Cloud ID must not look like a serial number; choose another.")
    return text


def check_cloud_password(text: str) -> str:
    """An installation password. Raises: ConfigError."""
    if not 12 <= len(text) <= 128:
        raise ConfigError("password", "An installation password has 12 to 128 characters.")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ConfigError("password", "An installation password cannot hold control characters.")
    return text


@frozen
class AgentKey:
    """The agent's own key pair; it never leaves the state directory."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def serial(self) -> str:
        return serial_of(self.public)

    def prove(self, nonce: bytes, exporter: bytes) -> bytes:
        """Sign the cloud's nonce and this TLS connection's exporter value: good nowhere else."""
        return self.private.sign(_CONTEXT + nonce + exporter)


def proof_is_good(public_key: bytes, proof: bytes, nonce: bytes, exporter: bytes) -> bool:
    """Whether the owner of ``public_key`` signed this nonce on this connection."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(proof, _CONTEXT + nonce + exporter)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_or_make_key(path: Path) -> AgentKey:
    """The agent's key from its file, made at the first start (0600). Raises: ConfigError."""
    if not path.exists():
        try:
            _write_new_key(path)
        except OSError as error:
            raise ConfigError(str(path), f"cannot be written ({error.strerror}); nothing was changed") from error
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror}); check who owns it") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(str(path), "the agent's key cannot be read; restore it from a backup") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(str(path), "this is not the agent's Ed25519 key; restore it from a backup")
    return AgentKey(private)


def _write_new_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
