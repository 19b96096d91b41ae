"""The agent's cloud service: keeps one tunnel up, says in words how it stands, and does not flood anybody.

Theory of operation. One coroutine lives while the service is switched on: resolve, connect, log in, stay until the
connection is gone, wait, again. States are named in ``MOVES``; a move that is not drawn there is an error. Settings
that change end the coroutine (politely, with a goodbye) and begin another one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final

from attrs import field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from charging_manager import VERSION
from charging_manager.errors import ConfigError, TunnelError
from charging_manager.tunnel.agent_side import AgentSide, Credentials, InThread
from charging_manager.tunnel.dial import ServerName, connect, connect_plain, parse_server, resolve
from charging_manager.tunnel.identity import AgentKey
from charging_manager.tunnel.link import AgentEnd, SpliceEnd
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.scram import Stretched
from charging_manager.tunnel.tls import ClientTls, Trust

LEAST_GAP_S = 2.1
"""Between two tries, whatever ended the first and whoever asks for the second: never more often than once in 2 s."""
_LOGIN_WITHIN_S = 15.0
_GOOD_AFTER_S = 60.0
_DISPLACED_S = 300.0
_REFUSED_S = 60.0
_REFUSED_MOST_S = 3600.0
_LOG_GAP_S = 60.0


class UplinkState(StrEnum):
    """How the tunnel stands, as ``config/cloud`` shows it."""

    OFF = "off"
    NO_SERVER = "no-server"
    RESOLVING = "resolving"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    CONNECTED = "connected"
    REFUSED = "refused"
    DISPLACED = "displaced"
    WAITING = "waiting"


_S = UplinkState
_RESTS = frozenset({_S.REFUSED, _S.DISPLACED, _S.WAITING})
_STOPS = frozenset({_S.OFF, _S.NO_SERVER})
MOVES: Final[dict[UplinkState, frozenset[UplinkState]]] = {
    _S.OFF: frozenset({_S.RESOLVING, _S.NO_SERVER, _S.WAITING}),
    _S.NO_SERVER: frozenset({_S.RESOLVING, _S.OFF, _S.WAITING}),
    _S.RESOLVING: _RESTS | _STOPS | {_S.CONNECTING},
    _S.CONNECTING: _RESTS | _STOPS | {_S.AUTHENTICATING},
    _S.AUTHENTICATING: _RESTS | _STOPS | {_S.CONNECTED},
    _S.CONNECTED: _RESTS | _STOPS,
    _S.REFUSED: _STOPS | {_S.RESOLVING},
    _S.DISPLACED: _STOPS | {_S.RESOLVING},
    _S.WAITING: _STOPS | {_S.RESOLVING},
}

_NO_USE_IN_HURRY: Final = frozenset(
    {
        "refused",
        "man-in-the-middle",
        "server-not-genuine",
        "weak-login",
        "certificate-not-trusted",
        "certificate-wrong-name",
        "certificate-unusable",
        "enrolment-closed",
        "not-approved",
        "versions",
        "disabled",
        "deleted",
        "password-changed",
    }
)


@frozen
class UplinkSettings:
    """What the cloud page edits, and what the process was started with."""

    key: AgentKey = field(repr=False)
    enabled: bool = False
    server: str = ""
    """``host[:port]`` or ``https://host[:port]``; empty means the default server."""
    cloud_id: str = ""
    password: str = field(default="", repr=False)
    default_server: str = ""
    trust: Trust = field(factory=Trust)

    def target(self) -> ServerName | None:
        """Where to connect; None when there is no server. Raises: ConfigError."""
        return parse_server(self.server) or parse_server(self.default_server)

    @property
    def on_default_server(self) -> bool:
        """Then the serial number is the Cloud ID, and the agent's key its password. Raises: ConfigError."""
        chosen = parse_server(self.server)
        return chosen is None or chosen == parse_server(self.default_server)

    def credentials(self) -> Credentials:
        if self.on_default_server:
            return Credentials(self.key)
        return Credentials(self.key, self.cloud_id, self.password)


