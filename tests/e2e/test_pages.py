"""The pages in a real browser, against real daemons and simulated devices: what a person does, in three languages."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from charging_manager.words import say
from tests.devices.tables import CHARGER
from tests.support.browser import Browser, browser
from tests.support.pages import AGENT_PASSWORD, LANGUAGES, Client, circuit, plain, set_password
from tests.support.processes import Running, daemon, eventually, running

pytestmark = pytest.mark.e2e

CLOUD_PASSWORD = "cloud-pass-of-this-test"
OPERATOR = (
    "Please note: the operator of the cloud server can see all transmitted data and potentially has access to your "
    "installation and charge points."
)
AGENT_PAGES = ("overview", "sessions", "devices", "site", "grid", "users", "remote", "system", "logins")
SITE = """
seed = 3

[house]
base_a = 4.0
breath_a = 1.5

[[device]]
id = "garage-1"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=255"
plugged = true

[[device]]
id = "garage-2"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=255"
plugged = true

[[device]]
id = "grid"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"
sees = "grid"
"""


@frozen
class House:
    """What runs: an agent with two boxes and a meter, and a cloud server."""

    agent: str
    cloud: str
    addresses: dict[str, str]
    process: Running
    """The agent's."""

    @property
    def cloud_server(self) -> str:
        return self.cloud.removeprefix("https://")


def furnish(client: Client, addresses: dict[str, str]) -> None:
    """The circuit, the boxes and the meter, as the API takes them."""
    client.call("PUT", "/site", {"name": "Test site", "circuits": [circuit("Main fuse")]})
    boxes = {"garage-1": "Garage one", "garage-2": "Garage two"}
    for name, title in boxes.items():
        client.call(
            "POST",
            "/devices",
            {"id": name, "name": title, "driver": "keba-p30", "address": addresses[name], "circuit": "main"},
        )
    meter = {"id": "grid", "name": "Grid meter", "driver": "eastron-sdm630", "address": addresses["grid"]}
    client.call("POST", "/devices", {**meter, "circuit": "main", "role": "grid"})
    client.call("PUT", "/site", {"circuits": [circuit("Main fuse", "grid")]})


def draws(client: Client) -> bool:
    return any((box["power_w"] or 0) > 1000 for box in client.call("GET", "/state")["charge_points"])


@contextlib.contextmanager
def simulated(folder: Path) -> Iterator[dict[str, str]]:
    """A site of its own; yields where each device is."""
    plan = folder / "site.toml"
    plan.write_text(SITE)
    with running(sys.executable, "-m", "charging_manager.sim", plan) as simulators:
        simulators.wait_line("simulators ready")
        pairs = [line.split(": ", 1) for line in simulators.lines if ": " in line]
        yield {name: address for name, address in pairs if name in ("garage-1", "garage-2", "grid")}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with simulated(tmp_path_factory.mktemp("sim")) as where:
        yield where


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, addresses: dict[str, str]) -> Iterator[House]:
    agent_data, cloud_data = tmp_path_factory.mktemp("agent"), tmp_path_factory.mktemp("cloud")
    set_password(agent_data, AGENT_PASSWORD)
    set_password(cloud_data, CLOUD_PASSWORD)
    with daemon("cm-cloud", cloud_data) as (_cloud, cloud_port), daemon("cm-agent", agent_data) as (agent, agent_port):
        house = House(f"https://127.0.0.1:{agent_port}", f"https://127.0.0.1:{cloud_port}", addresses, agent)
        client = Client(house.agent)
        client.call("POST", "/login", {"password": AGENT_PASSWORD})
        furnish(client, addresses)
        eventually(lambda: draws(client), 60)
        yield house


@pytest.fixture(scope="module")
def shared_chromium() -> Iterator[Browser]:
    with browser() as shown:
        yield shown


@pytest.fixture
def chromium(shared_chromium: Browser) -> Iterator[Browser]:
    """One browser for all, without the cookies and the complaints of the test before."""
    shared_chromium.driver.get("about:blank")
    shared_chromium.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    shared_chromium.size(1280)
    shared_chromium.colours("light")
    shared_chromium.forgive("")
    yield shared_chromium
    shared_chromium.driver.get("about:blank")


def log_in_at_site(shown: Browser, house: House, language: str) -> None:
    shown.open(f"{house.agent}/ui/{language}/login.htm")
    shown.fill(plain(language, "Admin password"), AGENT_PASSWORD)
    shown.press(plain(language, "Log in"), "form")
    shown.drawn("overview.htm")


