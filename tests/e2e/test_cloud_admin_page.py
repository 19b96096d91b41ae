"""The cloud-admin page with ten thousand installations, in a real browser, by keyboard where it counts."""

from __future__ import annotations

import base64
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from selenium.webdriver.common.keys import Keys

from charging_manager.http.passwords import AdminPassword
from charging_manager.words import say
from tests.e2e.test_pages import NAMELESS, SMALL
from tests.support.browser import Browser, browser
from tests.support.processes import daemon

pytestmark = pytest.mark.e2e

ADMIN = "the cloud's admin password"
ROW = "tr[data-installation]"


@frozen
class Desk:
    """A cloud server with many installations, and a browser in front of it."""

    page: Browser
    url: str
    data: Path

    def log_in(self, language: str = "en") -> None:
        self.page.driver.delete_all_cookies()
        self.page.size(1280)
        self.page.open(f"{self.url}/ui/{language}/cloud-admin.htm")
        self.page.fill(say(language, "Admin password"), ADMIN)
        self.page.press(say(language, "Log in"), "form")
        self.page.until(lambda: self.page.all(ROW))

    def rows(self) -> list[str]:
        return [
            str(name)
            for name in self.page.js(
                f"return [...document.querySelectorAll('{ROW}')].map((one) => one.dataset.installation)"
            )
        ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    data = tmp_path_factory.mktemp("cloud")
    AdminPassword(data / "admin").write(ADMIN)
    with ExitStack() as stack:
        _, port = stack.enter_context(daemon("cm-cloud", data))
        with closing(sqlite3.connect(data / "cloud/cloud.sqlite", timeout=30)) as db, db:
            db.executemany(
                "INSERT INTO installations"
                " (cloud_id, source, verifier, created_at, last_seen_at, received_bytes, alarm_at)"
                " VALUES (?, 'added', 'v', '2026-01-01T00:00:00+00:00', '2026-02-01T00:00:00+00:00', ?, ?)",
                [(f"site-{n:05}", n * 1000, "2026-02-02T00:00:00+00:00" if n < 3 else None) for n in range(10_000)],
            )
        page = stack.enter_context(browser())
        yield Desk(page, f"https://localhost:{port}", data)


def test_ten_thousand_are_searched_sorted_and_paged_in_a_second_each(desk: Desk) -> None:
    desk.log_in()
    page = desk.page

    def within_a_second(expected: str) -> None:
        began_s = time.monotonic()
        page.until(lambda: desk.rows()[:1] == [expected], 20)
        took.append(time.monotonic() - began_s)

    took: list[float] = []
    page.fill("Search", "site-04242")
    within_a_second("site-04242")
    page.fill("Search", "")
    page.field("Search").send_keys(Keys.BACKSPACE)
    within_a_second("site-00000")
    for _ in range(2):
        page.press("Traffic", "thead") if _ == 0 else page.press("Traffic ▲", "thead")
    within_a_second("site-09999")
    page.press("Next", ".pager")
    within_a_second("site-09949")
    assert "51 to 100 of 10,000" in page.text(".pager")
    page.choose("State", "alarm")
    within_a_second("site-00002")
    assert len(desk.rows()) == 3 and "3 installations" in page.text("#alarms")
    assert sorted(took)[len(took) // 2] < 1.0, took
    assert page.complaints() == []


def test_the_list_is_walked_by_keys_and_an_installation_disabled_and_given_a_password(desk: Desk) -> None:
    desk.log_in()
    page = desk.page
    page.js("document.activeElement.blur()")
    page.find("body").send_keys("/")
    assert page.js("return document.activeElement.id") == "search"
    page.js("document.querySelector('button.row').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert page.js("return document.activeElement.textContent") == "site-00001"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: page.js("return document.activeElement.id") == "installation-name")
    page.press("Disable", "#installation")
    page.until(lambda: page.find('[data-installation="site-00001"] [data-state="disabled"]'))
    page.press("Enable", "#installation")
    page.until(lambda: page.find('[data-installation="site-00001"] [data-state="offline"]'))
    page.fill("Note", "Bakery")
    page.fill("Tags", "north big")
    page.press("Save", "#installation")
    page.until(lambda: "Bakery" in page.text('[data-installation="site-00001"]'))
    page.js("document.querySelector('#installation h3').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.all("#installation"))
    assert page.js("return document.activeElement.textContent") == "site-00001"
    assert page.complaints() == []


@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_the_whole_page_fits_a_phone_and_a_desk(desk: Desk, language: str) -> None:
    desk.log_in(language)
    page = desk.page
    page.js("document.querySelector('button.row').click()")
    page.until(lambda: page.find("#installation dl"))
    page.js("for (const one of document.querySelectorAll('details')) one.open = true")
    page.until(lambda: page.js("return !document.querySelector('.loading')"))
    for width, scheme in ((360, "dark"), (1280, "light")):
        page.size(width)
        page.colours(scheme)
        assert page.sideways() <= 0, width
        assert page.js(SMALL) == []
        assert page.js(NAMELESS) == []
    assert page.complaints() == []


def test_a_second_factor_is_set_up_and_then_asked_for(desk: Desk) -> None:
    desk.log_in()
    page = desk.page
    page.fill("Admin password", ADMIN)
    page.press("Set up a second factor", "#second-factor")
    secret = str(page.find("#second-factor .copyable input").get_attribute("value"))
    assert page.find("#second-factor svg.qr path:last-child").get_attribute("d")
    totp = TOTP(base64.b32decode(secret), 6, SHA1(), 30)
    page.fill("Code of the second factor", totp.generate(int(time.time())).decode())
    page.press("Switch it on", "#second-factor")
    page.until(lambda: len(page.all("#recovery li")) == 10)
    recovery = page.find("#recovery li").text
    page.press("I have noted them", "#recovery")
    page.driver.delete_all_cookies()
    page.open(f"{desk.url}/ui/en/cloud-admin.htm")
    page.fill("Admin password", ADMIN)
    page.fill("Code of the second factor", recovery)
    page.press("Log in", "form")
    page.until(lambda: page.all(ROW))
    assert "9 recovery codes are left." in page.text("#second-factor")
    (desk.data / "admin.totp").unlink()
    assert page.complaints() == []
