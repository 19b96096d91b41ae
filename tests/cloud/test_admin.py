"""The cloud admin's functions, called through the route table as the web side does."""

import json
import time
from typing import Any

from twisted.internet.defer import Deferred, execute

from charging_manager.cloud.accounts import Installation
from charging_manager.cloud.admin import INSTALLATIONS, Admin, InstallationRow, page_of
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.logins import Logins
from charging_manager.http.routes import Answer, Caller, Problem, Role
from charging_manager.http.sessions import LoginSessions
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.tunnel.link import RemoteGrant
from tests.cloud.house import VERIFIER, CloudTestCase

ADMIN = Caller(Role.ADMIN, source="10.0.0.9")


class FakeLink:
    """A tunnel as far as ``Links`` looks at it."""

    def __init__(self, cloud_id: str) -> None:
        self.cloud_id = cloud_id
        self.program = "charging-manager 1.1"
        self.closed: list[str] = []

    async def close(self, reason: str, drain_s: float) -> None:
        self.closed.append(reason)


class AdminTests(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.links = Links()
        self.sessions = LoginSessions(self.database, self.clock, self.now)
        self.logins = Logins(self.sessions, lambda cloud_id: None)
        admin = Admin(self.accounts, self.ledger, self.links, self.logins, execute, self.now)
        self.table = RouteTable(admin.routes(), "cloud")

    def ask(self, method: str, path: str, body: Any = None, query: str = "", caller: Caller = ADMIN) -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        raw = RawRequest(method, path, query, data, "application/json" if data else "")
        answer = self.got(self.table.answer(raw, caller))
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body) if answer.body else None

    def add(self, cloud_id: str) -> Installation:
        return self.got(self.accounts.add(cloud_id, VERIFIER))

    def test_an_installation_is_added_with_a_verifier_of_its_password(self) -> None:
        status, row = self.ask("POST", INSTALLATIONS, {"cloud_id": "Garage", "password": "twelve chars!"})
        self.assertEqual(status, 201)
        self.assertEqual(
            row,
            {
                "cloud_id": "Garage",
                "state": "offline",
                "last_seen_at": None,
                "version": None,
                "created_at": "2026-03-01T12:00:00+00:00",
                "source": "added",
            },
        )
        self.assertIsNotNone(self.got(self.accounts.verifier("garage")))
        deeds = self.got(self.ledger.audit(5))
        self.assertEqual(
            [(d["who"], d["source"], d["action"], d["subject"]) for d in deeds],
            [("cloud-admin", "10.0.0.9", "installation-added", "Garage")],
        )

    def test_what_is_wrong_with_a_new_installation_is_named_and_nothing_is_added(self) -> None:
        self.add("garage")
        good = "twelve chars!"
        for cloud_id, password, status, code, where in (
            ("GARAGE", good, 409, "cloud-id-exists", "cloud_id"),
            ("ab", good, 422, "bad-cloud-id", "cloud_id"),
            ("0123-4567-89AB-CDEF", good, 422, "cloud-id-is-serial", "cloud_id"),
            ("new-site", "short", 422, "bad-password", "password"),
            ("new-site", "x" * 129, 422, "bad-password", "password"),
        ):
            got, problem = self.ask("POST", INSTALLATIONS, {"cloud_id": cloud_id, "password": password})
            self.assertEqual((got, problem["code"], problem["field"]), (status, code, where))
        for body in ({"cloud_id": "new-site"}, {"cloud_id": 7, "password": good}, {"cloud_id": "new-site", "x": 1}):
            self.assertEqual(self.ask("POST", INSTALLATIONS, body)[0], 422)
        self.assertEqual(len(self.got(self.accounts.listing())), 1)

    def test_only_the_clouds_admin_may(self) -> None:
        self.add("garage")
        for role, status in ((Role.NOBODY, 401), (Role.USER, 403), (Role.INSTALLER, 403)):
            for route in self.table.routes:
                path = route.path.replace("{cloud_id}", "garage")
                self.assertEqual(self.ask(route.method, path, caller=Caller(role))[0], status, route.path)
        self.assertIsNotNone(self.got(self.accounts.find("garage")))

    def test_deleting_ends_the_tunnel_and_the_logins_of_that_installation_alone(self) -> None:
        garage, other = self.add("Garage"), self.add("other")
        links = {name: FakeLink(name) for name in ("garage", "other")}
        for link in links.values():
            self.links.put(link)  # type: ignore[arg-type]
        grant = RemoteGrant("token", "admin")
        gone = self.got(self.logins.enter(garage, grant, "10.0.0.1"))
        stays = self.got(self.logins.enter(other, grant, "10.0.0.1"))
        self.assertEqual(self.ask("DELETE", f"{INSTALLATIONS}/GARAGE")[0], 204)
        self.assertEqual((links["garage"].closed, links["other"].closed), (["deleted"], []))
        self.assertIsNone(self.logins.find(gone))
        self.assertIsNotNone(self.logins.find(stays))
        self.assertEqual(self.ask("DELETE", f"{INSTALLATIONS}/garage")[0], 404)
        self.assertEqual(self.got(self.ledger.audit(1))[0]["action"], "installation-deleted")

    def test_the_list_shows_who_is_here(self) -> None:
        self.add("b-site")
        number = self.add("A-site").number
        self.got(self.accounts.seen([(number, "2026-02-01T00:00:00+00:00", "0.9")]))
        self.links.put(FakeLink("b-site"))  # type: ignore[arg-type]
        _, answer = self.ask("GET", INSTALLATIONS)
        self.assertEqual(
            [(r["cloud_id"], r["state"], r["last_seen_at"], r["version"]) for r in answer["installations"]],
            [
                ("A-site", "offline", "2026-02-01T00:00:00+00:00", "0.9"),
                ("b-site", "connected", "2026-03-01T12:00:00+00:00", "1.1"),
            ],
        )

    def test_the_ledger_is_open_to_the_admin(self) -> None:
        self.assertEqual(self.ask("GET", f"{INSTALLATIONS}/garage/connections")[0], 404)
        number = self.add("garage").number
        self.got(self.ledger.login_failed("installation", number, "10.0.0.1", "refused"))
        self.assertEqual(self.ask("GET", f"{INSTALLATIONS}/garage/connections"), (200, {"connections": []}))
        _, failed = self.ask("GET", "/api/v1/cloud/admin/failed-logins")
        self.assertEqual([(f["cloud_id"], f["cause"]) for f in failed["failed_logins"]], [("garage", "refused")])
        self.assertEqual(self.ask("GET", "/api/v1/cloud/admin/audit"), (200, {"audit": []}))


