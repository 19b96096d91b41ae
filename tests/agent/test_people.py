"""SECURITY-TARGETS, "Login, exactly", row by row, here at the agent that decides."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from charging_manager.http.routes import Answer, Caller, Role, Stream
from charging_manager.tunnel.link import RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import Refusal
from tests.agent.test_api_live import Browser
from tests.agent.values import box, house
from tests.agent.waiting import result_of
from tests.agent.whole import ADMIN, Make, WholeAgent

PASSWORD = "correct horse battery"
STRANGER = Caller(Role.NOBODY, source="192.0.2.50")


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    agent = agents(house(box(driver="keba-p30"), box("yard", driver="keba-p30", address="tcp://127.0.0.1:1502?unit=7")))
    agent.password.write(PASSWORD)
    return agent


def user_id(agent: WholeAgent, name: str = "Ann", remote: bool = True) -> str:
    """The secret ID of a new user."""
    body = {"name": name, "remote": remote, "charge_points": ["garage"]}
    return str(agent.json("POST", "users", body)["user_id"])


def come_in(agent: WholeAgent, secret: str, admin: bool, source: str = "198.51.100.1") -> Any:
    """What the cloud gets for a login: a grant, or None."""
    try:
        return result_of(agent.end.login(RemoteLogin(secret, admin, "fr", source)))
    except Refusal as refusal:
        assert refusal.code == "refused"
        return None


def through(agent: WholeAgent, token: str, method: str, path: str, body: object = None) -> Any:
    """A relayed request."""
    data = json.dumps(body).encode() if body is not None else b""
    request = RemoteRequest(method, f"/api/v1/{path}", content_type="application/json" if data else "", body=data)
    return result_of(agent.end.request(token, request))


def test_with_an_empty_admin_password_nobody_comes_in(agent: WholeAgent) -> None:
    ann = user_id(agent)
    agent.password.write(None)
    assert [come_in(agent, secret, admin) for secret in (ann, PASSWORD, "", "x") for admin in (True, False)] == [
        None
    ] * 8


def test_with_no_admin_password_ever_set_nobody_comes_in(agents: Make) -> None:
    agent = agents(house(box(driver="keba-p30")))
    ann = user_id(agent)
    assert [come_in(agent, secret, admin) for secret in (ann, "", "x") for admin in (True, False)] == [None] * 6


def test_the_admin_password_with_the_box_ticked_is_admin(agent: WholeAgent) -> None:
    assert come_in(agent, PASSWORD, True).role == "admin"


def test_a_user_id_with_the_box_ticked_is_refused(agent: WholeAgent) -> None:
    assert come_in(agent, user_id(agent), True) is None


def test_the_id_of_a_remote_user_is_that_user(agent: WholeAgent) -> None:
    grant = come_in(agent, user_id(agent).lower().replace("-", " "), False)
    assert grant.role == "user"
    me = json.loads(through(agent, grant.token, "GET", "me").body)
    assert (me["role"], me["user"], me["remote"]) == ("user", "ann", True)


def test_the_id_of_a_user_not_allowed_remotely_is_refused(agent: WholeAgent) -> None:
    assert come_in(agent, user_id(agent, remote=False), False) is None


def test_the_admin_password_with_the_box_not_ticked_is_refused(agent: WholeAgent) -> None:
    assert come_in(agent, PASSWORD, False) is None


@pytest.mark.parametrize("admin", [True, False])
def test_an_empty_secret_is_refused(agent: WholeAgent, admin: bool) -> None:
    assert come_in(agent, "", admin) is None


def test_the_true_reason_is_in_the_audit_log_and_no_secret_is(agent: WholeAgent) -> None:
    come_in(agent, "a wrong password", True)
    result_of(agent.records.flush())
    rows = result_of(
        agent.database.read(lambda c: c.execute("SELECT * FROM audit WHERE action = 'login-failed'").fetchall())
    )
    assert [row["detail"] for row in rows] == ["wrong-password, 198.51.100.1"]
    assert "a wrong password" not in str([tuple(row) for row in rows])


def test_a_flood_of_logins_through_the_tunnel_does_not_fill_the_audit_log(agent: WholeAgent) -> None:
    agent.end.people.note(Caller(Role.ADMIN, source="192.0.2.1"), "device-added", "garage")
    for number in range(200):
        come_in(agent, "guess", True, f"198.51.100.{number}" + "x" * 60_000)
    result_of(agent.records.flush())
    rows = result_of(agent.database.read(lambda c: c.execute("SELECT * FROM audit").fetchall()))
    assert len(rows) < 40  # those that were judged, and one of those that were not
    assert any("throttled" in row["detail"] for row in rows)
    assert max(len(str(tuple(row))) for row in rows) < 300


def test_guessing_is_slowed_down_and_the_owner_is_not_locked_out(agent: WholeAgent) -> None:
    for _ in range(30):
        come_in(agent, "guess", True, "203.0.113.9")
    assert come_in(agent, PASSWORD, True, "203.0.113.9") is None
    agent.run(31)
    assert come_in(agent, PASSWORD, True, "198.51.100.7") is not None


@pytest.mark.parametrize("trusted", [True, False])
def test_a_cloud_that_invents_sources_and_devices_cannot_guess_faster(agent: WholeAgent, trusted: bool) -> None:
    for number in range(40):
        login = RemoteLogin("guess", True, "fr", f"2001:db8:{number}::1", trusted)
        with pytest.raises(Refusal):
            result_of(agent.end.login(login))
    with pytest.raises(Refusal):
        result_of(agent.end.login(RemoteLogin(PASSWORD, True, "fr", "2001:db8:ffff::1", trusted)))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_users_own_logins_do_not_buy_guesses_at_the_admin_password(agent: WholeAgent, trusted: bool) -> None:
    secret = user_id(agent)
    for number in range(60):
        for who in (RemoteLogin("guess", True, "fr", f"2001:db8:{number}::1", trusted),) * 3:
            with pytest.raises(Refusal):
                result_of(agent.end.login(who))
        with contextlib.suppress(Refusal):
            result_of(agent.end.login(RemoteLogin(secret, False, "fr", f"2001:db8:{number}::1", trusted)))
    result_of(agent.records.flush())
    judged = result_of(
        agent.database.read(
            lambda c: c.execute("SELECT count(*) FROM audit WHERE detail LIKE 'wrong-password%'").fetchone()[0]
        )
    )
    assert 0 < judged < 30


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "admin", PASSWORD])
def test_a_token_that_the_cloud_invents_gets_nothing(agent: WholeAgent, token: str) -> None:
    with pytest.raises(Refusal) as caught:
        through(agent, token, "GET", "state")
    assert caught.value.code == "token-refused"


def test_a_cookie_of_the_site_is_no_token_of_the_tunnel_nor_the_other_way_round(agent: WholeAgent) -> None:
    answer = agent.ask("POST", "login", {"password": PASSWORD}, STRANGER)
    assert isinstance(answer, Answer) and answer.login
    with pytest.raises(Refusal):
        through(agent, answer.login, "GET", "state")
    grant = come_in(agent, PASSWORD, True)
    assert agent.people.known(grant.token, STRANGER) is None
    assert agent.people.known(answer.login, STRANGER) is not None


def test_a_relayed_user_can_do_what_a_user_may(agent: WholeAgent) -> None:
    token = come_in(agent, user_id(agent), False).token
    agent.run(1)
    assert [one["id"] for one in json.loads(through(agent, token, "GET", "state").body)["charge_points"]] == ["garage"]
    assert through(agent, token, "PUT", "charge-points/garage/mode", {"mode": "off"}).status == 200
    assert through(agent, token, "PUT", "charge-points/yard/mode", {"mode": "off"}).status == 404
    assert through(agent, token, "GET", "devices").status == 403
    assert through(agent, token, "POST", "login", {"password": PASSWORD}).status == 403


def test_a_removed_user_is_out_at_once(agent: WholeAgent) -> None:
    token = come_in(agent, user_id(agent), False).token
    stream = through(agent, token, "GET", "events")
    assert isinstance(stream, RemoteStream)
    browser = Browser(Stream(stream.start))
    agent.ask("DELETE", "users/ann")
    assert browser.finished
    with pytest.raises(Refusal):
        through(agent, token, "GET", "state")


def test_a_user_who_is_no_longer_remote_is_out_from_afar(agent: WholeAgent) -> None:
    token = come_in(agent, user_id(agent), False).token
    agent.json("PUT", "users/ann", {"remote": False})
    with pytest.raises(Refusal):
        through(agent, token, "GET", "state")


def test_a_new_id_ends_the_old_one_and_its_logins(agent: WholeAgent) -> None:
    old = user_id(agent)
    token = come_in(agent, old, False).token
    new = agent.json("POST", "users/ann/new-id")["user_id"]
    assert new != old and come_in(agent, old, False) is None and come_in(agent, new, False) is not None
    with pytest.raises(Refusal):
        through(agent, token, "GET", "state")


@pytest.mark.parametrize("new", [None, "another password"])
def test_a_password_changed_by_command_ends_all_logins_within_a_second(agent: WholeAgent, new: str | None) -> None:
    agent.password.watch(agent.clock, agent.people.password_changed_elsewhere)
    token = come_in(agent, PASSWORD, True).token
    browser = Browser(Stream(through(agent, token, "GET", "events").start))
    agent.password.write(new)
    agent.run(1)
    agent.password.stop()
    assert browser.finished and agent.logins.listing() == []
    with pytest.raises(Refusal):
        through(agent, token, "GET", "state")


def test_a_password_changed_in_the_ui_ends_all_logins_but_the_own(agent: WholeAgent) -> None:
    agent.password.watch(agent.clock, agent.people.password_changed_elsewhere)
    token = come_in(agent, PASSWORD, True).token
    answer = agent.ask("PUT", "admin/password", {"old": PASSWORD, "new": "another password"})
    agent.run(3)
    agent.password.stop()
    assert isinstance(answer, Answer) and answer.status == 204
    assert agent.people.known(answer.login, STRANGER) is not None
    with pytest.raises(Refusal):
        through(agent, token, "GET", "state")


def test_the_old_password_must_be_right(agent: WholeAgent) -> None:
    assert agent.refused("PUT", "admin/password", {"old": "x", "new": "another password"}) == (
        403,
        "wrong-password",
        "old",
    )
    assert agent.refused("PUT", "admin/password", {"old": PASSWORD, "new": ""})[0] == 422
    assert come_in(agent, PASSWORD, True) is not None


def test_the_password_is_not_changed_from_afar(agent: WholeAgent) -> None:
    token = come_in(agent, PASSWORD, True).token
    assert through(agent, token, "PUT", "admin/password", {"old": PASSWORD, "new": "n"}).status == 403


def test_the_first_password_is_set_from_loopback_alone(agents: Make) -> None:
    agent = agents()
    away, here = evolve(ADMIN, loopback=False), evolve(ADMIN, loopback=True)
    assert agent.refused("PUT", "admin/password", {"new": "first password"}, away)[1] == "no-admin-password"
    assert agent.ask("PUT", "admin/password", {"new": "first password"}, here).status == 204
    assert agent.password.state == "set"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"password": PASSWORD}, 200),
        ({"password": "wrong"}, 401),
        ({"user_id": "AAAAA-AAAAA"}, 401),
        ({"password": PASSWORD, "user_id": "x"}, 422),
        ({}, 422),
        ({"password": 7}, 422),
    ],
)
def test_a_login_at_the_site(agent: WholeAgent, body: dict[str, Any], status: int) -> None:
    answer = agent.ask("POST", "login", body, STRANGER)
    assert isinstance(answer, Answer) and answer.status == status
    assert (answer.login is not None) == (status == 200)


def test_a_user_logs_in_at_the_site_with_its_id_and_may_have_none_remotely(agent: WholeAgent) -> None:
    answer = agent.ask("POST", "login", {"user_id": user_id(agent, remote=False)}, STRANGER)
    assert isinstance(answer, Answer) and answer.login
    caller = agent.people.known(answer.login, STRANGER)
    assert caller is not None and (caller.role, caller.user) == (Role.USER, "ann")


def test_logging_out_ends_the_login(agent: WholeAgent) -> None:
    answer = agent.ask("POST", "login", {"password": PASSWORD}, STRANGER)
    assert isinstance(answer, Answer)
    caller = agent.people.known(answer.login, STRANGER)
    assert caller is not None
    out = agent.ask("POST", "logout", None, caller)
    assert isinstance(out, Answer) and out.logout
    assert agent.people.known(answer.login, STRANGER) is None


def test_logging_out_through_the_tunnel_ends_the_token(agent: WholeAgent) -> None:
    token = come_in(agent, PASSWORD, True).token
    result_of(agent.end.logout(token))
    result_of(agent.end.logout("nobody's"))
    with pytest.raises(Refusal):
        through(agent, token, "GET", "me")


def test_ten_thousand_addresses_guess_no_faster_at_the_site_and_the_owners_browser_comes_in(agent: WholeAgent) -> None:
    answer = agent.ask("POST", "login", {"password": PASSWORD}, STRANGER)
    assert isinstance(answer, Answer) and answer.device
    statuses = []
    for number in range(2000):
        stranger = evolve(STRANGER, source=f"10.0.{number >> 8}.{number & 255}")
        statuses.append(agent.ask("POST", "login", {"password": "guess"}, stranger).status)
        agent.clock.advance(0.05)
    assert 5 < statuses.count(401) <= 20 + 100 / 30 + 5
    own = evolve(STRANGER, source="10.9.9.9", device=answer.device)
    assert agent.ask("POST", "login", {"password": PASSWORD}, own).status == 200


def test_a_throttled_login_at_the_site_says_when_to_come_back(agent: WholeAgent) -> None:
    statuses = [agent.ask("POST", "login", {"password": "wrong"}, STRANGER).status for _ in range(8)]
    assert statuses[0] == 401 and statuses[-1] == 429


def test_an_emptied_password_lets_no_admin_in_at_the_site(agent: WholeAgent) -> None:
    agent.password.write(None)
    assert agent.refused("POST", "login", {"password": ""}, STRANGER)[:2] == (403, "no-admin-password")


class Phone:
    """The admin's authenticator."""

    def __init__(self, agent: WholeAgent) -> None:
        self.agent = agent
        asked = agent.json("POST", "admin/second-factor", {"password": PASSWORD})
        self.totp = TOTP(base64.b32decode(asked["secret"]), 6, SHA1(), 30)
        assert set("".join(asked["qr"])) == {"0", "1"} and asked["secret"] in asked["uri"]
        self.recovery = agent.json("POST", "admin/second-factor/confirm", {"code": self.code()})["recovery_codes"]
        agent.run(30)

    def code(self) -> str:
        return self.totp.generate(int(self.agent.now().timestamp())).decode()


