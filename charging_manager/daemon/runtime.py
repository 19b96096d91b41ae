"""What a running daemon tells other programs on its machine: ``<port>.json``, readable by its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from attrs import asdict, field, frozen

from charging_manager.errors import ConfigError
from charging_manager.paths import give_to_owner_of, make_private, runtime_folder, runtime_folders


@frozen
class RuntimeFile:
    """``fingerprint`` is the hex SHA-256 of the daemon's public key (SubjectPublicKeyInfo); ``token`` opens what only
    the machine's own programs may do (certificate import, metrics)."""

    port: int
    daemon: str
    fingerprint: str
    token: str = field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    pid: int = field(factory=os.getpid)


def write_runtime(data: Path, content: RuntimeFile) -> Path:
    """Put the file where ``read_runtime`` looks, whole or not at all. Raises: ConfigError."""
    folder = make_private(runtime_folder(data))
    path = folder / f"{content.port}.json"
    new = folder / f".{content.port}.{content.pid}.new"
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(content), file)
        give_to_owner_of(folder, new)
        new.replace(path)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written ({error.strerror})") from error
    return path


def read_runtime(data: Path, port: int) -> RuntimeFile:
    """What the daemon on this port left. Raises: ConfigError if there is none, it is not readable, or it is broken."""
    places = [folder / f"{port}.json" for folder in runtime_folders(data)]
    path = places[0]
    try:
        path = next((place for place in places if place.is_file()), path)
        return RuntimeFile(**json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise ConfigError(
            str(path), f"no server with this state directory listens on port {port}; start it first, or name its --data"
        ) from error
    except PermissionError as error:
        raise ConfigError(
            str(path), "may not be read by this user; run this with sudo, or as the server's user"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(str(path), "is not what a running server writes; restart the server") from error


def remove_runtime(path: Path) -> None:
    """Gone when the daemon stops; a missing one is no trouble."""
    path.unlink(missing_ok=True)
