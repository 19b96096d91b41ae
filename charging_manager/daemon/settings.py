"""The settings file: what belongs to the process (ports, log, folders), read only; the rest is in the database."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charging_manager.errors import ConfigError
from charging_manager.paths import config_folder

Known = Mapping[str, type]
"""Setting to its type; ``list`` means a list of strings."""

NAME = "charging-manager.toml"
_RANGES = {"port": (0, 65535), "loglevel": (1, 4), "modbus_port": (0, 65535)}
_NO_PIN = (
    "can match no server: write the SHA-256 of its public key (SubjectPublicKeyInfo) in base64, 44 characters with "
    'the = at the end; a certificate\'s fingerprint is something else (docs/operating.md, "Certificates")'
)
_TYPE_WORDS = {int: "a whole number", bool: "true or false", str: "a text", list: "a list of texts"}


def find_settings(given: str | None, data: Path) -> Path | None:
    """The file given, else ``<data>/charging-manager.toml``, else the system's; None if there is none."""
    if given:
        return Path(given)
    for path in (data / NAME, config_folder() / NAME):
        if path.is_file():
            return path
    return None


def read_settings(path: Path | None, daemon: str, known: Known) -> dict[str, Any]:
    """The table ``[agent]`` or ``[cloud]``, checked. Raises: ConfigError with file, line or key path, and reason."""
    if path is None:
        return {}
    try:
        whole = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from error
    for table in whole:
        if table not in ("agent", "cloud"):
            raise ConfigError(str(path), f"{table}: there are only the tables [agent] and [cloud]")
    table = whole.get(daemon, {})
    if not isinstance(table, dict):
        raise ConfigError(str(path), f"{daemon}: this is a table, written [{daemon}]")
    for key, value in table.items():
        wanted = known.get(key)
        if wanted is None:
            raise ConfigError(
                str(path), f"{daemon}.{key}: there is no such setting; known are {', '.join(sorted(known))}"
            )
        fits = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
        if not fits or (wanted is list and not all(isinstance(item, str) for item in value)):
            raise ConfigError(str(path), f"{daemon}.{key}: must be {_TYPE_WORDS[wanted]}")
        lowest, highest = _RANGES.get(key, (None, None))
        if lowest is not None and not lowest <= value <= highest:
            raise ConfigError(str(path), f"{daemon}.{key}: must be from {lowest} to {highest}")
        for item in value if key == "cloud_pins" else ():
            if not _is_pin(item):
                raise ConfigError(str(path), f"{daemon}.{key}: {item!r} {_NO_PIN}")
    return table


def _is_pin(text: str) -> bool:
    """Could this be SHA-256 in base64, written as we write it ourselves."""
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return len(digest) == 32 and base64.b64encode(digest).decode() == text
