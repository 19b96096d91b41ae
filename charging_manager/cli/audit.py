"""``charging_manager audit verify``: is the cloud server's audit log as it was written?"""

from __future__ import annotations

import argparse
import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

from twisted.python.failure import Failure

from charging_manager.cli.table import Option, WrongUsage
from charging_manager.cloud.chain import Head, Whole, chain_key, verify
from charging_manager.cloud.stores import look_at_shared, shared_place
from charging_manager.errors import ConfigError
from charging_manager.http.userids import load_key
from charging_manager.paths import own_state_folder
from charging_manager.storage.schema import read_upgrades, version_of

USAGE = "charging_manager audit verify [--cloud | --data DIR] [--database URL] [--head NUMBER:HASH]"
OPTIONS = (
    Option(("what",), "verify: look through the whole chain", {"choices": ("verify",), "metavar": "verify"}),
    Option(("--data",), "state directory (default: the cloud server's own)", {"metavar": "DIR"}),
    Option(("--cloud",), "that of the cloud server's default state directory", {"action": "store_true"}),
    Option(("--database",), "address of the PostgreSQL database, where that is used", {"metavar": "URL"}),
    Option(("--head",), "a head that was noted before, in the log or by /metrics", {"metavar": "N:HASH"}),
)
_HEAD = re.compile(r"(\d{1,15}):([0-9a-f]{64})")


def audit(arguments: argparse.Namespace) -> int:
    """Works while the server runs. Raises: ConfigError; ChainBroken, which says where."""
    known = None
    if arguments.head is not None:
        match = _HEAD.fullmatch(arguments.head)
        if match is None:
            raise WrongUsage("a head is a number, a colon and 64 hexadecimal digits, as the log and /metrics show it")
        known = Head(int(match[1]), match[2])
    folder = own_state_folder(arguments.data, "cloud") / "cloud"
    path, secret = folder / "cloud.sqlite", folder / "secret"
    shared = arguments.database or ""
    place = shared_place(folder)
    if place is not None and not shared:
        raise ConfigError(str(folder), f"this server's audit log is in {place}; give that address with --database")
    for needed in (secret,) if shared else (path, secret):
        if not needed.is_file():
            raise ConfigError(str(needed), "is not there; name the cloud server's state directory with --data")
    whole = _verified_there(shared, load_key(secret), known) if shared else _verified(path, load_key(secret), known)
    if not whole.entries:
        print("The audit log is empty.")
        return 0
    print(f"The audit log is whole: {whole.entries} entries, from {whole.first} to {whole.head.number}.")
    print(f"head: {whole.head}")
    return 0


def _verified_there(url: str, secret: bytes, known: Head | None) -> Whole:
    store = look_at_shared(url)
    outcome: list[Any] = []
    store.read(lambda db: verify(db, chain_key(secret), known)).addBoth(outcome.append)
    store.close()
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    whole: Whole = outcome[0]
    return whole


def _verified(path: Path, secret: bytes, known: Head | None) -> Whole:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            if version_of(db) < 2:
                raise ConfigError(str(path), "has no chain yet; start this version of the cloud server once")
            if version_of(db) > len(read_upgrades(files("charging_manager.cloud.schema"))):
                raise ConfigError(str(path), "was written by a newer Charging Manager; use that one's command")
            return verify(db, chain_key(secret), known)
    except sqlite3.Error as error:
        raise ConfigError(str(path), f"cannot be read ({error}); restore a backup") from error
