"""The agent's end of one connection: proves who it is, checks who the cloud is, then answers.

Before the login is complete it answers to nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.carried import answer_fields, request_of
from charging_manager.tunnel.identity import AgentKey
from charging_manager.tunnel.lane_ends import LaneEnds
from charging_manager.tunnel.lanes import unpack
from charging_manager.tunnel.link import (
    AgentEnd,
    RemoteAnswer,
    RemoteLogin,
    RemoteStream,
    SpliceEnd,
)
from charging_manager.tunnel.reasons import Refusal, Violation, trouble
from charging_manager.tunnel.scram import ScramLogin, Stretched
from charging_manager.tunnel.tls import Channel, ClientTls, TlsChannel
from charging_manager.tunnel.wire import Wire, verbs

_CAN = (commands.SPLICE, commands.DOMAIN, commands.PUBLISH)
InThread = Callable[[Callable[[], bytes]], Deferred[bytes]]


@frozen
class Credentials:
    """A Cloud ID with its password, or else the agent's own key."""

    key: AgentKey
    cloud_id: str = ""
    password: str = field(default="", repr=False)

    @property
    def own_key(self) -> bool:
        return not self.cloud_id

    @property
    def name(self) -> str:
        return self.key.serial if self.own_key else self.cloud_id


@implementer(IHandshakeListener)
class AgentSide(Wire):
    """One connection to a cloud server.

    ``entered`` fires with the cloud's program version when the login is complete, or with TunnelError; ``gone`` fires
    with a reason code when the connection is no more. ``farewell`` is what the cloud said last, if it did.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        end: AgentEnd,
        credentials: Credentials,
        program: str,
        in_thread: InThread,
        splices: SpliceEnd | None = None,
        stretched: Stretched | None = None,
        dial: Callable[[Any, Protocol], Deferred[Any]] | None = None,
    ) -> None:
        super().__init__(clock, agent=True)
        self._stretched = stretched
        self._end = end
        self._splices = splices
        self._dial = dial
        self._lanes = LaneEnds(clock, self._dial_again)
        self._cloud_can: frozenset[str] = frozenset()
        self._credentials = credentials
        self._program = program
        self._in_thread = in_thread
        self.farewell: tuple[str, float] | None = None
        self.put_off_s: float | None = None
        """The cloud was busy and said when to come back, before any login."""
        self.entered: Deferred[str] = Deferred(lambda _: self.hang_up("stopping", now=True))
        self.gone: Deferred[str] = Deferred()
        self.tls: ClientTls | None = None
        self.shaken: Callable[[], None] = lambda: None
        """Called when TLS stands and the login begins."""

    # -- coming in

    def handshakeCompleted(self) -> None:
        """TLS stands: judge the server, then log in."""
        try:
            if self.tls is not None:
                self.tls.judge(self.transport, must_be_trusted=self._credentials.own_key)
        except TunnelError as error:
            self._not_entered(error)
            return
        self.begin(TlsChannel(self.transport, client=True))

    def put_off(self, come_back_s: int) -> None:
        """The cloud has no time for our login now. Nobody vouches for this: it only ever makes us wait a little."""
        self.put_off_s = float(min(max(come_back_s, 1), bounds.PUT_OFF_MOST_S))
        self._not_entered(trouble("busy"))

    def begin(self, channel: Channel) -> None:
        """Log in on this connection."""
        self.shaken()
        done = Deferred.fromCoroutine(self._enter(channel))
        done.addCallbacks(self._is_entered, lambda f: self._not_entered(f.value))

    async def _enter(self, channel: Channel) -> str:
        if self._credentials.own_key:
            return await self._prove_key(channel)
        return await self._prove_password(channel)

    async def _prove_password(self, channel: Channel) -> str:
        login = ScramLogin(self._credentials.cloud_id, self._credentials.password, channel.binding(), self._stretched)
        answer = await self._step(commands.SCRAM, login.first())
        login.challenged(answer["message"])
        answer = await self._step(commands.SCRAM, await self._in_thread(login.final))
        login.verified(answer["message"])
        return str(answer["program"])

    async def _prove_key(self, channel: Channel) -> str:
        key = self._credentials.key
        exporter = channel.exporter()
        answer = await self._step(commands.OWN_KEY, key.public)
        answer = await self._step(commands.OWN_KEY, key.prove(answer["message"], exporter))
        return str(answer["program"])

    async def _step(self, method: str, message: bytes) -> dict[str, Any]:
        answer = await self.ask(
            commands.Enter,
            bounds.ENTER_TIMEOUT_S,
            versions=list(commands.VERSIONS),
            program=self._program,
            cloud_id=self._credentials.name,
            method=method,
            message=message,
            can=self._can(),
        )
        self._cloud_can = frozenset((answer.get("can") or "").split())
        if answer["version"] not in commands.VERSIONS:
            raise trouble("versions")
        return answer

    def _can(self) -> str | None:
        if self._splices is None:
            return None
        return " ".join(_CAN if self._dial is None else (*_CAN, commands.LANES))

    def _is_entered(self, program: str) -> None:
        if self.transport is None or self.closing is not None:
            self._not_entered(trouble(self.closing or "lost"))
            return
        table = verbs(
            (commands.Login, self._login),
            (commands.Logout, self._logout),
            (commands.Request, self._request),
            (commands.Goodbye, self._goodbye),
        )
        if self.can_splice:
            table = {**table, **verbs((commands.Splice, self._splice))}
            if self._dial is not None:
                table = {**table, **verbs((commands.Dial, self._dial_lanes), (commands.Carry, self._carry))}
            self.streams.allow_more(bounds.SPLICES)
        self.admit(table)
        self.entered.callback(program)

    def _not_entered(self, error: BaseException) -> None:
        if not isinstance(error, TunnelError):
            self.log.failure("the login at the cloud server failed", Failure(error))
            error = trouble("failed")
        self.hang_up(error.code, now=True)
        if not self.entered.called:
            self.entered.errback(Failure(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._lanes.end()
        if not self.entered.called:
            self.entered.errback(Failure(trouble(self.closing or tls_code(reason))))
        farewell = self.farewell[0] if self.farewell else None
        self.gone.callback(farewell or self.closing or "lost")

    # -- what the cloud asks

    async def _login(
        self,
        secret: str,
        admin: bool,
        language: str,
        source: str,
        trusted_device: bool | None,
        code: str | None = None,
        browser: str | None = None,
    ) -> dict[str, Any]:
        grant = await self._end.login(
            RemoteLogin(secret, admin, language, source, bool(trusted_device), code or "", browser or "")
        )
        return {"token": grant.token, "role": grant.role, "language": grant.language}

    async def _logout(self, token: str) -> dict[str, Any]:
        await self._end.logout(token)
        return {}

    async def _request(self, token: str, **fields: Any) -> dict[str, Any]:
        if self.closing is not None:
            raise Refusal("draining")
        return self._packed(await self._end.request(token, await request_of(self, **fields)))

    def _packed(self, answer: RemoteAnswer | RemoteStream) -> dict[str, Any]:
        return answer_fields(self, answer)

    # -- end-to-end mode

    @property
    def can_splice(self) -> bool:
        """Both ends know end-to-end mode."""
        return self._splices is not None and commands.SPLICE in self._cloud_can

    def claim(self, claim: bytes) -> Deferred[str]:
        """Claim the label that this proves, or with nothing give it back; the cloud's zone. Fails with TunnelError."""
        if not claim:
            self._lanes.end()
        return self.ask(commands.Claim, bounds.SPLICE_TIMEOUT_S, claim=claim).addCallback(lambda a: str(a["zone"]))

    def can(self, capability: str) -> bool:
        """The cloud does this beside end-to-end mode."""
        return self.can_splice and capability in self._cloud_can

    async def claim_domain(self, domain: str, claim: bytes) -> float:
        """Claim a domain, or with nothing give it back; for how many seconds it is ours. Raises: TunnelError."""
        answer = await self.ask(commands.ClaimDomain, bounds.DNS_TIMEOUT_S, domain=domain, claim=claim)
        return float(answer["lease_s"])

    async def publish(self, value: str, claim: bytes | None = None, *, take: bool = False) -> float:
        """Have a challenge's value published, or taken away; how long that takes everywhere. Raises: TunnelError."""
        answer = await self.ask(commands.Publish, bounds.DNS_TIMEOUT_S, value=value, claim=claim, take=take)
        return float(min(max(answer["settle_s"], 0), 600))

    def _splice(self, i: int, source: str) -> dict[str, Any]:
        there = self.streams.incoming(i)
        if there is None or there.sink is not None:
            raise Violation("splice of no stream")
        if self.closing is not None or self._splices is None or not self._splices.is_open():
            there.stopped()
            raise Refusal("refused")
        try:
            return {"stream": self.streams.send(self._splices.splice(source[:64], RemoteStream(there.start)))}
        except TunnelError as error:
            there.stopped()
            raise Refusal(error.code) from error

    def _dial_again(self, lane: Protocol) -> Deferred[Any]:
        """To where this tunnel leads, not to where its name might lead now."""
        assert self._dial is not None  # noqa: S101 - else there is no such verb
        return self._dial(self.transport.getPeer(), lane)

    def _dial_lanes(self, tickets: bytes) -> dict[str, Any]:
        wanted = unpack(tickets)
        if self.closing is not None or self._splices is None or not self._splices.is_open():
            raise Refusal("refused")
        self._lanes.dial(wanted)
        return {}

    async def _carry(self, number: bytes, source: str) -> dict[str, Any]:
        lane = await self._lanes.take(number)
        if self.closing is not None or self._splices is None or not self._splices.is_open():
            lane.give_up()
            raise Refusal("refused")
        self._splices.carry(source[:64], lane)
        return {}

    async def _goodbye(self, reason: str, come_back_s: int | None) -> dict[str, Any]:
        self.farewell = (reason, float(min(max(come_back_s or 0, 0), 3600)))
        return {}

    # -- going

    async def leave(self, reason: str) -> None:
        """Answer what is being asked, say goodbye, close: within five seconds and two."""
        if self.transport is None or self.closing is not None:
            return
        if self.admitted:
            idle = self.when_idle().addTimeout(bounds.DRAIN_S, self.clock)
            idle.addErrback(lambda _: None)
            await idle
            with suppress(TunnelError):  # it will notice
                await self.ask(commands.Goodbye, bounds.GOODBYE_TIMEOUT_S, reason=reason)
        self.hang_up(reason)


def tls_code(reason: Failure) -> str:
    """Why a connection ended before its login did."""
    text = str(reason.value)
    if "certificate verify failed" in text:
        return "certificate-not-trusted"
    if reason.type.__module__.startswith("OpenSSL"):
        return "not-a-tunnel" if "alert no application protocol" in text.lower() else "tls-failed"
    return "lost"
