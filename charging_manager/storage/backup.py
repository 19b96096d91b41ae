"""A state directory in one file: consistent while the daemon runs, and read again before it is called done.

The file is a gzipped tar whose first member, ``manifest.json``, says of which daemon it is, and names every other one
with size and SHA-256; with a passphrase all of it is sealed (sealed.py). Databases are copied by SQLite itself, each as
of one instant. What is only of this run (locks, the runtime file), or can be recorded again (readings and decisions of
the last days), is left out.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, cast

from attrs import frozen

from charging_manager.errors import ConfigError
from charging_manager.paths import give_to_owner_of
from charging_manager.storage.daemons import DAEMONS, Fit, daemons_named, fits_anywhere
from charging_manager.storage.files import sync_folder, workplace
from charging_manager.storage.room import full_disk_named, is_full, need_room
from charging_manager.storage.sealed import INTRO, Sealing, Unsealing, WrongPassphrase, is_sealed

FORMAT = 1
MANIFEST = "manifest.json"
NOT_KEPT = {"run", "recording", "why", "backups", "backup-passphrase"}
ASIDE = "before-restore-"
"""What a state directory is called that a restore has put aside."""
_LARGEST_MANIFEST = 16 * 1024 * 1024
_MAGIC = b"SQLite format 3\0"
_WAL = ("-wal", "-shm", "-journal")
_PIECE = 1024 * 1024

Check = Callable[[Path], None]
"""Looks at an unpacked state directory. Raises: ChargingManagerError with what is wrong with it."""
Progress = Callable[[int, int], None]
"""Told from time to time: bytes done, bytes in all. What it raises ends the work."""


def nobody_asks(done: int, total: int) -> None:
    """A Progress for those who do not look."""


@frozen
class Backup:
    """What a file holds, as its manifest says and its bytes confirm."""

    program: str
    created_at: str
    files: Mapping[str, tuple[int, str]]
    sealed: bool = False
    daemons: frozenset[str] = frozenset()
    """Of which it is: of one, of both that share a state directory, or of neither, where none has run yet."""

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.files.values())


def make_backup(
    data: Path,
    target: Path,
    program: str,
    at: datetime,
    *,
    passphrase: str | None = None,
    checks: Check | None = None,
    progress: Progress = nobody_asks,
) -> Backup:
    """Write ``target``, whole or not at all, 0600, and read it again.

    ``checks`` looks at the copies before they are packed. Raises: ConfigError, or what the functions given raise.
    """
    if not data.is_dir():
        raise ConfigError(str(data), "there is no such state directory; name one with --data")
    folder = _folder_of(target)
    names = list(_names(data))
    if not names:
        raise ConfigError(str(data), "there is nothing in it to be kept; name the state directory with --data")
    size = sum(_size_now(data / name) for name in names)
    need_room(folder, 2 * size)  # the copies, and at worst as much again packed
    told = _Told(3 * size, progress)
    try:
        with full_disk_named(folder), workplace(folder, ".cm-backup-") as place:
            copied = place / "state"
            files = {name: _copy(data / name, copied / name, told) for name in names}
            for name in files:
                _check_database(copied / name, data)
            if checks is not None:
                checks(copied)
            made_at = at.isoformat(timespec="seconds")
            backup = Backup(program, made_at, files, passphrase is not None, daemons_named(files))
            packed = place / "packed"
            _pack(copied, backup, packed, passphrase, told)
            with reading(packed, passphrase) as found:
                for name, member in found.members():
                    if _swallow(member, told) != files[name]:
                        raise ConfigError(str(target), "what was written does not read back; check the disk")
            give_to_owner_of(folder, packed)
            packed.replace(target)
            sync_folder(folder)
    except OSError as error:
        raise ConfigError(str(target), "cannot be written ({reason})", reason=error.strerror) from error
    return backup


def unpack(
    source: Path,
    place: Path,
    passphrase: str | None = None,
    progress: Progress = nobody_asks,
    fits: Fit = fits_anywhere,
) -> Backup:
    """Into ``place``, which is made; everything there is private and has reached the disk. Raises: ConfigError."""
    with reading(source, passphrase) as found:
        fits(found.backup.daemons)
        need_room(place.parent, found.backup.size)
        with full_disk_named(place.parent):
            place.mkdir(mode=0o700)
            told = _Told(found.backup.size, progress)
            for name, member in found.members():
                found.confirm(name, _write(member, place / name, told))
            for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
                sync_folder(folder)
        backup = found.backup
    for name in backup.files:
        _check_database(place / name, source)
    return backup


def is_encrypted(source: Path) -> bool:
    """Does it need a passphrase? What cannot be read does not: reading it will say why."""
    try:
        with source.open("rb") as file:
            return is_sealed(file.read(len(INTRO)))
    except OSError:
        return False


class Reading:
    """An open backup. All of its members must be taken, in order; what is amiss is a ConfigError."""

    def __init__(self, source: Path, tar: tarfile.TarFile, sealed: bool) -> None:
        self._source, self._tar = source, tar
        self.backup = _read_manifest(tar, sealed)

    def members(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Raises: ConfigError for one too many, one of another size, or one that is missing."""
        left = dict(self.backup.files)
        while (member := self._tar.next()) is not None:
            expected = left.pop(member.name, None)
            opened = self._tar.extractfile(member) if member.isreg() else None
            if expected is None or opened is None:
                raise ConfigError(
                    str(self._source), "holds {name}, which its manifest does not name", name=repr(member.name[:80])
                )
            if member.size != expected[0]:
                raise ConfigError(str(self._source), _damaged_sentence, name=member.name)
            yield member.name, opened
        if left:
            raise ConfigError(str(self._source), "{name} is missing in it; use another backup", name=next(iter(left)))

    def confirm(self, name: str, found: tuple[int, str]) -> None:
        """Raises: ConfigError unless size and checksum are those of the manifest."""
        if self.backup.files[name] != found:
            raise ConfigError(str(self._source), _damaged_sentence, name=name)


