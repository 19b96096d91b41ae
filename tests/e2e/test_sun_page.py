"""How cars follow the sun, entered in a real browser: for the site, for a charge point, for a battery's meter."""

from __future__ import annotations

import pytest

from tests.support.browser import Browser
from tests.support.pages import LANGUAGES, Agent, box, shoot, small_targets

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def agent(shared_agent: Agent) -> Agent:
    """A main fuse, and a charge point that does not answer."""
    shared_agent.furnish([box("Garage", mode="solar")])
    return shared_agent


@pytest.fixture(scope="module")
def chromium(agent: Agent, admins_chromium: Browser) -> Browser:
    return admins_chromium


def test_the_sites_numbers_are_entered_and_faults_are_at_their_field(agent: Agent, chromium: Browser) -> None:
    chromium.size(1280)
    chromium.open(f"{agent.base}/ui/en/site.htm")
    chromium.fill("Starts at, A per phase", "500")
    chromium.press("Save sun settings")
    chromium.until(lambda: chromium.all('[name="solar.start_a"][aria-invalid="true"]'))
    chromium.fill("Starts at, A per phase", "7.5")
    chromium.choose("Phases used", "1")
    chromium.tick("Storage batteries for the house give nothing while a car charges by more than the sun")
    chromium.press("Save sun settings")
    chromium.until(lambda: agent.client.call("GET", "/site")["storage_lock"])
    kept = agent.client.call("GET", "/site")["solar"]
    assert (kept["start_a"], kept["phases"], kept["grace_s"]) == (7.5, 1, 300.0)
    chromium.forgive("422")
    assert chromium.complaints() == []


def test_saving_circuits_leaves_the_sun_as_it_is(agent: Agent, chromium: Browser) -> None:
    chromium.open(f"{agent.base}/ui/en/site.htm")
    chromium.fill("Name of the site", "Other name")
    agent.client.call("PUT", "/site", {"solar": {"start_a": 8.5}})
    chromium.press("Review and save")
    chromium.press("Save", "dialog")
    chromium.until(lambda: agent.client.call("GET", "/site")["name"] == "Other name")
    assert agent.client.call("GET", "/site")["solar"]["start_a"] == 8.5


def test_a_charge_point_may_have_numbers_of_its_own_and_give_them_up(agent: Agent, chromium: Browser) -> None:
    chromium.open(f"{agent.base}/ui/en/devices.htm")
    chromium.press("Change")
    chromium.tick("Own numbers for following the sun")
    chromium.fill("Grace, s", "120")
    chromium.press("Save", "form")
    chromium.until(lambda: agent.client.call("GET", "/devices")["devices"][0]["solar"] is not None)
    whole = agent.client.call("GET", "/site")["solar"]
    own = agent.client.call("GET", "/devices")["devices"][0]["solar"]
    assert (own["grace_s"], own["start_a"]) == (120.0, whole["start_a"])
    chromium.press("Change")
    chromium.tick("Own numbers for following the sun", on=False)
    chromium.press("Save", "form")
    chromium.until(lambda: agent.client.call("GET", "/devices")["devices"][0]["solar"] is None)
    assert chromium.complaints() == []


@LANGUAGES
def test_it_is_usable_on_a_phone_in_every_language(agent: Agent, chromium: Browser, language: str) -> None:
    chromium.size(360)
    chromium.open(f"{agent.base}/ui/{language}/site.htm")
    chromium.until(lambda: chromium.all("form.sun"))
    assert small_targets(chromium) == []
    for width in (360, 1280):
        shoot(chromium, f"sun-{language}", width)
    assert chromium.complaints() == []
