"""``charging_manager backup FILE`` and ``restore FILE``: all of an agent's or a cloud server's state in one file."""

from __future__ import annotations

import argparse
import getpass
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from charging_manager import VERSION
from charging_manager.agent.kept import AGENT
from charging_manager.cli.table import DATA, Option
from charging_manager.clocks import utc_now
from charging_manager.cloud.chain import ChainBroken, chain_key, verify
from charging_manager.cloud.kept import CLOUD
from charging_manager.cloud.stores import refuse_shared
from charging_manager.errors import ConfigError
from charging_manager.http.userids import load_key
from charging_manager.paths import own_state_folder, state_folder
from charging_manager.storage.backup import Backup, is_encrypted, make_backup, unpack
from charging_manager.storage.daemons import DAEMONS, Fit, daemons_in
from charging_manager.storage.files import workplace
from charging_manager.storage.passphrase import check_passphrase, read_passphrase
from charging_manager.storage.restore import Restored, commit, discard, finish, nobody_runs, stage, staged
from charging_manager.storage.schema import Upgrade, read_upgrades, version_of
from charging_manager.storage.summary import Summary, refuse_newer_state, summarise

_CLOUD = Option(("--cloud",), "that of the cloud server's default state directory", {"action": "store_true"})
_FILE = Option(
    ("--passphrase-file",),
    "its first line is the passphrase; - reads it from stdin",
    {"metavar": "FILE", "dest": "passphrase_file"},
)
BACKUP_OPTIONS = (
    Option(("file",), "the file to write", {"metavar": "FILE"}),
    DATA,
    _CLOUD,
    Option(("--encrypt",), "under a passphrase, asked for at the terminal", {"action": "store_true"}),
    _FILE,
)
RESTORE_OPTIONS = (
    Option(("file",), "a file that backup has written", {"metavar": "FILE"}),
    DATA,
    _CLOUD,
    Option(("--check",), "only say whether it is sound and what it holds", {"action": "store_true"}),
    Option(("--yes",), "do not ask before it takes the place of what is there", {"action": "store_true"}),
    _FILE,
)
_WORDS = {
    "api-keys": "API keys",
    "audit-entries": "audit log entries",
    "charge-points": "charge points",
    "other-devices": "meters and other devices",
    "sessions": "charging sessions",
}
_WHOSE = {"agent": "an agent's", "cloud": "a cloud server's"}


def backup(arguments: argparse.Namespace) -> int:
    """Works while the daemon runs; the file is read again before it is called done. Raises: ConfigError."""
    data, target = _data(arguments), Path(arguments.file).absolute()
    refuse_shared(data)
    passphrase = _new_passphrase(arguments)
    _finished(data, finish(data))
    look = Look()
    made = make_backup(data, target, f"charging-manager {VERSION}", utc_now(), passphrase=passphrase, checks=look)
    print(f"{target}: {_told(made)}; read again and sound.")
    if made.sealed:
        print("It is encrypted; without its passphrase nobody can read it, and nobody can help.")
    else:
        print("It holds passwords' hashes and private keys: keep it where nobody else reads it.")
    return look.said()


def restore(arguments: argparse.Namespace) -> int:
    """With the daemon stopped. What was there moves aside. Raises: ConfigError, and then nothing was changed."""
    source, data = Path(arguments.file).absolute(), _data(arguments)
    look, fits = Look(), _fit(arguments, source, data)
    passphrase = _passphrase_for(arguments, source)
    if arguments.check:
        with workplace(Path(tempfile.gettempdir()), ".cm-check-") as place:
            held = unpack(source, place / "state", passphrase)
            look(place / "state")
            print(f"{source}: sound; {_told(held)}.")
            if daemons_in(data):
                fits(held.daemons)  # else it would be compared with what it has nothing to do with
            for line in _changes(summarise(held, place / "state", data, (AGENT, CLOUD))):
                print(line)
        return look.said()
    _finished(data, finish(data))
    with nobody_runs(data):
        pass  # before a large file is unpacked for nothing
    held = stage(source, data, look, fits=fits, passphrase=passphrase)
    confirmed = False
    try:
        state = staged(data)
        assert state is not None  # noqa: S101
        for line in _changes(summarise(held, state, data, (AGENT, CLOUD))):
            print(line)
        _confirm(arguments)
        with nobody_runs(data):
            commit(data, held, utc_now())
        confirmed = True
    finally:
        if not confirmed:
            discard(data)
    _finished(data, finish(data))
    return look.said()


def schema_of(database: Path) -> tuple[Upgrade, ...]:
    """This program's upgrades of an agent's or a cloud server's database, told by the file's name."""
    return read_upgrades((CLOUD if database.name == Path(CLOUD.database).name else AGENT).schema)


