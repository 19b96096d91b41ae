"""The passphrase of backups: read from a file that nobody else can read, never from the command line."""

from __future__ import annotations

import stat
from pathlib import Path

from charging_manager.errors import ConfigError
from charging_manager.storage.files import write_private

SHORTEST = 12
_LONGEST = 1000
FILE = "backup-passphrase"
"""In the state directory: the one that automatic backups are encrypted with."""


def check_passphrase(passphrase: str) -> str:
    """For a new one. Raises: ConfigError. Four random words or 12 random characters withstand guessing."""
    if not SHORTEST <= len(passphrase) <= _LONGEST or not passphrase.isprintable() or passphrase != passphrase.strip():
        raise ConfigError(
            "passphrase",
            "a passphrase has {least} characters or more, and no blank at its ends; four random words are a good one",
            least=SHORTEST,
        )
    return passphrase


def read_passphrase(path: Path) -> str:
    """The first line of a private file. Raises: ConfigError."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = path.stat().st_mode
            line = file.readline(2 * _LONGEST).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "the passphrase cannot be read from this file") from error
    if stat.S_ISREG(mode) and mode & 0o077:
        raise ConfigError(str(path), "others can read the passphrase in this file: chmod 600 it, and better change it")
    if not line:
        raise ConfigError(str(path), "no passphrase stands in the first line of this file")
    return line


def kept_passphrase(data: Path) -> str | None:
    """The one for automatic backups, if there is one. Raises: ConfigError."""
    path = data / FILE
    return read_passphrase(path) if path.exists() else None


def keep_passphrase(data: Path, passphrase: str | None) -> None:
    """None: forget it. Raises: ConfigError, OSError."""
    if passphrase is None:
        (data / FILE).unlink(missing_ok=True)
    else:
        write_private(data / FILE, check_passphrase(passphrase).encode() + b"\n")
