"""Where requests at the cloud go, with two tenants who must never meet."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from attrs import define, evolve, field
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute

from charging_manager.cloud import door
from charging_manager.cloud.admin import Admin
from charging_manager.cloud.admin_door import AdminDoor
from charging_manager.cloud.admin_ledger import AdminLedger
from charging_manager.cloud.admin_logins import admin_login_routes
from charging_manager.cloud.admin_server import AdminServer
from charging_manager.cloud.door import Door
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.front import CloudFront
from charging_manager.cloud.house import House
from charging_manager.cloud.installation import Installation
from charging_manager.cloud.keys import SCOPES, ApiKeys
from charging_manager.cloud.logins import Logins
from charging_manager.cloud.settings import SettingsStore
from charging_manager.cloud.webhook import Webhook
from charging_manager.daemon.logs import DaemonLog
from charging_manager.http import passwords
from charging_manager.http.facts import RequestFacts
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.routes import Answer, Right, Stream
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.sessions import LoginSessions
from charging_manager.http.streams import drop
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import trouble
from tests.cloud.house import VERIFIER, CloudTestCase
from tests.cloud.test_relay import Heard

HERE = RequestFacts(source="127.0.0.1", secure=True, loopback=True, host="localhost")
AWAY = RequestFacts(source="192.0.2.7", secure=True, loopback=False, host="cloud.example")
PASSWORD = "the cloud's admin"


@define(eq=False)
class Tenant:
    """One installation with a canary that nobody else may ever see."""

    cloud_id: str
    canary: str
    program: str = "charging-manager 1.0"
    tokens: set[str] = field(factory=set)
    asked: list[RemoteRequest] = field(factory=list)
    forgotten: list[str] = field(factory=list)
    closed: list[str] = field(factory=list)
    stream: Heard | None = None
    before: Callable[[], object] = lambda: None

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        if login.secret != f"secret of {self.cloud_id}":
            raise trouble("refused")
        token = f"token-{self.cloud_id}-{len(self.tokens)}"
        self.tokens.add(token)
        return RemoteGrant(token, "admin" if login.admin else "user", "de")

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        if token not in self.tokens:
            raise trouble("token-refused")
        self.asked.append(request)
        self.before()
        if self.stream is not None:
            return RemoteStream(self.stream.start)
        return RemoteAnswer(200, "application/json", json.dumps({"canary": self.canary}).encode())

    async def logout(self, token: str) -> None:
        self.forgotten.append(token)
        self.tokens.discard(token)

    async def close(self, reason: str, drain_s: float) -> None:
        self.closed.append(reason)


async def nobody_posts(url: str, body: bytes, headers: dict[str, str]) -> int:
    raise AssertionError("nothing is sent here")


class FrontTestCase(CloudTestCase):
    """A cloud without sockets: the tenants "alice" and "bob", and its admin password."""

    def setUp(self) -> None:
        super().setUp()
        self.links = Links()
        self.tenants = {name: Tenant(name, f"canary of {name}") for name in ("alice", "bob")}
        self.installations: dict[str, Installation] = {}
        for name, tenant in self.tenants.items():
            self.installations[name] = self.got(self.accounts.add(name, VERIFIER))
            self.links.put(tenant)  # type: ignore[arg-type]
        self.sessions = LoginSessions(self.database, self.clock, self.now)
        self.logins = Logins(self.sessions, self.links.get)
        self.patch(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.password = AdminPassword(Path(self.mktemp()) / "admin", execute)
        devices = DeviceCookies(b"key")
        self.factor = SecondFactor(Path(self.mktemp()) / "admin.totp", self.clock, self.now, execute)
        self.admin_door = AdminDoor(
            self.password, self.logins, self.ledger, LoginGuard(), devices, self.clock, self.factor
        )
        self.admin_door.watch()
        self.addCleanup(self.admin_door.stop)
        the_door = Door(
            self.accounts, self.ledger, self.logins, self.links.get, LoginGuard(), devices, self.clock, lambda: 0.0
        )
        self.the_log = DaemonLog()
        self.settings_store, self.keys = SettingsStore(self.database), ApiKeys(self.database, self.clock, self.now)
        house = House(
            self.the_log,
            self.ledger,
            lambda: self.password.state == "unset",
            lambda: self.table.openapi(),
            lambda: self.factor.on,
        )
        admin = Admin(self.accounts, self.ledger, self.links, self.logins, execute, self.now)
        self.table = RouteTable(
            [
                *house.routes(),
                *the_door.routes(),
                *self.admin_door.routes(),
                *admin.routes(),
                *AdminLedger(self.ledger).routes(),
                *admin_login_routes(self.sessions, self.ledger),
                *AdminServer(
                    self.accounts,
                    self.ledger,
                    self.settings_store,
                    self.keys,
                    Webhook(self.database, self.settings_store, nobody_posts, self.clock),
                    False,
                ).routes(),
            ],
            "cloud",
        )
        self.front = CloudFront(self.table, self.logins, self.links.get, self.password, self.keys.find)

    def set_password(self) -> None:
        self.got(self.password.set(PASSWORD))

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        cookie: str | None = None,
        facts: RequestFacts = AWAY,
        query: str = "",
        key: str | None = None,
    ) -> Answer | Stream:
        facts = evolve(facts, login=cookie)
        data = b"" if body is None else json.dumps(body).encode()
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        raw = RawRequest(method, path, query, data, "application/json" if data else "", headers)
        return self.got(self.front.answer(raw, self.front.caller_of(facts), facts))

    def status(self, *args: Any, **named: Any) -> tuple[int, str | None]:
        answer = self.ask(*args, **named)
        if isinstance(answer, Stream):
            drop(answer)
            return answer.status, None
        said = json.loads(answer.body) if answer.body and "json" in answer.content_type else {}
        return answer.status, said.get("code") if isinstance(said, dict) else None

    def log_in(self, name: str, admin: bool = True) -> str:
        answer = self.ask(
            "POST", "/api/v1/cloud/login", {"cloud_id": name, "secret": f"secret of {name}", "admin": admin}
        )
        assert isinstance(answer, Answer)
        assert answer.login is not None
        return answer.login

    def log_in_as_cloud_admin(self) -> str:
        answer = self.ask("POST", "/api/v1/cloud/admin/login", {"password": PASSWORD})
        assert isinstance(answer, Answer)
        assert answer.login is not None
        return answer.login


class FirstPasswordTests(FrontTestCase):
    def test_while_none_was_ever_set_others_get_one_sentence_everywhere(self) -> None:
        for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/cloud/login"), ("GET", "/api/v1/state")):
            self.assertEqual(self.status(method, path), (403, "setup-needed"))
        self.assertIsNotNone(self.front.closed_to(AWAY))

    def test_the_machine_itself_acts_as_the_clouds_admin_and_may_set_it(self) -> None:
        self.assertIsNone(self.front.closed_to(HERE))
        me = self.ask("GET", "/api/v1/me", facts=HERE)
        assert isinstance(me, Answer)
        said = json.loads(me.body)
        self.assertEqual((said["role"], said["cloud_admin"], said["setup"]), ("admin", True, True))
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", facts=HERE)[0], 200)
        self.assertEqual(
            self.status("PUT", "/api/v1/admin/password", {"old": "", "new": ""}, facts=HERE), (422, "invalid-field")
        )
        answer = self.ask("PUT", "/api/v1/admin/password", {"old": "", "new": PASSWORD}, facts=HERE)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.status, 200)
        self.assertIsNotNone(answer.login)
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", facts=HERE)[0], 401)
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", cookie=answer.login)[0], 200)


class AdminLoginTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()

    def test_the_password_lets_in_and_nothing_else_does(self) -> None:
        for wrong in ("", "wrong", PASSWORD + " "):
            self.assertEqual(
                self.status("POST", "/api/v1/cloud/admin/login", {"password": wrong}), (401, "login-failed")
            )
        cookie = self.log_in_as_cloud_admin()
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", cookie=cookie)[0], 200)
        self.assertEqual([f["door"] for f in self.got(self.ledger.failures(9))], ["cloud-admin"] * 3)

    def test_guessing_is_throttled(self) -> None:
        statuses = [self.status("POST", "/api/v1/cloud/admin/login", {"password": "wrong"})[0] for _ in range(12)]
        self.assertEqual((statuses[0], statuses[-1]), (401, 429))
        self.assertEqual(self.status("POST", "/api/v1/cloud/admin/login", {"password": PASSWORD})[0], 429)
        self.clock.advance(400)
        self.log_in_as_cloud_admin()

    def test_an_emptied_password_lets_nobody_in(self) -> None:
        cookie = self.log_in_as_cloud_admin()
        self.got(self.password.empty())
        self.clock.advance(1)
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", cookie=cookie)[0], 401)
        for facts in (HERE, AWAY):
            self.assertEqual(self.status("POST", "/api/v1/cloud/admin/login", {"password": ""}, facts=facts)[0], 401)
            self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", facts=facts)[0], 401)

    def test_a_change_by_another_program_ends_the_admins_logins_within_a_second(self) -> None:
        admin, alice = self.log_in_as_cloud_admin(), self.log_in("alice")
        self.password.write("another password")
        self.clock.advance(1)
        self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", cookie=admin)[0], 401)
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=alice)[0], 200)

    def test_whoever_changes_it_here_stays_logged_in_and_all_others_do_not(self) -> None:
        mine, other = self.log_in_as_cloud_admin(), self.log_in_as_cloud_admin()
        path = "/api/v1/cloud/admin/password"
        self.assertEqual(
            self.status("PUT", path, {"old": "wrong", "new": "new password"}, cookie=mine), (403, "wrong-password")
        )
        answer = self.ask("PUT", path, {"old": PASSWORD, "new": "new password"}, cookie=mine)
        assert isinstance(answer, Answer)
        self.clock.advance(2)
        for cookie, status in ((mine, 401), (other, 401), (answer.login, 200)):
            self.assertEqual(self.status("GET", "/api/v1/cloud/admin/installations", cookie=cookie)[0], status)

    def test_the_logs_level_is_changed_while_running(self) -> None:
        cookie = self.log_in_as_cloud_admin()
        for path in ("/api/v1/log/level", "/api/v1/cloud/admin/log/level"):
            self.assertEqual(self.status("PUT", path, {"level": 4})[0], 401)
            self.assertEqual(self.status("PUT", path, {"level": 5}, cookie=cookie), (422, "bad-level"))
            self.assertEqual(self.status("PUT", path, {"level": 4}, cookie=cookie)[0], 200)
            self.assertEqual(self.the_log.level, 4)
            self.the_log.level = 3
        self.assertEqual(self.status("GET", "/api/v1/log", cookie=cookie)[0], 200)


class SecondFactorTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.clock.advance(1)
        self.cookie = self.log_in_as_cloud_admin()
        self.path = "/api/v1/cloud/admin/second-factor"

    def json(self, method: str, path: str, body: Any = None, cookie: str | None = None) -> Any:
        answer = self.ask(method, path, body, cookie or self.cookie)
        assert isinstance(answer, Answer)
        self.assertLess(answer.status, 300, answer.body)
        return json.loads(answer.body) if answer.body else None

    def switch_on(self) -> TOTP:
        asked = self.json("POST", self.path, {"password": PASSWORD})
        totp = TOTP(base64.b32decode(asked["secret"]), 6, SHA1(), 30)
        self.recovery = self.json("POST", f"{self.path}/confirm", {"code": self.code(totp)})["recovery_codes"]
        self.clock.advance(30)
        return totp

    def code(self, totp: TOTP) -> str:
        return totp.generate(int(self.now().timestamp())).decode()

    def test_the_admin_then_needs_both_and_each_code_once(self) -> None:
        totp = self.switch_on()
        self.assertTrue(self.json("GET", "/api/v1/me")["second_factor"])
        login = "/api/v1/cloud/admin/login"
        for body in ({"password": PASSWORD}, {"password": "wrong", "code": self.code(totp)}):
            self.assertEqual(self.status("POST", login, body), (401, "login-failed"))
        code = self.code(totp)
        self.assertEqual(self.status("POST", login, {"password": PASSWORD, "code": code})[0], 200)
        self.assertEqual(self.status("POST", login, {"password": PASSWORD, "code": code}), (401, "login-failed"))
        self.assertEqual(self.status("POST", login, {"password": PASSWORD, "code": self.recovery[0]})[0], 200)
        actions = [deed["action"] for deed in self.got(self.ledger.audit(20))]
        self.assertEqual(actions, ["admin-login", "admin-login", "second-factor-on", "admin-login"])

    def test_it_is_switched_off_with_both_or_by_a_command_on_the_machine(self) -> None:
        totp = self.switch_on()
        off = f"{self.path}/off"
        wrong = {"password": PASSWORD, "code": "000000"}
        self.assertEqual(self.status("POST", off, wrong, self.cookie), (403, "wrong-password"))
        self.assertEqual(self.status("POST", off, {**wrong, "code": self.code(totp)}, self.cookie)[0], 204)
        self.clock.advance(30)
        self.switch_on()
        SecondFactor(self.factor._path, self.clock).remove()
        self.clock.advance(1)
        self.assertEqual(self.status("POST", "/api/v1/cloud/admin/login", {"password": PASSWORD})[0], 200)
        deed = self.got(self.ledger.audit(2))[1]
        self.assertEqual((deed["who"], deed["action"]), ("machine", "second-factor-off"))


class LoginListTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.path = "/api/v1/cloud/admin/logins"

    def listed(self, cookie: str, query: str = "") -> Any:
        answer = self.ask("GET", self.path, cookie=cookie, query=query)
        assert isinstance(answer, Answer)
        return json.loads(answer.body)["logins"]

    def test_the_admins_logins_are_listed_and_ended_one_by_one_or_all_others(self) -> None:
        mine, second, third = (self.log_in_as_cloud_admin() for _ in range(3))
        alice = self.log_in("alice")
        seen = self.listed(mine)
        self.assertEqual([one["current"] for one in seen].count(True), 1)
        self.assertEqual((len(seen), {one["remote"] for one in seen}), (3, {False}))
        theirs = next(one["id"] for one in self.listed(second) if one["current"])
        self.assertEqual(self.status("DELETE", f"{self.path}/{theirs}", cookie=mine)[0], 204)
        self.assertEqual(self.status("GET", self.path, cookie=second)[0], 401)
        self.assertEqual(self.status("DELETE", f"{self.path}/{theirs}", cookie=mine), (404, "not-found"))
        self.assertEqual(self.status("DELETE", self.path, cookie=mine)[0], 204)
        self.assertEqual(self.status("GET", self.path, cookie=third)[0], 401)
        self.assertEqual(self.status("GET", self.path, cookie=mine)[0], 200)
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=alice)[0], 200)

    def test_those_at_one_installation_are_listed_and_ended_alone(self) -> None:
        admin, alice, bob = self.log_in_as_cloud_admin(), self.log_in("alice"), self.log_in("bob", admin=False)
        seen = self.listed(admin, "installation=ALICE")
        self.assertEqual([(one["role"], one["source"]) for one in seen], [("admin", "192.0.2.7")])
        self.assertEqual(self.status("DELETE", self.path, cookie=admin, query="installation=alice")[0], 204)
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=alice)[0], 401)
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=bob)[0], 200)
        self.assertEqual(self.status("GET", self.path, cookie=admin)[0], 200)


class GuessingTests(FrontTestCase):
    """Ten minutes, three guesses a second: from one address, from ten thousand, and the owner in between."""

    MINUTES = 10
    BUDGET = 20 + MINUTES * 2 + 5
    """Free attempts of an installation, then one in 30 s; and the few on the way there."""

    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.clock.advance(1)

    def ask_from(self, source: str, path: str, body: Any, device: str | None = None) -> Deferred[Answer | Stream]:
        facts = evolve(AWAY, source=source, device=device)
        raw = RawRequest("POST", path, "", json.dumps(body).encode(), "application/json")
        return Deferred.fromCoroutine(self.front.answer(raw, self.front.caller_of(facts), facts))

    def let_in(self, path: str, body: Any, device: str | None = None) -> Answer | None:
        """The owner's login, which must be through in 2 s."""
        held: list[Any] = []
        self.ask_from("203.0.113.77", path, body, device).addCallback(held.append)
        self.clock.advance(2)
        return held[0] if held and isinstance(held[0], Answer) and held[0].status == 200 else None

    def guess(self, path: str, body: Any, sources: list[str]) -> None:
        for tick in range(self.MINUTES * 60 * 3):
            self.ask_from(sources[tick % len(sources)], path, body)
            self.clock.advance(1 / 3)

    def test_an_installation_is_guessed_at_no_faster_from_ten_thousand_addresses_than_the_budget(self) -> None:
        path, right = "/api/v1/cloud/login", {"cloud_id": "alice", "secret": "secret of alice", "admin": True}
        first = self.let_in(path, right)
        assert first is not None and first.device is not None
        for sources in (["198.51.100.1"], [f"10.{n >> 8}.{n & 255}.1" for n in range(10_000)]):
            knocks, real = [0], Tenant.login

            async def counting(tenant: Tenant, login: RemoteLogin, knocks: Any = knocks, real: Any = real) -> Any:
                knocks[0] += 1
                return await real(tenant, login)

            self.patch(Tenant, "login", counting)
            self.guess(path, {**right, "secret": "a guess"}, sources)
            self.assertGreater(knocks[0], 5)
            self.assertLessEqual(knocks[0], self.BUDGET)
            self.assertIsNotNone(self.let_in(path, right, first.device), "the owner's own browser")
            self.patch(Tenant, "login", real)
            self.clock.advance(4000)

    def test_the_clouds_admin_is_guessed_at_no_faster_either(self) -> None:
        path, right = "/api/v1/cloud/admin/login", {"password": PASSWORD}
        first = self.let_in(path, right)
        assert first is not None and first.device is not None
        checks, real = [0], AdminPassword.check

        async def counting(password: AdminPassword, secret: str) -> bool:
            checks[0] += 1
            return await real(password, secret)

        self.patch(AdminPassword, "check", counting)
        self.guess(path, {"password": "a guess"}, [f"10.{n >> 8}.{n & 255}.1" for n in range(10_000)])
        self.assertGreater(checks[0], 5)
        self.assertLessEqual(checks[0], self.BUDGET)
        self.assertIsNotNone(self.let_in(path, right, first.device), "the admin's own browser")

    def test_thousands_of_guesses_that_wait_for_their_answer_leave_room_for_a_known_browser(self) -> None:
        self.patch(door, "MOST_HELD", 50)
        path, right = "/api/v1/cloud/login", {"cloud_id": "alice", "secret": "secret of alice", "admin": True}
        first = self.let_in(path, right)
        assert first is not None
        statuses: list[int] = []
        for number in range(400):
            body = {"cloud_id": ("alice", "nobody")[number % 2], "secret": "x"}
            self.ask_from(f"10.0.{number >> 8}.{number & 255}", path, body).addCallback(
                lambda a: statuses.append(a.status)
            )
        self.assertEqual(statuses, [503] * 350)
        self.assertIsNotNone(self.let_in(path, right, first.device))
        self.assertIsNone(self.let_in(path, right, "x" * 16 + "." + "y" * 24))
        self.clock.advance(4)
        self.assertEqual(statuses[350:], [401] * 50)
        self.assertIsNotNone(self.let_in(path, {**right, "cloud_id": "bob", "secret": "secret of bob"}))


