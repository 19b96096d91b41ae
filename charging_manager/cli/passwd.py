"""``charging_manager passwd``: the admin password, shared by an agent and a cloud server on one state directory."""

from __future__ import annotations

import argparse
import getpass
import sys

from charging_manager.errors import ConfigError
from charging_manager.http.passwords import AdminPassword
from charging_manager.paths import make_private, own_state_folder
from charging_manager.storage.restore import finish

_SHORT = 8


def passwd(arguments: argparse.Namespace) -> int:
    """Set or empty it; a running daemon notices within a second. Raises: ConfigError."""
    data = make_private(own_state_folder(arguments.data, "cloud" if arguments.cloud else "agent"))
    finish(data)  # of a restore that was cut short: this password is for the state that counts
    admin = AdminPassword(data / "admin")
    if arguments.empty:
        admin.write(None)
        print(f"The admin password in {data} is empty now: every login through a cloud is refused.")
        return 0
    password = _ask()
    admin.write(password)
    short = f", but has fewer than {_SHORT} characters and is easily guessed; better set a longer one"
    print(f"The admin password in {data} is set{short if len(password) < _SHORT else ''}.")
    return 0


def _ask() -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise ConfigError("", "no password on stdin; write it as one line, or use --empty to empty it")
        return password
    password = getpass.getpass("New admin password: ")
    if not password:
        raise ConfigError("", "nothing changed; to empty the password use --empty")
    if getpass.getpass("Once more: ") != password:
        raise ConfigError("", "these two differ; nothing changed")
    return password
