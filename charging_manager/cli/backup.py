"""``charging_manager backup FILE`` and ``restore FILE``: all of an agent's or a cloud server's state in one file."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from charging_manager import VERSION
from charging_manager.cli.table import DATA, Option
from charging_manager.clocks import utc_now
from charging_manager.cloud.chain import ChainBroken, chain_key, verify
from charging_manager.cloud.stores import refuse_shared
from charging_manager.http.userids import load_key
from charging_manager.paths import give_to_owner_of, state_folder
from charging_manager.storage.backup import Backup, check_backup, make_backup, restore_backup
from charging_manager.storage.schema import read_upgrades, refuse_newer, version_of

_CLOUD = Option(("--cloud",), "that of the cloud server's default state directory", {"action": "store_true"})
BACKUP_OPTIONS = (Option(("file",), "the file to write", {"metavar": "FILE"}), DATA, _CLOUD)
RESTORE_OPTIONS = (
    Option(("file",), "a file that backup has written", {"metavar": "FILE"}),
    DATA,
    _CLOUD,
    Option(("--check",), "only say whether it is sound and what it holds", {"action": "store_true"}),
)


def backup(arguments: argparse.Namespace) -> int:
    """Works while the daemon runs; the file is read again before it is called done. Raises: ConfigError."""
    data, target = _data(arguments), Path(arguments.file).absolute()
    refuse_shared(data)
    make_backup(data, target, f"charging-manager {VERSION}", utc_now())
    look = _Look()
    made = check_backup(target, look)
    print(f"{target}: {_told(made)}; read again and sound.")
    print("It holds passwords' hashes and private keys: keep it where nobody else reads it.")
    return look.said()


def restore(arguments: argparse.Namespace) -> int:
    """With the daemon stopped. What was there moves aside. Raises: ConfigError, and then nothing was changed."""
    source, data = Path(arguments.file).absolute(), _data(arguments)
    look = _Look()
    if arguments.check:
        print(f"{source}: sound; {_told(check_backup(source, look))}.")
        return look.said()
    restored, aside = restore_backup(source, data, look)
    give_to_owner_of(data.parent, data, *data.rglob("*"))
    print(f"{data}: restored; {_told(restored)}.")
    if aside is not None:
        print(f"What was there before is in {aside}; remove it when all is well.")
    return look.said()


class _Look:
    """What only we know of a state: no database may be of a newer program; of a tampered audit log is warned."""

    def __init__(self) -> None:
        self._warning = ""

    def __call__(self, state: Path) -> None:
        """Raises: ConfigError."""
        for name, schema in (
            ("cloud/cloud.sqlite", files("charging_manager.cloud.schema")),
            ("agent/agent.db", files("charging_manager.agent") / "schema"),
        ):
            path = state / name
            if path.is_file():
                with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
                    db.row_factory = sqlite3.Row
                    refuse_newer(Path(name), version_of(db), read_upgrades(schema))
                    if name.startswith("cloud/") and version_of(db) >= 2 and (state / "cloud/secret").is_file():
                        self._verify(db, state / "cloud/secret")

    def _verify(self, db: sqlite3.Connection, secret: Path) -> None:
        try:
            verify(db, chain_key(load_key(secret)))
        except ChainBroken as broken:
            self._warning = str(broken)

    def said(self) -> int:
        """Exit status; a warning goes to stderr."""
        if self._warning:
            print(f"charging_manager: {self._warning}; all else is sound.", file=sys.stderr)
        return 1 if self._warning else 0


def _data(arguments: argparse.Namespace) -> Path:
    return state_folder(arguments.data, "cloud" if arguments.cloud else "agent")


def _told(one: Backup) -> str:
    return f"{len(one.files)} files, {one.size / 1e6:.1f} MB, of {one.created_at} by {one.program}"
