"""The cloud's end of one connection: admits an agent, then asks it on behalf of browsers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.clocks import utc_now
from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.carried import answer_of, request_fields
from charging_manager.tunnel.identity import is_serial, proof_is_good, serial_of
from charging_manager.tunnel.lanes import Ticket, pack
from charging_manager.tunnel.link import (
    CloudEnd,
    RemoteAnswer,
    RemoteGrant,
    RemoteLogin,
    RemoteRequest,
    RemoteStream,
)
from charging_manager.tunnel.reasons import Refusal, Violation, trouble
from charging_manager.tunnel.scram import ScramCheck, fake_verifier
from charging_manager.tunnel.tls import Channel, TlsChannel
from charging_manager.tunnel.wire import Wire, verbs


class Door(Protocol):
    """What a link needs of the listening side."""

    end: CloudEnd
    program: str
    open_enrolment: bool
    salt_key: bytes

    def may_try(self, source: str, cloud_id: str) -> bool:
        """Whether a login is judged now; False: too many failed before."""

    def failed(self, source: str, cloud_id: str) -> None:
        """A proof was wrong."""

    def can(self) -> str:
        """The cloud's capabilities, words with spaces between."""

    def claimed(self, link: Link, claim: bytes) -> str:
        """An agent claims a label, or gives its own back; the cloud's zone. Raises: Refusal."""

    async def domain_claimed(self, link: Link, domain: str, claim: bytes) -> float:
        """An agent claims a domain, or gives its own back; for how many seconds it has it. Raises: Refusal."""

    async def publish(self, link: Link, value: str, claim: bytes | None, take: bool) -> tuple[str, float]:
        """Publish what proves a name, or take it away: the whole name, and how long that takes. Raises: Refusal."""

    def admitted(self, link: Link) -> None: ...

    def gone(self, link: Link, reason: str) -> None: ...


