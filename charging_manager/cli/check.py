"""``charging_manager check``: would a daemon start with this configuration."""

from __future__ import annotations

import argparse
import sqlite3
from pathlib import Path

from charging_manager.agent.config import check_configuration
from charging_manager.agent.store import read_configuration
from charging_manager.agent.tap import Options as AgentOptions
from charging_manager.cli.table import WrongUsage
from charging_manager.cloud.tap import Options as CloudOptions
from charging_manager.control.advice import SENTENCES as ADVICE
from charging_manager.control.advice import advice
from charging_manager.daemon.settings import find_settings, read_settings
from charging_manager.errors import ConfigError
from charging_manager.paths import own_state_folder
from charging_manager.words import say

KNOWN = {"agent": AgentOptions.known, "cloud": CloudOptions.known}


def check(arguments: argparse.Namespace) -> int:
    """Check a settings file, or a state directory's settings and configuration. Raises: ConfigError with the place."""
    if arguments.file and arguments.data:
        raise WrongUsage("name a settings file or a state directory, not both")
    if arguments.file:
        _settings(Path(arguments.file))
        print(f"{arguments.file}: valid")
        return 0
    data = own_state_folder(arguments.data)
    if not data.is_dir():
        raise ConfigError(str(data), "there is no such state directory; name one with --data")
    settings = find_settings(None, data)
    if settings is not None:
        _settings(settings)
    _database(data / "agent" / "agent.db")
    print(f"{data}: valid")
    return 0


def _settings(path: Path) -> None:
    for daemon, known in KNOWN.items():
        read_settings(path, daemon, known)


def _database(path: Path) -> None:
    if not path.exists():
        return
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found = read_configuration(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ConfigError(str(path), f"cannot be read ({error})") from error
    if found is not None:
        site = check_configuration(found).site("")
        for one in advice(site):
            print(say("en", ADVICE[one.code], **one.fields))