def afar(agent: WholeAgent, code: str, secret: str = PASSWORD, source: str = "198.51.100.1") -> bool:
    try:
        result_of(agent.end.login(RemoteLogin(secret, True, "fr", source, False, code, "Firefox, Linux")))
    except Refusal:
        return False
    return True


def test_with_a_second_factor_the_admin_needs_a_code_here_and_from_afar(agent: WholeAgent) -> None:
    phone = Phone(agent)
    assert agent.json("GET", "me")["second_factor"] is True
    for body in ({"password": PASSWORD}, {"password": PASSWORD, "code": ""}, {"password": "x", "code": phone.code()}):
        assert agent.refused("POST", "login", body, STRANGER)[:2] == (401, "login-failed")
    assert not afar(agent, "") and not afar(agent, phone.code(), "wrong")
    used = phone.code()
    assert agent.ask("POST", "login", {"password": PASSWORD, "code": used}, STRANGER).status == 200
    assert not afar(agent, used)
    agent.run(30)
    assert afar(agent, phone.code()) and afar(agent, phone.recovery[0]) and not afar(agent, phone.recovery[0])


def test_a_user_needs_no_code(agent: WholeAgent) -> None:
    Phone(agent)
    assert come_in(agent, user_id(agent), False) is not None


def test_codes_are_not_tried_faster_than_passwords(agent: WholeAgent) -> None:
    Phone(agent)
    body = {"password": PASSWORD, "code": "000000"}
    assert sum(agent.ask("POST", "login", body, STRANGER).status == 401 for _ in range(30)) <= 5