class Link(Wire):
    """One connection of an agent; after its login the way to one installation."""

    log = Logger()

    def __init__(self, clock: IReactorTime, door: Door, source: str) -> None:
        super().__init__(clock, agent=False)
        self._door = door
        self._deadline: IDelayedCall | None = None
        self._proof: _ScramProof | _KeyProof | None = None
        self._refused = False
        self._stepping = False
        self._draining = False
        self.channel: Channel | None = None
        """Of this TLS connection, unless a test says otherwise."""
        self.cloud_id = ""
        self.own_key = False
        self.program = ""
        """The agent's version."""
        self.agent_can: frozenset[str] = frozenset()
        self.source = source
        """The agent's address, as the listener knows it."""
        self.connected_at: datetime | None = None
        self.farewell: str | None = None
        self.came_in: Callable[..., None] = lambda *, finished=False: None
        """Called when the login is over, however it ends; others may wait for its place."""
        self._verbs = verbs((commands.Enter, self._enter))

    # -- the login

    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = self.clock.callLater(bounds.LOGIN_WITHIN_S, self.hang_up, "timeout", now=True)

    def name(self) -> str:
        return f"{self.cloud_id} ({self.source})" if self.cloud_id else self.source

    async def _enter(
        self, versions: list[int], program: str, cloud_id: str, method: str, message: bytes, can: str | None
    ) -> dict[str, Any]:
        if self._refused or self._stepping or self.admitted:
            raise Violation("two logins at once, or one after the other")
        self._stepping = True
        common = [v for v in versions if v in commands.VERSIONS]
        try:
            if not common:
                raise Refusal("versions")
            if not self._door.end.ready():
                raise Refusal("not-ready")
            if self._proof is None and not self._door.may_try(self.source, cloud_id):
                raise Refusal("busy")
            reply = await self._step(program[:64], cloud_id, method, message)
        except Refusal as refusal:
            code = refusal.code
            self._refused = True
            self._after_answer = lambda: self._is_refused(code)
            self.log.debug("login of {name} from {source} refused", name=cloud_id[:64], source=self.source)
            raise
        finally:
            self._stepping = False
        answer = {"version": max(common), "program": self._door.program, "message": reply}
        if can is not None:
            self.agent_can = frozenset(can.split())
            answer["can"] = self._door.can()
        return answer

    def _is_refused(self, code: str) -> None:
        self.came_in(finished=True)
        self.hang_up(code)

    async def _step(self, program: str, cloud_id: str, method: str, message: bytes) -> bytes:
        channel = self.channel or TlsChannel(self.transport, client=False)
        if self._proof is None:
            if method == commands.SCRAM and not is_serial(cloud_id):
                self._proof = _ScramProof(self._door, cloud_id, channel.binding())
            elif method == commands.OWN_KEY:
                self._proof = _KeyProof(self._door, cloud_id, channel.exporter())
            else:
                raise Refusal("refused")
            return await self._proof.challenge(message)
        proof = self._proof
        if (cloud_id, method) != (proof.cloud_id, proof.method):
            raise Violation("login changed its name")
        try:
            reply = await proof.verify(message)
        except Refusal as refusal:
            if refusal.code != "busy":  # that is no fault of whoever tried
                self._door.failed(self.source, cloud_id)
            raise
        if self.transport is None or self.closing is not None:
            raise Refusal("timeout")
        self.cloud_id = cloud_id.lower() if method == commands.SCRAM else cloud_id.upper()
        self.own_key = method == commands.OWN_KEY
        self.program = program
        self._after_answer = self._is_admitted
        return reply

    def _is_admitted(self) -> None:
        """The answer is on its way; from now on we may ask."""
        self._proof = None
        if self.transport is None or self.closing is not None:
            return
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.connected_at = utc_now()
        self.came_in(finished=True)
        table = verbs((commands.Goodbye, self._goodbye))
        if self.can_splice:
            table = {
                **table,
                **verbs(
                    (commands.Claim, self._claim),
                    (commands.ClaimDomain, self._claim_domain),
                    (commands.Publish, self._publish),
                ),
            }
            self.streams.allow_more(bounds.SPLICES)
        self.admit(table)
        self._door.admitted(self)

    async def _goodbye(self, reason: str, come_back_s: int | None) -> dict[str, Any]:
        self.farewell = reason[:32]
        return {}

    @property
    def can_splice(self) -> bool:
        """Both ends know end-to-end mode."""
        return {commands.SPLICE} <= self.agent_can & set(self._door.can().split())

    @property
    def can_use_lanes(self) -> bool:
        """Both ends know connections of their own for browsers."""
        return {commands.SPLICE, commands.LANES} <= self.agent_can & set(self._door.can().split())

    async def dial(self, tickets: Iterable[Ticket]) -> None:
        """Ask the agent to connect once for each of these. Raises: TunnelError."""
        self._still_open()
        await self.ask(commands.Dial, bounds.SPLICE_TIMEOUT_S, tickets=pack(tickets))

    async def carry(self, number: bytes, source: str) -> None:
        """Tell the agent whose bytes stand on this lane. Raises: TunnelError, and then they do not reach it."""
        self._still_open()
        await self.ask(commands.Carry, bounds.CARRY_TIMEOUT_S, number=number, source=source)

    def carried(self, there: int, back: int) -> None:
        """So many bytes of browsers passed beside this connection, to the agent and from it."""
        self.bytes_out += there
        self.bytes_in += back

    def _claim(self, claim: bytes) -> dict[str, Any]:
        return {"zone": self._door.claimed(self, claim)}

    async def _claim_domain(self, domain: str, claim: bytes) -> dict[str, Any]:
        return {"lease_s": int(await self._door.domain_claimed(self, domain, claim))}

    async def _publish(self, value: str, claim: bytes | None = None, take: bool | None = None) -> dict[str, Any]:
        name, settle_s = await self._door.publish(self, value, claim, bool(take))
        return {"name": name, "settle_s": round(settle_s)}

    async def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        """Carry a connection to the agent as it is: ``there`` are the browser's bytes, the answer those for it.

        Raises: TunnelError; then the stream there is closed.
        """
        self._still_open()
        number = self.streams.send(there)
        try:
            answer = await self.ask(commands.Splice, bounds.SPLICE_TIMEOUT_S, i=number, source=source)
            back = self.streams.incoming(answer["stream"])
            if back is None or back.sink is not None:  # over already, or somebody else's
                raise trouble("failed")
        except TunnelError:
            self.streams.give_up(number)
            raise
        return RemoteStream(back.start, "")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.came_in()
        super().connectionLost(reason)
        self._door.gone(self, self.closing or self.farewell or "lost")

    # -- what the cloud asks

    @property
    def quiet_s(self) -> float:
        """How long ago something came from the agent."""
        return self.clock.seconds() - self.heard_s

    async def login(self, login: RemoteLogin, timeout_s: float = bounds.LOGIN_TIMEOUT_S) -> RemoteGrant:
        """Ask the agent to let somebody in. Raises: TunnelError, ``refused`` or why no answer came."""
        self._still_open()
        answer = await self.ask(
            commands.Login,
            timeout_s,
            **login.as_arguments(),
        )
        return RemoteGrant(answer["token"], answer["role"], answer["language"])

    def _still_open(self) -> None:
        if self._draining:
            raise trouble("draining")

    def _too_late(self, answer: dict[str, Any]) -> None:
        super()._too_late(answer)
        if "token" in answer:  # a grant whose asker was told "refused" meanwhile: nobody must hold it
            self.ask(commands.Logout, bounds.LOGOUT_TIMEOUT_S, token=answer["token"]).addErrback(lambda _: None)

    async def logout(self, token: str) -> None:
        """Raises: TunnelError."""
        await self.ask(commands.Logout, bounds.LOGOUT_TIMEOUT_S, token=token)

    async def request(
        self, token: str, request: RemoteRequest, timeout_s: float = bounds.REQUEST_TIMEOUT_S
    ) -> RemoteAnswer | RemoteStream:
        """Carry a browser's request to the agent. A stream must be started, or it is reset after a minute.

        Raises: TunnelError (``timeout``, ``busy``, ``draining``, ``lost``, ``offline``, ``failed``).
        """
        self._still_open()
        fields = request_fields(self, token, request)
        return answer_of(self, await self.ask(commands.Request, timeout_s, **fields))

    async def close(self, reason: str, come_back_s: float = 0.0, drain_s: float = bounds.DRAIN_S) -> None:
        """Let what is under way finish, say goodbye and why, close. Nothing new is asked from now on."""
        if self.transport is None or self.closing is not None:
            return
        self._draining = True
        if drain_s > 0:
            idle: Deferred[None] = self.when_idle().addTimeout(drain_s, self.clock)
            idle.addErrback(lambda _: None)
            await idle
        with suppress(TunnelError):  # it is gone, or will notice
            await self.ask(commands.Goodbye, 0.5, reason=reason, come_back_s=round(come_back_s))
        self.hang_up(reason, within_s=0.4)