_damaged_sentence = "{name} in it is damaged; use another backup"


@contextlib.contextmanager
def reading(source: Path, passphrase: str | None) -> Iterator[Reading]:
    """Read a backup from its beginning to its end, in bounded memory.

    Raises: ConfigError, also for what is found while its members are taken, and for what stands behind the last one.
    """
    try:
        with source.open("rb") as file:
            clear = _opened(source, file, passphrase)
            with gzip.GzipFile(fileobj=clear, mode="rb") as unzipped:
                with tarfile.open(fileobj=unzipped, mode="r|") as tar:
                    yield Reading(source, tar, clear is not file)
                while unzipped.read(_PIECE):
                    pass  # up to gzip's own checksum, and to the mark of the last chunk where it is sealed
    except FileNotFoundError as error:
        raise ConfigError(str(source), "there is no such file") from error
    except PermissionError as error:
        raise ConfigError(str(source), "may not be read by this user") from error
    except (tarfile.TarError, EOFError, OSError, ValueError, TypeError, KeyError, zlib.error) as error:
        if is_full(error):
            raise
        raise ConfigError(
            str(source), "is damaged, cut off, or no backup of a Charging Manager; use another one"
        ) from error


def _opened(source: Path, file: IO[bytes], passphrase: str | None) -> IO[bytes]:
    sealed = is_sealed(file.read(len(INTRO)))
    file.seek(0)
    if not sealed:
        return file
    if not passphrase:
        raise ConfigError(str(source), "is encrypted: its passphrase is needed")
    try:
        return io.BufferedReader(Unsealing(file, passphrase), 65_536)
    except WrongPassphrase as error:
        raise ConfigError(str(source), "this is not the passphrase that it was encrypted with") from error


class _Told:
    """Counts bytes for a Progress."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, size: int) -> None:
        self._done += size
        self._progress(min(self._done, self._total), self._total)


def _folder_of(target: Path) -> Path:
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(str(target), "must be a file in a folder that exists")
    return target.parent


def _names(data: Path) -> Iterator[str]:
    """Every file to be kept, by its path inside; links are none of ours."""
    for folder, folders, files in os.walk(data):
        folders[:] = sorted(name for name in folders if name not in NOT_KEPT and not name.startswith((".", ASIDE)))
        for name in sorted(files):
            path = Path(folder) / name
            kept = name not in NOT_KEPT and not name.startswith(".") and not name.endswith((".lock", *_WAL))
            if kept and not path.is_symlink():
                yield path.relative_to(data).as_posix()


def _size_now(path: Path) -> int:
    """With what waits in a database's WAL; a file that has just gone counts nothing."""
    total = 0
    for one in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(FileNotFoundError):
            total += one.stat().st_size
    return total


def _copy(source: Path, target: Path, told: _Told) -> tuple[int, str]:
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
            if is_full(error):
                raise
            raise ConfigError(str(source), "the database cannot be copied ({reason})", reason=error) from error
    else:
        shutil.copyfile(source, target)
    with target.open("rb") as opened:
        return _digest(opened, None, told)


def _pack(copied: Path, backup: Backup, packed: Path, passphrase: str | None, told: _Told) -> None:
    manifest = {
        "format": FORMAT,
        "program": backup.program,
        "created_at": backup.created_at,
        "daemons": sorted(backup.daemons),
        "files": {name: {"size": size, "sha256": digest} for name, (size, digest) in backup.files.items()},
    }
    data = json.dumps(manifest, indent=1).encode()
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        sealing = None if passphrase is None else Sealing(file, passphrase)
        sink = cast(IO[bytes], sealing or file)
        with tarfile.open(fileobj=sink, mode="w:gz", compresslevel=6) as tar:
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mode = len(data), 0o600
            tar.addfile(head, io.BytesIO(data))
            for name, (size, _) in backup.files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = size, 0o600
                with (copied / name).open("rb") as opened:
                    tar.addfile(info, cast(IO[bytes], _Counted(opened, told)))
        if sealing is not None:
            sealing.finish()
        file.flush()
        os.fsync(file.fileno())


class _Counted:
    """A file that is read, and counted while it is."""

    def __init__(self, file: IO[bytes], told: _Told) -> None:
        self._file, self._told = file, told

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._told.add(len(data))
        return data


def _read_manifest(tar: tarfile.TarFile, sealed: bool) -> Backup:
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
    said = held.get("daemons")  # older ones do not say it, and what they hold does
    daemons = frozenset(said) & set(DAEMONS) if isinstance(said, list) else daemons_named(files)
    return Backup(str(held.get("program", "")), str(held.get("created_at", "")), files, sealed, daemons)


def _write(opened: IO[bytes], target: Path, told: _Told) -> tuple[int, str]:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        found = _digest(opened, file, told)
        file.flush()
        os.fsync(file.fileno())
    return found


def _swallow(opened: IO[bytes], told: _Told) -> tuple[int, str]:
    return _digest(opened, None, told)


def _digest(opened: IO[bytes], out: IO[bytes] | None, told: _Told) -> tuple[int, str]:
    """Size and SHA-256 of what is read, which also goes ``out`` if that is given."""
    digest, size = hashlib.sha256(), 0
    while piece := opened.read(_PIECE):
        digest.update(piece)
        size += len(piece)
        if out is not None:
            out.write(piece)
        told.add(len(piece))
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
        raise ConfigError(
            str(source),
            "the database {name} in it is damaged ({reason}); another backup is needed",
            name=path.name,
            reason=found,
        )