def log_in_at_cloud(shown: Browser, house: House, language: str, cloud_id: str, secret: str, admin: bool) -> None:
    shown.open(f"{house.cloud}/ui/{language}/login.htm")
    shown.fill(plain(language, "Cloud ID"), cloud_id)
    shown.fill(plain(language, "Cloud user ID"), secret)
    shown.tick(plain(language, 'Log in as "admin"'), admin)
    shown.press(plain(language, "Log in"), "form")


def cards(shown: Browser) -> list[str]:
    return [str(one.get_attribute("data-point")) for one in shown.all("[data-point]")]


def value(shown: Browser, point: str, name: str) -> str:
    return shown.text(f'[data-point="{point}"] [data-value="{name}"]')


@LANGUAGES
def test_the_whole_way_through_ones_own_cloud_server(house: House, chromium: Browser, language: str) -> None:
    def words(sentence: str) -> str:
        return plain(language, sentence)

    cloud_id = f"garage-{language}"

    # The cloud's administrator adds the installation; a password of 20 characters is proposed.
    chromium.open(f"{house.cloud}/ui/{language}/cloud-admin.htm")
    assert chromium.text("h1") == words("Cloud server admin functions")
    chromium.fill(words("Admin password"), CLOUD_PASSWORD)
    chromium.press(words("Log in"), "form")
    chromium.fill(words("Cloud ID"), cloud_id)
    password = str(chromium.field(words("Installation password (cloud password)")).get_attribute("value"))
    assert len(password) == 20
    chromium.press(words("Add new installation"), "form")
    chromium.until(lambda: chromium.find("#made"))
    row = f'[data-installation="{cloud_id}"]'
    chromium.until(lambda: chromium.find(f'{row} [data-state="offline"]'))

    # At the site ID, password and server are entered; the Cloud ID appears as soon as another server is.
    log_in_at_site(chromium, house, language)
    chromium.open(f"{house.agent}/ui/{language}/remote.htm")
    assert words(OPERATOR) in chromium.text()
    chromium.fill(words("Cloud server"), "")
    assert chromium.field(words("Cloud ID")).get_attribute("readonly")
    chromium.fill(words("Cloud server"), house.cloud_server)
    chromium.until(lambda: not chromium.field(words("Cloud ID")).get_attribute("readonly"))
    chromium.fill(words("Cloud ID"), cloud_id)
    chromium.fill(words("Installation password"), password)
    chromium.tick(words("Cloud service"))
    chromium.press(words("Save"), "form")
    chromium.until(lambda: chromium.find('[data-cloud-state="connected"]'))
    assert words("Connected to the cloud server") in chromium.text()

    # A user with one charge point, who may come through the cloud; the ID is shown once.
    name = f"Amélie {language}"
    chromium.open(f"{house.agent}/ui/{language}/users.htm")
    chromium.press(words("Add user"))
    chromium.fill(words("Name"), name)
    chromium.tick("Garage one")
    chromium.tick(words("May log in through the cloud server"))
    chromium.press(words("Add user"), "form")
    user_id = str(chromium.find("dialog input").get_attribute("value"))
    assert len(user_id.replace("-", "")) >= 8
    chromium.press(words("I have noted it"), "dialog")
    chromium.until(lambda: chromium.find(f'[data-user="{name}"]'))

    # As administrator through the cloud: values move, a mode is changed, and "Cloud Login" leads back.
    log_in_at_cloud(chromium, house, language, cloud_id, AGENT_PASSWORD, admin=True)
    chromium.drawn("overview.htm")
    chromium.until(lambda: cards(chromium) == ["garage-1", "garage-2"])
    chromium.until(lambda: chromium.find("[data-point] .because").text)
    before = chromium.text(".flow")
    chromium.until(lambda: chromium.text(".flow") != before)
    box = '[data-point="garage-2"]'
    chromium.press_choice(box, words("Off"))
    chromium.until(lambda: value(chromium, "garage-2", "because") == words("Switched off."))
    chromium.until(lambda: value(chromium, "garage-2", "setpoint") == words("paused"))
    chromium.press_choice(box, words("Fast"))
    chromium.until(lambda: value(chromium, "garage-2", "because") != words("Switched off."))
    for page in AGENT_PAGES:
        chromium.open(f"{house.cloud}/ui/{language}/{page}.htm")
        assert chromium.all(".box.bad") == [], page
    chromium.press(words("Cloud Login"), "header")
    chromium.drawn("login.htm")
    assert chromium.field(words("Cloud user ID"))
    assert words(OPERATOR) in chromium.text()

    # As that user: one charge point, no house, no meters.
    log_in_at_cloud(chromium, house, language, cloud_id, user_id, admin=False)
    chromium.drawn("overview.htm")
    chromium.until(lambda: cards(chromium) == ["garage-1"])
    assert chromium.all("#meters, #circuits") == []
    assert words("Devices") not in chromium.text("header")
    chromium.press(words("Cloud Login"), "header")
    chromium.drawn("login.htm")

    # The operator deletes the installation, after a question.
    chromium.open(f"{house.cloud}/ui/{language}/cloud-admin.htm")
    chromium.fill(words("Admin password"), CLOUD_PASSWORD)
    chromium.press(words("Log in"), "form")
    chromium.until(lambda: chromium.find(f'{row} [data-state="connected"]'))
    chromium.press(words("Delete"), row)
    chromium.press(words("Delete"), "dialog")
    chromium.until(lambda: not chromium.all(row))
    assert chromium.complaints() == []


