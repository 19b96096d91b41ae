"""A backup's state in the place of the one that is there, so that a ``kill -9`` at any instant leaves a whole one.

Theory of operation: ``stage`` unpacks into ``<data>/.restore/state`` and looks at all of it; nothing else changes.
``commit`` writes ``<data>/.restore/ready``, and from that instant on the new state is the one that counts. ``finish``
moves the old entries aside and the new ones in, by renames on one file system; each step can be told from what is
there, so whoever comes next goes on where a killed process was. Every program that opens a state directory calls
``finish`` first. All of it happens inside the directory, because a service has no right to its parent, and because it
may be a mount point: decisions/0010.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from attrs import frozen

from charging_manager.errors import ConfigError
from charging_manager.paths import give_to_owner_of, make_private
from charging_manager.storage.backup import ASIDE, Backup, Check, Progress, nobody_asks, unpack
from charging_manager.storage.daemons import Fit, fits_anywhere
from charging_manager.storage.files import hold_folder, sync_folder, write_private
from charging_manager.storage.room import full_disk_named

STAGE = ".restore"
_READY = "ready"
_STATE = "state"
STAYS = {STAGE, "run", "backups", "backup-passphrase"}
"""What belongs to the machine rather than to the state: neither replaced nor put aside."""


@frozen
class Restored:
    """What ``finish`` has done. ``aside`` holds what was there before; None: there was nothing."""

    created_at: str
    program: str
    files: int
    aside: Path | None


def stage(
    source: Path,
    data: Path,
    checks: Check,
    *,
    fits: Fit = fits_anywhere,
    passphrase: str | None = None,
    progress: Progress = nobody_asks,
) -> Backup:
    """Unpack it beside the state that is there, if it ``fits``, and look at everything.

    Raises: ConfigError, or what others raise.
    """
    make_private(data)
    with _alone(data) as place:
        if (place / _READY).exists():
            raise ConfigError(str(data), "a restore was confirmed already; it is carried out at the next start")
        state = place / _STATE
        shutil.rmtree(state, ignore_errors=True)
        try:
            backup = unpack(source, state, passphrase, progress, fits)
            checks(state)
            give_to_owner_of(data, place, *place.rglob("*"))
        except BaseException:
            shutil.rmtree(state, ignore_errors=True)
            raise
    return backup


def staged(data: Path) -> Path | None:
    """Where an unpacked state waits to be confirmed."""
    state = data / STAGE / _STATE
    return state if state.is_dir() else None


def discard(data: Path) -> None:
    """What was unpacked is not wanted. Raises: ConfigError while somebody works on it."""
    with _alone(data) as place:
        if not (place / _READY).exists():
            shutil.rmtree(place, ignore_errors=True)


def commit(data: Path, backup: Backup, at: datetime) -> None:
    """From here on the staged state counts; ``finish`` carries it out. Raises: ConfigError, and nothing was changed."""
    with _alone(data) as place, full_disk_named(data):
        if not (place / _STATE).is_dir():
            raise ConfigError(str(data), "what was unpacked is gone; look at the backup again")
        names = sorted(path.name for path in (place / _STATE).iterdir())
        plan = {
            "aside": f"{ASIDE}{at:%Y%m%d-%H%M%S}",
            "names": names,
            "created_at": backup.created_at,
            "program": backup.program,
            "files": len(backup.files),
        }
        sync_folder(place)
        write_private(place / _READY, json.dumps(plan).encode())


def finish(data: Path) -> Restored | None:
    """Carry out what was committed, now or before a ``kill -9``; None: nothing was. To be called before all else.

    Raises: ConfigError in one sentence while a program still uses the old state, or for trouble with the disk; then the
    next call goes on.
    """
    if not (data / STAGE / _READY).is_file():
        if (data / STAGE).is_dir():  # unpacked and never confirmed
            with contextlib.suppress(ConfigError):
                discard(data)
        return None
    with _alone(data) as place:
        try:
            plan = json.loads((place / _READY).read_bytes())
        except FileNotFoundError:
            return None
        with nobody_runs(data):
            try:
                aside = _swap(data, place, plan)
            except OSError as error:
                raise ConfigError(
                    str(data),
                    "the restore cannot be carried out ({reason}); start again when that is mended",
                    reason=error.strerror,
                ) from error
    return Restored(plan["created_at"], plan["program"], plan["files"], aside)


def _swap(data: Path, place: Path, plan: dict[str, object]) -> Path | None:
    aside, state = data / str(plan["aside"]), place / _STATE
    names = set(plan["names"])  # type: ignore[call-overload]
    for old in sorted(data.iterdir()):
        new_waits = (state / old.name).exists()
        if old.name in STAYS or old.name.startswith(ASIDE) or (old.name in names and not new_waits):
            continue
        make_private(aside)
        old.rename(_free(aside / old.name))
    if state.is_dir():
        for new in sorted(state.iterdir()):
            new.rename(data / new.name)
    for folder in (data, place, *((aside,) if aside.is_dir() else ())):
        sync_folder(folder)
    (place / _READY).unlink()
    sync_folder(place)
    shutil.rmtree(place, ignore_errors=True)
    return aside if aside.is_dir() else None


def _free(path: Path) -> Path:
    """A name that nothing has yet: of a program that did not ask ``finish`` first, something may lie there already."""
    number, free = 1, path
    while free.exists():
        number, free = number + 1, path.with_name(f"{path.name}.{number}")
    return free


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[Path]:
    """The folder of restores, held by this process alone."""
    place = make_private(data / STAGE)
    try:
        with hold_folder(place):
            yield place
    except BlockingIOError as error:
        raise ConfigError(str(data), "another restore is at work there; try again in a moment") from error


@contextlib.contextmanager
def nobody_runs(data: Path, but: Path | None = None) -> Iterator[None]:
    """Hold the locks of all databases there, except that of ``but``. Raises: ConfigError if a daemon has one."""
    held = []
    try:
        for lock in sorted(data.glob("*/*.lock")):
            if but is not None and lock == but.with_name(but.name + ".lock"):
                continue
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
