"""The cloud's login: the truth table, and that no failure tells its cause."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from charging_manager.cloud.door import Door, Knock
from charging_manager.cloud.logins import InstallationLogin, Logins
from charging_manager.errors import TunnelError
from charging_manager.http import sessions as login_sessions
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.routes import Answer, Problem
from charging_manager.http.sessions import LoginSessions
from charging_manager.tunnel.link import RemoteGrant, RemoteLogin
from charging_manager.tunnel.reasons import Refusal, trouble
from tests.cloud.house import VERIFIER, CloudTestCase

ADMIN_PASSWORD = "the admin's own"
USER_ID = "ABCDE-FGHJK"


@define
class FakeAgent:
    """Judges logins as an agent does (SECURITY-TARGETS: the truth table), after ``thinks_s``."""

    clock: Any
    admin_password: str = ADMIN_PASSWORD
    thinks_s: float = 0.05
    grant: RemoteGrant | None = None
    asked: list[RemoteLogin] = field(factory=list)
    forgotten: list[str] = field(factory=list)
    before: Callable[[], object] = lambda: None

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        self.asked.append(login)
        if self.thinks_s >= 2.5:
            await deferLater(self.clock, 2.5, lambda: None)
            raise trouble("timeout")
        await deferLater(self.clock, self.thinks_s, lambda: None)
        self.before()
        if self.grant is not None:
            return self.grant
        if self.admin_password and login.secret:
            if login.admin and login.secret == self.admin_password:
                return RemoteGrant("agents-admin-token", "admin", "de")
            if not login.admin and login.secret == USER_ID:
                return RemoteGrant("agents-user-token", "user", "fr")
        raise trouble(Refusal("refused").code)

    async def logout(self, token: str) -> None:
        self.forgotten.append(token)


class DoorTests(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.got(self.accounts.add("Garage", VERIFIER))
        self.got(self.accounts.add("offline-site", VERIFIER))
        self.agent = FakeAgent(self.clock)
        self.sessions = LoginSessions(self.database, self.clock, self.now)
        self.logins = Logins(self.sessions, self.way_to)
        self.guard, self.devices = LoginGuard(), DeviceCookies(b"key")
        self.spread = 0.5
        self.door = Door(
            self.accounts,
            self.ledger,
            self.logins,
            self.way_to,
            self.guard,
            self.devices,
            self.clock,
            lambda: self.spread,
        )
        self.source_number = 0

    def way_to(self, cloud_id: str) -> FakeAgent | None:
        return self.agent if cloud_id.lower() == "garage" else None

    def knock(
        self, cloud_id: str, secret: str, admin: bool = False, *, source: str = "", device: str | None = None
    ) -> tuple[float, Answer | Problem]:
        """How long it took, and what came. Each try comes from a new address unless one is given."""
        self.source_number += 1
        knock = Knock(
            cloud_id, secret, admin, source or f"10.1.{self.source_number // 250}.{self.source_number % 250}", device
        )
        began_s = self.clock.seconds()
        outcome: list[Any] = []
        trying = Deferred.fromCoroutine(self.door.knock(knock))
        trying.addCallbacks(outcome.append, lambda failure: outcome.append(failure.value))
        while not outcome:
            self.assertLess(self.clock.seconds() - began_s, 10)
            self.clock.advance(0.01)
        return self.clock.seconds() - began_s, outcome[0]

    def assert_refused(self, outcome: tuple[float, Answer | Problem]) -> None:
        took_s, problem = outcome
        assert isinstance(problem, Problem)
        self.assertEqual((problem.status, problem.code, problem.where), (401, "login-failed", None))
        self.assertEqual(
            str(problem), "The login failed. Check what you entered, and whether the installation is connected."
        )
        self.assertLess(abs(took_s - 3.1), 0.02)

    def test_the_admin_password_lets_the_admin_in_and_a_user_id_its_user(self) -> None:
        for secret, admin, role, language, token in (
            (ADMIN_PASSWORD, True, "admin", "de", "agents-admin-token"),
            (USER_ID, False, "user", "fr", "agents-user-token"),
        ):
            _, answer = self.knock("GARAGE", secret, admin)
            assert isinstance(answer, Answer)
            self.assertEqual(answer.body, {"role": role, "language": language, "cloud_id": "Garage"})
            login = self.logins.find(answer.login)
            assert isinstance(login, InstallationLogin)
            self.assertEqual((login.cloud_id, login.role, login.token(answer.login)), ("Garage", role, token))

    def test_a_user_id_as_admin_the_admin_password_as_user_and_nothing_at_all_are_refused(self) -> None:
        for secret, admin in ((USER_ID, True), (ADMIN_PASSWORD, False), ("", True), ("", False), ("wrong", True)):
            self.assert_refused(self.knock("garage", secret, admin))

    def test_logins_without_end_at_one_installation_push_out_nobody_elsewhere(self) -> None:
        self.patch(login_sessions, "MOST_ALIKE", 3)
        elsewhere = self.got(self.accounts.find("offline-site"))
        assert elsewhere is not None
        grant = RemoteGrant("token", "admin")
        theirs = self.got(self.logins.enter(elsewhere, grant, "192.0.2.1"))
        here = [self.knock("garage", ADMIN_PASSWORD, True)[1] for _ in range(6)]
        self.assertIsNotNone(self.logins.find(theirs))
        found = [isinstance(one, Answer) and self.logins.find(one.login) is not None for one in here]
        self.assertEqual(found, [False] * 3 + [True] * 3)

    def test_a_browser_that_came_in_as_a_user_is_a_stranger_as_admin(self) -> None:
        for secret, admin in ((USER_ID, False), (ADMIN_PASSWORD, True)):
            _, answer = self.knock("garage", secret, admin)
            assert isinstance(answer, Answer)
            for as_admin in (False, True):
                self.knock("garage", "a guess", as_admin, device=answer.device)
                self.assertEqual(self.agent.asked[-1].trusted_device, as_admin is admin)

    def test_a_language_that_the_agent_makes_up_is_not_ours(self) -> None:
        self.agent.grant = RemoteGrant("token", "user", "<script>" * 5000)
        _, answer = self.knock("garage", USER_ID)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.body, {"role": "user", "language": "en", "cloud_id": "Garage"})
        login = self.logins.find(answer.login)
        assert isinstance(login, InstallationLogin)
        self.assertEqual(login.language, "en")

    def test_an_installation_without_an_admin_password_refuses_everything(self) -> None:
        self.agent.admin_password = ""
        for secret, admin in ((USER_ID, False), (ADMIN_PASSWORD, True), ("", True), ("", False)):
            self.assert_refused(self.knock("garage", secret, admin))

    def test_every_cause_of_failure_looks_and_lasts_the_same(self) -> None:
        self.assert_refused(self.knock("no-such-site", "x"))
        self.assert_refused(self.knock("", ""))
        self.assert_refused(self.knock("x" * 50_000, "y" * 50_000))
        self.assert_refused(self.knock("offline-site", USER_ID))
        self.assert_refused(self.knock("garage", "wrong"))
        self.agent.thinks_s = 60.0
        self.assert_refused(self.knock("garage", USER_ID))
        self.agent.thinks_s = 2.4
        self.assert_refused(self.knock("garage", "wrong"))
        causes = [f["cause"] for f in self.got(self.ledger.failures(20))]
        self.assertEqual(causes, ["refused", "offline", "refused", "offline", "unknown-id", "unknown-id", "unknown-id"])

    def test_the_throttle_answers_like_everything_else_and_asks_no_agent(self) -> None:
        for _ in range(12):
            self.assert_refused(self.knock("garage", "wrong", source="10.9.9.9"))
        asked = len(self.agent.asked)
        self.assertLess(asked, 12)
        self.assert_refused(self.knock("garage", ADMIN_PASSWORD, True, source="10.9.9.9"))
        self.assertEqual(len(self.agent.asked), asked)
        self.assertIn("throttled", [f["cause"] for f in self.got(self.ledger.failures(20))])

    def test_a_browser_that_was_let_in_before_is_not_locked_out_by_strangers(self) -> None:
        _, answer = self.knock("garage", ADMIN_PASSWORD, True, source="10.9.9.9")
        assert isinstance(answer, Answer)
        for _ in range(40):
            self.knock("garage", "wrong", source="10.9.9.9")
        _, again = self.knock("garage", ADMIN_PASSWORD, True, source="10.9.9.9", device=answer.device)
        self.assertIsInstance(again, Answer)
        self.assertTrue(self.agent.asked[-1].trusted_device)

    def test_a_fault_of_ours_looks_like_every_other_failure(self) -> None:
        def fail() -> None:
            raise RuntimeError("a bug")

        self.agent.before = fail
        self.assert_refused(self.knock("garage", ADMIN_PASSWORD, True))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_agent_that_grants_nonsense_lets_nobody_in(self) -> None:
        for grant in (
            RemoteGrant("token", "nobody"),
            RemoteGrant("token", "cloud-admin"),
            RemoteGrant("", "admin"),
            RemoteGrant("tökén", "admin"),
            RemoteGrant("t" * 5000, "admin"),
        ):
            self.agent.grant = grant
            self.assert_refused(self.knock("garage", USER_ID))
        self.assertEqual(self.sessions.listing(), [])

    def test_an_installation_deleted_during_the_login_lets_nobody_in(self) -> None:
        self.agent.before = lambda: self.got(self.accounts.delete("garage"))
        self.assert_refused(self.knock("garage", ADMIN_PASSWORD, True))
        self.assertEqual((self.sessions.listing(), self.agent.forgotten), ([], ["agents-admin-token"]))

    def test_the_answer_is_spread_over_a_fifth_of_a_second(self) -> None:
        for spread, least_s, most_s in ((0.0, 2.999, 3.02), (1.0, 3.199, 3.22)):
            self.spread = spread
            took_s, _ = self.knock("no-such-site", "x")
            self.assertTrue(least_s <= took_s <= most_s, took_s)

    def test_no_secret_stands_in_the_log_or_the_database(self) -> None:
        with capturedLogs() as logged:
            _, answer = self.knock("garage", ADMIN_PASSWORD, True)
            self.knock("garage", "a-wrong-secret")
            self.knock("a-password-typed-as-id", "x")
        assert isinstance(answer, Answer)
        assert answer.login is not None
        written = "\n".join(formatEvent(event) + repr(event) for event in logged)
        written += self.kept().decode("latin-1")
        for secret in (
            ADMIN_PASSWORD,
            "a-wrong-secret",
            "a-password-typed-as-id",
            "agents-admin-token",
            answer.login,
        ):
            self.assertNotIn(secret, written)

    def test_logins_without_end_at_one_installation_drive_nothing_out_of_the_audit_log(self) -> None:
        for _ in range(100):
            self.knock("garage", ADMIN_PASSWORD, True)
        noted = [deed["subject"] for deed in self.got(self.ledger.audit(200))]
        self.assertEqual(set(noted), {"Garage (admin)"})
        self.assertLess(len(noted), 30)
        self.clock.advance(60)
        self.knock("garage", USER_ID)
        self.assertEqual(self.got(self.ledger.audit(1))[0]["subject"], "Garage (user)")

    def test_leaving_ends_the_login_at_both_ends(self) -> None:
        _, answer = self.knock("garage", ADMIN_PASSWORD, True)
        assert isinstance(answer, Answer)
        self.got(self.logins.leave(answer.login))
        self.assertIsNone(self.logins.find(answer.login))
        self.assertEqual(self.agent.forgotten, ["agents-admin-token"])

    def test_leaving_an_installation_that_is_gone_still_ends_the_login_here(self) -> None:
        async def gone(token: str) -> None:
            raise TunnelError("lost")

        _, answer = self.knock("garage", ADMIN_PASSWORD, True)
        assert isinstance(answer, Answer)
        self.patch(FakeAgent, "logout", lambda agent, token: gone(token))
        self.got(self.logins.leave(answer.login))
        self.assertIsNone(self.logins.find(answer.login))
