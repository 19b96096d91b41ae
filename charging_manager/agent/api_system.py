"""Logging in and out, the admin password, drivers, the log, metrics and the description of the API itself."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from charging_manager import VERSION
from charging_manager.agent.api_shapes import LevelBody, LoginBody, PasswordBody
from charging_manager.agent.metrics import metrics
from charging_manager.agent.people import People
from charging_manager.agent.picture import API
from charging_manager.agent.running import RunningSite
from charging_manager.daemon.logs import LEVELS, DaemonLog
from charging_manager.http.routes import Answer, Call, Problem, Right, Role, Route
from charging_manager.http.tally import Tally


@frozen
class SystemPages:
    """The routes that are about the program rather than the site. ``metrics_token`` opens ``/metrics``."""

    site: RunningSite
    people: People
    daemon_log: DaemonLog
    metrics_token: str
    tally: Tally

    def routes(self) -> list[Route]:
        api = "/api/v1"
        return [
            Route("GET", f"{api}/me", Right.ANYBODY, self.me, "Who is asking", answer=dict),
            Route(
                "POST",
                f"{api}/login",
                Right.ANYBODY,
                self.login,
                "Log in by password or user ID",
                body=LoginBody,
                answer=dict,
                site_only=True,
            ),
            Route("POST", f"{api}/logout", Right.ANYBODY, self.logout, "Log out", statuses=(204,)),
            Route(
                "PUT",
                f"{api}/admin/password",
                Right.ADMIN,
                self.password,
                "Change the admin password; all logins end",
                body=PasswordBody,
                site_only=True,
                statuses=(204,),
            ),
            Route("GET", f"{api}/log", Right.ADMIN, self.log_lines, "The last lines of the log", answer=dict),
            Route("GET", f"{api}/log/level", Right.ADMIN, self.level, "The log level", answer=dict),
            Route(
                "PUT",
                f"{api}/log/level",
                Right.ADMIN,
                self.set_level,
                "Change the log level",
                body=LevelBody,
                answer=dict,
            ),
            Route(
                "GET",
                "/metrics",
                Right.ANYBODY,
                self.metrics,
                "Figures for Prometheus; from loopback, or with the token",
            ),
        ]

    async def me(self, call: Call) -> Any:
        caller = call.caller
        user = self.site.config.current.users.get(caller.user or "")
        return {
            "role": caller.role.value,
            "user": caller.user,
            "name": user.name if user else None,
            "remote": caller.remote,
            "language": caller.language,
            "api": API,
            "setup": self.people.password.state == "unset",
            "second_factor": self.people.factor.on,
            "site": self.site.config.current.name if caller.role is not Role.NOBODY else None,
            "timezone": self.site.config.current.timezone if caller.role is not Role.NOBODY else None,
        }

    async def login(self, call: Call) -> Any:
        body: LoginBody = call.body
        if (body.password is None) == (body.user_id is None):
            raise Problem(422, "invalid-field", "Give a password or a user ID, one of both.", "password")
        admin = body.password is not None
        secret = body.password if body.password is not None else body.user_id
        token, admitted = await self.people.log_in_here(secret or "", admin, call.caller, body.code)
        body_out = {"role": admitted.role.value, "user": admitted.user_id}
        return Answer(body_out, login=token, device=self.people.device_cookie(admitted))

    async def logout(self, call: Call) -> Any:
        await self.people.log_out(call.caller)
        return Answer(b"", status=204, logout=True)

    async def password(self, call: Call) -> Any:
        body: PasswordBody = call.body
        token = await self.people.set_password(call.caller, body.old, body.new)
        return Answer(b"", status=204, login=token)

    async def log_lines(self, call: Call) -> Any:
        return {
            "lines": [
                {
                    "at": line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "level": line.level,
                    "text": line.text,
                }
                for line in self.daemon_log.last_lines
            ]
        }

    async def level(self, call: Call) -> Any:
        return {"level": self.daemon_log.level}

    async def set_level(self, call: Call) -> Any:
        body: LevelBody = call.body
        if body.level not in LEVELS:
            raise Problem(
                422, "bad-level", "A log level is 1 (errors), 2 (warnings), 3 (information) or 4 (data).", "level"
            )
        self.daemon_log.level = body.level
        self.people.note(call.caller, "log-level", "", str(body.level))
        return {"level": body.level}

    async def metrics(self, call: Call) -> Any:
        if call.caller.remote or not (call.caller.loopback or call.bears(self.metrics_token)):
            raise Problem(403, "not-allowed", "Metrics are for this computer itself, or with their token.")
        return Answer(
            metrics(self.site, VERSION, self.tally).encode(), content_type="text/plain; version=0.0.4; charset=utf-8"
        )
