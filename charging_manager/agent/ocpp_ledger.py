"""Transactions of OCPP: a number for each, whose card it was, and what they tell of charging sessions.

Nothing is acknowledged to a charge point before it is durable. A charge point that got no answer says it again, and
finds the same number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import evolve, frozen
from twisted.logger import Logger

from charging_manager.agent.config import Configuration
from charging_manager.agent.records import Records
from charging_manager.agent.sessions import Begun, SessionBook, Step
from charging_manager.agent.store import Storage
from charging_manager.clocks import UtcNow
from charging_manager.modbus.address import OcppAddress, parse_address
from charging_manager.ocpp.messages import BadFrame
from charging_manager.ocpp.values import Moment, Transaction
from charging_manager.storage.database import StorageError

KEPT = 20_000
"""Transactions; older ones are sessions by then."""

_OLDEST = timedelta(days=366)
_AHEAD = timedelta(minutes=5)
_LONGEST_TOKEN = 64
AGAIN = "this cannot be written down now; send it again later"


class Digests(Protocol):
    """Keyed hashes of secrets (people.People)."""

    def digest_of(self, what: str, secret: str) -> str: ...

    def hash_of(self, user_id: str) -> str: ...


@frozen
class Row:
    """A transaction as it is stored."""

    id: int
    identity: str
    connector: int
    number: str
    began_at: datetime
    begin_wh: float | None
    user: str | None
    token: str
    ended_at: datetime | None = None
    end_wh: float | None = None
    told: bool = False

    @property
    def name(self) -> str:
        """What the charge point calls it."""
        return self.number or str(self.id)


class TransactionLedger:
    """devices.station.Ledger, kept in the database."""

    log = Logger()

    def __init__(
        self,
        storage: Storage,
        records: Records,
        book: SessionBook,
        note: Callable[[list[Step]], None],
        config: Callable[[], Configuration],
        digests: Digests,
        now: UtcNow,
    ) -> None:
        self._storage, self._records, self._book, self._note = storage, records, book, note
        self._config, self._digests, self._now = config, digests, now
        self._open: dict[tuple[str, int], Row] = {}
        self.own_token = "CM-" + digests.digest_of("ocpp token", "remote start")[:16]
        self.last_unknown: tuple[str, str, datetime] | None = None
        """Hash, identity and time of the last card that nobody is known by."""

    async def load(self) -> None:
        """What had not ended when the program did."""
        for row in await self._storage.read(_open_rows):
            self._open[row.identity, row.connector] = row

    @property
    def charges_for_all(self) -> bool:
        return not self._config().ocpp.known_cards_only

    def may_charge(self, token: str, identity: str, connector: int | None) -> bool:
        """Everybody may, unless cards count: then who is known, where he may."""
        user = self._user_of(token, identity)
        if self.charges_for_all or token == self.own_token:
            return True
        if user is None:
            return False
        allowed = self._config().users[user].charge_points
        here = {self.device_of(identity, connector)} if connector is not None else self._devices_of(identity)
        return not allowed or bool(here & set(allowed))

    def running(self, identity: str) -> dict[int, str]:
        """By connector."""
        return {row.connector: row.name for row in self._open.values() if row.identity == identity}

    async def take(self, identity: str, event: Transaction, late: bool) -> tuple[str, int, bool]:
        """Write it down: its number, its connector, and whether its token may charge. Raises: BadFrame."""
        at = self._plausible(event.at)
        try:
            if event.moment is Moment.ENDED:
                row = await self._ended(identity, event, at, late)
            else:
                row = await self._began(identity, event, at)
        except StorageError as error:
            self.log.warn("a transaction of {identity} waits: {why}", identity=identity, why=error.sentence)
            raise BadFrame("InternalError", AGAIN) from error
        if row is None:  # it ended, and nobody knows that it had begun
            return event.number or "0", event.connector or 0, True
        may = event.token is None or self.may_charge(event.token, identity, row.connector)
        return row.name, row.connector, may

    async def _began(self, identity: str, event: Transaction, at: datetime) -> Row | None:
        connector = event.connector if event.connector is not None else 1
        known = self._open.get((identity, connector))
        if event.moment is Moment.RUNS and known is not None and known.number == event.number and event.token is None:
            return known  # nothing of it needs to be written down
        token = "" if event.token is None else self._hash(event.token)
        user = None if event.token is None else self._user_of(event.token, identity)
        wanted = Row(0, identity, connector, event.number or "", at, event.meter_wh, user, token)
        row = await self._storage.write(lambda connection: _find_or_begin(connection, wanted))
        if row.ended_at is not None:
            return row  # said again, after its end
        self._open[identity, connector] = row
        await self._tell(row, lambda point: self._book.transaction_began(point, _begun(row)))
        return row

    async def _ended(self, identity: str, event: Transaction, at: datetime, late: bool) -> Row | None:
        number = event.number or ""
        user = None if event.token is None else self._user_of(event.token, identity)
        row = await self._storage.write(
            lambda connection: _end(connection, identity, number, at, event.meter_wh, event.reason, user)
        )
        if row is None:
            if event.connector is None:
                self.log.warn(
                    "charge point {identity} ended transaction {number}, which did not begin here",
                    identity=identity,
                    number=number,
                )
                return None
            row = await self._began(identity, evolve(event, moment=Moment.BEGAN, meter_wh=None), at)
            return await self._ended(identity, event, at, late) if row is not None else None
        current = self._open.get((identity, row.connector))
        if current is not None and current.id == row.id:
            del self._open[identity, row.connector]
        ended_at = row.ended_at or at
        if row.told:
            return row  # our answer was lost
        await self._tell(
            row, lambda point: self._book.transaction_ended(point, _begun(row), ended_at, row.end_wh, late)
        )
        await self._storage.write(
            lambda connection: connection.execute("UPDATE ocpp_transaction SET told = 1 WHERE id = ?", (row.id,))
        )
        return row

    async def _tell(self, row: Row, step: Callable[[str], list[Step]]) -> None:
        """The session of it, durable too. Raises: BadFrame."""
        point = self.device_of(row.identity, row.connector)
        if point is None:
            return
        self._note(step(point))
        await self._records.flush()
        if self._records.trouble is not None:
            raise BadFrame("InternalError", AGAIN)

    def device_of(self, identity: str, connector: int) -> str | None:
        """The device of the site that this connector is."""
        return next((name for name, where in self._addresses() if where == (identity, connector)), None)

    def _devices_of(self, identity: str) -> set[str | None]:
        return {name for name, where in self._addresses() if where[0] == identity}

    def _addresses(self) -> list[tuple[str, tuple[str, int]]]:
        found = []
        for device in self._config().devices.values():
            if device.address[:5].lower() == "ocpp:":
                address = parse_address(device.address)
                if isinstance(address, OcppAddress):
                    found.append((device.id, (address.identity, address.connector)))
        return found

    def _user_of(self, token: str, identity: str) -> str | None:
        """Whose card, or ID, that is."""
        if token == self.own_token or len(token) > _LONGEST_TOKEN:
            return None
        config, hashed = self._config(), self._hash(token)
        user = config.ocpp.cards.get(hashed)
        if user is None:
            by_id = self._digests.hash_of(token)
            user = next((one.id for one in config.users.values() if one.id_hash == by_id), None)
        if user is None:
            self.last_unknown = (hashed, identity, self._now())
        return user if user in config.users else None

    def _hash(self, token: str) -> str:
        return card_hash(self._digests, token)

    def _plausible(self, at: datetime | None) -> datetime:
        """A charge point without a clock lives in 1970."""
        now_at = self._now()
        if at is None or at > now_at + _AHEAD or at < now_at - _OLDEST:
            return now_at
        return min(at, now_at)


def card_hash(digests: Digests, token: str) -> str:
    """What is stored of a card's number; readers differ in how they write letters."""
    return digests.digest_of("card", token.strip().upper())


