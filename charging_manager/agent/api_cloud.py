"""The cloud service over the API: its switch, server, Cloud ID and password, and how the tunnel does."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.api_shapes import CloudBody
from charging_manager.agent.config import CloudSettings, Configuration
from charging_manager.agent.end_to_end import LOOK_SENTENCES, EndToEnd
from charging_manager.agent.people import People
from charging_manager.agent.picture import Sentence
from charging_manager.agent.running import RunningSite
from charging_manager.agent.uplink import Uplink
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.tunnel.dial import parse_server
from charging_manager.tunnel.identity import check_cloud_id, check_cloud_password
from charging_manager.tunnel.reasons import sentence
from charging_manager.words import say

CERTIFICATE_ENDS_SENTENCE = (
    "The certificate for end-to-end mode ends on {day}, and there is no new one yet: see the page of the cloud service."
)


class ShownUplink:
    """The uplink as the pages see it: its state, its last error as a sentence, and how it gets new settings."""

    log = Logger()

    def __init__(self, uplink: Uplink, private: EndToEnd) -> None:
        self._uplink, self._private = uplink, private

    @property
    def state(self) -> str:
        return self._uplink.state.value

    @property
    def error(self) -> Sentence | None:
        code = self._uplink.last_error
        return Sentence(code, sentence(code), self._uplink.error_fields) if code else None

    @property
    def alarms(self) -> list[Sentence]:
        """What everybody at the site should know of the way through the cloud."""
        alarms = [Sentence("read-along", LOOK_SENTENCES["other-key"])] if self._private.read_along else []
        ends_at = self._private.ends_at
        if ends_at is not None:
            alarms.append(Sentence("certificate-ends", CERTIFICATE_ENDS_SENTENCE, {"day": f"{ends_at:%Y-%m-%d}"}))
        return alarms

    @property
    def next_try_s(self) -> float | None:
        return self._uplink.next_try_s

    @property
    def default_server(self) -> str:
        return self._uplink.settings.default_server

    def use(self, cloud: CloudSettings) -> None:
        """Begin anew with these settings. Nobody waits: the wish may have come through the very tunnel that ends."""
        settings = evolve(
            self._uplink.settings,
            enabled=cloud.enabled,
            server=cloud.server,
            cloud_id=cloud.cloud_id,
            password=cloud.password,
        )
        if settings == self._uplink.settings:
            self._uplink.try_now()
            return
        Deferred.fromCoroutine(self._uplink.change(settings)).addErrback(
            lambda failure: self.log.failure("the cloud service could not be begun anew", failure=failure)
        )


@frozen
class CloudPages:
    """The routes of ``/config/cloud``."""

    site: RunningSite
    people: People
    uplink: ShownUplink

    def routes(self) -> list[Route]:
        path = "/api/v1/config/cloud"
        return [
            Route("GET", path, Right.ADMIN, self.show, "The cloud service: settings and state", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "Change the cloud service's settings; the tunnel begins anew",
                body=CloudBody,
                answer=dict,
            ),
        ]

    async def show(self, call: Call) -> Any:
        return self._shown(call)

    async def change(self, call: Call) -> Any:
        body: CloudBody = call.body

        def changed(config: Configuration) -> Configuration:
            return evolve(config, cloud=self._checked(body, config.cloud))

        config = await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "cloud-changed", config.cloud.server, "on" if config.cloud.enabled else "off")
        self.uplink.use(config.cloud)
        return self._shown(call)

    def _checked(self, body: CloudBody, old: CloudSettings) -> CloudSettings:
        """The settings as they are to be stored. With the default server the installation has its own key: Cloud ID
        and password have no meaning then, and stay as they were for the day when another server is entered."""
        server, cloud_id = body.server.strip(), body.cloud_id.strip()
        try:
            if is_default(server, self.uplink.default_server):
                if self.uplink.default_server:
                    return CloudSettings(body.enabled, "", old.cloud_id, old.password)
                return CloudSettings(body.enabled, "", *self._for_later(cloud_id, body.password or "", old))
            password = body.password or old.password
            if cloud_id or body.enabled:
                check_cloud_id(cloud_id)
            if body.password or (body.enabled and not password):
                check_cloud_password(body.password or "")
        except ConfigError as error:
            raise Problem(
                422, f"bad-{error.where.replace('_', '-')}", error.template, error.where, **error.fields
            ) from error
        return CloudSettings(body.enabled, server, cloud_id, password)

    def _for_later(self, cloud_id: str, password: str, old: CloudSettings) -> tuple[str, str]:
        """Cloud ID and password while no server is entered: what is left out, or the serial number, changes nothing."""
        if cloud_id and cloud_id != self.site.serial:
            check_cloud_id(cloud_id)
        else:
            cloud_id = old.cloud_id
        return cloud_id, check_cloud_password(password) if password else old.password

    def _shown(self, call: Call) -> dict[str, Any]:
        cloud = self.site.config.current.cloud
        default = is_default(cloud.server, self.uplink.default_server)
        by_serial = default and (self.uplink.default_server or not cloud.cloud_id)
        error = self.uplink.error
        return {
            "enabled": cloud.enabled,
            "server": cloud.server,
            "cloud_id": self.site.serial if by_serial else cloud.cloud_id,
            "serial": self.site.serial,
            "default_server": self.uplink.default_server,
            "is_default": default,
            "password_set": bool(cloud.password),
            "state": self.uplink.state,
            "last_error": error.code if error else None,
            "last_error_text": _text(error, call.caller.language) if error else None,
            "next_try_s": round(self.uplink.next_try_s) if self.uplink.next_try_s is not None else None,
        }


def is_default(text: str, default_server: str) -> bool:
    """Empty, or the default server's own name however it is written, means the default server. Raises: ConfigError."""
    chosen = parse_server(text)
    return chosen is None or chosen == parse_server(default_server)


def _text(error: Sentence, language: str) -> str:
    return say(language, error.sentence, **error.fields)
