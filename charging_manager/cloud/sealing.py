"""The agent's token at rest: only the browser's cookie opens it, and the cloud stores no cookie."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from charging_manager.errors import ChargingManagerError

_NONCE_BYTES = 12
_PURPOSE = b"charging-manager cloud: agent token of installation %d"


class SealBroken(ChargingManagerError):
    """Another cookie, another installation, or somebody wrote into the database."""


def seal(token: str, cookie: str, installation: int) -> bytes:
    """The token as it may lie in the database."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _box(cookie, installation).encrypt(nonce, token.encode("ascii"), None)


def unseal(sealed: bytes, cookie: str, installation: int) -> str:
    """The token again. Raises: SealBroken."""
    try:
        plain = _box(cookie, installation).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("the sealed token does not open with this cookie") from error
    return plain.decode("ascii")


def _box(cookie: str, installation: int) -> AESGCM:
    # The cookie has 256 random bits, so a fast derivation is enough; the installation is part of the key.
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=_PURPOSE % installation).derive(cookie.encode("utf-8")))