def _begun(row: Row) -> Begun:
    return Begun(row.began_at, row.begin_wh, row.user, f"ocpp-{row.id}")


def _row(found: sqlite3.Row) -> Row:
    return Row(
        found["id"],
        found["identity"],
        found["connector"],
        found["number"],
        datetime.fromisoformat(found["began_at"]),
        found["begin_wh"],
        found["user"],
        found["token"],
        None if found["ended_at"] is None else datetime.fromisoformat(found["ended_at"]),
        found["end_wh"],
        bool(found["told"]),
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _open_rows(connection: sqlite3.Connection) -> list[Row]:
    return [
        _row(one) for one in connection.execute("SELECT * FROM ocpp_transaction WHERE ended_at IS NULL ORDER BY id")
    ]


def _find_or_begin(connection: sqlite3.Connection, wanted: Row) -> Row:
    """The transaction that is meant, or a new one: a message that was not answered comes again, word for word."""
    one = connection.execute
    if wanted.number:
        same = one(
            "SELECT * FROM ocpp_transaction WHERE identity = ? AND number = ?", (wanted.identity, wanted.number)
        ).fetchone()
    else:
        same = one(
            "SELECT * FROM ocpp_transaction WHERE identity = ? AND began_at = ? AND connector = ? AND token = ?"
            " AND begin_wh IS ? AND number = ''",
            (wanted.identity, _text(wanted.began_at), wanted.connector, wanted.token, wanted.begin_wh),
        ).fetchone()
    if same is not None:
        row = _row(same)
        if wanted.token and not row.token:  # the card was shown after the cable
            one("UPDATE ocpp_transaction SET token = ?, user = ? WHERE id = ?", (wanted.token, wanted.user, row.id))
            row = evolve(row, token=wanted.token, user=wanted.user)
        return row
    one(
        "INSERT INTO ocpp_transaction (identity, connector, number, began_at, begin_wh, user, token)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(wanted.identity, wanted.connector, wanted.number, _text(wanted.began_at)),
            *(wanted.begin_wh, wanted.user, wanted.token),
        ),
    )
    id = int(one("SELECT last_insert_rowid()").fetchone()[0])
    one("DELETE FROM ocpp_transaction WHERE id <= ?", (id - KEPT,))
    return evolve(wanted, id=id, began_at=datetime.fromisoformat(_text(wanted.began_at)))


def _end(
    connection: sqlite3.Connection,
    identity: str,
    number: str,
    at: datetime,
    end_wh: float | None,
    reason: str,
    user: str | None,
) -> Row | None:
    """The transaction, ended; one that had ended before stays as it is. None: there is none of that charge point."""
    found = connection.execute(
        "SELECT * FROM ocpp_transaction WHERE identity = ? AND (number = ? AND number != '' OR number = '' AND id = ?)",
        (identity, number, int(number) if number.isascii() and number.isdigit() and len(number) < 18 else -1),
    ).fetchone()
    if found is None:
        return None
    row = _row(found)
    if row.ended_at is not None:
        return row
    connection.execute(
        "UPDATE ocpp_transaction SET ended_at = ?, end_wh = ?, reason = ?, user = coalesce(user, ?) WHERE id = ?",
        (_text(at), end_wh, reason, user, row.id),
    )
    return evolve(row, ended_at=datetime.fromisoformat(_text(at)), end_wh=end_wh, user=row.user or user)
