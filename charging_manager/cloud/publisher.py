"""What proves to an authority that a name in our zone is an agent's: TXT records, published for that agent alone.

An agent says a value, never a name: the name follows from its label, or from a claim that only it knows. Values are
of the one form that ACME has, few at a time, and go after a while. What is out there stands in a file, so that a
``kill -9`` leaves nothing in the zone for long.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from charging_manager.dns.ask import DnsError
from charging_manager.dns.update import Zone
from charging_manager.storage.files import write_private
from charging_manager.tunnel.labels import CHALLENGE
from charging_manager.tunnel.reasons import Refusal

AT_ONCE, PER_HOUR, MOST = 2, 20, 1000
KEEP_S, AGAIN_S = 900.0, 120.0
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_NOTHING_HAPPENED = ("dns-unreachable", "dns-refused", "dns-key", "dns-clock")
_HOUR_S = 3600.0
_MOST_KNOWN = 20_000


@frozen
class _Record:
    name: str
    value: str


class Publisher:
    """``under`` is the name under which labels stand; ``settle_s`` how long the zone's other servers need."""

    log = Logger()

    def __init__(self, zone: Zone, under: str, path: Path, clock: Any, settle_s: float = 0.0) -> None:
        self._zone, self._under, self._path, self._clock = zone, under, path, clock
        self.settle_s = settle_s
        self._out: dict[_Record, str] = {}
        self._timers: dict[_Record, IDelayedCall] = {}
        self._counts: dict[str, deque[float]] = {}
        self._one_at_a_time = DeferredLock()

    def __len__(self) -> int:
        """How many records are out there."""
        return len(self._out)

    def start(self) -> None:
        """Take away what an earlier life has left."""
        for record in self._read():
            self._out[record] = ""
            self._later(record, 0.0)

    def stop(self) -> None:
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()

    async def put(self, owner: str, label: str, value: str) -> str:
        """Publish it for this installation; the whole name. Raises: Refusal."""
        if not _VALUE.fullmatch(value):
            raise Refusal("refused")
        record = _Record(f"{CHALLENGE}{label}.{self._under}", value)
        owner = owner.lower()
        is_new = record not in self._out
        if is_new:
            self._count(owner)
        alone = not any(one.name == record.name for one in self._out)
        self._out[record] = owner
        self._later(record, KEEP_S)
        try:
            await self._change("publish", owner, lambda: self._zone.put_text(record.name, value, alone=alone))
        except DnsError as error:
            if is_new and error.code in _NOTHING_HAPPENED:
                self._forget(record)
            raise Refusal("not-published") from error
        return record.name

    async def take(self, owner: str, label: str, value: str) -> str:
        """Take it away. Raises: Refusal."""
        record = _Record(f"{CHALLENGE}{label}.{self._under}", value)
        if self._out.get(record) == owner.lower():
            await self._take(record)
        return record.name

    def _count(self, owner: str) -> None:
        now_s = self._clock.seconds()
        if len(self._counts) > _MOST_KNOWN:
            self._counts.clear()
        counted = self._counts.setdefault(owner, deque())
        while counted and counted[0] < now_s - _HOUR_S:
            counted.popleft()
        out = sum(one == owner for one in self._out.values())
        if len(counted) >= PER_HOUR or out >= AT_ONCE or len(self._out) >= MOST:
            raise Refusal("too-often")
        counted.append(now_s)

    async def _take(self, record: _Record) -> None:
        owner = self._out.get(record, "")
        try:
            await self._change("take away", owner, lambda: self._zone.take_text(record.name, record.value))
        except DnsError as error:
            self._later(record, AGAIN_S)
            raise Refusal("not-published") from error
        self._forget(record)

    async def _change(self, what: str, owner: str, change: Any) -> None:
        async with self._one_at_a_time:
            self._write()
            try:
                await change()
            except DnsError as error:
                self.log.error("could not {what} a DNS entry ({owner}): {error}", what=what, owner=owner, error=error)
                raise

    def _forget(self, record: _Record) -> None:
        self._out.pop(record, None)
        timer = self._timers.pop(record, None)
        if timer is not None and timer.active():
            timer.cancel()
        self._write()

    def _later(self, record: _Record, seconds: float) -> None:
        timer = self._timers.get(record)
        if timer is not None and timer.active():
            timer.cancel()
        self._timers[record] = self._clock.callLater(seconds, self._too_old, record)

    def _too_old(self, record: _Record) -> None:
        taking = Deferred.fromCoroutine(self._take(record))
        taking.addErrback(lambda failure: failure.trap(Refusal) and None)
        taking.addErrback(lambda failure: self.log.failure("an old DNS entry was not taken away", failure=failure))

    def _write(self) -> None:
        try:
            write_private(self._path, orjson.dumps([[one.name, one.value] for one in self._out]))
        except OSError as error:  # then a kill now leaves records in the zone: litter, nothing worse
            self.log.error("{path} cannot be written: {error}", path=str(self._path), error=error.strerror)

    def _read(self) -> list[_Record]:
        try:
            said = orjson.loads(self._path.read_bytes())
            return [_Record(str(name), str(value)) for name, value in said][:MOST]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            self.log.warn("which DNS entries were published is not known any more: {error}", error=str(error))
            return []
