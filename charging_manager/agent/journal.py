"""Decisions of the last 24 h, on disk: what each charge point was told and why, whenever that changed.

A folder of its own with append-only files, one an hour and one a start. A file is a row of blocks: length, checksum,
and JSON lines, compressed. After ``kill -9`` the last block may be torn: it is left out. A file that is damaged
elsewhere is named in the log and read as far as it goes. The database is never touched, and a full disk loses
explanations alone.

What breathes is told once: each charge point may write ``BURST`` entries at once and then one every ``REFILL_S``; what
lies between is kept as the lowest and highest setpoint and the number of changes of the entry that follows. So the
number of entries is bounded whatever control does, and the oldest files go when all together exceed ``MOST_BYTES``.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct
from typing import Any, TypeVar

import orjson
from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.errors import ConfigError
from charging_manager.model.plan import Because, Decision, Link, Note, Plan, Setpoint, SiteImage, Step
from charging_manager.paths import make_private

T = TypeVar("T")
InThread = Callable[[Callable[[], Any]], Deferred[Any]]

MAGIC = b"cm-why 1\n"
BURST = 12
REFILL_S = 60.0
MOST_A_CYCLE = 20
"""So many records are made in one cycle; when everything changes at once, the others follow in the next ones."""
MOST_BYTES = 64 * 1024 * 1024
KEPT = timedelta(hours=24)
MOST_FILES = 400
HOUR_S = 3600.0
FLUSH_S = 60.0
MOST_WAITING = 20_000
"""Entries in memory while the disk does not take them."""
MOST_LISTED = 2_000
_HEAD = Struct("!II")
_LARGEST_BLOCK = 8 * 1024 * 1024
_FACTS_KEPT = 9
"""Of each link; who else shares a line is told at length only for now."""
_STEPS = tuple(Step)


@frozen
class Entry:
    """From ``at`` on it was so. Between the entry before and this one it changed ``changes`` times, within bounds."""

    at: datetime
    decision: Decision
    lowest_a: float
    highest_a: float
    changes: int


@define
class _Line:
    """What is remembered of one charge point between entries."""

    setpoint: Setpoint
    at_ms: int
    """Since when it is so."""
    written: Setpoint | None = None
    tokens: float = float(BURST)
    refilled_s: float = 0.0
    lowest_a: float = 0.0
    highest_a: float = 0.0
    changes: int = 0


class Journal:
    """Takes down each cycle what changed; ``entries`` reads it again. The disk is asked ``in_thread`` alone."""

    log = Logger()

    def __init__(
        self,
        folder: Path,
        clock: IReactorTime,
        now: UtcNow,
        chain: Callable[[SiteImage, Plan, str], Decision | None],
        in_thread: InThread,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.folder = folder
        self._clock, self._now, self._chain, self._in_thread = clock, now, chain, in_thread
        self._most_bytes = most_bytes
        self._lines: dict[str, _Line] = {}
        self._unsaid: dict[str, None] = {}
        self._waiting: list[bytes] = []
        self._flushed_s = clock.seconds()
        self._file: Path | None = None
        self._file_s = 0.0
        self._one_at_a_time = DeferredLock()
        self._named: set[str] = set()
        self.trouble: str | None = None
        """Why nothing can be written, while that lasts."""
        self.lost = 0

    def see(self, image: SiteImage, plan: Plan) -> None:
        """Take down what this cycle changed, and write now and then."""
        now_s, at_ms = image.now_s, int(self._now().timestamp() * 1000)
        lines, unsaid = self._lines, self._unsaid
        for name, setpoint in plan.setpoints.items():
            line = lines.get(name)
            if line is None:
                amps = setpoint.current_a
                lines[name] = _Line(setpoint, at_ms, refilled_s=now_s, lowest_a=amps, highest_a=amps)
                unsaid[name] = None
            elif line.setpoint is not setpoint:  # decide gives the same object as long as nothing changed
                line.setpoint, line.at_ms = setpoint, at_ms
                line.changes += 1
                line.lowest_a = min(line.lowest_a, setpoint.current_a)
                line.highest_a = max(line.highest_a, setpoint.current_a)
                unsaid[name] = None
        if len(lines) > len(plan.setpoints):
            for name in lines.keys() - plan.setpoints.keys():
                del lines[name]
                unsaid.pop(name, None)
        if unsaid:
            self._write_down(image, plan, now_s)
        if self._waiting and now_s - self._flushed_s >= FLUSH_S and not self._one_at_a_time.locked:
            self._flushed_s = now_s
            self.flush().addErrback(lambda failure: self.log.failure("decisions could not be kept", failure=failure))

    def _write_down(self, image: SiteImage, plan: Plan, now_s: float) -> None:
        made = 0
        for name in tuple(self._unsaid):
            if made >= MOST_A_CYCLE:
                break
            line = self._lines[name]
            line.tokens = min(float(BURST), line.tokens + (now_s - line.refilled_s) / REFILL_S)
            line.refilled_s = now_s
            if line.tokens < 1.0:
                continue
            del self._unsaid[name]
            if line.setpoint == line.written:
                continue  # it came back to what was written last: the next entry tells of the swing
            decision = self._chain(image, plan, name)
            if decision is None:
                continue
            line.tokens -= 1.0
            made += 1
            self._waiting.append(_to_json(line.at_ms, decision, line.lowest_a, line.highest_a, line.changes))
            line.written = line.setpoint
            line.lowest_a = line.highest_a = line.setpoint.current_a
            line.changes = 0
        if len(self._waiting) > MOST_WAITING:
            self.lost += len(self._waiting) - MOST_WAITING
            del self._waiting[:-MOST_WAITING]

    def flush(self) -> Deferred[None]:
        """Write what waits; trouble with the disk is said once and stops nothing."""
        return Deferred.fromCoroutine(self._flush())

    async def _flush(self) -> None:
        await self._one_at_a_time.acquire()
        try:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                await self._in_thread(lambda: self._append(waiting))
            except (OSError, ConfigError) as error:
                self._waiting = (waiting + self._waiting)[-MOST_WAITING:]
                if self.trouble is None:
                    self.log.error("decisions cannot be kept on disk: {reason}", reason=str(error))
                self.trouble = str(error)
            else:
                if self.trouble is not None:
                    self.log.info("decisions are kept on disk again")
                self.trouble = None
        finally:
            self._one_at_a_time.release()

    def entries(self, charge_point: str, since_at: datetime, until_at: datetime) -> Deferred[list[Entry]]:
        """Of one charge point, oldest first, with the one that held at ``since_at``; at most ``MOST_LISTED``."""
        return Deferred.fromCoroutine(self._entries(charge_point, since_at, until_at))

    async def _entries(self, charge_point: str, since_at: datetime, until_at: datetime) -> list[Entry]:
        await self._one_at_a_time.acquire()
        try:
            waiting = list(self._waiting)
            found: list[Entry] = await self._in_thread(lambda: self._find(charge_point, waiting, since_at, until_at))
            return found
        finally:
            self._one_at_a_time.release()

    # what follows runs in a thread, one at a time

    def _append(self, waiting: Sequence[bytes]) -> None:
        if self._file is None or self._clock.seconds() - self._file_s >= HOUR_S:
            self._begin_file()
        file = self._file
        assert file is not None  # noqa: S101
        body = zlib.compress(b"\n".join(waiting) + b"\n", 6)
        data = _HEAD.pack(len(body), zlib.crc32(body)) + body
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) < len(data):
                    raise OSError(28, "no space left on device")
            except OSError:
                self._file = None  # half a block may stand there
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        self._clear_up()

    def _begin_file(self) -> None:
        make_private(self.folder)
        known = self._files()
        number = int(known[-1].stem) + 1 if known else 1
        file = self.folder / f"{number:08d}.why"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.write(descriptor, MAGIC) < len(MAGIC):
                raise OSError(28, "no space left on device")
        except OSError:
            with contextlib.suppress(OSError):
                file.unlink()
            raise
        finally:
            os.close(descriptor)
        self._file, self._file_s = file, self._clock.seconds()

    def _files(self) -> list[Path]:
        """Oldest first, by number: a wall clock that jumps does not change their order."""
        if not self.folder.is_dir():
            return []
        return sorted(file for file in self.folder.glob("*.why") if file.stem.isdigit())

    def _clear_up(self) -> None:
        """The oldest go: by size, by number, and by age where more than a day of files is there."""
        files = self._files()
        sizes = {file: file.stat().st_size for file in files}
        total = sum(sizes.values())
        too_old = (self._now() - KEPT - timedelta(hours=2)).timestamp()
        for position, file in enumerate(files[:-1]):
            left = len(files) - position
            old = left > 26 and file.stat().st_mtime < too_old
            if total <= self._most_bytes and left <= MOST_FILES and not old:
                break
            file.unlink(missing_ok=True)
            total -= sizes[file]

    def _find(self, charge_point: str, waiting: Sequence[bytes], since_at: datetime, until_at: datetime) -> list[Entry]:
        wanted = b"[" + orjson.dumps(charge_point) + b","
        since_ms, until_ms = since_at.timestamp() * 1000, until_at.timestamp() * 1000
        before: bytes | None = None
        found: list[bytes] = []
        for text in (*self._blocks(), b"\n".join(waiting) + b"\n"):
            for line in _lines_with(text, wanted):
                at_ms = int(line[len(wanted) : line.index(b",", len(wanted))])
                if at_ms < since_ms:
                    before = line
                elif at_ms < until_ms:
                    found.append(line)
        kept = ([before] if before is not None else []) + found
        return [_from_json(line) for line in kept[-MOST_LISTED:]]

    def _blocks(self) -> Iterator[bytes]:
        for file in self._files():
            try:
                data = file.read_bytes()
            except OSError as error:
                self._name(file, error.strerror or str(error))
                continue
            if not data.startswith(MAGIC):
                self._name(file, "it is none of ours")
                continue
            at = len(MAGIC)
            while at + _HEAD.size <= len(data):
                length, check = _HEAD.unpack_from(data, at)
                body = data[at + _HEAD.size : at + _HEAD.size + length]
                if len(body) < length:  # torn by a kill in the middle of a write
                    break
                if zlib.crc32(body) != check:
                    self._name(file, "a checksum is wrong")
                    break
                with contextlib.suppress(zlib.error):
                    yield zlib.decompressobj().decompress(body, _LARGEST_BLOCK)
                at += _HEAD.size + length

    def _name(self, file: Path, reason: str) -> None:
        if file.name not in self._named:
            self._named.add(file.name)
            self.log.warn("{file} is damaged and left aside: {reason}", file=str(file), reason=reason)


def _lines_with(text: bytes, wanted: bytes) -> Iterator[bytes]:
    """The lines that begin so: a search in bytes, since most lines are of other charge points."""
    at = 0 if text.startswith(wanted) else text.find(b"\n" + wanted)
    while at >= 0:
        begin = at if at == 0 and text.startswith(wanted) else at + 1
        end = text.find(b"\n", begin)
        yield text[begin:end]
        at = text.find(b"\n" + wanted, end)


def _to_json(at_ms: int, decision: Decision, lowest_a: float, highest_a: float, changes: int) -> bytes:
    return orjson.dumps(
        [
            decision.charge_point,
            at_ms,
            decision.number,
            decision.setpoint_a,
            decision.phases,
            _because_json(decision.because),
            [lowest_a, highest_a, changes],
            [
                [
                    _STEPS.index(link.step),
                    _amps(link.allows_a),
                    int(link.binds),
                    [[*_because_json(fact.because), _amps(fact.allows_a)] for fact in link.facts[:_FACTS_KEPT]],
                ]
                for link in decision.links
            ],
        ]
    )


def _because_json(because: Because) -> list[Any]:
    return [because.code, {key: _amps(one) if isinstance(one, float) else one for key, one in because.fields.items()}]


def _amps(value: float | None) -> float | None:
    return None if value is None or value != value or abs(value) > 1e9 else round(value, 2)


def _from_json(line: bytes) -> Entry:

    name, at_ms, number, amps, phases, (code, fields), (lowest, highest, changes), links = orjson.loads(line)
    return Entry(
        datetime.fromtimestamp(at_ms / 1000, UTC),
        Decision(
            name,
            number,
            amps,
            phases,
            Because(code, fields),
            tuple(
                Link(_STEPS[step], allows, tuple(Note(Because(c, f), a) for c, f, a in facts), bool(bound))
                for step, allows, bound, facts in links
            ),
        ),
        lowest,
        highest,
        changes,
    )
