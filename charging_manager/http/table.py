"""The route table: finds the route, checks the caller's right and the input, calls, and answers whatever comes of it.

The listener and the tunnel both call ``RouteTable.answer``; nothing behind it knows which of them did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import evolve, field, frozen
from twisted.logger import Logger

from charging_manager.errors import ChargingManagerError, ConfigError
from charging_manager.http.bodies import read_json, structure_body, to_json
from charging_manager.http.openapi import describe
from charging_manager.http.problems import bug, from_config_error, problem_answer
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Role, Route, Stream
from charging_manager.storage.database import StorageError
from charging_manager.storage.room import is_full
from charging_manager.words import best_language

_PART = re.compile(r"\{([a-z_]+)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f/]")
_STORAGE_STATUS = {"disk-full": 507}


@frozen
class RawRequest:
    """A request as fields, from the listener or from the tunnel: nothing in it is trusted yet.

    ``path`` is still percent-encoded; ``query`` is what stood behind the ``?``; ``headers`` holds, in lower case, only
    ``last-event-id``, ``authorization`` and ``accept-language``.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(factory=dict)


class RouteTable:
    """All ways in, checked at construction: no double route, and every route says who may use it."""

    _log = Logger()

    def __init__(self, routes: Iterable[Route], title: str, cookie: str = "__Host-cm_agent") -> None:
        """``title`` and the login ``cookie``'s name are for the OpenAPI file."""
        self.routes: Sequence[Route] = tuple(routes)
        self.title, self._cookie = title, cookie
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            if "{" in route.path:
                methods = patterns.setdefault(_PART.sub("{}", route.path), {})
            else:
                methods = self._fixed.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = route
        for methods in patterns.values():
            first = next(iter(methods.values()))
            self._patterns.append((_compiled(first.path), methods))

    def body_limit(self, method: str, path: str) -> int:
        """How many bytes of a body are worth reading for this address; 64 KiB where there is no such route."""
        route = (self._find(path)[0] or {}).get(method)
        return route.body_limit if route else 65_536

    async def answer(self, request: RawRequest, caller: Caller) -> Answer | Stream:
        """The answer, whatever happens: mistakes become problems, bugs a 500 and a log entry. Never raises."""
        wished = request.headers.get("accept-language")
        if wished:
            caller = evolve(caller, language=best_language(wished, caller.language))
        try:
            route, call = self._admit(request, caller)
            return _finished(await route.function(call), route)
        except Exception as error:
            return problem_answer(self._problem_of(error, request), caller.language)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 file of this table."""
        return describe(self.routes, self.title, self._cookie)

    def _problem_of(self, error: Exception, request: RawRequest) -> Problem:
        """To be called while ``error`` is being handled: a bug is logged with its traceback."""
        if isinstance(error, Problem):
            return error
        if isinstance(error, ConfigError):
            return from_config_error(error)
        if isinstance(error, StorageError):
            self._log.error("storage: {sentence}", sentence=error.sentence)
            return Problem(_STORAGE_STATUS.get(error.code, 503), f"storage-{error.code}", error.sentence)
        if is_full(error):  # a file of ours that is no database
            self._log.error("storage: the disk is full")
            return Problem(507, "storage-disk-full", "the disk is full; make room, nothing was changed")
        if isinstance(error, ChargingManagerError):
            self._log.warn("{method} {path} failed: {error}", method=request.method, path=request.path, error=error)
            return Problem(502, "failed", "{reason}", reason=str(error))
        self._log.failure("{method} {path} failed by a bug", method=request.method, path=request.path)
        return bug()

    def _find(self, path: str) -> tuple[dict[str, Route] | None, dict[str, str]]:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return methods, match.groupdict()
        return None, {}

    def _admit(self, request: RawRequest, caller: Caller) -> tuple[Route, Call]:
        methods, raw_params = self._find(request.path)
        params = {name: unquote(value, errors="replace") for name, value in raw_params.items()}
        if methods is None or any(_CONTROL.search(value) for value in params.values()):
            raise Problem(404, "not-found", "there is nothing at this address")
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            raise Problem(405, "method-not-allowed", "possible here: {methods}", methods=_allowed(methods))
        _check_right(route, caller)
        query = _query(request.query, route)
        body = _body(request, route)
        return route, Call(caller, params, query, body, request.headers)


def _compiled(path: str) -> re.Pattern[str]:
    parts = _PART.split(path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))


def _allowed(methods: Iterable[str]) -> str:
    return ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))


def _check_right(route: Route, caller: Caller) -> None:
    if route.loopback_only and not caller.loopback:
        raise Problem(403, "loopback-only", "this is possible only on the computer itself")
    if caller.scopes is not None and route.may > Right.ANYBODY and route.scope not in caller.scopes:
        if route.scope is None:
            raise Problem(403, "not-for-keys", "this is for people alone, not for keys")
        raise Problem(403, "scope-needed", "this key lacks the scope {scope}", scope=route.scope)
    if caller.role.right < route.may:
        if caller.role is Role.NOBODY:
            raise Problem(401, "login-required", "log in first")
        raise Problem(403, "not-allowed", "your login does not allow this")
    if route.site_only and caller.remote:
        raise Problem(403, "site-only", "this is possible only at the site, not through the cloud")


def _query(text: str, route: Route) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=32)
    except ValueError as error:
        raise Problem(400, "bad-query", "the part behind the question mark cannot be read") from error
    query = dict(pairs)
    for name in query:
        if name not in route.query:
            raise Problem(400, "unknown-parameter", "there is no parameter {name} here", where=name, name=name)
    if len(query) != len(pairs):
        raise Problem(400, "bad-query", "a parameter stands there twice")
    return query


def _body(request: RawRequest, route: Route) -> Any:
    if len(request.body) > route.body_limit:
        raise Problem(413, "too-large", "at most {limit} bytes are taken here", limit=route.body_limit)
    if route.body is bytes:
        return request.body
    if not request.body:
        if route.body is None:
            return None
        raise Problem(400, "body-needed", "a body in JSON is needed")
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "json-needed", "the body must be sent as application/json")
    value = read_json(request.body)
    return None if route.body is None else structure_body(value, route.body)


def _finished(result: Any, route: Route) -> Answer | Stream:
    if isinstance(result, Stream):
        return result
    if result is None:
        return Answer(b"", status=204)
    answer = result if isinstance(result, Answer) else Answer(result, status=route.statuses[0])
    if isinstance(answer.body, bytes):
        return answer
    return evolve(answer, body=b"" if answer.body is None else to_json(answer.body))


__all__ = ["RawRequest", "Right", "RouteTable"]
