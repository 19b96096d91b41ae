"""The key of an account at an authority, and all that it signs (RFC 8555, section 6.2; josepy knows JWS)."""

from __future__ import annotations

import binascii
import hashlib
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode, b64encode
from josepy.jwa import ES256, HS256
from josepy.jwk import JWKEC

from charging_manager.errors import ConfigError


class AccountKey:
    """ECDSA P-256."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._public = JWKEC(key=key).public_key()

    @classmethod
    def make(cls) -> AccountKey:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: str) -> AccountKey:
        """Raises: ValueError."""
        key = serialization.load_pem_private_key(pem.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("not a key of ours")
        return cls(key)

    def to_pem(self) -> str:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def sign(self, url: str, nonce: str, account: str | None, payload: Any) -> bytes:
        """A request's body. ``account`` is its address, None before there is one; ``payload`` None: only reading."""
        who = {"jwk": self._public.to_json()} if account is None else {"kid": account}
        protected = {"alg": "ES256", "nonce": nonce, "url": url, **who}
        body = b"" if payload is None else orjson.dumps(payload)
        return orjson.dumps(_signed(protected, body, lambda data: ES256.sign(self._key, data)))

    def bound_to(self, customer: str, secret: str, url: str) -> dict[str, str]:
        """Who we are to an authority that knows its customers: an external account binding (section 7.3.4).

        Raises: ConfigError.
        """
        protected = {"alg": "HS256", "kid": customer, "url": url}
        mac = read_mac_key(secret)
        return _signed(protected, orjson.dumps(self._public.to_json()), lambda data: HS256.sign(mac, data))

    def dns_value(self, token: str) -> str:
        """What the TXT record has to hold that proves this token (section 8.4)."""
        text = f"{token}.{b64(self._public.thumbprint())}"
        return b64(hashlib.sha256(text.encode()).digest())


def read_mac_key(secret: str) -> bytes:
    """The key of an external account binding, as authorities print it. Raises: ConfigError."""
    try:
        key = b64decode(secret.strip().rstrip("="))
    except (binascii.Error, ValueError, TypeError):
        key = b""
    if len(key) < 16:
        raise ConfigError("eab_key", "Enter the key as the authority shows it, in base64url.")
    return key


def b64(data: bytes) -> str:
    """Base64url without padding, as all of ACME has it."""
    return b64encode(data).decode()


def _signed(protected: dict[str, Any], payload: bytes, sign: Any) -> dict[str, str]:
    head, body = b64(orjson.dumps(protected)), b64(payload)
    return {"protected": head, "payload": body, "signature": b64(sign(f"{head}.{body}".encode()))}
