"""One installation, as the cloud keeps it."""

from __future__ import annotations

from typing import Any

from attrs import frozen


@frozen
class Installation:
    """One row for the cloud's admin. ``number`` is ours and never given twice; ``cloud_id`` is as it was written."""

    number: int
    cloud_id: str
    source: str
    created_at: str
    last_seen_at: str | None
    version: str | None
    state: str
    """disabled, waiting (for the admin's approval), connected or offline; the last two as of the last writing."""
    note: str
    tags: tuple[str, ...]
    received_bytes: int
    sent_bytes: int
    failed_logins: int
    alarm_at: str | None
    new_password: bool
    """A new password is set that no agent has proved yet."""

    @property
    def may_enter(self) -> bool:
        """Whether its tunnel, and logins at it, are let in."""
        return self.state not in ("disabled", "waiting")


def why_not(known: Installation | None) -> str | None:
    """The code of ``tunnel.reasons`` with which its tunnel is closed; None: it may stay."""
    if known is None:
        return "deleted"
    return {"disabled": "disabled", "waiting": "not-approved"}.get(known.state)


COLUMNS = (
    "number, cloud_id, source, created_at, last_seen_at, version, state, note, tags, received_bytes, sent_bytes,"
    " failed_logins, alarm_at, next_verifier IS NOT NULL"
)


def read_row(row: Any) -> Installation:
    """Of ``COLUMNS``."""
    values = list(row)
    values[8] = tuple(values[8].split())
    values[13] = bool(values[13])
    return Installation(*values)
