"""Every route times every role, from here and from afar: generated from the table, so that no route is forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from charging_manager.agent.config import UserSettings
from charging_manager.http.routes import Answer, Caller, Right, Role, Route, Stream
from tests.agent.values import box, house, meter
from tests.agent.whole import Make, WholeAgent

USER = UserSettings("ann", "Ann", True, ("garage",), "en", "hash")
OPEN = {
    ("GET", "/api/v1/me"),
    ("POST", "/api/v1/login"),
    ("POST", "/api/v1/logout"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("PUT", "/api/v1/inputs/{id}"),
    ("PUT", "/api/v1/grid-operator/dimming"),
    ("PUT", "/api/v1/devices/{id}/reading"),
    ("GET", "/api/v1/devices/{id}/setpoint"),
}
"""What anybody may ask: each is a decision, so each stands here."""
BY_TOKEN = {
    ("GET", "/metrics"),
    ("PUT", "/api/v1/inputs/{id}"),
    ("PUT", "/api/v1/grid-operator/dimming"),
    ("PUT", "/api/v1/devices/{id}/reading"),
    ("GET", "/api/v1/devices/{id}/setpoint"),
}
"""What judges by itself: the token of the running daemon opens it too."""
FOR_USERS = {
    ("GET", "/api/v1/state"),
    ("GET", "/api/v1/events"),
    ("PUT", "/api/v1/charge-points/{id}/mode"),
    ("PUT", "/api/v1/charge-points/{id}/override"),
    ("PUT", "/api/v1/charge-points/{id}/vehicle"),
    ("GET", "/api/v1/charge-points/{id}/goal"),
    ("GET", "/api/v1/charge-points/{id}/why"),
    ("GET", "/api/v1/prices"),
    ("PUT", "/api/v1/charge-points/{id}/goal"),
    ("DELETE", "/api/v1/charge-points/{id}/goal"),
    ("GET", "/api/v1/logins"),
    ("DELETE", "/api/v1/logins"),
    ("DELETE", "/api/v1/logins/{id}"),
    ("GET", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions.json"),
    ("GET", "/api/v1/sessions.csv"),
}
SITE_ONLY = {
    ("PUT", "/api/v1/devices/{id}/reading"),
    ("GET", "/api/v1/devices/{id}/setpoint"),
    ("PUT", "/api/v1/drivers/{name}"),
    ("DELETE", "/api/v1/drivers/{name}"),
    ("GET", "/api/v1/config/cloud/end-to-end"),
    ("PUT", "/api/v1/config/cloud/end-to-end"),
    ("POST", "/api/v1/config/cloud/end-to-end/check"),
    ("POST", "/api/v1/config/cloud/end-to-end/new-address"),
    ("PUT", "/api/v1/config/cloud/end-to-end/certificate"),
    ("DELETE", "/api/v1/config/cloud/end-to-end/certificate"),
    ("POST", "/api/v1/config/cloud/end-to-end/terms"),
    ("PUT", "/api/v1/config/cloud/end-to-end/acme"),
    ("POST", "/api/v1/config/cloud/end-to-end/acme/now"),
    ("PUT", "/api/v1/config/cloud/end-to-end/domain"),
    ("POST", "/api/v1/config/cloud/end-to-end/domain/check"),
    ("PUT", "/api/v1/ocpp"),
    ("PUT", "/api/v1/ocpp/passwords/{identity}"),
    ("GET", "/api/v1/recording"),
    ("POST", "/api/v1/login"),
    ("PUT", "/api/v1/admin/password"),
    ("POST", "/api/v1/admin/second-factor"),
    ("POST", "/api/v1/admin/second-factor/confirm"),
    ("POST", "/api/v1/admin/second-factor/recovery-codes"),
    ("POST", "/api/v1/admin/second-factor/off"),
    ("PUT", "/api/v1/inputs"),
    ("PUT", "/api/v1/inputs/{id}"),
    ("PUT", "/api/v1/grid-operator"),
    ("PUT", "/api/v1/grid-operator/dimming"),
    ("POST", "/api/v1/grid-operator/test"),
    ("POST", "/api/v1/scan"),
    ("POST", "/api/v1/devices/{id}/token"),
    ("DELETE", "/api/v1/devices/{id}/token"),
}
BODIES: dict[str, Any] = {
    "PUT /api/v1/config/cloud/end-to-end": {"enabled": True},
    "PUT /api/v1/config/cloud/end-to-end/certificate": {"cert": "x", "key": "x"},
    "POST /api/v1/config/cloud/end-to-end/terms": {},
    "PUT /api/v1/config/cloud/end-to-end/acme": {"terms": "https://authority.example/terms"},
    "PUT /api/v1/config/cloud/end-to-end/domain": {"domain": "charge.example.org"},
    "POST /api/v1/devices": {"name": "New", "driver": "keba-p30", "address": "tcp://192.0.2.1?unit=255"},
    "PUT /api/v1/devices/{id}": {"name": "Renamed"},
    "PUT /api/v1/site": {"name": "Renamed"},
    "POST /api/v1/users": {"name": "New"},
    "PUT /api/v1/rules": {"rules": [{"name": "Night", "limit_a": 10}]},
    "POST /api/v1/rules/check": {"rules": []},
    "POST /api/v1/rules/try": {"price": 0.3},
    "PUT /api/v1/users/{id}": {"name": "Renamed"},
    "PUT /api/v1/charge-points/{id}/mode": {"mode": "off"},
    "PUT /api/v1/charge-points/{id}/override": {"current_a": 6},
    "PUT /api/v1/charge-points/{id}/vehicle": {},
    "PUT /api/v1/config/cloud": {"enabled": False},
    "PUT /api/v1/log/level": {"level": 2},
    "PUT /api/v1/admin/password": {"old": "x", "new": "another password"},
    "POST /api/v1/login": {"password": "x"},
    "POST /api/v1/admin/second-factor": {"password": "x"},
    "POST /api/v1/admin/second-factor/confirm": {"code": "000000"},
    "POST /api/v1/admin/second-factor/recovery-codes": {"password": "x", "code": "000000"},
    "POST /api/v1/admin/second-factor/off": {"password": "x", "code": "000000"},
    "PUT /api/v1/inputs": {"inputs": []},
    "PUT /api/v1/inputs/{id}": {"on": True},
    "PUT /api/v1/grid-operator": {"other_devices": 1},
    "PUT /api/v1/grid-operator/dimming": {"on": True},
    "POST /api/v1/grid-operator/test": {"on": False},
    "POST /api/v1/scan": {},
}


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    agent = agents(house(box(driver="keba-p30"), meter(driver="eastron-sdm630"), users=(USER,)))
    agent.password.write("correct horse battery")
    return agent


def callers() -> list[Caller]:
    """Every role, here, on loopback and from afar; a user is Ann."""
    return [
        Caller(role, "ann" if role is Role.USER else None, remote, loopback, login="login", source="192.0.2.1")
        for role in Role
        for remote, loopback in ((False, False), (False, True), (True, False))
        if not (remote and role is Role.NOBODY)
    ]


def ask(agent: WholeAgent, route: Route, caller: Caller) -> Answer | Stream:
    """The route with a body that it takes."""
    path = route.path.replace("{id}", "ann" if "/users/" in route.path else "garage")
    return agent.ask(route.method, path, BODIES.get(f"{route.method} {route.path}"), caller)


def test_what_is_open_and_what_users_may_is_exactly_this(agent: WholeAgent) -> None:
    rights = {(route.method, route.path): route.may for route in agent.table.routes}
    assert {key for key, right in rights.items() if right is Right.ANYBODY} == OPEN
    assert {key for key, right in rights.items() if right is Right.USER} == FOR_USERS
    assert {(one.method, one.path) for one in agent.table.routes if one.site_only} == SITE_ONLY


def test_every_route_refuses_every_role_below_its_right_and_does_nothing(agent: WholeAgent) -> None:
    before = agent.store.current
    tried = 0
    for route in agent.table.routes:
        for caller in callers():
            if caller.role.right >= route.may:
                continue
            answer = ask(agent, route, caller)
            assert isinstance(answer, Answer), (route, caller)
            assert answer.status == (401 if caller.role is Role.NOBODY else 403), (route.method, route.path, caller)
            tried += 1
    assert tried > 100
    assert agent.store.current == before and agent.daemon_log.level == 3


def test_every_route_lets_every_role_with_its_right_in(agent: WholeAgent) -> None:
    for route in sorted(agent.table.routes, key=lambda route: route.method == "DELETE"):
        for caller in callers():
            if caller.role.right < route.may or (route.method, route.path) in BY_TOKEN:
                continue
            answer = ask(agent, route, caller)
            if route.site_only and caller.remote:
                assert answer.status == 403 and json.loads(answer.body)["code"] == "site-only"  # type: ignore[union-attr]
            elif isinstance(answer, Answer) and answer.status in (401, 403):
                code = json.loads(answer.body)["code"]
                assert code in ("login-failed", "wrong-password"), (route.method, route.path, caller, code)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH"])
def test_what_is_no_route_is_nothing(agent: WholeAgent, method: str) -> None:
    for path in ("/api/v1/nothing", "/api/v1/devices/a/b", "/api/v2/state", "/", "/api/v1/charge-points/garage"):
        assert agent.refused(method, path)[0] == 404


def test_metrics_are_for_loopback_or_their_token(agent: WholeAgent) -> None:
    away = Caller(Role.ADMIN, source="192.0.2.1")
    assert agent.ask("GET", "/metrics", caller=away).status == 403
    assert agent.ask("GET", "/metrics", caller=away, authorization="Bearer wrong").status == 403
    assert agent.ask("GET", "/metrics", caller=away, authorization="Bearer metrics-token").status == 200
    assert agent.ask("GET", "/metrics", caller=evolve(away, loopback=True)).status == 200
    remote = evolve(away, remote=True)
    assert agent.ask("GET", "/metrics", caller=remote, authorization="Bearer metrics-token").status == 403


def test_metrics_are_what_prometheus_reads(agent: WholeAgent) -> None:
    agent.run(3)
    answer = agent.ask("GET", "/metrics", caller=Caller(Role.NOBODY, loopback=True))
    lines = answer.body.decode().splitlines()  # type: ignore[union-attr]
    assert 'charging_manager_circuit_limit_amperes{circuit="main",phase="L2"} 32.0' in lines
    line = re.compile(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? -?[0-9.e+-]+')
    assert all(text.startswith("# ") or line.fullmatch(text) for text in lines)


def test_the_api_describes_itself_wholly(agent: WholeAgent) -> None:
    described = agent.json("GET", "openapi.json")
    for route in agent.table.routes:
        assert route.method.lower() in described["paths"][route.path]


def test_no_secret_is_ever_shown(agent: WholeAgent, tmp_path: Path) -> None:
    agent.json(
        "PUT",
        "config/cloud",
        {"enabled": True, "server": "cloud.example", "cloud_id": "garage-7", "password": "canary-of-the-cloud"},
    )
    secret = agent.json("POST", "users", {"name": "Bea"})["user_id"]
    said = []
    for route in agent.table.routes:
        if route.method == "GET":
            answer = ask(agent, route, Caller(Role.ADMIN, loopback=True, source="127.0.0.1"))
            said.append(answer.body.decode() if isinstance(answer, Answer) else "")
    everything = "\n".join(said)
    assert "garage-7" in everything and "Bea" in everything
    assert "canary-of-the-cloud" not in everything and secret not in everything and "hash" not in everything


@pytest.mark.parametrize("path", ["inputs/contact", "grid-operator/dimming"])
def test_a_program_at_the_site_says_what_it_knows_with_the_daemons_token(agent: WholeAgent, path: str) -> None:
    agent.json("PUT", "inputs", {"inputs": [{"id": "contact", "name": "Contact", "source": "api"}]})
    body = {"on": True}
    for caller in callers():
        expected = {Role.ADMIN: 200, Role.NOBODY: 401}.get(caller.role, 403) if not caller.remote else 403
        assert agent.ask("PUT", path, body, caller).status == expected, caller
        bearer = agent.ask("PUT", path, body, caller, authorization="Bearer metrics-token")
        assert bearer.status == (403 if caller.remote else 200), caller
        wrong = agent.ask("PUT", path, body, caller, authorization="Bearer other")
        assert wrong.status == expected, caller
