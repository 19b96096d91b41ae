"""A real browser for end-to-end tests: fresh profile, everything it complains about is collected."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from tests.support.processes import eventually

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
)
# Kept across documents by the page's own console, which the driver's log collects.
WATCH = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error("policy violation: " + event.effectiveDirective + " " + event.blockedURI);
});
window.plainText = (one) => one.textContent.trim().replace(/[\\u00a0\\u202f]/g, " ");
addEventListener("unhandledrejection", (event) => console.error("unhandled: " + event.reason));
"""


class Browser:
    """Chromium with a page; finds what a person would find, by name and by words."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._seen: list[str] = []
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})

    def size(self, width: int, height: int = 900) -> None:
        """As a screen of that many CSS pixels."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def colours(self, scheme: str) -> None:
        """What the system prefers: light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def zone(self, name: str = "") -> None:
        """The reader's time zone; empty: the machine's again."""
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": name})

    def open(self, url: str) -> None:
        """Go there and wait until the page is drawn."""
        self.driver.get(url)
        self.drawn()

    def drawn(self, name: str = "") -> None:
        """Wait until a page (of that name) has drawn itself and has what it asked for."""
        ready = "return document.documentElement.dataset.ready && !document.querySelector('.loading')"
        eventually(lambda: (not name or self.path.endswith(f"/{name}")) and self.js(ready))

    @property
    def path(self) -> str:
        return str(self.js("return location.pathname"))

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def module(self, script: str, *arguments: object) -> Any:
        """Run the body of an async function in the page; ``load(path)`` imports one of our modules."""
        wrapped = (
            "const done = arguments[arguments.length - 1];"
            "const load = (path) => import('/ui/files/' + path);"
            f"(async (...given) => {{ {script} }})(...arguments)"
            ".then((value) => done(JSON.stringify({value})), (error) => done(JSON.stringify({error: String(error)})));"
        )
        answer = json.loads(self.driver.execute_async_script(wrapped, *arguments))
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def find(self, css: str) -> WebElement:
        return eventually(lambda: self.driver.find_element(By.CSS_SELECTOR, css))

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str = "main") -> str:
        """What a person reads there, with plain spaces."""
        return str(self.find(css).text).replace("\u00a0", " ").replace("\u202f", " ")

    def field(self, label: str) -> WebElement:
        """The visible field with this label."""
        found = eventually(lambda: self._labelled(label))
        assert isinstance(found, WebElement)
        return found

    def has_field(self, label: str) -> bool:
        return self._labelled(label) is not None

    def _labelled(self, label: str) -> WebElement | None:
        found: WebElement | None = self.js(
            "return [...document.querySelectorAll('label')].filter((one) => window.plainText(one) === arguments[0] &&"
            " one.offsetParent).map((one) => one.control).pop() ?? null",
            label,
        )
        return found

    def fill(self, label: str, text: str) -> None:
        """Type into a field, in place of what stood there."""
        field = self.field(label)
        field.send_keys(Keys.CONTROL + "a")  # clear() would not tell the page
        field.send_keys(Keys.BACKSPACE + text)

    def tick(self, label: str, on: bool = True) -> None:
        box = self.field(label)
        if box.is_selected() != on:
            box.click()

    def choose(self, label: str, value: str) -> None:
        """Choose an entry of a list by its value."""
        Select(self.field(label)).select_by_value(value)

    def press_choice(self, within: str, words: str) -> None:
        """Choose one of a group of buttons that exclude each other."""
        script = (
            "return [...document.querySelectorAll(arguments[1] + ' fieldset:not(:disabled) label')]"
            ".filter((one) => window.plainText(one) === arguments[0]).pop()"
        )
        label = eventually(lambda: self.js(script, words, within))
        assert isinstance(label, WebElement)
        self.js("arguments[0].scrollIntoView({block: 'center'})", label)
        label.click()

    def press(self, words: str, within: str = "body") -> None:
        """Press the last visible button or link with these words inside ``within``, once it is free."""
        script = (
            "const all = [...document.querySelectorAll(arguments[1] + ' :is(button, a)')];"
            "return all.filter((one) => window.plainText(one) === arguments[0])"
            ".filter((one) => one.checkVisibility() && !one.disabled).pop()"
        )
        button = eventually(lambda: self.js(script, words, within))
        assert isinstance(button, WebElement)
        self.js("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def until(self, condition: Callable[[], Any], within_s: float = 30.0) -> Any:
        return eventually(condition, within_s)

    def complaints(self) -> list[str]:
        """Everything that the browser had to complain of since the start, warnings included."""
        self._seen += [
            f"{one['level']} {one['message']}"
            for one in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            if one["level"] in ("WARNING", "SEVERE")
        ]
        return self._seen

    def forgive(self, part: str) -> None:
        """A complaint that the test provoked on purpose."""
        self.complaints()
        self._seen = [one for one in self._seen if part not in one]

    def forget(self) -> None:
        """What it complained of until now is somebody else's."""
        self.complaints()
        self._seen = []

    def sideways(self) -> int:
        """By how many pixels the page is wider than the screen."""
        return int(self.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextlib.contextmanager
def browser(width: int = 1280) -> Iterator[Browser]:
    """Chromium for the length of a block."""
    profile = Path(tempfile.mkdtemp(prefix="cm-chromium-"))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "/usr/bin/chromedriver"))
    try:
        driver.set_script_timeout(20)
        shown = Browser(driver)
        shown.size(width)
        yield shown
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