def row(cloud_id: str, state: str = "offline", seen: str | None = None) -> InstallationRow:
    return InstallationRow(cloud_id, state, seen, None, "2026-01-01", "added")


class PageTests(CloudTestCase):
    rows = [row("Beta", "connected", "3"), row("alpha", "offline", "1"), row("gamma"), row("delta", "connected", "2")]

    def ids(self, **query: str) -> list[str]:
        return [each.cloud_id for each in page_of(self.rows, query).installations]

    def test_rows_are_searched_sorted_and_cut(self) -> None:
        self.assertEqual(self.ids(), ["alpha", "Beta", "delta", "gamma"])
        self.assertEqual(self.ids(search="TA"), ["Beta", "delta"])
        self.assertEqual(self.ids(sort="-cloud_id"), ["gamma", "delta", "Beta", "alpha"])
        self.assertEqual(self.ids(sort="state"), ["Beta", "delta", "alpha", "gamma"])
        self.assertEqual(self.ids(sort="-last_seen_at"), ["Beta", "delta", "alpha", "gamma"])
        self.assertEqual(self.ids(limit="2"), ["alpha", "Beta"])
        self.assertEqual(self.ids(limit="2", after="beta"), ["delta", "gamma"])
        self.assertEqual(self.ids(after="nobody"), [])
        self.assertEqual(page_of(self.rows, {"limit": "1", "search": "a"}).total, 4)

    def test_a_query_that_cannot_be_is_named(self) -> None:
        for query, where in (
            ({"sort": "password"}, "sort"),
            ({"limit": "0"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"limit": "²"}, "limit"),
        ):
            with self.assertRaises(Problem) as caught:
                page_of(self.rows, query)
            self.assertEqual((caught.exception.status, caught.exception.where), (422, where))

    def test_ten_thousand_rows_are_listed_in_a_second(self) -> None:
        def insert(db: Any) -> None:
            db.executemany(
                "INSERT INTO installations (cloud_id, source, verifier, created_at) VALUES (?, 'added', 'v', 't')",
                [(f"site-{n:05}",) for n in range(10_000)],
            )

        self.got(self.database.write(insert))
        admin = Admin(
            self.accounts,
            self.ledger,
            Links(),
            Logins(LoginSessions(self.database, self.clock), lambda cloud_id: None),
            lambda work: Deferred(),
            self.now,
        )
        table = RouteTable(admin.routes(), "cloud")
        began_s = time.process_time()
        answer = self.got(table.answer(RawRequest("GET", INSTALLATIONS, "sort=-created_at"), ADMIN))
        took_s = time.process_time() - began_s
        assert isinstance(answer, Answer)
        self.assertEqual(len(json.loads(answer.body)["installations"]), 10_000)
        self.assertLess(took_s, 1.0)
