"""Every route times every role, at agent and cloud, directly and through the relay: a table with bodies that fit.

``rights.txt`` says how it is written. A route that is not in it fails the test, and so does one that is no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.support.api import Browser, Reply
from tests.support.processes import eventually
from tests.support.town import CLOUD_ADMIN, Town, service, two_sites

pytestmark = pytest.mark.e2e

TABLE = Path(__file__).with_name("rights.txt")
REFUSALS = {
    (401, "login-required"): "-",
    (401, "token-needed"): "-",
    (401, "not-logged-in"): "-",
    (401, "key-refused"): "-",
    (403, "not-allowed"): "-",
    (403, "site-only"): "s",
    (403, "not-for-keys"): "k",
    (403, "scope-needed"): "k",
}


@frozen
class Line:
    """One route: who is let in, with which status, and who is not."""

    method: str
    path: str
    columns: tuple[str, ...]
    body: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def read_table() -> dict[str, list[Line]]:
    """By chapter, ``agent`` and ``cloud``; in the order in which they are asked."""
    chapters: dict[str, list[Line]] = {}
    for text in TABLE.read_text("utf-8").splitlines():
        if text.startswith("## "):
            lines = chapters.setdefault(text[3:], [])
        elif text and not text.startswith("#"):
            route, columns, body = (part.strip() for part in text.split("|", 2))
            method, path = route.split()
            lines.append(Line(method, path, tuple(columns.split()), body))
    return chapters


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with two_sites(tmp_path_factory.mktemp("town")) as town:
        yield town


def routes_of(browser: Browser) -> set[str]:
    paths = browser.get("/api/v1/openapi.json")["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def met(browser: Browser, line: Line, names: dict[str, str]) -> str:
    """What this browser's request meets, as the table says it."""
    fill: Callable[[re.Match[str]], str] = lambda hole: names[hole[1]]  # noqa: E731
    path, body = re.sub(r"\{([a-z_-]+)\}", fill, line.path), re.sub(r"<([a-z_-]+)>", fill, line.body)
    if "/logins/{id}" in line.path or "/keys/{id}" in line.path:
        path = line.path.replace("{id}", spare(browser, line, names))
    connection = browser.open()
    try:
        sent = {**browser.headers(), **({"Content-Type": "application/json"} if body else {})}
        if names.get("key"):
            sent["Authorization"] = f"Bearer {names['key']}"
        connection.request(line.method, path, body.encode() or None, sent)
        answer = connection.getresponse()
        endless = "event-stream" in (answer.getheader("Content-Type") or "")
        reply = Reply(answer.status, {"content-type": answer.getheader("Content-Type") or ""}, b"")
        if not endless:
            reply = Reply(reply.status, reply.headers, answer.read())
    finally:
        connection.close()
    code = str(reply.json["code"]) if reply.status >= 400 and reply.json else ""
    if (reply.status, code) in REFUSALS:
        return REFUSALS[reply.status, code]
    return f"{reply.status}:{code}" if code else str(reply.status)


def spare(browser: Browser, line: Line, names: dict[str, str]) -> str:
    """A login or a key that is there to be ended; for those who may not see any, a name."""
    listing = browser.call("GET", line.path.partition("/{id}")[0])
    if listing.status != 200 or names.get("key"):
        return "some"
    found = next(iter(listing.json.values()))
    return str(next((one["id"] for one in reversed(found) if not one.get("current")), "some"))


NAMES = {"id": "{id}", "number": "1", "name": "planted", "identity": "planted", "user": "otto", "cloud_id": "planted"}


def names_at(line: Line, site: str, role: str) -> dict[str, str]:
    """What stands in the holes of an address: what is there, and is of this role if anything is."""
    there = f"{site}-box1" if "/charge-points/" in line.path else f"{site}-box2"
    return {**NAMES, "id": "otto" if "/users/" in line.path else there, "site": site}


def judged(town: Town, chapter: str, own: int, role: Callable[[], Browser], site: str, **more: str) -> list[str]:
    """Ask for all of a chapter as one role, and name what is not as the table says."""
    wrong, browser = [], eventually(role)
    for line in read_table()[chapter]:
        expected = line.columns[own]
        if expected == "~":
            continue
        if "/logins/{id}" in line.path and expected not in REFUSALS.values():
            eventually(role)  # one more login, to be ended
        found = met(browser, line, {**names_at(line, site, chapter), **more, "port": str(town.port)})
        if found not in expected.split("/"):
            wrong.append(f"{line}: column {own} is {found}, not {expected}")
        if found not in ("-", "s", "k") and line.path.split("/")[-1] in ("logout", "password", "logins", "login"):
            browser = eventually(role)  # that login has ended; a wrong password may have to be waited for
    return wrong


def test_the_table_names_every_route_and_no_other(town: Town) -> None:
    chapters = read_table()
    for chapter, browser in (("agent", town.a.here), ("cloud", town.browser())):
        listed = [str(line) for line in chapters[chapter]]
        assert len(listed) == len(set(listed))
        assert set(listed) == routes_of(browser), set(listed) ^ routes_of(browser)


def at_the_site(town: Town, body: dict[str, str] | None) -> Callable[[], Browser]:
    def come() -> Browser:
        browser = Browser(town.a.port, secure=True, timeout_s=30)
        if body is not None:
            browser.post("/api/v1/login", body)
        return browser

    return come


def test_at_the_agent_every_role_gets_what_the_table_says(town: Town) -> None:
    rosa_here = at_the_site(town, {"user_id": town.a.rosa_id})
    wrong = judged(town, "agent", 0, at_the_site(town, None), "site-a")
    wrong += judged(town, "agent", 1, rosa_here, "site-a")
    wrong += judged(town, "agent", 3, town.browser, "site-a")
    wrong += judged(town, "agent", 4, lambda: town.rosa_of(town.a), "site-a")
    wrong += judged(town, "agent", 5, lambda: town.admin_of(town.b), "site-b")
    wrong += judged(town, "agent", 2, at_the_site(town, {"password": town.a.password}), "site-a")
    assert wrong == [], "\n".join(["", *wrong])


def test_at_the_cloud_server_every_role_gets_what_the_table_says(town: Town) -> None:
    admin = town.cloud_admin()
    scopes = ["audit-read", "installations-read", "installations-write", "metrics-read"]
    key = admin.post("/api/v1/cloud/admin/keys", {"name": "all", "scopes": scopes})["key"]
    blind = admin.post("/api/v1/cloud/admin/keys", {"name": "few", "scopes": ["metrics-read"]})["key"]
    wrong = judged(town, "cloud", 0, town.browser, "site-a")
    wrong += judged(town, "cloud", 1, lambda: town.rosa_of(town.a), "site-a")
    wrong += judged(town, "cloud", 2, lambda: town.admin_of(town.a), "site-a")
    wrong += judged(town, "cloud", 4, town.browser, "site-a", key=key)
    wrong += judged(town, "cloud", 5, town.browser, "site-a", key=blind)
    wrong += judged(town, "cloud", 3, town.cloud_admin, "site-a")
    assert wrong == [], "\n".join(["", *wrong])
    for secret in (CLOUD_ADMIN, service(town.port, town.a)["password"], key, blind):
        assert secret not in town.cloud.output