def test_the_second_factor_is_switched_off_with_password_and_code_alone(agent: WholeAgent) -> None:
    phone = Phone(agent)
    off = "admin/second-factor/off"
    for body in ({"password": PASSWORD, "code": "000000"}, {"password": "wrong", "code": phone.code()}):
        assert agent.refused("POST", off, body)[:2] == (403, "wrong-password")
    assert agent.refused("POST", off, {"password": PASSWORD})[0] == 422
    assert agent.refused("POST", "admin/second-factor", {"password": PASSWORD})[:2] == (409, "second-factor-on")
    assert agent.ask("POST", off, {"password": PASSWORD, "code": phone.code()}).status == 204
    assert come_in(agent, PASSWORD, True) is not None
    assert agent.refused("POST", off, {"password": PASSWORD, "code": "000000"})[:2] == (409, "second-factor-is-off")


def test_a_second_factor_begins_with_the_password_and_ends_a_wrong_start(agent: WholeAgent) -> None:
    assert agent.refused("POST", "admin/second-factor", {"password": "x"}) == (403, "wrong-password", "password")
    confirm = "admin/second-factor/confirm"
    assert agent.refused("POST", confirm, {"code": "000000"})[:2] == (409, "nothing-proposed")
    agent.json("POST", "admin/second-factor", {"password": PASSWORD})
    assert agent.refused("POST", confirm, {"code": "nonsense"}) == (422, "wrong-code", "code")
    assert agent.json("GET", "admin/second-factor") == {"on": False, "recovery_left": 0}


