"""Secret user IDs: how they are made, how people may type them, and how they are found without being kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from charging_manager.errors import ConfigError
from charging_manager.storage.files import write_private

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
_LOOKALIKES = str.maketrans("OIL", "011", "- ")
_LENGTH = 10
_KEY_BYTES = 32


def new_user_id() -> str:
    """Fifty random bits as ``XXXXX-XXXXX``."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"{letters[:5]}-{letters[5:]}"


def as_typed(text: str) -> str:
    """What somebody meant who typed an ID with small letters, blanks, or an O for a 0."""
    return text[:64].upper().translate(_LOOKALIKES)


class IdBook:
    """Turns secret IDs into what may be stored: HMAC-SHA-256 under a key of the state directory."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, path: Path) -> IdBook:
        """Read the key, or make it. Raises: ConfigError."""
        try:
            if not path.exists():
                write_private(path, secrets.token_bytes(_KEY_BYTES))
            key = path.read_bytes()
        except OSError as error:
            raise ConfigError(str(path), f"cannot be read or made ({error.strerror})") from error
        if len(key) != _KEY_BYTES:
            raise ConfigError(str(path), "is damaged; restore it from a backup, or remove it and issue new user IDs")
        return cls(key)

    def hash_of(self, user_id: str) -> str:
        """The stored form of an ID, however it was typed."""
        return hmac.new(self._key, as_typed(user_id).encode(), hashlib.sha256).hexdigest()
