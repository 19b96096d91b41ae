"""A goal on the card and the page of the tariff, in a real browser against a real agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.test_pages import House, furnish, log_in_at_site, simulated
from tests.support.browser import Browser, browser
from tests.support.pages import AGENT_PASSWORD, Client, plain, set_password
from tests.support.processes import daemon

pytestmark = pytest.mark.e2e
SHOTS = os.environ.get("CM_SHOTS")
"""A folder for pictures, to look at."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("agent")
    set_password(data, AGENT_PASSWORD)
    with simulated(tmp_path_factory.mktemp("sim")) as addresses, daemon("cm-agent", data) as (agent, port):
        found = House(f"https://127.0.0.1:{port}", "", addresses, agent)
        client = Client(found.agent)
        client.call("POST", "/login", {"password": AGENT_PASSWORD})
        furnish(client, addresses)
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as shown:
        yield shown


def shoot(shown: Browser, name: str) -> None:
    if SHOTS:
        shown.driver.save_screenshot(str(Path(SHOTS) / f"{name}.png"))


def prices() -> str:
    """A file of two days: cheap for three hours."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    lines = ["start,end,price"]
    for n in range(40):
        at = begin + timedelta(hours=n)
        lines.append(f"{at.isoformat()},{(at + timedelta(hours=1)).isoformat()},{0.10 if 2 <= n < 5 else 0.30}")
    return "\n".join(lines)


@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_a_tariff_and_a_goal_are_entered_and_the_chosen_times_are_shown(
    house: House, chromium: Browser, language: str
) -> None:
    def words(sentence: str) -> str:
        return plain(language, sentence)

    client = Client(house.agent)
    client.call("POST", "/login", {"password": AGENT_PASSWORD})
    client.call("PUT", "/charge-points/garage-1/mode", {"mode": "fast"})
    client.call("DELETE", "/charge-points/garage-1/goal")
    client.call("PUT", "/tariff", {"source": "none"})
    chromium.size(1280)
    log_in_at_site(chromium, house, language)
    chromium.open(f"{house.agent}/ui/{language}/tariff.htm")
    assert chromium.text("h1") == words("Tariff")
    chromium.choose(words("Prices come from"), "table")
    chromium.fill(words("Price of a kWh at other times"), "0.3")
    chromium.press(words("Add a time"))
    chromium.fill(words("Price of a kWh"), "0.12")
    chromium.choose(words("Days"), "5,6")
    chromium.size(360)
    assert chromium.sideways() <= 0
    shoot(chromium, f"tariff-times-{language}-360")
    chromium.size(1280)
    chromium.press(words("Save"), "[data-form=tariff]")
    chromium.until(lambda: client.call("GET", "/tariff")["tariff"]["windows"])
    window = client.call("GET", "/tariff")["tariff"]["windows"][0]
    assert (window["time_from"], window["time_to"], window["price"], window["days"]) == ("22:00", "06:00", 0.12, [5, 6])
    chromium.choose(words("Prices come from"), "file")
    chromium.press(words("Save"), "[data-form=tariff]")
    chromium.until(lambda: chromium.has_field(words("A file: CSV, JSON or ENTSO-E XML")))
    chromium.fill(words("A file: CSV, JSON or ENTSO-E XML"), prices())
    chromium.press(words("Take this file"))
    chromium.until(lambda: chromium.find(".prices span"))
    shoot(chromium, f"tariff-{language}-1280")
    chromium.size(360)
    assert chromium.sideways() <= 0
    shoot(chromium, f"tariff-{language}-360")
    chromium.size(1280)
    chromium.choose(words("Prices come from"), "http")
    chromium.until(lambda: chromium.has_field(words("Provider")))

    chromium.open(f"{house.agent}/ui/{language}/overview.htm")
    chromium.until(lambda: chromium.find('[data-point="garage-1"]'))
    chromium.press_choice('[data-point="garage-1"]', words("Plan"))
    chromium.until(lambda: chromium.find('[data-goal="garage-1"]'))
    chromium.size(360)
    assert chromium.sideways() <= 0
    shoot(chromium, f"goal-{language}-360")
    chromium.size(1280)
    shoot(chromium, f"goal-{language}-1280")
    chromium.fill(words("Energy since plug-in, kWh"), "15")
    by = (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M")
    chromium.js(
        "const i = document.querySelector('[data-goal] input[type=time]'); i.value = arguments[0];"
        "i.dispatchEvent(new Event('input', {bubbles: true}));",
        by,
    )
    chromium.press(words("Plan"), '[data-goal="garage-1"]')
    chromium.until(lambda: chromium.find('[data-plan="garage-1"] .slots .on'))
    shoot(chromium, f"plan-{language}-1280")
    chromium.size(360)
    assert chromium.sideways() <= 0
    shoot(chromium, f"plan-{language}-360")
    assert client.call("GET", "/charge-points/garage-1/goal")["mode"] == "plan"
    assert chromium.complaints() == []


@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_how_full_the_car_is_can_be_said_beside_its_plan(house: House, chromium: Browser, language: str) -> None:
    def words(sentence: str) -> str:
        return plain(language, sentence)

    client = Client(house.agent)
    client.call("POST", "/login", {"password": AGENT_PASSWORD})
    client.call("PUT", "/charge-points/garage-2/vehicle", {})
    client.call("PUT", "/charge-points/garage-2/mode", {"mode": "plan", "goal": {"by": "07:00", "soc_pct": 80}})
    chromium.size(1280)
    log_in_at_site(chromium, house, language)
    chromium.open(f"{house.agent}/ui/{language}/overview.htm")
    chromium.until(lambda: chromium.all('[data-vehicle="garage-2"]'))
    chromium.press(words("Say how full it is"), '[data-point="garage-2"]')
    chromium.fill(words("The battery is at, %"), "430")
    chromium.fill(words("Size of the battery, kWh"), "62,5")
    chromium.press(words("Save"), '[data-vehicle-form="garage-2"]')
    chromium.until(lambda: chromium.all('[data-vehicle-form="garage-2"] [name="soc_pct"][aria-invalid="true"]'))
    chromium.fill(words("The battery is at, %"), "43")
    for width in (360, 1280):
        chromium.size(width)
        assert chromium.sideways() <= 0
        shoot(chromium, f"vehicle-form-{language}-{width}")
    chromium.press(words("Save"), '[data-vehicle-form="garage-2"]')
    chromium.until(lambda: "43" in chromium.text('[data-vehicle="garage-2"]'))
    point = next(one for one in client.call("GET", "/state")["charge_points"] if one["id"] == "garage-2")
    assert point["capacity_wh"] == 62_500 and 43 <= point["soc_pct"] < 44
    forecast = client.call("GET", "/charge-points/garage-2/goal")["forecast"]
    assert 20_000 < forecast["need_wh"] < 30_000, "37 % of 62.5 kWh, and a tenth for losses"
    for width in (360, 1280):
        chromium.size(width)
        assert chromium.sideways() <= 0
        shoot(chromium, f"vehicle-{language}-{width}")
    chromium.forgive("422")
    assert chromium.complaints() == []