class _ScramProof:
    """By password; the cloud has a verifier of it, or makes as if."""

    method = commands.SCRAM

    def __init__(self, door: Door, cloud_id: str, binding: bytes) -> None:
        self._door = door
        self.cloud_id = cloud_id
        self._binding = binding
        self._known = False
        self._check: ScramCheck | None = None

    async def challenge(self, message: bytes) -> bytes:
        verifiers = await self._door.end.verifiers_of(self.cloud_id)
        fake = fake_verifier(self.cloud_id, self._door.salt_key)
        self._known = bool(verifiers)
        self._check = ScramCheck(self.cloud_id, verifiers or [fake], self._binding)
        return self._check.challenge(message)

    async def verify(self, message: bytes) -> bytes:
        if self._check is None:
            raise Violation("proof before the challenge")
        reply, verifier = self._check.verify(message)
        if not self._known or not await self._door.end.proved(self.cloud_id, verifier):
            raise Refusal("refused")  # deleted meanwhile
        return reply


class _KeyProof:
    """By the agent's own key, if this cloud admits those."""

    method = commands.OWN_KEY

    def __init__(self, door: Door, cloud_id: str, exporter: bytes) -> None:
        self._door = door
        self.cloud_id = cloud_id
        self._exporter = exporter
        self._nonce = secrets.token_bytes(32)
        self._public = b""

    async def challenge(self, message: bytes) -> bytes:
        if not self._door.open_enrolment:
            raise Refusal("enrolment-closed")
        if len(message) != 32 or serial_of(message) != self.cloud_id:
            raise Refusal("refused")
        self._public = message
        return self._nonce

    async def verify(self, message: bytes) -> bytes:
        if not proof_is_good(self._public, message, self._nonce, self._exporter):
            raise Refusal("refused")
        if not await self._door.end.admits(self.cloud_id):
            raise Refusal("refused")
        return b""