@LANGUAGES
def test_every_page_fits_a_phone_and_a_desk_and_complains_of_nothing(
    house: House, chromium: Browser, language: str
) -> None:
    log_in_at_site(chromium, house, language)
    for page in (*AGENT_PAGES, "login", "setup"):
        for width, scheme in ((360, "dark"), (1280, "light")):
            chromium.size(width)
            chromium.colours(scheme)
            chromium.open(f"{house.agent}/ui/{language}/{page}.htm")
            assert chromium.sideways() <= 0, (page, width)
            assert chromium.js("return document.documentElement.lang") == language
    for page in ("login", "cloud-admin"):
        chromium.size(360)
        chromium.open(f"{house.cloud}/ui/{language}/{page}.htm")
        assert chromium.sideways() <= 0, page
    assert chromium.complaints() == []


SMALL = """
const small = [];
for (const one of document.querySelectorAll("main :is(button, a, input, select), header :is(button, a)")) {
  const box = (one.closest("label") ?? one).getBoundingClientRect();
  const inText = one.closest(".unseen, p, th, li, td, dd");
  if (one.offsetParent && box.width && Math.min(box.width, box.height) < 24 && !inText) small.push(one.outerHTML);
}
return small;
"""
NAMELESS = """
return [...document.querySelectorAll("main :is(input, select, textarea)")]
  .filter((one) => one.offsetParent && !one.closest("[aria-hidden]") && !one.labels.length && !one.ariaLabel)
  .map((one) => one.outerHTML.slice(0, 120));
"""


@LANGUAGES
def test_why_is_told_from_the_card_on_and_going_back_and_forth_uses_up_no_connection(
    house: House, chromium: Browser, language: str
) -> None:
    log_in_at_site(chromium, house, language)
    for width in (360, 1280, 360, 1280):  # each page has a stream; a browser opens six connections to a server
        chromium.size(width)
        chromium.open(f"{house.agent}/ui/{language}/overview.htm")
        chromium.js("document.querySelector('[data-point=garage-1] a.button').click()")
        chromium.drawn("charger.htm")
        chromium.until(lambda: len(chromium.all(".chain > li")) == 5)
        assert len(chromium.all(".chain > li.binds")) == 1
        assert "Garage one" in chromium.text("#reason")
        assert " A" in chromium.text("[data-value=sentence]").replace("\u00a0", " ")
        chromium.until(lambda: chromium.all("#day"), 15.0)
        assert chromium.sideways() <= 0
        assert chromium.js(SMALL) == []
        assert chromium.js(NAMELESS) == []
    assert chromium.complaints() == []


def test_targets_are_large_and_fields_have_names(house: House, chromium: Browser) -> None:
    log_in_at_site(chromium, house, "de")
    chromium.size(360)
    for page in AGENT_PAGES:
        chromium.open(f"{house.agent}/ui/de/{page}.htm")
        assert chromium.js(SMALL) == [], page
        assert chromium.js(NAMELESS) == [], page
        assert len(chromium.all("h1")) == 1
        assert len(chromium.all('[aria-live="polite"]')) >= 1


