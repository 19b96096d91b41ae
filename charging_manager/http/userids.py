"""User IDs: ``XXXXX-XXXXX`` in Crockford's base 32, 50 random bits, found by HMAC and never stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from charging_manager.errors import ConfigError
from charging_manager.storage.files import write_private

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_KEY_BYTES = 32


def new_user_id() -> str:
    """A fresh ID; it is shown once, to be written down or put on a card."""
    letters = [secrets.choice(_ALPHABET) for _ in range(10)]
    return "".join(letters[:5]) + "-" + "".join(letters[5:])


def normal_user_id(text: str) -> str | None:
    """What a person typed, as we write it: case, spaces, dashes, O for 0, I and L for 1. None if it is no ID."""
    if len(text) > 64:
        return None
    letters = "".join(text.split()).replace("-", "").upper().translate(_READ_AS)
    if len(letters) != 10 or not set(letters) <= set(_ALPHABET):
        return None
    return f"{letters[:5]}-{letters[5:]}"


class UserIds:
    """Turns an ID into what is stored of it: an HMAC-SHA-256 under a key that lies beside the database, not in it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, user_id: str) -> bytes:
        """Of an ID in normal form; of anything else it is a digest that no user has."""
        return hmac.digest(self._key, user_id.encode("utf-8", "replace"), hashlib.sha256)


def load_key(path: Path) -> bytes:
    """The key in this file, made at first use. Raises: ConfigError if the file is there and is no key."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(_KEY_BYTES)
        try:
            write_private(path, key)
        except OSError as error:
            raise ConfigError(str(path), f"cannot be written ({error.strerror}); nothing was changed") from error
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror}); check who owns it") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(str(path), f"must hold {_KEY_BYTES} bytes; restore it from a backup, or remove it")
    return key
