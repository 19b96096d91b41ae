"""A cloud server that cheats: whatever it invents, a real agent gives it nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.protocols import amp
from twisted.python.failure import Failure

from charging_manager.errors import TunnelError
from charging_manager.http import passwords
from charging_manager.tunnel import commands
from charging_manager.tunnel.link import RemoteAnswer, RemoteLogin, RemoteRequest, RemoteStream
from tests.agent.values import box, house
from tests.agent.whole import WholeAgent
from tests.tunnel.support import Tunnel

PASSWORD = "correct horse battery"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeAgent]:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)
    monkeypatch.setattr(passwords, "_DUMMY", cheap.hash("nobody knows"))
    whole = WholeAgent(tmp_path, house(box(driver="keba-p30")), None)
    whole.password.write(PASSWORD)
    yield whole
    whole.close()


@pytest.fixture
def tunnel(agent: WholeAgent) -> Tunnel:
    connected = Tunnel(agent.end, clock=agent.clock)  # type: ignore[arg-type]
    assert connected.link.admitted
    return connected


def asked(tunnel: Tunnel, what: Any) -> Any:
    """The outcome of a question over the wire: an answer, or the error."""
    found: list[Any] = []
    (what if isinstance(what, Deferred) else Deferred.fromCoroutine(what)).addBoth(found.append)
    tunnel.flush()
    assert found, "no answer came"
    return found[0].value if isinstance(found[0], Failure) else found[0]


def request(method: str = "GET", path: str = "/api/v1/state", **more: Any) -> RemoteRequest:
    return RemoteRequest(method, path, **more)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "admin", PASSWORD, "token\nrole: admin", "é" * 20])
def test_an_invented_token_opens_nothing(tunnel: Tunnel, token: str) -> None:
    for wanted in (
        request(),
        request(path="/api/v1/events"),
        request(path="/api/v1/me"),
        request("PUT", "/api/v1/charge-points/garage/mode", content_type="application/json", body=b'{"mode":"off"}'),
    ):
        error = asked(tunnel, tunnel.link.request(token, wanted))
        assert isinstance(error, TunnelError)
        assert error.code == "token-refused"


def test_an_invented_caller_adds_nothing_to_what_the_token_may(agent: WholeAgent, tunnel: Tunnel) -> None:
    made = agent.json("POST", "users", {"name": "Ann", "remote": True, "charge_points": ["garage"]})
    grant = asked(tunnel, tunnel.link.login(RemoteLogin(made["user_id"], False)))
    assert grant.role == "user"
    for headers in (
        {"x-role": "admin", "x-forwarded-for": "127.0.0.1", "host": "localhost"},
        {"cookie": "__Host-cm_agent=x", "authorization": "Bearer x", "role": "admin", "remote": "false"},
    ):
        for path in ("/api/v1/devices", "/api/v1/users", "/api/v1/config/cloud", "/api/v1/log"):
            answer = asked(tunnel, tunnel.link.request(grant.token, request(path=path, headers=headers)))
            assert isinstance(answer, RemoteAnswer)
            assert answer.status == 403, path
    for path in ("/api/v1/state?role=admin", "/api/v1/../v1/devices", "//api/v1/devices", "/api/v1/devices%2f"):
        answer = asked(tunnel, tunnel.link.request(grant.token, request(path=path)))
        assert answer.status in (403, 404), path


def test_what_belongs_to_the_site_is_refused_even_with_an_admins_token(tunnel: Tunnel) -> None:
    grant = asked(tunnel, tunnel.link.login(RemoteLogin(PASSWORD, True)))
    assert grant.role == "admin"
    body = b'{"old":"correct horse battery","new":"taken over"}'
    wanted = request("PUT", "/api/v1/admin/password", content_type="application/json", body=body)
    assert asked(tunnel, tunnel.link.request(grant.token, wanted)).status == 403


def test_a_token_that_was_logged_out_or_whose_password_changed_is_dead(agent: WholeAgent, tunnel: Tunnel) -> None:
    first = asked(tunnel, tunnel.link.login(RemoteLogin(PASSWORD, True)))
    second = asked(tunnel, tunnel.link.login(RemoteLogin(PASSWORD, True)))
    stream = asked(tunnel, tunnel.link.request(second.token, request(path="/api/v1/events")))
    assert isinstance(stream, RemoteStream)
    asked(tunnel, tunnel.link.logout(first.token))
    assert asked(tunnel, tunnel.link.request(first.token, request())).code == "token-refused"
    assert asked(tunnel, tunnel.link.request(second.token, request())).status == 200


class OpenEverything(amp.Command):
    """A verb that a cheating cloud makes up."""

    commandName = b"OpenEverything"
    arguments = [(b"role", amp.Unicode())]


def test_verbs_that_nobody_declared_are_not_answered(tunnel: Tunnel) -> None:
    for verb, fields in ((OpenEverything, {"role": "admin"}), (amp.StartTLS, {}), (commands.Enter, None)):
        if fields is None:
            fields = {"versions": [1], "program": "x", "cloud_id": "garage", "method": "PLAIN", "message": b"x"}
        outcome = asked(tunnel, tunnel.link.ask(verb, 5.0, **fields))
        assert isinstance(outcome, TunnelError), verb
    grant = asked(tunnel, tunnel.link.login(RemoteLogin("a guess", True)))
    assert isinstance(grant, TunnelError)


@pytest.mark.parametrize("vouched_for", [False, True])
def test_guessing_through_the_tunnel_is_slowed_down_by_the_agent_itself(tunnel: Tunnel, vouched_for: bool) -> None:
    def come_in(secret: str, number: int) -> Any:
        """A cheating cloud names another source each time, and may call its browsers known ones."""
        login = RemoteLogin(secret, True, source=f"198.51.100.{number}", trusted_device=vouched_for)
        return asked(tunnel, tunnel.link.login(login))

    for number in range(40):
        assert come_in(f"guess {number}", number).code == "refused"
    assert isinstance(come_in(PASSWORD, 99), TunnelError)
