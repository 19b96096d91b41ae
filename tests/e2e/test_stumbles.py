"""What newcomers stumbled over on the pages, in a real browser: times, numbers, warnings, and addresses cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.browser import Browser
from tests.support.pages import LANGUAGES, Agent, box, plain, shoot, small_targets
from tests.support.processes import eventually

pytestmark = pytest.mark.e2e
PRIORITY = "a whole number from -1000 to 1000; higher is served first"


@pytest.fixture(scope="module")
def agent(shared_agent: Agent) -> Agent:
    """Two charge points that do not answer, one of them hardly allowed anything; something is decided for both."""
    shared_agent.furnish([box("Garage one", 1, id="garage-1"), box("Garage two", 2, id="garage-2", max_w=1000)])
    eventually(lambda: all(one["because"] for one in shared_agent.client.call("GET", "/state")["charge_points"]))
    return shared_agent


@pytest.fixture
def chromium(agent: Agent, admins_chromium: Browser) -> Iterator[Browser]:
    admins_chromium.size(1280)
    admins_chromium.forget()
    yield admins_chromium
    assert admins_chromium.complaints() == []


@LANGUAGES
def test_times_are_the_sites_and_its_zone_is_named_where_the_reader_has_another(
    agent: Agent, chromium: Browser, language: str
) -> None:
    agent.client.call("PUT", "/site", {"timezone": "America/New_York"})
    note = plain(language, "Times are those of the site: {zone}.").format(zone="America/New_York")
    chromium.zone("Asia/Tokyo")
    chromium.open(f"{agent.base}/ui/{language}/charger.htm?id=garage-1")
    chromium.until(lambda: chromium.all(".chain"))
    assert chromium.text("#zone") == note
    [said] = [one.text for one in chromium.all("p.help") if ":" in one.text and one.text != note][:1]
    hours = {datetime.now(ZoneInfo("America/New_York")).strftime(form) for form in ("%H:", "%-I:")}
    assert any(f" {hour}" in said for hour in hours), said
    chromium.open(f"{agent.base}/ui/{language}/overview.htm")
    chromium.press_choice('[data-point="garage-1"]', plain(language, "Plan"))
    chromium.until(lambda: chromium.all('[data-goal="garage-1"]'))
    assert note in chromium.text('[data-goal="garage-1"]')
    for width in (360, 1280):
        shoot(chromium, f"zone-{language}", width)
    chromium.zone("America/Toronto")  # the same clock under another name
    chromium.open(f"{agent.base}/ui/{language}/sessions.htm")
    assert not chromium.all("#zone")
    chromium.zone()


@LANGUAGES
def test_why_without_a_charge_point_offers_all_of_them(agent: Agent, chromium: Browser, language: str) -> None:
    for query in ("", "?id=", "?id=gone"):
        chromium.open(f"{agent.base}/ui/{language}/charger.htm{query}")
        chromium.until(lambda: len(chromium.all(".choices a")) == 2)
    assert plain(language, "There is no charge point {id}.").format(id="gone") in chromium.text()
    assert small_targets(chromium) == []
    for width in (360, 1280):
        shoot(chromium, f"choice-{language}", width)
    chromium.press("Garage two")
    chromium.until(lambda: chromium.all(".chain"))
    assert chromium.text("#reason") == "Garage two"


@LANGUAGES
def test_the_mapping_of_a_provider_explains_itself(agent: Agent, chromium: Browser, language: str) -> None:
    chromium.open(f"{agent.base}/ui/{language}/tariff.htm")
    chromium.choose(plain(language, "Prices come from"), "http")
    chromium.choose(plain(language, "Provider"), "-own-")
    chromium.press(plain(language, "Begin with an example"))
    label = plain(language, "Mapping, as JSON")
    taken = chromium.until(lambda: chromium.field(label).get_attribute("value"))
    mapping = {**json.loads(taken), "url": "https://127.0.0.1:1/{date}"}
    chromium.find("details.further summary").click()
    explained = chromium.text("details.further")
    for key in mapping:
        assert key in explained, key
    assert small_targets(chromium) == []
    for width in (360, 1280):
        shoot(chromium, f"mapping-{language}", width)
    chromium.fill(label, json.dumps(mapping))
    chromium.press(plain(language, "Save"), "[data-form=tariff]")
    chromium.until(lambda: agent.client.call("GET", "/tariff")["tariff"]["feed"]["mapping"])
    kept = agent.client.call("GET", "/tariff")["tariff"]["feed"]["mapping"]
    assert {key: kept[key] for key in mapping} == mapping
    agent.client.call("PUT", "/tariff", {"source": "none"})


@LANGUAGES
def test_what_is_odd_is_said_where_it_is_entered(agent: Agent, chromium: Browser, language: str) -> None:
    main = {"id": "main", "name": "Main fuse", "limit_a": 25, "breaker": {"curve": "B", "rated_a": 63}}
    warned = agent.client.call("PUT", "/site", {"circuits": [main]})["warnings"]
    assert [one["where"] for one in warned] == ["circuits.main.breaker.rated_a", "devices.garage-2.max_w"]
    agent.client.call("PUT", "/tariff", {"source": "fixed", "price": -99})
    for page, where in (
        ("site", "circuits.main.breaker.rated_a"),
        ("devices", "devices.garage-2.max_w"),
        ("tariff", "tariff.price"),
    ):
        chromium.open(f"{agent.base}/ui/{language}/{page}.htm")
        chromium.until(lambda where=where: chromium.all(f'[data-where="{where}"]'))  # type: ignore[misc]
        assert len(chromium.all(".warnings li")) == 1
        for width in (360, 1280):
            shoot(chromium, f"odd-{page}-{language}", width)
    agent.client.call("PUT", "/tariff", {"source": "none"})


def test_the_time_zone_is_entered_on_the_sites_page(agent: Agent, chromium: Browser) -> None:
    chromium.open(f"{agent.base}/ui/en/site.htm")
    for zone in ("Mars/Base", "Europe/Lisbon"):
        chromium.fill("Time zone", zone)
        chromium.press("Review and save")
        chromium.until(lambda zone=zone: zone in chromium.text("dialog"))  # type: ignore[misc]
        chromium.press("Save", "dialog")
        if zone == "Mars/Base":
            chromium.until(lambda: chromium.all('[name="timezone"][aria-invalid="true"]'))
            chromium.press("Cancel", "dialog")
    chromium.until(lambda: agent.client.call("GET", "/site")["timezone"] == "Europe/Lisbon")
    chromium.forgive("422")


def test_a_priority_is_refused_in_the_same_words_for_users_and_charge_points(agent: Agent, chromium: Browser) -> None:
    for page, opens in (("devices", "Change"), ("users", "Add user")):
        chromium.open(f"{agent.base}/ui/en/{page}.htm")
        chromium.press(opens)
        chromium.fill("Name", "Somebody")
        for wrong in ("1.5", "high", "-2000"):
            chromium.fill("Priority", wrong)
            chromium.press("Save" if page == "devices" else "Add user", "form")
            chromium.until(lambda: PRIORITY in chromium.text("form .fault"))
        chromium.fill("Priority", "-3")
        chromium.press("Save" if page == "devices" else "Add user", "form")
        chromium.until(lambda at=page: -3 in [one["priority"] for one in agent.client.call("GET", f"/{at}")[at]])
    chromium.forgive("422")
