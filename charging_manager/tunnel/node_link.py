"""A connection between two servers of one cloud: the one that dialled asks, the other one's tunnels answer.

Both prove that they have the cloud's secret, bound to this very TLS connection (RFC 9266): neither certificate needs to
be known, and whoever stands between them shows each another connection. Each dials each, so that a pair has two.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from attrs import asdict, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.carried import answer_fields, answer_of, request_fields, request_of
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import Refusal, Violation, trouble
from charging_manager.tunnel.tls import Channel, TlsChannel
from charging_manager.tunnel.wire import Wire, verbs

NODE_ALPN = b"cm-node/1"
VERSIONS = (1,)
_NONCE_BYTES = 32
_MORE_S = 0.2
"""So much longer than the other server's own time for its agent: 2.7 s for a login, whose failure shows after 3 s."""
_ENTRIES_BYTES = 32 * bounds.KIB


@frozen
class Entry:
    """One installation and its tunnel: here, or (``here`` is False) not any more.

    ``generation`` is higher for each newer tunnel, whichever server it is at.
    """

    cloud_id: str
    generation: int
    program: str = ""
    label: str | None = None
    """Of end-to-end mode; in memory only, at either server."""
    here: bool = True
    domain: str | None = None
    """A name of its keeper's own that leads to it."""


_KINDS = {"cloud_id": str, "generation": int, "program": str, "label": str, "here": bool, "domain": str}


def read_entry(said: dict[str, Any]) -> Entry:
    """What another server wrote, perhaps a newer one that says more. Raises: TypeError, KeyError."""
    entry = Entry(**{name: said[name] for name in _KINDS if name in said})
    for name, kind in _KINDS.items():
        value = getattr(entry, name)
        if not isinstance(value, kind) and not (value is None and name in ("label", "domain")):
            raise TypeError(name)
    return entry


class LocalLink(Protocol):
    """What a server does with a tunnel of its own."""

    async def login(self, login: RemoteLogin) -> RemoteGrant: ...

    async def logout(self, token: str) -> None: ...

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream: ...

    async def splice(self, source: str, there: RemoteStream) -> RemoteStream: ...


class Proof:
    """What the two say to each other; ``key`` is the cloud's own."""

    def __init__(self, key: bytes, exporter: bytes, dialled: str, answers: str, nonces: bytes) -> None:
        self._key = key
        self._said = b"\0".join((exporter, dialled.encode(), answers.encode(), nonces))

    def of(self, side: bytes) -> bytes:
        return hmac.digest(self._key, b"cm-node/1 " + side + b"\0" + self._said, "sha256")

    def holds(self, side: bytes, proof: bytes) -> bool:
        return hmac.compare_digest(self.of(side), proof)


_DIALLED, _ANSWERS = b"dialled", b"answers"


