"""Where files lie: one rule for a checkout, a wheel and a Debian package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from charging_manager.errors import ConfigError

_HERE = Path(__file__).resolve().parent.parent


def shared(name: str) -> Path:
    """The folder ``drivers``, ``web``, ``locale`` or ``scenarios`` that belongs to this program.

    Raises: ConfigError if none exists, which means a broken installation.
    """
    places = [
        _HERE / name,
        Path(sys.prefix) / "share/charging-manager" / name,
        Path("/usr/local/share/charging-manager") / name,
        Path("/usr/share/charging-manager") / name,
    ]
    if not (_HERE / "setup.cfg").exists():  # installed: a folder of that name in site-packages is not ours
        places = places[1:]
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError(name, f"not found in {', '.join(map(str, places))}; install Charging Manager again")


def driver_folders(more: Iterable[str] = ()) -> list[Path]:
    """Where drivers lie: the packaged folder, the system's, then those named; later ones win."""
    return [shared("drivers"), config_folder() / "drivers", *map(Path, more)]


def config_folder() -> Path:
    """Where people write settings and drivers for the daemons: ``$CONFIGURATION_DIRECTORY``, else in /etc."""
    systemd = os.environ.get("CONFIGURATION_DIRECTORY")
    return Path(systemd.split(":")[0]) if systemd else Path("/etc/charging-manager")


def state_folder(given: str | None, daemon: str = "agent") -> Path:
    """The state directory by CONTRACT's rule: ``--data``, ``$STATE_DIRECTORY``, ``/var/lib``, the XDG state home."""
    if given:
        return Path(given).absolute()
    systemd = os.environ.get("STATE_DIRECTORY")
    if systemd:
        return Path(systemd.split(":")[0])
    packaged = Path("/var/lib/charging-manager" + ("-cloud" if daemon == "cloud" else ""))
    if packaged.is_dir():
        return packaged
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(home) / ("charging-manager" + ("-cloud" if daemon == "cloud" else ""))


def own_state_folder(given: str | None, daemon: str = "agent") -> Path:
    """The ``state_folder`` for a command of the user who runs it. Raises: ConfigError if it is somebody else's."""
    data = state_folder(given, daemon)
    try:
        others = data.stat().st_uid != os.geteuid()
    except (FileNotFoundError, NotADirectoryError):
        return data  # which another sentence is about
    except PermissionError:
        others = True
    if others and not os.access(data, os.R_OK | os.X_OK, effective_ids=True):
        raise ConfigError("", f"the state in {data} belongs to another user; run this with sudo")
    return data


def make_private(folder: Path) -> Path:
    """Create ``folder`` with mode 0700, owned by its parent's owner when root creates it for somebody else.

    Raises: ConfigError in one sentence if that is not possible.
    """
    try:
        if not folder.is_dir():
            make_parents = folder.parent
            make_parents.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            give_to_owner_of(make_parents, folder)
    except OSError as error:
        raise ConfigError(str(folder), f"cannot be created ({error.strerror}); choose another with --data") from error
    return folder


def give_to_owner_of(folder: Path, *made: Path) -> None:
    """When root wrote into somebody's folder, what it wrote belongs to that somebody."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    for path in made:
        os.chown(path, owner.st_uid, owner.st_gid)


def runtime_folder(data: Path) -> Path:
    """Where a running daemon leaves ``<port>.json``: ``$RUNTIME_DIRECTORY``, else ``<data>/run``."""
    systemd = os.environ.get("RUNTIME_DIRECTORY")
    return Path(systemd.split(":")[0]) if systemd else data / "run"


def runtime_folders(data: Path) -> tuple[Path, ...]:
    """Where to look for what a running daemon left: beside its own rule, where its unit lets systemd make a folder."""
    folders = (runtime_folder(data), data / "run")
    return (*folders, Path("/run") / data.name) if data.parent == Path("/var/lib") else folders
