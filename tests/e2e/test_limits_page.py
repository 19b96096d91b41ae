"""Limits beside fuses in a real browser: entered, confirmed old to new, faults at their field, in three languages."""

from __future__ import annotations

import pytest

from tests.support.browser import Browser
from tests.support.pages import LANGUAGES, Agent, box, shoot, small_targets

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def agent(shared_agent: Agent) -> Agent:
    """A main fuse, and a charge point that does not answer."""
    shared_agent.furnish([box("Garage")])
    return shared_agent


@pytest.fixture(scope="module")
def chromium(agent: Agent, admins_chromium: Browser) -> Browser:
    return admins_chromium


def test_limits_are_entered_and_confirmed_old_to_new(agent: Agent, chromium: Browser) -> None:
    chromium.size(1280)
    chromium.open(f"{agent.base}/ui/en/site.htm")
    assert not chromium.find("details.further").get_attribute("open")
    chromium.find("details.further summary").click()
    for phase in (1, 2, 3):
        chromium.fill(f"Charging alone L{phase}, A", "25")
    chromium.fill("All that flows, W", "20000")
    chromium.choose("Breaker curve", "B")
    chromium.fill("Rated current, A", "16")
    chromium.tick("Who was plugged in first is served first")
    chromium.press("Review and save")
    asked = chromium.text("dialog").replace("\n", " ")
    assert "Main fuse: all that flows – → 20,000 W" in asked
    assert "Main fuse: breaker – → B 16 bears more" in asked
    assert "Who was plugged in first is served first no → yes" in asked
    chromium.press("Save", "dialog")
    chromium.until(lambda: chromium.all('[name="main.rated_a"][aria-invalid="true"]'))
    chromium.press("Cancel", "dialog")
    chromium.fill("Rated current, A", "32")
    chromium.press("Review and save")
    chromium.press("Save", "dialog")
    chromium.until(lambda: "Saved" in chromium.text())
    kept = agent.client.call("GET", "/site")
    assert kept["first_come"]
    assert kept["circuits"][0]["breaker"] == {"curve": "B", "rated_a": 32}
    assert kept["circuits"][0]["charging_limit_a"] == [25, 25, 25]
    chromium.forgive("422")
    assert chromium.complaints() == []


def test_watts_of_a_charge_point_and_the_priority_of_a_user_are_kept(agent: Agent, chromium: Browser) -> None:
    chromium.open(f"{agent.base}/ui/en/devices.htm")
    chromium.press("Change")
    chromium.fill("At most, W", "11000")
    chromium.press("Save", "form")
    chromium.until(lambda: agent.client.call("GET", "/devices")["devices"][0]["max_w"] == 11000)
    chromium.open(f"{agent.base}/ui/en/users.htm")
    chromium.press("Add user")
    chromium.fill("Name", "Ann")
    chromium.fill("Priority", "3")
    chromium.press("Add user", "form")
    chromium.until(lambda: agent.client.call("GET", "/users")["users"])
    assert agent.client.call("GET", "/users")["users"][0]["priority"] == 3
    assert chromium.complaints() == []


@LANGUAGES
def test_the_pages_fit_every_screen(agent: Agent, chromium: Browser, language: str) -> None:
    for page in ("site", "devices", "users"):
        for width in (360, 1280):
            chromium.size(width)
            chromium.open(f"{agent.base}/ui/{language}/{page}.htm")
            if page == "devices":
                chromium.js("document.querySelectorAll('main .buttons button')[1].click()")
            if page == "site":
                chromium.js("document.querySelector('details.further').open = true")
            shoot(chromium, f"limits-{page}-{language}", width)
            assert small_targets(chromium) == []
    assert chromium.complaints() == []
