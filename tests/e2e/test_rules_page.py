"""The page of rules in a real browser: a rule is made, holds, goes out as a file and comes back, in three languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.pages import LANGUAGES, Agent, box, plain, shoot, small_targets

pytestmark = pytest.mark.e2e

NIGHT = {
    "id": "night",
    "name": "Night",
    "when": [{"time_from": "22:00", "time_to": "06:00", "weekdays": [0, 1, 2, 3, 4]}],
    "charge_points": ["garage-1"],
    "limit_a": 10,
}
PEAK = {
    "id": "peak",
    "name": "Peak of the house",
    "when": [{"import_above_w": 20000, "charging_at_least": 2}, {"input": "ripple"}],
    "match": "any",
    "users": ["ann"],
    "limit_w": 4200,
    "keep_s": 900,
}
SENTENCES = {
    "en": "From 22:00 to 06:00 on weekdays: at most 10 A, for Garage one.",
    "fr": "De 22:00 à 06:00 en semaine : au plus 10 A, pour Garage one.",
    "de": "Von 22:00 bis 06:00 werktags: höchstens 10 A, für Garage one.",
}


@pytest.fixture(scope="module")
def agent(shared_agent: Agent) -> Agent:
    """Two charge points that do not answer, which is nothing to rules, and a user."""
    shared_agent.furnish(
        [box("Garage one", 1, id="garage-1"), box("Garage two", 2, id="garage-2")],
        [{"id": "ann", "name": "Ann", "charge_points": ["garage-2"]}],
    )
    return shared_agent


@pytest.fixture(scope="module")
def chromium(agent: Agent, admins_chromium: Browser) -> Browser:
    return admins_chromium


@LANGUAGES
def test_a_rule_is_made_holds_and_goes_out_and_in(
    agent: Agent, chromium: Browser, language: str, tmp_path: Path
) -> None:
    def words(sentence: str) -> str:
        return plain(language, sentence)

    agent.client.call("PUT", "/rules", {"rules": [NIGHT, PEAK]})
    chromium.size(1280)
    chromium.open(f"{agent.base}/ui/{language}/rules.htm")
    chromium.until(lambda: "Garage one" in chromium.text('[data-rule="night"] [data-value="sentence"]'))
    assert chromium.text('[data-rule="night"] [data-value="sentence"]') == SENTENCES[language]
    assert words("There is no input {name}: it counts as unknown. Name one that exists, or set it up first.").format(
        name="'ripple'"
    ) in chromium.text('[data-rule="peak"]')
    for width in (360, 1280):
        shoot(chromium, f"list-{language}", width)

    # A rule without a condition holds at once, and says for whom.
    chromium.press(words("Add rule"))
    chromium.fill(words("Name"), "Closed")
    chromium.press(words("Remove the condition"), "form")
    chromium.press(words("Add rule"), "form")
    assert chromium.text("form .fault") == words("Say what the rule does: a limit, a mode or a pause.")
    chromium.tick(words("Pause"))
    chromium.tick("Garage two")
    chromium.press(words("Add rule"), "form")
    chromium.until(
        lambda: words("Holds now: {names}").format(names="Garage two") in chromium.text('[data-rule="closed"]')
    )

    # Parts are added and a number that is none is marked.
    chromium.press(words("Change"), '[data-rule="night"]')
    chromium.choose(words("And also"), "price_above")
    price = words("{what} (per kWh)").format(what=words("Price above"))
    chromium.fill(price, "dear")
    chromium.press(words("Save"), "form")
    assert chromium.field(price).get_attribute("aria-invalid") == "true"
    chromium.fill(price, "0,25")
    for width in (360, 1280):
        shoot(chromium, f"form-{language}", width)
    assert small_targets(chromium) == []
    chromium.press(words("Save"), "form")
    chromium.until(lambda: not chromium.all("form.rule-form"))
    [night, *_] = agent.client.call("GET", "/rules")["rules"]
    assert night["when"] == [{**NIGHT["when"][0], "price_above": 0.25}]  # type: ignore[index]

    # Order and switch.
    chromium.press("↓", '[data-rule="night"]')
    chromium.until(lambda: chromium.find("[data-rule]").get_attribute("data-rule") == "peak")
    chromium.until(lambda: not chromium.find('[data-rule="closed"] input').get_attribute("disabled"))
    chromium.find('[data-rule="closed"] input').click()
    chromium.until(lambda: words("Holds now: {names}").format(names="Garage two") not in chromium.text("main"))

    # What if: at another time.
    chromium.js(
        "const at = document.querySelector('input[type=datetime-local]'); at.value = '2026-05-04T23:00';"
        "at.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    chromium.fill(words("Price (per kWh)"), "0.4")
    chromium.press(words("Try"))
    chromium.until(lambda: "Night: Garage one" in chromium.text("section[aria-labelledby=try]"))

    # Out as a file and in again, after a look at what would change.
    exported = agent.client.call("GET", "/rules.json")
    agent.client.call("PUT", "/rules", {"rules": [NIGHT]})
    chromium.open(f"{agent.base}/ui/{language}/rules.htm")
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({**exported, "rules": [{**exported["rules"][0], "limit_a": 99}]}))
    chromium.find("input[type=file]").send_keys(str(file))
    where = words("In the file: {where}").format(where="rules.0.limit_a")
    chromium.until(lambda: where in chromium.text("section[aria-labelledby=files]"))
    chromium.forgive("rules/check")  # the browser tells of every 422
    file.write_text(json.dumps(exported))
    chromium.find("input[type=file]").send_keys(str(file))
    chromium.until(lambda: "Peak of the house" in chromium.text("dialog"))
    assert f"{words('different')} Night" in chromium.text("dialog")
    shoot(chromium, f"import-{language}", 360)
    chromium.press(words("Take them"), "dialog")
    chromium.until(lambda: len(chromium.all("[data-rule]")) == 3)
    assert agent.client.call("GET", "/rules.json") == exported

    # Gone after a question.
    chromium.press(words("Remove"), '[data-rule="closed"]')
    chromium.press(words("Remove"), "dialog")
    chromium.until(lambda: not chromium.all('[data-rule="closed"]'))
    assert chromium.complaints() == []


def test_the_page_can_be_used_with_the_keyboard_alone(agent: Agent, chromium: Browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    agent.client.call("PUT", "/rules", {"rules": [NIGHT]})
    chromium.size(1280)
    chromium.open(f"{agent.base}/ui/en/rules.htm")
    chromium.js("document.querySelector('main').focus()")
    named = "return document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    seen = []
    for _ in range(12):
        ActionChains(chromium.driver).send_keys(Keys.TAB).perform()
        seen.append(str(chromium.js(named)))
        if seen[-1] == "Add rule":
            break
    assert seen[-1] == "Add rule", seen
    ActionChains(chromium.driver).send_keys(Keys.ENTER).perform()
    assert chromium.find("form.rule-form")
