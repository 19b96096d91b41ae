"""Calls and answers over one connection: each side has one call under way at most, as OCPP-J demands.

It knows no socket: ``send`` takes a text, ``hear`` is given those that come. Ours wait in a queue, urgent ones first; a
call that is not answered in time fails, and its answer is ignored if it comes later. A peer that does not wait for our
answers is heard up to a number of calls; beyond that it breaks the protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from charging_manager.errors import DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.ocpp.messages import BadFrame, Call, CallError, CallResult, Version, check, pack, parse
from charging_manager.ocpp.values import Request

TIMEOUT_S = 15.0
"""For the answer to a call: some charge points ask their own controllers first."""

MOST_WAITING = 64
MOST_HEARD = 16
MOST_BAD = 10
"""Frames in a row that are no messages: then this is no charge point."""

REFUSED = 0
"""Code of a DeviceRefused here: OCPP's errors have words, no numbers."""

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Misbehaves(DeviceNonsense):
    """The connection is to be closed."""


@define(eq=False)
class _Waiting:
    request: Request
    done: Deferred[dict[str, Any]]
    timeout_s: float
    id: str = ""


@define(eq=False)
class Line:
    """One connection to one charge point."""

    version: Version
    clock: IReactorTime
    send: Callable[[str], None]
    answer: Answer
    """Gets action and payload of a call, gives the payload of its answer. Raises: BadFrame to answer with an error."""
    trouble: Callable[[str], None] = lambda sentence: None
    """Told what was wrong with a frame, in words."""
    sent: int = 0
    heard: int = 0
    _log: ClassVar[Logger] = Logger()
    _queue: deque[_Waiting] = field(factory=deque)
    _current: _Waiting | None = None
    _timer: IDelayedCall | None = None
    _calls: deque[Call] = field(factory=deque)
    _answering: bool = False
    _bad: int = 0
    _closed: str | None = None
    _ids: Any = field(factory=lambda: count(1))

    def ask(self, request: Request, *, urgent: bool = False, timeout_s: float = TIMEOUT_S) -> Deferred[dict[str, Any]]:
        """The payload of the answer. Fails: DeviceSilent, DeviceRefused (an error came), DeviceNonsense."""
        waiting = _Waiting(request, Deferred(), timeout_s)
        if self._closed is not None:
            waiting.done.errback(DeviceSilent(self._closed))
        elif len(self._queue) >= MOST_WAITING:
            waiting.done.errback(DeviceSilent("it leaves too many calls unanswered"))
        else:
            if urgent:
                self._queue.appendleft(waiting)
            else:
                self._queue.append(waiting)
            self._next()
        return waiting.done

    def hear(self, text: str) -> None:
        """A frame has come. Raises: Misbehaves if there is no sense in listening further."""
        try:
            message = parse(text)
        except BadFrame as error:
            self._is_bad(error)
            return
        self.heard += 1
        if isinstance(message, Call):
            if len(self._calls) >= MOST_HEARD:
                raise Misbehaves(f"sends calls without waiting for answers, more than {MOST_HEARD} at once")
            self._calls.append(message)
            if not self._answering:
                self._answering = True
                Deferred.fromCoroutine(self._answer_calls()).addErrback(
                    lambda failure: self._log.failure("a call of OCPP could not be answered", failure=failure)
                )
        else:
            self._answered(message)

    def close(self, sentence: str) -> None:
        """Nothing more is sent; whoever waits for an answer hears why."""
        self._closed = self._closed or sentence
        waiting = [*([self._current] if self._current else []), *self._queue]
        self._current = None
        self._queue.clear()
        self._calls.clear()
        self._stop_timer()
        for one in waiting:
            one.done.errback(DeviceSilent(self._closed))

    @property
    def waiting(self) -> int:
        """Calls of ours that have no answer yet."""
        return len(self._queue) + (self._current is not None)

    def _next(self) -> None:
        while self._current is None and self._queue and self._closed is None:
            waiting = self._queue.popleft()
            waiting.id = f"cm-{next(self._ids)}"
            call = Call(waiting.id, waiting.request.action, waiting.request.payload)
            try:
                check(call, call.action, self.version)
            except BadFrame as error:  # a mistake of ours: the peer never sees it
                waiting.done.errback(DeviceNonsense(f"a call of ours is not as OCPP wants it: {error}"))
                continue
            self._current = waiting
            self._timer = self.clock.callLater(waiting.timeout_s, self._timed_out)
            self.sent += 1
            self.send(pack(call))

    def _answered(self, message: CallResult | CallError) -> None:
        waiting = self._current
        if waiting is None or message.unique_id != waiting.id:
            return  # too late, or never asked for
        self._current = None
        self._stop_timer()
        action = waiting.request.action
        if isinstance(message, CallError):
            said = f"{message.error_code} {message.error_description}".strip()
            waiting.done.errback(DeviceRefused(REFUSED, f"{action} was refused: {said}"))
        else:
            try:
                check(message, action, self.version)
            except BadFrame as error:
                waiting.done.errback(DeviceNonsense(f"its answer to {action} is not as OCPP wants it: {error}"))
                self._is_bad(error, count_it=False)
            else:
                self._bad = 0
                waiting.done.callback(message.payload)
        self._next()

    def _timed_out(self) -> None:
        waiting, self._current, self._timer = self._current, None, None
        if waiting is not None:
            waiting.done.errback(
                DeviceSilent(f"{waiting.request.action} was not answered in {waiting.timeout_s:.0f} s")
            )
        self._next()

    async def _answer_calls(self) -> None:
        try:
            while self._calls and self._closed is None:
                frame = await self._answer_one(self._calls[0])
                if self._calls:
                    self._calls.popleft()
                if self._closed is None:
                    self.send(frame)
        finally:
            self._answering = False

    async def _answer_one(self, call: Call) -> str:
        try:
            check(call, call.action, self.version)
            result = CallResult(call.unique_id, await self.answer(call.action, call.payload), call.action)
            check(result, call.action, self.version)
            self._bad = 0
            return str(pack(result))
        except BadFrame as error:
            self._is_bad(error, answer=False, count_it=False)
            error.id = error.id or call.unique_id
            return error.answer() or ""
        except Exception:
            self._log.failure("a call of OCPP ({action}) could not be answered", action=call.action)
            return str(pack(CallError(call.unique_id, "InternalError", "Try again later.", {})))

    def _is_bad(self, error: BadFrame, *, answer: bool = True, count_it: bool = True) -> None:
        self.trouble(str(error))
        reply = error.answer() if answer else None
        if reply is not None and self._closed is None:
            self.send(reply)
        if count_it:
            self._bad += 1
            if self._bad >= MOST_BAD:
                raise Misbehaves(f"{self._bad} frames in a row are no messages of OCPP; the last one: {error}")

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def word(answer: Mapping[str, Any]) -> str:
    """The status in an answer, or nothing."""
    return str(answer.get("status", ""))