class Uplink(Service):
    """The tunnel of this agent, as a service. ``watch`` to hear of changes."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: UplinkSettings,
        end: AgentEnd,
        *,
        splices: SpliceEnd | None = None,
        chance: random.Random | None = None,
        in_thread: InThread | None = None,
        program: str = f"charging-manager {VERSION}",
        stretched: Stretched | None = None,
    ) -> None:
        self._stretched = stretched or Stretched()
        self._reactor = reactor
        self._settings = settings
        self._end = end
        self._splices = splices
        self._chance = chance or random.SystemRandom()
        self._in_thread = in_thread or self._thread
        self._program = program
        self._watchers: list[Callable[[], None]] = []
        self._life: Deferred[None] | None = None
        self._stopping = False
        self._one_change = DeferredLock()
        self._in_use: UplinkSettings | None = None
        self._side: AgentSide | None = None
        self._next_try_at_s: float | None = None
        self._failures = 0
        self._refusals = 0
        self._tried: tuple[ServerName | None, float] = None, 0.0
        self._last_line_s = -_LOG_GAP_S
        self._last_line = ""
        self._later_line: IDelayedCall | None = None
        self.state = UplinkState.OFF
        self.last_error: str | None = None
        """A code of ``tunnel.reasons``; None while all is well."""
        self.error_fields: Mapping[str, str] = {}
        """What the code's sentence has places for."""
        self.cloud_program: str | None = None
        """Name and version of the cloud server, once connected."""

    def _thread(self, work: Callable[[], bytes]) -> Deferred[bytes]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    # -- seen from outside

    @property
    def settings(self) -> UplinkSettings:
        return self._settings

    @property
    def side(self) -> AgentSide | None:
        """The live connection, once its login is complete."""
        return self._side

    @property
    def next_try_s(self) -> float | None:
        """Seconds until the next attempt, while one is waited for."""
        if self._next_try_at_s is None:
            return None
        return max(0.0, self._next_try_at_s - float(self._reactor.seconds()))

    def watch(self, callback: Callable[[], None]) -> None:
        """Call this after each change of state or error."""
        self._watchers.append(callback)

    def startService(self) -> None:
        Service.startService(self)
        self._begin()

    async def _stop(self) -> None:
        self._stopping = True
        life, self._life = self._life, None
        if self._side is not None:
            await self._side.leave("stopping")
        if life is not None:
            life.cancel()
        if self.state is not UplinkState.OFF:
            self._move(UplinkState.OFF)

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._end_it())

    async def _end_it(self) -> None:
        async with self._one_change:
            if not self.running:
                await self._stop()

    async def change(self, settings: UplinkSettings) -> None:
        """Use these settings from now on; the tunnel restarts if they differ."""
        if settings == self._settings:
            return
        self._settings = settings
        self._failures = self._refusals = 0
        async with self._one_change:
            if self.running and self._in_use != self._settings:
                await self._stop()
                if self.running:
                    self._begin()

    def try_now(self) -> None:
        """Do not wait for the next attempt: somebody pressed the button, or the network came back."""
        if self.running and self.state in _RESTS and self._life is not None:
            life, self._life = self._life, None
            life.cancel()
            self._begin()

    # -- the life of the tunnel

    def _begin(self) -> None:
        self._stopping = False
        self._in_use = self._settings
        self.last_error = None
        self._last_line = ""
        if not self._settings.enabled:
            if self.state is not UplinkState.OFF:
                self._move(UplinkState.OFF)
            return
        try:
            target = self._settings.target()
        except ConfigError:
            target = None
        if target is None:
            self._move(UplinkState.NO_SERVER, "no-server")
            return
        self._life = Deferred.fromCoroutine(self._live(target))
        self._life.addErrback(self._ended)

    def _ended(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self.log.failure("the cloud service stopped by a mistake of ours", failure)

    async def _live(self, target: ServerName) -> None:
        while True:
            fields: Mapping[str, str] = {}
            try:
                await self._keep_distance(target)
                code = await self._once(target)
            except CancelledError:
                raise
            except TunnelError as error:
                code, fields = error.code, error.fields
            except Exception:
                self.log.failure("an attempt to reach the cloud server failed by a mistake of ours")
                code = "failed"
            if self._stopping:
                return
            wait_s = self._pause(code)
            self._next_try_at_s = self._reactor.seconds() + wait_s
            self.error_fields = fields
            self._rest(code)
            await self._until_next_try()

    async def _keep_distance(self, target: ServerName) -> None:
        """Settings that change again and again, or a button that is pressed again, are no reason to hurry."""
        tried, tried_s = self._tried
        at_s = tried_s + LEAST_GAP_S
        if tried == target and at_s > self._reactor.seconds():
            self._next_try_at_s = at_s
            if self.state is not UplinkState.WAITING:
                self._move(UplinkState.WAITING)
            await self._until_next_try()
        self._tried = target, self._reactor.seconds()

    async def _until_next_try(self) -> None:
        try:
            await deferLater(self._reactor, max(0.0, (self._next_try_at_s or 0.0) - self._reactor.seconds()))
        finally:
            self._next_try_at_s = None

    async def _once(self, target: ServerName) -> str:
        """One connection from beginning to end; the code says why it ended."""
        self._move(UplinkState.RESOLVING)
        credentials = self._settings.credentials()
        trust = self._settings.trust
        if credentials.own_key and not trust.given:
            trust = Trust(ca="system")
        tls = ClientTls(target.host, trust)
        side = AgentSide(
            self._reactor,
            self._end,
            credentials,
            self._program,
            self._in_thread,
            self._splices,
            self._stretched,
            partial(connect_plain, self._reactor),
        )
        side.shaken = lambda: self._move(UplinkState.AUTHENTICATING)
        try:
            addresses = await resolve(self._reactor, target)
            self._move(UplinkState.CONNECTING)
            await connect(self._reactor, addresses, tls, side)
            too_late = self._reactor.callLater(_LOGIN_WITHIN_S, side.hang_up, "timeout", now=True)
            try:
                self.cloud_program = await side.entered
            finally:
                if too_late.active():
                    too_late.cancel()
            return await self._stay(side)
        finally:
            if side.put_off_s is not None:
                self._come_back_s = side.put_off_s
            side.hang_up("stopping", now=True)

    async def _stay(self, side: AgentSide) -> str:
        since_s = self._reactor.seconds()
        self._side = side
        self._refusals = 0
        self._move(UplinkState.CONNECTED)
        try:
            code = await side.gone
        finally:
            self._side = None
            self.cloud_program = None
        if self._reactor.seconds() - since_s >= _GOOD_AFTER_S:
            self._failures = 0
        if side.farewell is not None:
            self._come_back_s = side.farewell[1]
        return code

    _come_back_s = 0.0

    def _pause(self, code: str) -> float:
        """How long to wait after this. No agent waits as long as the next one."""
        if code == "displaced":
            return _DISPLACED_S + self._chance.uniform(0, 60)
        if code in _NO_USE_IN_HURRY:
            self._refusals += 1
            slow_s = min(_REFUSED_MOST_S, _REFUSED_S * 2.0 ** min(self._refusals - 1, 16))
            return slow_s * self._chance.uniform(1, 1.25)
        come_back_s, self._come_back_s = self._come_back_s, 0.0
        if code == "restart" and come_back_s:
            return max(LEAST_GAP_S, come_back_s)
        if code == "busy" and come_back_s:
            return max(LEAST_GAP_S, come_back_s * self._chance.uniform(1, 1.1) + self._chance.uniform(0, 1))
        wait_s = LEAST_GAP_S + self._chance.uniform(0, min(88.0, 4.0 * 2.0 ** min(self._failures, 16)))
        self._failures += 1
        return wait_s

    def _rest(self, code: str) -> None:
        if code == "displaced":
            self._move(UplinkState.DISPLACED, code)
        elif code in _NO_USE_IN_HURRY:
            self._move(UplinkState.REFUSED, code)
        else:
            self._move(UplinkState.WAITING, code)

    def _move(self, state: UplinkState, error: str | None = None) -> None:
        if state not in MOVES[self.state]:
            raise trouble("failed") from ValueError(f"{self.state} does not lead to {state}")
        self.state = state
        if error is not None or state in (UplinkState.CONNECTED, UplinkState.OFF):
            self.last_error = error
        self._say_so()
        for watcher in self._watchers:
            try:
                watcher()
            except Exception:
                self.log.failure("whoever watches the cloud service failed")

    def _say_it_now(self) -> None:
        self._later_line = None
        self._say_so()

    def _say_so(self) -> None:
        """One line when a condition begins and one when it ends, about one a minute at most.

        What changes sooner is said when the minute is over, if it is still so then. A tunnel that was up and that the
        cloud wants no more is named at once: nobody is in a hurry to come back then, so this cannot flood the log.
        """
        if self._later_line is not None:
            self._later_line.cancel()
            self._later_line = None
        line = "connected" if self.state is UplinkState.CONNECTED else self.last_error
        if line is None or line == self._last_line:
            return
        now_s = self._reactor.seconds()
        wait_s = self._last_line_s + _LOG_GAP_S - now_s
        if wait_s > 0 and not (self._last_line == "connected" and line in _NO_USE_IN_HURRY):
            self._later_line = self._reactor.callLater(wait_s, self._say_it_now)
            return
        self._last_line, self._last_line_s = line, now_s
        if line == "connected":
            self.log.info("tunnel to {server} is up", server=str(self._settings.target()))
        else:
            said = trouble(line, **self.error_fields)
            self.log.warn("no tunnel ({code}): {sentence}", code=line, sentence=str(said))
