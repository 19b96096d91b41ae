"""Of which daemon a state is: the agent, the cloud server, or both in one folder; and whether a backup fits there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from charging_manager.errors import ConfigError

DAEMONS = ("agent", "cloud")
"""What a daemon is called, and the folder in a state directory that only it makes."""

Fit = Callable[[frozenset[str]], None]
"""Told of which daemons a backup is, before it is unpacked. Raises: ConfigError if it does not belong there."""


def fits_anywhere(daemons: frozenset[str]) -> None:
    """A Fit for those who do not look."""


def daemons_named(names: Iterable[str]) -> frozenset[str]:
    """By the paths of what is kept of them; of neither where no daemon has run yet."""
    return frozenset(folder for name in names if (folder := name.partition("/")[0]) in DAEMONS and folder != name)


def daemons_in(data: Path) -> frozenset[str]:
    """Whose state is there. Raises: OSError if that cannot be seen."""
    return frozenset(name for name in DAEMONS if (data / name).is_dir() and any((data / name).iterdir()))


def fits_only(own: str) -> Fit:
    """For the state of that daemon, whether or not another one's is beside it."""

    def fit(daemons: frozenset[str]) -> None:
        if daemons and own not in daemons:
            if own == "agent":
                raise ConfigError("", "this is a cloud server's backup; restore it at a cloud server, not at an agent")
            raise ConfigError("", "this is an agent's backup; restore it at an agent, not at a cloud server")

    return fit