def test_a_wrong_login_is_one_sentence_with_its_code(house: House, chromium: Browser) -> None:
    chromium.open(f"{house.agent}/ui/fr/login.htm")
    chromium.fill("Mot de passe admin", "not this one")
    chromium.press("Se connecter", "form")
    chromium.until(lambda: chromium.all("[role=alert]"))
    assert "login-failed" in chromium.text("[role=alert]")
    assert "Traceback" not in chromium.text()
    chromium.forgive("401")
    assert chromium.complaints() == []


def test_the_picture_goes_stale_and_comes_back_with_the_agent(house: House, chromium: Browser) -> None:
    log_in_at_site(chromium, house, "en")
    chromium.until(lambda: cards(chromium))
    house.process.signal(signal.SIGSTOP)
    try:
        chromium.until(lambda: chromium.find('[data-link="browser-server"]'), 60)
        assert cards(chromium), "the last values stay"
        chromium.until(lambda: "last heard" in chromium.text(".where"))
    finally:
        house.process.signal(signal.SIGCONT)
    chromium.until(lambda: not chromium.all('[data-link="browser-server"]'), 60)
    before = chromium.text(".flow")
    chromium.until(lambda: chromium.text(".flow") != before)
    assert chromium.complaints() == []


def test_an_installation_that_left_the_cloud_is_told_apart(house: House, chromium: Browser) -> None:
    cloud, agent = Client(house.cloud), Client(house.agent)
    cloud.call("POST", "/cloud/admin/login", {"password": CLOUD_PASSWORD})
    agent.call("POST", "/login", {"password": AGENT_PASSWORD})
    wish = {"cloud_id": "comes-and-goes", "password": "a-password-for-this-one"}
    cloud.call("POST", "/cloud/admin/installations", wish)
    settings = {**wish, "server": house.cloud_server}
    agent.call("PUT", "/config/cloud", {**settings, "enabled": True})
    eventually(lambda: agent.call("GET", "/config/cloud")["state"] == "connected", 60)
    log_in_at_cloud(chromium, house, "fr", "comes-and-goes", AGENT_PASSWORD, admin=True)
    chromium.drawn("overview.htm")
    chromium.until(lambda: cards(chromium))
    agent.call("PUT", "/config/cloud", {**settings, "enabled": False})
    chromium.until(lambda: chromium.find('[data-link="cloud-agent"]'), 60)
    assert cards(chromium), "the last values stay"
    agent.call("PUT", "/config/cloud", {**settings, "enabled": True})
    chromium.until(lambda: not chromium.all("[data-link]"), 90)
    before = chromium.text(".flow")
    chromium.until(lambda: chromium.text(".flow") != before)
    chromium.driver.get("about:blank")
    cloud.call("DELETE", "/cloud/admin/installations/comes-and-goes")
    for path in ("/api/v1/events", "/api/v1/state"):  # asked for while it had left
        chromium.forgive(path)
    assert chromium.complaints() == []


def test_a_limit_is_confirmed_old_to_new(house: House, chromium: Browser) -> None:
    log_in_at_site(chromium, house, "de")
    chromium.open(f"{house.agent}/ui/de/site.htm")
    chromium.fill("Grenze L2, A", "no number")
    chromium.press("Prüfen und speichern")
    chromium.until(lambda: chromium.all('[name="main.limit_1"][aria-invalid="true"]'))
    chromium.fill("Grenze L2, A", "31,5")
    chromium.press("Prüfen und speichern")
    assert "Main fuse: Grenze L2 32,0 A → 31,5 A" in chromium.text("dialog").replace("\n", " ")
    chromium.press("Speichern", "dialog")
    chromium.until(lambda: "Gespeichert" in chromium.text())
    client = Client(house.agent)
    client.call("POST", "/login", {"password": AGENT_PASSWORD})
    site = client.call("GET", "/site")
    assert site["circuits"][0]["limit_a"] == [32, 31.5, 32]
    client.call("PUT", "/site", {"circuits": [circuit("Main fuse", "grid")]})
    assert chromium.complaints() == []


def wait_for_row(shown: Browser, name: str) -> None:
    shown.until(lambda: name in shown.text(".stack"))


