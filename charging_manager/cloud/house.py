"""The cloud's own small answers: who am I, the log and its level, the description of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from charging_manager import VERSION
from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.daemon.logs import LEVELS, DaemonLog
from charging_manager.http.routes import Answer, Call, Problem, Right, Role, Route

log = Logger()

API_MAJOR = 1
_OPEN_TO_LOOK_AT = {"major": API_MAJOR, "features": ["cloud"]}


@frozen
class LogLevel:
    """1 errors, 2 warnings, 3 information, 4 data."""

    level: int


class House:
    """``is_new`` says whether no admin password was ever set; ``describe`` gives the OpenAPI file."""

    def __init__(
        self,
        the_log: DaemonLog,
        ledger: Ledger,
        is_new: Callable[[], bool],
        describe: Callable[[], dict[str, Any]],
        needs_code: Callable[[], bool],
    ) -> None:
        self._the_log, self._ledger, self._is_new, self._describe = the_log, ledger, is_new, describe
        self._needs_code = needs_code

    def routes(self) -> list[Route]:
        """The log stands under the CONTRACT's addresses and under the cloud's own."""
        routes = [
            Route("GET", "/api/v1/me", Right.ANYBODY, self._me, "Who am I", answer=dict),
            Route(
                "GET", "/api/v1/openapi.json", Right.ANYBODY, self._openapi, "This description of the API", answer=dict
            ),
            Route("POST", "/api/v1/logout", Right.ANYBODY, self._logout, "End the login session", statuses=(204,)),
        ]
        for root in ("/api/v1", "/api/v1/cloud/admin"):
            routes += [
                Route("GET", f"{root}/log/level", Right.ADMIN, self._level, "The log's level", answer=LogLevel),
                Route(
                    "PUT",
                    f"{root}/log/level",
                    Right.ADMIN,
                    self._set_level,
                    "Change the log's level until the next start",
                    body=LogLevel,
                    answer=LogLevel,
                    statuses=(200, 422),
                ),
                Route("GET", f"{root}/log", Right.ADMIN, self._lines, "The log's last lines", answer=dict),
            ]
        return routes

    async def _me(self, call: Call) -> dict[str, Any]:
        caller = call.caller
        return {
            "role": caller.role,
            "user": None,
            "remote": False,
            "language": caller.language,
            "cloud_admin": caller.role is Role.ADMIN,
            "setup": self._is_new(),
            "second_factor": self._needs_code(),
            "version": VERSION,
            "api": _OPEN_TO_LOOK_AT,
        }

    async def _logout(self, call: Call) -> Answer:
        """The cookie goes; the login itself the front has ended, which alone sees its token."""
        return Answer(b"", status=204, logout=True)

    async def _openapi(self, call: Call) -> dict[str, Any]:
        return self._describe()

    async def _level(self, call: Call) -> LogLevel:
        return LogLevel(self._the_log.level)

    async def _set_level(self, call: Call) -> LogLevel:
        wanted: LogLevel = call.body
        if wanted.level not in LEVELS:
            raise Problem(
                422, "bad-level", "A log level is 1 (errors), 2 (warnings), 3 (information) or 4 (data).", "level"
            )
        self._the_log.level = wanted.level
        await self._ledger.did(doer(call.caller), call.caller.source, "log-level", str(wanted.level))
        return wanted

    async def _lines(self, call: Call) -> dict[str, Any]:
        return {
            "lines": [
                {"at": line.at.isoformat(timespec="seconds"), "level": line.level, "text": line.text}
                for line in list(self._the_log.last_lines)
            ]
        }