class RightsTests(FrontTestCase):
    def test_every_route_of_the_admin_refuses_everybody_else_before_it_looks_at_anything(self) -> None:
        self.set_password()
        refused = 0
        alice, bob = self.log_in("alice"), self.log_in("bob", admin=False)
        for route in self.table.routes:
            if route.may is not Right.ADMIN:
                self.assertIn((route.method, route.path), OPEN)
                continue
            path = route.path.replace("{cloud_id}", "bob").replace("{id}", "1")
            for cookie in (None, "x" * 43, alice, bob):
                if cookie in (alice, bob) and not path.startswith("/api/v1/cloud/"):
                    continue  # those go through the relay
                self.assertEqual(self.status(route.method, path, {}, cookie), (401, "login-required"), path)
                refused += 1
        self.assertGreater(refused, 60)


class ApiKeyTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.clock.advance(1)
        self.cookie = self.log_in_as_cloud_admin()
        self.path = "/api/v1/cloud/admin/keys"

    def make(self, *scopes: str, days: int | None = None) -> str:
        body = {"name": "fleet tool", "scopes": list(scopes), **({} if days is None else {"days": days})}
        answer = self.ask("POST", self.path, body, self.cookie)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.status, 201)
        return str(json.loads(answer.body)["key"])

    def test_a_key_opens_what_its_scopes_say_and_nothing_else_whatever_cookie_comes_with_it(self) -> None:
        whole = self.make(*SCOPES)
        for scope in SCOPES:
            key = self.make(scope)
            for route in self.table.routes:
                path = route.path.replace("{cloud_id}", "nobody").replace("{id}", "1")
                status, code = self.status(route.method, path, {} if route.body else None, self.cookie, key=key)
                if route.may is not Right.ADMIN:
                    continue
                if route.scope is None:
                    self.assertEqual((status, code), (403, "not-for-keys"), path)
                elif route.scope != scope:
                    self.assertEqual((status, code), (403, "scope-needed"), path)
                else:
                    self.assertNotIn(status, (401, 403), path)
        self.assertEqual(self.status("GET", self.path, key=whole)[0], 403)  # no key makes or sees keys
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.log_in("alice"), key=whole)[0], 404)

    def test_a_key_is_shown_once_kept_as_a_hash_and_named_in_the_audit_log(self) -> None:
        key = self.make("installations-write", "installations-read")
        listed = self.ask("GET", self.path, cookie=self.cookie)
        assert isinstance(listed, Answer)
        self.assertNotIn(key.encode(), listed.body)
        self.assertNotIn(key.encode(), self.kept())
        body = {"cloud_id": "new-site", "password": "twelve chars!"}
        self.assertEqual(self.status("POST", "/api/v1/cloud/admin/installations", body, key=key)[0], 201)
        deed = self.got(self.ledger.audit(1))[0]
        self.assertEqual((deed["who"], deed["action"]), ("key fleet tool", "installation-added"))
        shown = json.loads(self.ask("GET", self.path, cookie=self.cookie).body)["keys"][0]  # type: ignore[union-attr]
        self.assertEqual((shown["last_source"], shown["last_used_at"]), ("192.0.2.7", "2026-03-01T12:00:01+00:00"))

    def test_a_revoked_an_expired_and_an_invented_key_open_nothing(self) -> None:
        path = "/api/v1/cloud/admin/installations"
        key, short = self.make("installations-read"), self.make("installations-read", days=1)
        self.assertEqual([self.status("GET", path, key=one)[0] for one in (key, short)], [200, 200])
        self.assertEqual(self.status("DELETE", f"{self.path}/1", cookie=self.cookie)[0], 204)
        self.assertEqual(self.status("GET", path, key=key), (401, "key-refused"))
        self.clock.advance(86_401)
        for one in (short, "cmk_", "cmk_" + "x" * 43, key[:-1]):
            self.assertEqual(self.status("GET", path, key=one), (401, "key-refused"))
        for number in ("1", "x", "-1", "9" * 30):
            self.assertEqual(
                self.status("DELETE", f"{self.path}/{number}", cookie=self.log_in_as_cloud_admin())[0], 404
            )

    def test_keys_outlive_a_restart(self) -> None:
        key = self.make("installations-read")
        again = ApiKeys(self.database, self.clock, self.now)
        self.got(again.load())
        self.assertIsNotNone(again.find(key, "192.0.2.1"))

    def test_a_key_that_cannot_be_is_named(self) -> None:
        for body, where in (
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["everything"]}, "scopes"),
            ({"name": " ", "scopes": ["audit-read"]}, "name"),
            ({"name": "x" * 61, "scopes": ["audit-read"]}, "name"),
            ({"name": "x", "scopes": ["audit-read"], "days": 0}, "days"),
            ({"scopes": ["audit-read"]}, "name"),
        ):
            answer = self.ask("POST", self.path, body, self.cookie)
            assert isinstance(answer, Answer)
            self.assertEqual((answer.status, json.loads(answer.body)["field"]), (422, where), body)


class SettingsTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.clock.advance(1)
        self.cookie = self.log_in_as_cloud_admin()
        self.path = "/api/v1/cloud/admin/settings"

    def test_settings_are_kept_and_the_secret_is_never_shown(self) -> None:
        body = {"alarm_after_s": 600, "webhook_url": "https://alarms.example/x", "webhook_secret": "canary"}
        answer = self.ask("PUT", self.path, body, self.cookie)
        assert isinstance(answer, Answer)
        shown = json.loads(answer.body)
        self.assertEqual((shown["alarm_after_s"], shown["webhook_signed"]), (600, True))
        self.assertNotIn(b"canary", answer.body)
        again = SettingsStore(self.database)
        self.got(again.load())
        self.assertEqual((again.current.webhook_secret, again.current.enrolment_approval), ("canary", False))
        deed = self.got(self.ledger.audit(1))[0]
        self.assertEqual(deed["subject"], "alarm_after_s webhook_secret webhook_url")

    def test_settings_that_cannot_be_are_named(self) -> None:
        for url in (
            "alarms.example",
            "ftp://x.example",
            "http://x.example",
            "https://",
            "https://a:b@x/",
            "https://x y/",
            "http://127.0.0.1.example/",
            "https://[::1",
            "https://x:99999/",
            "https://x/#y",
            "https://ä.example/",
        ):
            answer = self.ask("PUT", self.path, {"webhook_url": url}, self.cookie)
            assert isinstance(answer, Answer)
            self.assertEqual((answer.status, json.loads(answer.body)["field"]), (422, "webhook_url"), url)
        for url in ("", "https://x.example:8443/a?b=c", "http://localhost:9/", "http://127.0.0.1/", "http://[::1]:9/"):
            self.assertEqual(self.status("PUT", self.path, {"webhook_url": url}, self.cookie)[0], 200, url)
        for body in ({"alarm_after_s": -1}, {"alarm_after_s": 1.5}, {"enrolment_approval": "yes"}, {"other": 1}):
            self.assertEqual(self.status("PUT", self.path, body, self.cookie)[0], 422, body)

    def test_a_serial_number_is_approved_ahead_of_time(self) -> None:
        path = "/api/v1/cloud/admin/approvals"
        for wrong in ("", "garage", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEU"):
            self.assertEqual(self.status("POST", path, {"serial": wrong}, self.cookie), (422, "bad-serial"))
        self.assertEqual(self.status("POST", path, {"serial": " 0123-4567-89ab-cdef "}, self.cookie)[0], 201)
        found = self.got(self.accounts.find("0123-4567-89AB-CDEF"))
        assert found is not None
        self.assertTrue(found.may_enter)


OPEN = {
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/openapi.json"),
    ("POST", "/api/v1/logout"),
    ("POST", "/api/v1/cloud/login"),
    ("POST", "/api/v1/cloud/admin/login"),
}
"""What anybody may ask: each is a decision, so each stands here."""


class OpenApiTests(FrontTestCase):
    def test_every_route_is_described(self) -> None:
        self.set_password()
        answer = self.ask("GET", "/api/v1/openapi.json")
        assert isinstance(answer, Answer)
        described = json.loads(answer.body)["paths"]
        for route in self.table.routes:
            self.assertIn(route.method.lower(), described[route.path])


class TwoTenantsTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_password()
        self.alice, self.bob = self.log_in("alice"), self.log_in("bob", admin=False)

    def test_each_sees_its_own(self) -> None:
        for cookie, name in ((self.alice, "alice"), (self.bob, "bob")):
            answer = self.ask("GET", "/api/v1/state", cookie=cookie)
            assert isinstance(answer, Answer)
            self.assertEqual(json.loads(answer.body), {"canary": f"canary of {name}"})

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
        st.lists(
            st.sampled_from(
                ["bob", "BOB", "..", "%2e%2e", "cloud", "admin", "installations", "state", "devices", "v1", "api", "me"]
            ),
            max_size=6,
        ),
        st.sampled_from(["", "cloud_id=bob", "installation=2", "cloud_id=bob&token=token-bob-0"]),
        st.sampled_from([None, {"cloud_id": "bob"}, {"installation": 2, "token": "token-bob-0"}]),
    )
    def test_no_url_and_no_body_leads_to_another_tenant(
        self, method: str, parts: list[str], query: str, body: Any
    ) -> None:
        before = len(self.tenants["bob"].asked)
        answer = self.ask(method, "/" + "/".join(["api", "v1", *parts]), body, self.alice, query=query)
        assert isinstance(answer, Answer)
        self.assertEqual(len(self.tenants["bob"].asked), before)
        self.assertNotIn(b"canary of bob", answer.body or b"")
        self.assertEqual(len(self.got(self.accounts.listing())), 2)

    def test_a_login_at_an_installation_is_nobody_at_the_cloud_itself(self) -> None:
        for route in self.table.routes:
            if route.path.startswith("/api/v1/cloud/admin/") and route.path != "/api/v1/cloud/admin/login":
                path = route.path.replace("{cloud_id}", "bob")
                body = {"level": 4} if route.body else None
                self.assertEqual(
                    self.status(route.method, path, body, cookie=self.alice), (401, "login-required"), path
                )
        self.assertEqual(self.the_log.level, 3)

    def test_the_clouds_own_house_routes_are_relayed_for_a_login_at_an_installation(self) -> None:
        for path in ("/api/v1/me", "/api/v1/log", "/api/v1/log/level", "/api/v1/admin/password"):
            self.ask("GET", path, cookie=self.alice)
        self.assertEqual(
            [request.path for request in self.tenants["alice"].asked],
            ["/api/v1/me", "/api/v1/log", "/api/v1/log/level", "/api/v1/admin/password"],
        )

    def test_the_clouds_admin_has_no_way_into_an_installation(self) -> None:
        cookie = self.log_in_as_cloud_admin()
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=cookie)[0], 404)
        self.assertEqual([t.asked for t in self.tenants.values()], [[], []])

    def test_without_a_login_nothing_is_relayed(self) -> None:
        for cookie in (None, "", "made-up", "x" * 300):
            self.assertEqual(self.status("GET", "/api/v1/state", cookie=cookie), (401, "login-required"))
        self.assertEqual([t.asked for t in self.tenants.values()], [[], []])

    def test_logging_out_is_described(self) -> None:
        described = json.loads(self.ask("GET", "/api/v1/openapi.json").body)  # type: ignore[union-attr]
        self.assertIn("post", described["paths"]["/api/v1/logout"])

    def test_logout_ends_both_ends_and_clears_the_cookie(self) -> None:
        answer = self.ask("POST", "/api/v1/logout", cookie=self.alice)
        assert isinstance(answer, Answer)
        self.assertEqual((answer.status, answer.logout), (204, True))
        self.assertEqual(self.tenants["alice"].forgotten, ["token-alice-0"])
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.alice), (401, "login-required"))
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.bob)[0], 200)

    def test_a_new_login_in_the_same_browser_ends_the_older_one(self) -> None:
        body = {"cloud_id": "bob", "secret": "secret of bob", "admin": True}
        answer = self.ask("POST", "/api/v1/cloud/login", body, cookie=self.alice)
        assert isinstance(answer, Answer)
        self.assertIsNotNone(answer.login)
        self.assertEqual(self.tenants["alice"].forgotten, ["token-alice-0"])
        self.assertIsNone(self.logins.find(self.alice))

    def test_a_token_that_the_agent_has_forgotten_ends_the_login_here(self) -> None:
        self.tenants["alice"].tokens.clear()
        answer = self.ask("GET", "/api/v1/state", cookie=self.alice)
        assert isinstance(answer, Answer)
        self.assertEqual((answer.status, answer.logout, json.loads(answer.body)["code"]), (401, True, "login-ended"))
        self.assertIsNone(self.logins.find(self.alice))

    def test_an_installation_that_is_offline_keeps_the_login_for_when_it_is_back(self) -> None:
        self.links.remove(self.tenants["alice"])  # type: ignore[arg-type]
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.alice), (503, "agent-offline"))
        self.links.put(self.tenants["alice"])  # type: ignore[arg-type]
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.alice)[0], 200)

    def test_deleting_ends_tunnel_and_logins_at_once_and_tells_whoever_runs_their_streams(self) -> None:
        ended: list[str] = []
        self.sessions.on_end(lambda session: ended.append(session.handle))
        handle = self.front.caller_of(evolve(AWAY, login=self.alice)).login
        admin = self.log_in_as_cloud_admin()
        self.assertEqual(self.status("DELETE", "/api/v1/cloud/admin/installations/Alice", cookie=admin)[0], 204)
        self.assertEqual(ended, [handle])
        self.assertEqual(self.tenants["alice"].closed, ["deleted"])
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.alice), (401, "login-required"))
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.bob)[0], 200)

    def test_a_stream_that_comes_after_the_logins_end_is_stopped_at_the_agent(self) -> None:
        heard = self.tenants["alice"].stream = Heard()
        self.tenants["alice"].before = lambda: self.got(self.logins.end_at(self.installations["alice"]))
        answer = self.ask("GET", "/api/v1/events", cookie=self.alice)
        assert isinstance(answer, Answer)
        self.assertEqual((answer.status, heard.told), (401, ["stopped"]))

    def test_the_start_page_is_where_one_is_logged_in(self) -> None:
        for cookie, page in ((None, "login"), (self.alice, "overview"), (self.log_in_as_cloud_admin(), "cloud-admin")):
            caller = self.front.caller_of(evolve(AWAY, login=cookie))
            self.assertEqual(self.front.start_page(caller), page)

    def test_a_new_installation_of_the_same_name_inherits_no_login(self) -> None:
        self.got(self.accounts.delete("alice"))
        self.got(self.logins.end_at(self.installations["alice"]))
        self.got(self.accounts.add("alice", VERIFIER))
        self.assertEqual(self.status("GET", "/api/v1/state", cookie=self.alice)[0], 401)

    def test_logins_outlast_a_restart_and_their_tokens_with_them(self) -> None:
        again = LoginSessions(self.database, self.clock, self.now)
        self.got(again.load())
        self.addCleanup(again.stop)
        front = CloudFront(self.table, Logins(again, self.links.get), self.links.get, self.password)
        facts = evolve(AWAY, login=self.alice)
        answer = self.got(front.answer(RawRequest("GET", "/api/v1/state"), front.caller_of(facts), facts))
        assert isinstance(answer, Answer)
        self.assertIn(b"canary of alice", answer.body)
