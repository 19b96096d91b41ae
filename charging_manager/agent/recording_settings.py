"""Whether readings and decisions are recorded, and how much of it is kept."""

from __future__ import annotations

from attrs import frozen

from charging_manager.errors import ConfigError


@frozen
class RecordingSettings:
    """Whatever comes first ends what is kept: its age or its size."""

    enabled: bool = True
    days: int = 2
    mib: int = 200


def check_recording(settings: RecordingSettings) -> None:
    """Raises: ConfigError with the key path."""
    if not 1 <= settings.days <= 31:
        raise ConfigError("recording.days", "a whole number of days from 1 to 31")
    if not 1 <= settings.mib <= 10_000:
        raise ConfigError("recording.mib", "a whole number of MiB from 1 to 10000")
