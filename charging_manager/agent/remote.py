"""The agent's end of the tunnel: logins are judged here, and every relayed request is answered by our own routes.

The cloud brings a token and fields, nothing else: role and user come from the token that was minted here.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from twisted.logger import Logger

from charging_manager.agent.people import CLOUD, People
from charging_manager.errors import ChargingManagerError
from charging_manager.http.routes import Caller, Role, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.tally import Tally
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import Refusal
from charging_manager.words import LANGUAGES, best_language

_HEADERS = ("last-event-id", "accept-language")
_LONGEST_SOURCE = 64


@frozen
class TunnelEnd:
    """tunnel.link.AgentEnd, by our people and our routes. While ``private``, the cloud may ask nothing."""

    people: People
    table: RouteTable
    private: Callable[[], bool] = lambda: False
    tally: Tally = field(factory=Tally)

    log = Logger()

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        """Raises: Refusal, which says nothing about why."""
        if self.private():
            self.log.warn("a login through the cloud's own page was refused: end-to-end mode is on")
            raise Refusal("refused")
        language = login.language if login.language in LANGUAGES else "en"
        source = login.source[:_LONGEST_SOURCE]
        try:
            found = await self.people.log_in_from_afar(
                login.secret, login.admin, language, source, login.trusted_device, login.code, login.browser
            )
        except ChargingManagerError as error:  # too many at once, or the disk takes no login
            self.log.warn("login through the cloud from {source} failed: {error}", source=source, error=error)
            raise Refusal("refused") from error
        if found is None:
            raise Refusal("refused")
        token, admitted = found
        return RemoteGrant(token, admitted.role.value, admitted.user.language if admitted.user else language)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        """Raises: Refusal for a token that is not, or no longer, one of ours."""
        self.tally.relayed += 1
        if self.private():
            raise Refusal("token-refused")
        wished = request.headers.get("accept-language", "")
        language = best_language(wished, "") if wished else ""
        caller = self.people.known(token, Caller(Role.NOBODY, remote=True, language=language, source=CLOUD))
        if caller is None:
            raise Refusal("token-refused")
        raw = RawRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            body=request.body,
            content_type=request.content_type,
            headers={name: request.headers[name] for name in _HEADERS if name in request.headers},
        )
        answer = await self.table.answer(raw, caller)
        if isinstance(answer, Stream):
            return RemoteStream(answer.start, answer.content_type, answer.filename, answer.status)
        body = answer.body if isinstance(answer.body, bytes) else b""
        return RemoteAnswer(answer.status, answer.content_type, body, answer.filename)

    async def logout(self, token: str) -> None:
        """Forget this token; an unknown one is no trouble."""
        caller = self.people.known(token, Caller(Role.NOBODY, remote=True, source=CLOUD))
        if caller is not None:
            await self.people.log_out(caller)
