"""What the Debian packages call after each change of version, before the daemon starts: ``upkeep agent|cloud OLD``.

Upwards, the state as the old version left it is kept in a backup of its own; the daemon then brings the database up.
Downwards, a state that has become too new for this program makes way for the newest backup that it can read, and lies
beside it. Nothing here may keep a package from being installed: whatever goes wrong is said in one sentence.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from attrs import frozen

from charging_manager import VERSION
from charging_manager.agent.kept import AGENT
from charging_manager.cli.backup import Look, schema_of
from charging_manager.clocks import utc_now
from charging_manager.cloud.kept import CLOUD
from charging_manager.cloud.stores import refuse_shared
from charging_manager.errors import ChargingManagerError
from charging_manager.storage.backup import make_backup
from charging_manager.storage.daemons import fits_only
from charging_manager.storage.restore import commit, discard, finish, nobody_runs, stage
from charging_manager.storage.schema import version_of

MOST = 5
"""So many backups of upgrades are kept."""


@frozen
class Place:
    """One daemon's state, the database in it, and where its backups lie."""

    data: Path
    database: str
    backups: Path

    def kept(self) -> list[Path]:
        """Backups of upgrades, the newest first."""
        return sorted(self.backups.glob("*-from-*.tar.gz"), reverse=True)


STATES, BACKUPS = Path("/var/lib"), Path("/var/backups/charging-manager")
PLACES = {
    "agent": Place(STATES / "charging-manager", AGENT.database, BACKUPS / "agent"),
    "cloud": Place(STATES / "charging-manager-cloud", CLOUD.database, BACKUPS / "cloud"),
}


def version_changed(place: Place, old: str) -> str:
    """Do what is due, and say it.

    Raises: ChargingManagerError, OSError or sqlite3.Error; then the state is as it was.
    """
    if not place.data.is_dir() or not any(place.data.iterdir()):
        return ""
    finish(place.data)
    if _is_newer(place.data / place.database):
        return _roll_back(place)
    if old == VERSION:
        return ""
    refuse_shared(place.data)
    target = place.backups / f"{utc_now():%Y%m%d-%H%M%S}-from-{old.replace('/', '_')}.tar.gz"
    make_backup(place.data, target, f"charging-manager {old}", utc_now())
    for spare in place.kept()[MOST:]:
        spare.unlink()
    return f"{target}: the state as version {old} left it."


def _is_newer(database: Path) -> bool:
    if not database.is_file():
        return False
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
        return version_of(opened) > len(schema_of(database))


def _roll_back(place: Place) -> str:
    reasons = []
    for candidate in place.kept():
        try:
            held = stage(candidate, place.data, Look(), fits=fits_only(Path(place.database).parent.name))
            with nobody_runs(place.data):
                commit(place.data, held, utc_now())
            done = finish(place.data)
        except ChargingManagerError as error:
            reasons.append(str(error))
            discard(place.data)
            continue
        aside = f"; what was recorded since then is in {done.aside}" if done and done.aside else ""
        return f"{place.data}: back to the state of {held.created_at}, from {candidate}{aside}."
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return (
        f"{place.data}: was written by a newer version, and {place.backups} holds no backup that this one can "
        f"read{why}: install the newer version again, or restore a backup of your own (charging_manager restore)."
    )


def main(words: Sequence[str]) -> int:
    """Always 0, so that a state that nobody can read hinders no package."""
    daemon, old = words
    place = PLACES[daemon]
    try:
        said = version_changed(place, old)
    except (ChargingManagerError, OSError, sqlite3.Error) as error:
        said = f"{place.data}: no backup was made ({error}); the state is as it was."
    if said:
        print(f"charging_manager: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
