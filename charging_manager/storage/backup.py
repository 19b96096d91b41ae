"""A state directory in one file, and back: consistent while the daemon runs, checked before anything is replaced.

The file is a gzipped tar whose first member, ``manifest.json``, names every other one with size and SHA-256. Databases
are copied by SQLite itself, each as of one instant. What is only of this run (locks, the runtime file), or can be
recorded again (readings and decisions of the last days), is left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from attrs import frozen

from charging_manager.errors import ConfigError
from charging_manager.paths import give_to_owner_of, make_private
from charging_manager.storage.files import sync_folder

FORMAT = 1
MANIFEST = "manifest.json"
_NOT_KEPT = {"run", "recording", "why"}
_LARGEST_MANIFEST = 16 * 1024 * 1024
_MAGIC = b"SQLite format 3\0"
_WAL = ("-wal", "-shm", "-journal")

Check = Callable[[Path], None]
"""Looks at an unpacked state directory. Raises: ChargingManagerError with what is wrong with it."""


@frozen
class Backup:
    """What a file holds, as its manifest says and its bytes confirm."""

    program: str
    created_at: str
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.files.values())


def make_backup(data: Path, target: Path, program: str, at: datetime) -> Backup:
    """Write ``target``, whole or not at all, 0600. Raises: ConfigError."""
    if not data.is_dir():
        raise ConfigError(str(data), "there is no such state directory; name one with --data")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=_folder_of(target)) as place:
        copied = Path(place) / "state"
        try:
            files = {name: _copy(data / name, copied / name) for name in _names(data)}
            if not files:
                raise ConfigError(str(data), "there is nothing in it to be kept; name the state directory with --data")
            backup = Backup(program, at.isoformat(timespec="seconds"), files)
            packed = Path(place) / "packed"
            _pack(copied, backup, packed)
            packed.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise ConfigError(str(target), f"cannot be written ({error.strerror})") from error
    give_to_owner_of(target.parent, target)
    return backup


def check_backup(source: Path, checks: Check) -> Backup:
    """Unpack it somewhere else and look at everything. Raises: ConfigError, or what ``checks`` raises."""
    with tempfile.TemporaryDirectory(prefix="cm-check-") as place:
        return _unpack(source, Path(place) / "state", checks)


def restore_backup(source: Path, data: Path, checks: Check) -> tuple[Backup, Path | None]:
    """Put its state in the place of ``data``, when all of it is sound; what was there moves aside: where to.

    Raises: ConfigError; then nothing was changed.
    """
    make_private(data.parent)
    place = Path(tempfile.mkdtemp(prefix=".restore-", dir=data.parent))
    try:
        backup = _unpack(source, place / "state", checks)
        aside = None
        with _nobody_runs(data):
            try:
                if data.exists() and any(data.iterdir()):
                    aside = data.with_name(f"{data.name}.before-{secrets.token_hex(3)}")
                    data.rename(aside)
                elif data.exists():
                    data.rmdir()
                (place / "state").rename(data)
                sync_folder(data.parent)
            except OSError as error:
                raise ConfigError(str(data), f"cannot be replaced ({error.strerror})") from error
        return backup, aside
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _folder_of(target: Path) -> Path:
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(str(target), "must be a file in a folder that exists")
    return target.parent


def _names(data: Path) -> Iterator[str]:
    """Every file to be kept, by its path inside; links are none of ours."""
    for folder, folders, files in os.walk(data):
        folders[:] = sorted(name for name in folders if name not in _NOT_KEPT and not name.startswith("."))
        for name in sorted(files):
            path = Path(folder) / name
            if not name.startswith(".") and not name.endswith((".lock", *_WAL)) and not path.is_symlink():
                yield path.relative_to(data).as_posix()


def _copy(source: Path, target: Path) -> tuple[int, str]:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with source.open("rb") as opened:
        is_database = opened.read(len(_MAGIC)) == _MAGIC
    if is_database:
        try:
            with (
                closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
                closing(sqlite3.connect(target)) as new,
            ):
                old.backup(new)
                new.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise ConfigError(str(source), f"the database cannot be copied ({error})") from error
    else:
        shutil.copyfile(source, target)
    with target.open("rb") as opened:
        return target.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest()


def _pack(copied: Path, backup: Backup, packed: Path) -> None:
    manifest = {
        "format": FORMAT,
        "program": backup.program,
        "created_at": backup.created_at,
        "files": {name: {"size": size, "sha256": digest} for name, (size, digest) in backup.files.items()},
    }
    data = json.dumps(manifest, indent=1).encode()
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mode = len(data), 0o600
            tar.addfile(head, io.BytesIO(data))
            for name, (size, _) in backup.files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = size, 0o600
                with (copied / name).open("rb") as opened:
                    tar.addfile(info, opened)
        file.flush()
        os.fsync(file.fileno())


def _unpack(source: Path, place: Path, checks: Check) -> Backup:
    place.mkdir(mode=0o700)
    try:
        with tarfile.open(source, "r:gz") as tar:
            backup = _read_manifest(tar)
            left = dict(backup.files)
            while (member := tar.next()) is not None:
                expected = left.pop(member.name, None)
                opened = tar.extractfile(member) if member.isreg() else None
                if expected is None or opened is None:
                    raise ConfigError(str(source), f"holds {member.name[:80]!r}, which its manifest does not name")
                if _write(opened, place / member.name) != expected:
                    raise ConfigError(str(source), f"{member.name} in it is damaged; use another backup")
    except (tarfile.TarError, EOFError, OSError, ValueError, TypeError, KeyError, zlib.error) as error:
        if isinstance(error, FileNotFoundError):
            raise ConfigError(str(source), "there is no such file") from error
        raise ConfigError(str(source), "is damaged, or no backup of a Charging Manager; use another one") from error
    if left:
        raise ConfigError(str(source), f"{next(iter(left))} is missing in it; use another backup")
    for name in backup.files:
        _check_database(place / name, source)
    checks(place)
    return backup


def _read_manifest(tar: tarfile.TarFile) -> Backup:
    """Raises: ValueError for whatever is none; the names in it are safe to be written."""
    member = tar.next()
    opened = tar.extractfile(member) if member and member.isreg() and member.size <= _LARGEST_MANIFEST else None
    if member is None or member.name != MANIFEST or opened is None:
        raise ValueError("no manifest")
    held = json.loads(opened.read())
    if not isinstance(held, dict) or held.get("format") != FORMAT or not isinstance(held.get("files"), dict):
        raise ValueError("another format")
    files = {}
    for name, said in held["files"].items():
        parts = PurePosixPath(name).parts
        if not parts or name != "/".join(parts) or name.startswith("/") or ".." in parts or "\0" in name:
            raise ValueError("an unsafe name")
        files[name] = (int(said["size"]), str(said["sha256"]))
    return Backup(str(held.get("program", "")), str(held.get("created_at", "")), files)


def _write(opened: IO[bytes], target: Path) -> tuple[int, str]:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while piece := opened.read(1024 * 1024):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _check_database(path: Path, source: Path) -> None:
    with path.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            found = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise ConfigError(str(source), f"the database {path.name} in it is damaged ({found}); use another backup")


@contextlib.contextmanager
def _nobody_runs(data: Path) -> Iterator[None]:
    """Hold the locks of all databases there. Raises: ConfigError if a daemon has one."""
    held = []
    try:
        for lock in sorted(data.glob("*/*.lock")):
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            held.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(str(data), "is in use by a running program; stop that one first") from error
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