@implementer(IHandshakeListener)
class NodeAsker(Wire):
    """The end that dialled. ``met`` fires when both have proved themselves, or with TunnelError; ``gone`` later."""

    log = Logger()

    def __init__(
        self, clock: IReactorTime, key: bytes, me: str, node: str, heard: Callable[[NodeAsker, list[Entry]], None]
    ) -> None:
        super().__init__(clock, agent=False)
        self._key, self._me, self.node, self._heard = key, me, node, heard
        self.tls: Any = None
        self.met: Deferred[None] = Deferred(lambda _: self.hang_up("stopping", now=True))
        self.gone: Deferred[str] = Deferred()

    def name(self) -> str:
        return f"server {self.node}"

    def handshakeCompleted(self) -> None:
        if self.transport.negotiatedProtocol != NODE_ALPN:
            self._not_met(trouble("not-a-tunnel"))
            return
        self.begin(TlsChannel(self.transport, client=True))

    def begin(self, channel: Channel) -> None:
        """Prove who we are, and hear the same."""
        meeting = Deferred.fromCoroutine(self._meet(channel))
        meeting.addCallbacks(lambda _: self.met.callback(None), lambda failure: self._not_met(failure.value))

    async def _meet(self, channel: Channel) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        answer = await self._meet_step(nonce)
        theirs, shown = answer["message"][:_NONCE_BYTES], answer["message"][_NONCE_BYTES:]
        proof = Proof(self._key, channel.exporter(), self._me, self.node, nonce + theirs)
        if answer["node"] != self.node or not proof.holds(_ANSWERS, shown):
            raise trouble("server-not-genuine")
        # Before the other end may speak: it does so at once.
        self.widen()
        self.admit(verbs((commands.Presence, self._presence), (commands.Goodbye, self._goodbye)))
        await self._meet_step(proof.of(_DIALLED))

    def _meet_step(self, message: bytes) -> Deferred[dict[str, Any]]:
        return self.ask(commands.Meet, bounds.ENTER_TIMEOUT_S, versions=list(VERSIONS), node=self._me, message=message)

    def _not_met(self, error: BaseException) -> None:
        if not isinstance(error, TunnelError):
            self.log.failure("meeting another server failed", Failure(error))
            error = trouble("failed")
        self.hang_up(error.code, now=True)
        if not self.met.called:
            self.met.errback(Failure(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if not self.met.called:
            self.met.errback(Failure(trouble(self.closing or "lost")))
        self.gone.callback(self.closing or "lost")

    def _presence(self, entries: bytes) -> dict[str, Any]:
        try:
            found = [read_entry(each) for each in orjson.loads(entries)]
        except (TypeError, KeyError, ValueError) as error:
            raise Violation("malformed presence") from error
        self._heard(self, found)
        return {}

    def _goodbye(self, reason: str, come_back_s: int | None) -> dict[str, Any]:
        self.hang_up(reason)
        return {}

    # -- what is asked for installations there

    async def login(self, cloud_id: str, login: RemoteLogin) -> RemoteGrant:
        answer = await self.ask(
            commands.LoginAt,
            bounds.LOGIN_TIMEOUT_S + _MORE_S,
            cloud_id=cloud_id,
            **login.as_arguments(),
        )
        return RemoteGrant(answer["token"], answer["role"], answer["language"])

    def _too_late(self, answer: dict[str, Any]) -> None:
        super()._too_late(answer)
        if "token" in answer:  # nobody must hold it
            undoing = Deferred.fromCoroutine(self.logout(answer["cloud_id"], answer["token"]))
            undoing.addErrback(lambda _: None)

    async def logout(self, cloud_id: str, token: str) -> None:
        await self.ask(commands.LogoutAt, bounds.LOGOUT_TIMEOUT_S + _MORE_S, cloud_id=cloud_id, token=token)

    async def request(self, cloud_id: str, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        fields = request_fields(self, token, request)
        timeout_s = bounds.REQUEST_TIMEOUT_S + _MORE_S
        return answer_of(self, await self.ask(commands.RequestAt, timeout_s, cloud_id=cloud_id, **fields))

    async def splice(self, cloud_id: str, source: str, there: RemoteStream) -> RemoteStream:
        number = self.streams.send(there)
        try:
            timeout_s = bounds.SPLICE_TIMEOUT_S + _MORE_S
            answer = await self.ask(commands.SpliceAt, timeout_s, cloud_id=cloud_id, i=number, source=source)
            back = self.streams.incoming(answer["stream"])
            if back is None or back.sink is not None:
                raise trouble("failed")
        except TunnelError:
            self.streams.give_up(number)
            raise
        return RemoteStream(back.start, "")


@frozen(eq=False)
class FarLink:
    """The tunnel of one installation at another server, used like one of our own."""

    asker: NodeAsker
    entry: Entry

    @property
    def cloud_id(self) -> str:
        return self.entry.cloud_id

    @property
    def program(self) -> str:
        return self.entry.program

    def name(self) -> str:
        return f"{self.cloud_id} (at {self.asker.name()})"

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        return await self.asker.login(self.cloud_id, login)

    async def logout(self, token: str) -> None:
        await self.asker.logout(self.cloud_id, token)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        return await self.asker.request(self.cloud_id, token, request)

    async def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        return await self.asker.splice(self.cloud_id, source, there)


class NodeHouse(Protocol):
    """What the answering end needs of its server."""

    me: str
    node_key: bytes

    def local(self, cloud_id: str) -> LocalLink | None:
        """The tunnel that is here."""

    def met(self, answerer: NodeAnswerer) -> None:
        """Another server has come in: it is to be told what is here (``NodeAnswerer.tell``)."""

    def left(self, answerer: NodeAnswerer) -> None: ...


class NodeAnswerer(Wire):
    """The end that was dialled: tells which installations are here, and carries what is asked to them."""

    log = Logger()

    def __init__(self, clock: IReactorTime, house: NodeHouse) -> None:
        super().__init__(clock, agent=True)
        self._house = house
        self._proof: Proof | None = None
        self._telling = False
        self._news: dict[str, Entry] = {}
        self.node = ""
        self.channel: Channel | None = None
        """Of this TLS connection, unless a test says otherwise."""
        self._verbs = verbs((commands.Meet, self._meet))
        self._deadline = clock.callLater(bounds.LOGIN_WITHIN_S, self.hang_up, "timeout", now=True)

    def name(self) -> str:
        return f"server {self.node}" if self.node else super().name()

    def _meet(self, versions: list[int], node: str, message: bytes) -> dict[str, Any]:
        if self.admitted or len(message) != _NONCE_BYTES:
            raise Violation("met out of turn")
        if not set(versions) & set(VERSIONS):
            raise Refusal("versions")
        house = self._house
        answer = {"version": max(VERSIONS), "node": house.me, "message": b""}
        if self._proof is None:
            channel = self.channel or TlsChannel(self.transport, client=False)
            nonce = secrets.token_bytes(_NONCE_BYTES)
            self.node = node[:64]
            self._proof = Proof(house.node_key, channel.exporter(), self.node, house.me, message + nonce)
            return {**answer, "message": nonce + self._proof.of(_ANSWERS)}
        if node != self.node or not self._proof.holds(_DIALLED, message):
            self.log.warn("somebody at {peer} is no server of this cloud", peer=super().name())
            self._after_answer = lambda: self.hang_up("refused")
            raise Refusal("refused")
        self._after_answer = self._is_met
        return answer

    def _is_met(self) -> None:
        if self.transport is None or self.closing is not None:
            return
        self._deadline.cancel()
        self.widen()
        self.admit(
            verbs(
                (commands.LoginAt, self._login),
                (commands.LogoutAt, self._logout),
                (commands.RequestAt, self._request),
                (commands.SpliceAt, self._splice),
            )
        )
        self._house.met(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        super().connectionLost(reason)
        self._house.left(self)

    # -- what is told

    def tell(self, entry: Entry) -> None:
        """What is newest of each installation is sent, many together."""
        self._news[entry.cloud_id] = entry
        if not self._telling:
            self._telling = True
            self.clock.callLater(0, self._tell)

    def _tell(self) -> None:
        batch: list[bytes] = []
        size = 2
        while self._news and self.transport is not None and self.closing is None:
            cloud_id, entry = next(iter(self._news.items()))
            text = orjson.dumps(asdict(entry))
            size += len(text) + 1
            if size > _ENTRIES_BYTES and batch:
                break
            del self._news[cloud_id]
            batch.append(text)
        if not batch:
            self._telling = False
            return
        telling = self.ask(commands.Presence, bounds.REQUEST_TIMEOUT_S, entries=b"[" + b",".join(batch) + b"]")
        telling.addCallbacks(lambda _: self._tell(), self._not_told)

    def _not_told(self, failure: Failure) -> None:
        """What the other one knows is not right any more: it shall come anew."""
        failure.trap(TunnelError)
        self.hang_up("failed", now=True)

    # -- what is asked

    def _link(self, cloud_id: str) -> LocalLink:
        link = self._house.local(cloud_id)
        if link is None:
            raise Refusal("offline")
        return link

    async def _login(
        self,
        cloud_id: str,
        secret: str,
        admin: bool,
        language: str,
        source: str,
        trusted_device: bool | None,
        code: str | None = None,
        browser: str | None = None,
    ) -> dict[str, Any]:
        grant = await self._link(cloud_id).login(
            RemoteLogin(secret, admin, language, source, bool(trusted_device), code or "", browser or "")
        )
        return {"token": grant.token, "role": grant.role, "language": grant.language, "cloud_id": cloud_id}

    async def _logout(self, cloud_id: str, token: str) -> dict[str, Any]:
        await self._link(cloud_id).logout(token)
        return {}

    async def _request(self, cloud_id: str, token: str, **fields: Any) -> dict[str, Any]:
        request = await request_of(self, **fields)
        return answer_fields(self, await self._link(cloud_id).request(token, request))

    async def _splice(self, cloud_id: str, i: int, source: str) -> dict[str, Any]:
        there = self.streams.incoming(i)
        if there is None or there.sink is not None:
            raise Violation("splice of no stream")
        try:
            back = await self._link(cloud_id).splice(source, RemoteStream(there.start, ""))
            return {"stream": self.streams.send(back)}
        except TunnelError:
            there.stopped()
            raise
