"""One end of the tunnel's connection: AMP with bounds, timeouts, keep-alive and streams, whoever is at the other end.

``AgentSide`` and ``Link`` say what is asked and answered. Stock AMP would answer to StartTLS, close on any exception of
ours and wait for ever: here a table names the verbs, every responder is guarded, and every question has its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.boxes import BoxReader, number_box
from charging_manager.tunnel.reasons import Refusal, Violation, trouble
from charging_manager.tunnel.streams import StreamOut, Streams
from charging_manager.tunnel.tls import hold_back, tune

Verbs = Mapping[bytes, tuple[type[amp.Command], Callable[..., Any]]]

_QUIET_S = 0.1
"""So long after a question or an answer, long data boxes would be in somebody's way."""

_COMMAND, _ASK, _ANSWER, _ERROR = b"_command", b"_ask", b"_answer", b"_error"


def verbs(*pairs: tuple[type[amp.Command], Callable[..., Any]]) -> Verbs:
    """A table of what is answered to."""
    return {command.commandName: (command, function) for command, function in pairs}


@implementer(IPushProducer)
class Wire(amp.AMP):
    """A connection of the tunnel. ``closing`` is the reason code once it is being closed by us."""

    log = Logger()
    transport: Any

    def __init__(self, clock: IReactorTime, *, agent: bool) -> None:
        amp.AMP.__init__(self)
        self.clock = clock
        self.closing: str | None = None
        self.admitted = False
        self.bytes_in = 0
        self.bytes_out = 0
        self.heard_s = clock.seconds()
        self._verbs: Verbs = {}
        self._answering = 0
        self._unanswered = 0
        self._late = 0
        self._choked = False
        self._choked_bytes = 0
        self.most_asked = bounds.BOXES_IN_FLIGHT
        self.most_queued = bounds.QUEUED_BYTES
        self._choked_at_s = 0.0
        self._busy_until_s = 0.0
        self._after_answer: Callable[[], None] | None = None
        self._alive_timer: IDelayedCall | None = None
        self._stall_timer: IDelayedCall | None = None
        self._abort_timer: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        out = StreamOut(
            open=lambda s: self._say(commands.StreamOpen, i=s),
            data=self._write,
            credit=lambda s, n: self._say(commands.StreamCredit, i=s, n=n),
            close=lambda s: self._say(commands.StreamClose, i=s),
            alone=self._nothing_else,
        )
        ours, theirs = bounds.AGENT_STREAMS, bounds.CLOUD_STREAMS
        self.streams = Streams(
            out,
            first=1 if agent else 2,
            most_out=ours if agent else theirs,
            most_in=theirs if agent else ours,
            now_s=clock.seconds,
        )
        self._boxes = BoxReader(self.ampBoxReceived, self.streams.on_data)

    # -- the connection

    def makeConnection(self, transport: Any) -> None:
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        self.heard_s = self.clock.seconds()
        tune(self.transport)
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for timer in (self._alive_timer, self._stall_timer, self._abort_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._boxes.stop()
        self.transport = None
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.streams.lost()
        self._note_idle()

    def hang_up(self, code: str, *, now: bool = False, within_s: float = bounds.GOODBYE_TIMEOUT_S) -> None:
        """Close the connection; what was written still leaves, unless ``now``, if that takes no longer."""
        if self.closing is None:
            self.closing = code
        transport = self.transport
        if transport is None:
            return
        self._boxes.stop()
        transport.unregisterProducer()
        if now:
            transport.abortConnection()
        elif self._abort_timer is None:
            transport.loseConnection()
            self._abort_timer = self.clock.callLater(within_s, transport.abortConnection)

    def admit(self, table: Verbs) -> None:
        """The login is complete: full bounds, these verbs, streams and keep-alive."""
        self.admitted = True
        self._verbs = {
            **table,
            **verbs(
                (commands.Ping, dict),
                (commands.StreamOpen, self._on_open),
                (commands.StreamData, self._on_data),
                (commands.StreamCredit, self._on_credit),
                (commands.StreamEnd, self._on_end),
                (commands.StreamClose, self._on_close),
            ),
        }
        self._boxes.box_bytes = bounds.BOX_BYTES
        self._boxes.streams_allowed = True
        self._stay_alive()

    def widen(self) -> None:
        """Among servers of one cloud: one connection carries what many browsers ask of many installations."""
        self.most_asked = bounds.NODE_ASKED
        self.most_queued = bounds.NODE_QUEUED_BYTES
        self.streams.allow_more(bounds.NODE_STREAMS)
        self.streams.most_queued = bounds.NODE_QUEUED_BYTES

    # -- bytes

    def dataReceived(self, data: bytes) -> None:
        self.heard_s = self.clock.seconds()
        self.bytes_in += len(data)
        try:
            self._boxes.feed(data)
        except Violation as violation:
            self.broke_a_rule(violation.what)
        except Exception:
            self.log.failure("a box of the tunnel could not be dealt with")
            self.hang_up("failed", now=True)

    def broke_a_rule(self, what: str) -> None:
        """The peer did what it must not; nothing more is read from it."""
        if self.closing is None:
            self.log.info("tunnel of {peer} closed: {what}", peer=self.name(), what=what)
        self.hang_up("protocol", now=True)

    def name(self) -> str:
        """For the log."""
        return getattr(self.transport.getPeer(), "host", "?") if self.transport is not None else "?"

    def sendBox(self, box: amp.AmpBox) -> None:
        self._write(box.serialize())

    def _write(self, data: bytes) -> None:
        transport = self.transport
        if transport is None:
            return
        self.bytes_out += len(data)
        if self._choked:
            self._choked_bytes += len(data)
            if self._choked_bytes > self.most_queued:
                self.hang_up("overloaded", now=True)
                return
        transport.write(data)

    @property
    def queued_bytes(self) -> int:
        """Boxes that wait here for a transport that takes no more."""
        return self._choked_bytes

    def pauseProducing(self) -> None:
        if not self._choked:
            self._choked = True
            self._choked_at_s = self.clock.seconds()
        self.streams.pause()

    def resumeProducing(self) -> None:
        if self._choked:
            self._choked = False
            self._choked_bytes = 0
            self._keep_pace(self.clock.seconds() - self._choked_at_s)
        self.streams.resume()

    def _keep_pace(self, took_s: float) -> None:
        """Write half as much at once when the line took long for the last, twice as much when it did not."""
        pace = self.streams.pace_bytes
        wanted = pace // 2 if took_s > bounds.PACE_S else pace * 2
        wanted = min(max(wanted, bounds.SHARE_BYTES), bounds.ALONE_BATCH_BYTES)
        if wanted != pace:
            self.streams.pace_bytes = wanted
            hold_back(self.transport, wanted)

    def stopProducing(self) -> None:
        self._choked = True
        self.streams.pause()

    # -- questions of ours

    def ask(self, command: type[amp.Command], timeout_s: float, **fields: Any) -> Deferred[dict[str, Any]]:
        """The answer, or TunnelError: ``timeout``, ``busy``, ``offline``, a refusal's code."""
        if self.transport is None or self.closing is not None:
            return self._no("offline")
        if self._unanswered >= self.most_asked:
            if self._late >= self.most_asked:
                self.hang_up("overloaded", now=True)
            return self._no("busy")
        self._unanswered += 1
        self._busy_until_s = self.clock.seconds() + _QUIET_S
        result: Deferred[dict[str, Any]] = Deferred(lambda _: late())
        waiting = True

        def late() -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                self._late += 1
                if timer.active():
                    timer.cancel()
                if not result.called:
                    result.errback(Failure(trouble("timeout")))

        def came(outcome: Any) -> None:
            nonlocal waiting
            self._unanswered -= 1
            if not waiting:
                self._late -= 1
                if isinstance(outcome, dict):
                    self._too_late(outcome)
                self._note_idle()
                return
            waiting = False
            timer.cancel()
            if isinstance(outcome, Failure):
                result.errback(Failure(self._translated(outcome)))
            else:
                result.callback(outcome)
            self._note_idle()

        timer = self.clock.callLater(timeout_s, late)
        question: Deferred[Any] = amp.AMP.callRemote(self, command, **fields)
        question.addBoth(came)
        question.addErrback(lambda f: self.log.failure("whoever asked {command} failed", f, command=command.__name__))
        return result

    @staticmethod
    def _no(code: str) -> Deferred[dict[str, Any]]:
        result: Deferred[dict[str, Any]] = Deferred()
        result.errback(Failure(trouble(code)))
        return result

    def _translated(self, failure: Failure) -> TunnelError:
        """What AMP or the transport raised, as ours."""
        error = failure.value
        if isinstance(error, Refusal):
            return trouble(error.code)
        if isinstance(error, (amp.RemoteAmpError, amp.UnhandledCommand)):
            return trouble("failed")
        if self.transport is None or self.closing is not None:
            return trouble(self.closing or "lost")
        return trouble("protocol")

    def _too_late(self, answer: dict[str, Any]) -> None:
        """An answer came after its time; a stream that it offers is not wanted."""
        number = answer.get("stream")
        stream = self.streams.incoming(number) if number is not None else None
        if stream is not None:
            stream.stopped()

    def unhandledError(self, failure: Failure) -> None:
        self.log.failure("an answer of the tunnel could not be dealt with", failure)

    # -- questions of theirs

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        if _ANSWER in box or _ERROR in box:
            try:
                amp.AMP.ampBoxReceived(self, box)
            except KeyError as error:
                raise Violation("answer to no question") from error
        elif _COMMAND in box:
            self._answer(box)
        else:
            raise Violation("box of no kind")

    def _answer(self, box: amp.AmpBox) -> None:
        tag = box.get(_ASK)
        verb = self._verbs.get(box[_COMMAND])
        if verb is None:
            if not self.admitted:
                raise Violation("spoke before login")
            if tag is not None:
                self._send_error(tag, amp.UNHANDLED_ERROR_CODE, b"unknown command")
            return
        command, function = verb
        if tag is None and not command.requiresAnswer:
            self._note(command, function, box)
            return
        try:
            fields = command.parseArguments(box, self)
        except Exception as error:
            raise Violation(f"malformed {command.__name__}") from error
        if tag is None:
            raise Violation(f"{command.__name__} wants no answer")
        if self._answering >= self.most_asked:
            raise Violation("too many boxes in flight")
        self._answering += 1
        self._busy_until_s = self.clock.seconds() + _QUIET_S
        answer = maybeDeferred(function, **fields)
        answer.addCallback(command.makeResponse, self)
        answer.addCallbacks(self._send_answer, self._failed, callbackArgs=(tag,), errbackArgs=(tag, command))
        answer.addErrback(lambda f: self.log.failure("answer to {command} lost", f, command=command.__name__))

    @staticmethod
    def _note(command: type[amp.Command], function: Callable[..., Any], box: amp.AmpBox) -> None:
        """A stream's box: numbers, but for the data. Many come, so AMP's own unpacking is left out."""
        try:
            fields = [int(box[name]) for name, kind in command.arguments if isinstance(kind, amp.Integer)]
        except (KeyError, ValueError) as error:
            raise Violation(f"malformed {command.__name__}") from error
        if command is commands.StreamData:
            function(*fields, box.get(b"p", b""))
        else:
            function(*fields)

    def _answered(self) -> None:
        self._answering -= 1
        after, self._after_answer = self._after_answer, None
        if after is not None:
            after()
        self._note_idle()

    def _send_answer(self, box: amp.AmpBox, tag: bytes) -> None:
        box[_ANSWER] = tag
        self.sendBox(box)
        self._answered()

    def _failed(self, failure: Failure, tag: bytes, command: type[amp.Command]) -> None:
        error = failure.value
        if isinstance(error, Violation):
            self.broke_a_rule(error.what)
        elif isinstance(error, TunnelError):
            self._send_error(tag, b"REFUSED", error.code.encode())
        else:  # stock AMP would close the connection for this
            self.log.failure("answering {command} failed; the tunnel goes on", failure, command=command.__name__)
            self._send_error(tag, b"REFUSED", b"failed")
        self._answered()

    def _send_error(self, tag: bytes, code: bytes, description: bytes) -> None:
        self.sendBox(amp.AmpBox({_ERROR: tag, b"_error_code": code, b"_error_description": description}))

    # -- streams

    def _say(self, command: type[amp.Command], **fields: int) -> None:
        if self.transport is None:
            return
        self._write(number_box(command.commandName, **fields))
        if self._stall_timer is None and self.streams.open_count:
            self._stall_timer = self.clock.callLater(bounds.STALL_LOOK_S, self._look_for_stalled)

    def _on_open(self, i: int) -> dict[str, Any]:
        self.streams.on_open(i)
        if self._stall_timer is None:
            self._stall_timer = self.clock.callLater(bounds.STALL_LOOK_S, self._look_for_stalled)
        return {}

    def _on_data(self, i: int, p: bytes) -> dict[str, Any]:
        self.streams.on_data(i, p)
        return {}

    def _on_credit(self, i: int, n: int) -> dict[str, Any]:
        self.streams.on_credit(i, n)
        return {}

    def _on_end(self, i: int) -> dict[str, Any]:
        self.streams.on_end(i)
        return {}

    def _on_close(self, i: int) -> dict[str, Any]:
        self.streams.on_close(i)
        return {}

    def _look_for_stalled(self) -> None:
        self._stall_timer = None
        self.streams.look_for_stalled()
        if self.streams.open_count and self._stall_timer is None and self.transport is not None:
            self._stall_timer = self.clock.callLater(bounds.STALL_LOOK_S, self._look_for_stalled)

    def _nothing_else(self) -> bool:
        return self._answering == 0 and self._unanswered == 0 and self.clock.seconds() > self._busy_until_s

    # -- being there

    def _stay_alive(self) -> None:
        quiet_s = self.clock.seconds() - self.heard_s + 0.001  # else rounding asks again and again, at once
        silent_after_s = bounds.KEEP_ALIVE_S * bounds.KEEP_ALIVE_MISSES
        if quiet_s >= silent_after_s:
            self.hang_up("silent", now=True)
            return
        if quiet_s >= bounds.KEEP_ALIVE_S:
            self.ask(commands.Ping, bounds.KEEP_ALIVE_S * 2).addErrback(lambda _: None)
        wait_s = bounds.KEEP_ALIVE_S - quiet_s % bounds.KEEP_ALIVE_S
        self._alive_timer = self.clock.callLater(wait_s, self._stay_alive)

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing that was asked, either way, waits for its answer any more."""
        idle: Deferred[None] = Deferred(lambda d: self._idle.remove(d) if d in self._idle else None)
        self._idle.append(idle)
        self._note_idle()
        return idle

    def _note_idle(self) -> None:
        if self._idle and ((self._answering == 0 and self._unanswered == self._late) or self.transport is None):
            waiting, self._idle = self._idle, []
            for idle in waiting:
                idle.callback(None)