def test_there_is_no_second_factor_without_a_first(agents: Make) -> None:
    agent = agents()
    here = evolve(ADMIN, loopback=True)
    assert agent.refused("POST", "admin/second-factor", {"password": ""}, here)[:2] == (409, "no-admin-password")


def test_logins_are_listed_to_whom_they_belong_and_ended_by_them(agent: WholeAgent) -> None:
    ann_id, bea_id = user_id(agent), user_id(agent, "Bea")
    knock = RemoteLogin(PASSWORD, True, "fr", "198.51.100.1", False, "", "Firefox, Linux\x1b")
    admin = result_of(agent.end.login(knock))
    ann, bea = (come_in(agent, secret, False).token for secret in (ann_id, bea_id))
    seen = json.loads(through(agent, ann, "GET", "logins").body)
    assert [(one["user"], one["current"], one["remote"]) for one in seen["logins"]] == [("ann", True, True)]
    everybody = json.loads(through(agent, admin.token, "GET", "logins").body)
    assert everybody["total"] == 3
    own = next(one for one in everybody["logins"] if one["current"])
    assert (own["role"], own["browser"], own["source"]) == ("admin", "Firefox, Linux", "198.51.100.1")
    assert admin.token not in str(everybody)
    of_bea = next(one["id"] for one in everybody["logins"] if one["user"] == "bea")
    assert through(agent, ann, "DELETE", f"logins/{of_bea}").status == 404
    assert through(agent, ann, "DELETE", "logins").status == 204
    assert through(agent, bea, "GET", "me").status == 200
    assert through(agent, admin.token, "DELETE", f"logins/{of_bea}").status == 204
    with pytest.raises(Refusal):
        through(agent, bea, "GET", "me")
    assert through(agent, admin.token, "DELETE", "logins").status == 204
    with pytest.raises(Refusal):
        through(agent, ann, "GET", "me")
    assert through(agent, admin.token, "GET", "me").status == 200


def test_an_ended_login_closes_its_event_stream(agent: WholeAgent) -> None:
    token = come_in(agent, PASSWORD, True).token
    browser = Browser(Stream(through(agent, token, "GET", "events").start))
    assert agent.ask("DELETE", "logins").status == 204
    assert browser.finished
