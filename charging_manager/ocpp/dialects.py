"""Both versions of OCPP behind one interface, found by what they are called in the opening handshake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from charging_manager.ocpp.messages import Version
from charging_manager.ocpp.v16 import Version16
from charging_manager.ocpp.v201 import Version201
from charging_manager.ocpp.values import Abilities, Course, Event, Profile, Request, Transaction


class Dialect(Protocol):
    """What we need of a version. Everything is pure."""

    version: Version

    def event(self, action: str, said: Mapping[str, Any]) -> Event: ...

    def boot_answer(self, status: str, now_at: datetime, interval_s: int) -> dict[str, Any]: ...

    def alive_answer(self, now_at: datetime) -> dict[str, Any]: ...

    def asks_answer(self, may: bool) -> dict[str, Any]: ...

    def told_answer(self, action: str) -> dict[str, Any]: ...

    def transaction_answer(self, event: Transaction, number: str, may: bool) -> dict[str, Any]: ...

    def ask_abilities(self) -> tuple[Request, ...]: ...

    def abilities(self, answers: Sequence[Mapping[str, Any]]) -> Abilities: ...

    def set_abilities(self, known: Abilities, sample_s: int) -> tuple[Request, ...]: ...

    def key_of(self, request: Request) -> str: ...

    def was_set(self, answer: Mapping[str, Any]) -> bool: ...

    def set_profile(self, connector: int, profile: Profile) -> Request: ...

    def clear_profiles(self, connector: int) -> Request: ...

    def ask_course(self, connector: int, for_s: int) -> Request: ...

    def course(self, answer: Mapping[str, Any]) -> Course | None: ...

    def trigger(self, what: str, connector: int | None = None) -> Request: ...

    def start(self, connector: int, token: str, number: int) -> Request: ...

    def stop(self, transaction: str) -> Request: ...


DIALECTS: Mapping[str, Dialect] = {
    Version201.version.subprotocol: Version201(),
    Version16.version.subprotocol: Version16(),
}
"""By subprotocol, the one that we like best first."""


def choose(offered: Sequence[str]) -> Dialect | None:
    """The best of those that both sides speak. 2.0 (no .1) and 2.1 are others, and not spoken here."""
    return next((dialect for name, dialect in DIALECTS.items() if name in offered), None)