class Look:
    """What only we know of a state: no database may be of a newer program; of a tampered audit log is warned."""

    def __init__(self) -> None:
        self._warning = ""

    def __call__(self, state: Path) -> None:
        """Raises: ConfigError."""
        refuse_newer_state((CLOUD, AGENT))(state)
        path = state / CLOUD.database
        if path.is_file() and (state / "cloud/secret").is_file():
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
                db.row_factory = sqlite3.Row
                if version_of(db) >= 2:
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
    return own_state_folder(arguments.data, "cloud" if arguments.cloud else "agent")


def _fit(arguments: argparse.Namespace, source: Path, data: Path) -> Fit:
    """Nobody's daemon may find another one's state in the place of its own.

    A default state directory is for its own daemon's, also while it is empty; any other one for what is there already.
    """
    homes = {daemon: state_folder(None, daemon) for daemon in DAEMONS}
    ours = {daemon for daemon, folder in homes.items() if folder == data}

    def fits(daemons: frozenset[str]) -> None:
        there = daemons_in(data)
        if len(ours) == 1:  # both where systemd names one folder for whatever runs
            wanted = there if there >= ours else frozenset(ours)
        else:
            wanted = there or frozenset({"cloud"} if arguments.cloud else ())
        if not daemons or not wanted or daemons & wanted:
            return
        (found,), (place,) = daemons, wanted
        way = "add --cloud" if found == "cloud" else "leave --cloud away"
        if arguments.data is not None or len(ours) != 1:
            way = f"name {_WHOSE[found]} state directory with --data"
        raise ConfigError(
            str(source),
            f"this is {_WHOSE[found]} backup, and {data} is for {_WHOSE[place]} state; nothing was changed: {way}",
        )

    return fits


def _new_passphrase(arguments: argparse.Namespace) -> str | None:
    if arguments.passphrase_file is not None:
        return check_passphrase(_from_file(arguments.passphrase_file))
    if not arguments.encrypt:
        return None
    if not sys.stdin.isatty():
        return check_passphrase(_from_file("-"))
    passphrase = check_passphrase(getpass.getpass("Passphrase for the backup: "))
    if getpass.getpass("Once more: ") != passphrase:
        raise ConfigError("", "these two differ; nothing was written")
    return passphrase


def _passphrase_for(arguments: argparse.Namespace, source: Path) -> str | None:
    if arguments.passphrase_file is not None:
        return _from_file(arguments.passphrase_file)
    if is_encrypted(source) and sys.stdin.isatty():
        return getpass.getpass(f"Passphrase of {source}: ")
    return None


def _from_file(name: str) -> str:
    if name == "-":
        return sys.stdin.readline().rstrip("\r\n")
    return read_passphrase(Path(name))


def _confirm(arguments: argparse.Namespace) -> None:
    """Raises: ConfigError unless somebody wants it."""
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("", "nothing was changed; without a terminal to ask at, add --yes to go on")
    if input("Put this in the place of what is there? Type yes to go on: ").strip().lower() != "yes":
        raise ConfigError("", "nothing was changed")


def _changes(summary: Summary) -> list[str]:
    """The summary for people, one line each."""
    lines = [f"From {summary.program} to charging-manager {VERSION}, backup of {summary.created_at}."]
    for name, then in summary.schema_then.items():
        now = summary.schema_now.get(name)
        lines.append(f"  {name}: schema {then}" + ("" if now is None else f", now {now}"))
    if summary.unreadable:
        lines.append("  What is there now cannot be read in full.")
    for count in summary.counts:
        shown = [str(number) if number is not None else "none" for number in (count.now, count.then)]
        same = "" if count.now != count.then else " (the same number)"
        lines.append(f"  {_WORDS.get(count.what, count.what)}: {shown[0]} -> {shown[1]}{same}")
    if summary.newest_now or summary.newest_then:
        lines.append(f"  last recorded: {summary.newest_now or 'never'} -> {summary.newest_then or 'never'}")
    lines.append(f"  settings that differ: {', '.join(summary.settings) or 'none'}")
    lines.append(f"  files that differ: {', '.join(summary.files) or 'none'}")
    return lines


def _finished(data: Path, done: Restored | None) -> None:
    if done is None:
        return
    print(f"{data}: restored; {done.files} files, of {done.created_at} by {done.program}.")
    if done.aside is not None:
        print(f"What was there before is in {done.aside}; remove it when all is well.")


def _told(one: Backup) -> str:
    whose = "".join(f"{_WHOSE[daemon]} state, " for daemon in sorted(one.daemons))
    return f"{whose}{len(one.files)} files, {one.size / 1e6:.1f} MB, of {one.created_at} by {one.program}"