def test_from_nothing_to_a_first_charge_in_the_browser(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> None:
    own_site = simulated(tmp_path_factory.mktemp("own-sim"))
    with own_site as addresses, daemon("cm-agent", tmp_path) as (_agent, port):
        base = f"http://127.0.0.1:{port}"
        chromium.open(f"{base}/ui/en/login.htm")
        chromium.drawn("setup.htm")
        chromium.fill("New password", AGENT_PASSWORD)
        chromium.fill("New password again", AGENT_PASSWORD)
        chromium.press("Set password")
        chromium.until(lambda: chromium.path.endswith(("/overview.htm", "/login.htm")))
        chromium.drawn()
        if chromium.path.endswith("/login.htm"):
            chromium.fill("Admin password", AGENT_PASSWORD)
            chromium.press("Log in", "form")
        chromium.drawn("overview.htm")
        chromium.open(f"{base}/ui/en/site.htm")
        chromium.fill("Name of the site", "Home")
        if not chromium.has_field("Limit L1, A"):
            chromium.press("Add circuit")
        for phase in (1, 2, 3):
            chromium.fill(f"Limit L{phase}, A", "63")  # nobody steers the other box of this simulated site
        chromium.press("Review and save")
        chromium.press("Save", "dialog")
        chromium.until(lambda: "Saved" in chromium.text())
        chromium.open(f"{base}/ui/en/devices.htm")
        for driver, name, address in (
            ("eastron-sdm630", "House meter", addresses["grid"]),
            ("keba-p30", "Carport", addresses["garage-2"]),
        ):
            chromium.press("Add device")
            chromium.choose("Driver", driver)
            chromium.fill("Name", name)
            chromium.fill("Address", address)
            chromium.press("Add device", "form")
            wait_for_row(chromium, name)
        chromium.until(lambda: len(chromium.all(".stack .tag.good")) == 2, 60)
        chromium.open(f"{base}/ui/en/site.htm")
        assert chromium.field("Meter").get_attribute("value") == "house-meter", "the first meter is its circuit's"
        chromium.open(f"{base}/ui/en/overview.htm")
        chromium.until(lambda: cards(chromium) == ["carport"])
        chromium.until(lambda: "House meter" in chromium.text(".meters"))
        chromium.until(lambda: value(chromium, "carport", "setpoint") not in ("–", "paused"), 60)
        chromium.until(lambda: "Charging" in chromium.text('[data-point="carport"] .status'), 60)
        assert chromium.complaints() == []


def test_without_scripts_the_page_says_what_it_needs(house: House, chromium: Browser) -> None:
    chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.driver.get(f"{house.cloud}/ui/fr/login.htm")
        assert "JavaScript" in str(chromium.driver.page_source)
        assert "cette page a besoin de javascript" in chromium.find("noscript").text.lower()
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_driver_is_uploaded_looked_at_and_removed(house: House, chromium: Browser, tmp_path: Path) -> None:
    def upload(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        chromium.driver.find_element("css selector", "input[type=file]").send_keys(str(tmp_path / name))

    log_in_at_site(chromium, house, "fr")
    chromium.size(360)
    chromium.open(f"{house.agent}/ui/fr/devices.htm")
    upload("evil.py", "print('code')")
    chromium.until(lambda: chromium.all(".box.bad .code"))
    upload("acme-wall.toml", CHARGER.replace("step_a", "setp_a"))
    chromium.until(lambda: "setpoint.setp_a" in chromium.text("[data-refused]"))
    assert chromium.sideways() <= 0
    upload("acme-wall.toml", CHARGER)
    chromium.until(lambda: "no counter of energy" in chromium.text("dialog[open]"))
    chromium.press(say("fr", "Keep it"), "dialog[open]")
    chromium.until(lambda: chromium.all("a[href='driver.htm?name=acme-wall']"))
    chromium.js("document.querySelector(\"a[href='driver.htm?name=acme-wall']\").click()")
    chromium.drawn("driver.htm")
    chromium.until(lambda: "60 s" in chromium.text("[data-fallback]") or "30 s" in chromium.text("[data-fallback]"))
    assert chromium.sideways() <= 0
    assert chromium.js(SMALL) == []
    chromium.press(say("fr", "Remove"))
    chromium.press(say("fr", "Remove"), "dialog[open]")
    chromium.drawn("devices.htm")
    chromium.until(lambda: chromium.all("a[href='driver.htm?name=keba-p30']"))
    assert chromium.all("a[href='driver.htm?name=acme-wall']") == []
    assert chromium.complaints() == []
