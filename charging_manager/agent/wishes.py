"""Who wants what of which charge point now, from the configuration and the open sessions."""

from __future__ import annotations

from charging_manager.agent.config import Configuration
from charging_manager.agent.sessions import SessionBook
from charging_manager.model.wish import Wish


def wishes(config: Configuration, book: SessionBook) -> dict[str, Wish]:
    """By charge point, where a car is plugged in, something was set by hand or there is a goal."""
    found = {}
    for name in book.charge_points() | config.overrides.keys() | config.goals.keys():
        session = book.running(name)
        found[name] = Wish(
            user=session.user if session else None,
            priority=_priority(config, session.user if session else None),
            by_hand=name in config.overrides,
            session_wh=session.energy_wh if session else 0.0,
            goal=config.goals.get(name),
        )
    return found


def _priority(config: Configuration, user: str | None) -> int | None:
    known = config.users.get(user) if user is not None else None
    return known.priority if known is not None else None
