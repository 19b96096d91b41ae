"""A commissioning report of a simulated box: on one sheet of paper, also of a test that was cancelled or cut off."""

from __future__ import annotations

import base64
import os
import re
import threading
from pathlib import Path

import pytest

from tests.e2e.test_agent import SITE, box_of, furnish
from tests.support.browser import Browser, browser
from tests.support.processes import daemon, eventually
from tests.support.sites import PASSWORD, admin_of, set_password, simulated_site

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium", "chromedriver")]

SHOTS = os.environ.get("CM_SHOTS")
"""A folder for screenshots and papers, to look at."""
SHEET = {"printBackground": True, "preferCSSPageSize": True}


def look(shown: Browser, name: str) -> None:
    """Nothing is wider than a phone, and it is one sheet of paper; pictures, if somebody wants to look."""
    for width in (360, 1280):
        shown.size(width, 1400)
        assert shown.sideways() == 0, (name, width)
        for scheme in ("light", "dark") if SHOTS else ():
            shown.colours(scheme)
            shown.driver.save_screenshot(f"{SHOTS}/report-{name}-{width}-{scheme}.png")
        shown.colours("light")
    if name.startswith("paper"):
        if SHOTS:
            shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
            shown.size(688, 1017)
            shown.driver.save_screenshot(f"{SHOTS}/report-{name}-print.png")
            shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        paper = base64.b64decode(shown.driver.execute_cdp_cmd("Page.printToPDF", SHEET)["data"])
        if SHOTS:
            Path(f"{SHOTS}/report-{name}.pdf").write_bytes(paper)
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1, name
        (width, height) = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", paper)[0]
        assert (round(float(width)), round(float(height))) == (595, 842), "A4"


def test_a_test_becomes_a_report_on_one_sheet_and_leaves_the_box_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    set_password(data)
    with simulated_site(tmp_path, SITE) as site:
        with daemon("cm-agent", data) as (agent, port), browser() as shown:
            admin = admin_of(port)
            furnish(admin, site)
            base = f"http://127.0.0.1:{port}/ui"
            shown.open(f"{base}/en/login.htm")
            shown.fill("Admin password", PASSWORD)
            shown.press("Log in")
            shown.drawn("overview.htm")
            eventually(lambda: box_of(admin, "yard")["status"] == "free")
            eventually(lambda: not admin.get("/api/v1/state")["site"]["circuits"][0]["stale"])

            shown.open(f"{base}/en/devices.htm")
            shown.press("Test", '[data-device="yard"]')
            shown.until(lambda: shown.find("[data-test]").get_attribute("data-test") == "ok", 60)
            shown.press("Commissioning report")
            shown.drawn("report.htm")
            paper = shown.text("[data-report]")
            assert shown.find("[data-report]").get_attribute("data-verdict") == "passed"
            for part in (
                "ABB Terra AC",
                "tcp://127.0.0.1:",
                "Main",
                "32.0 A · 32.0 A · 32.0 A",
                "It took 6 A and shows it",
                "sent setpoint_a = 6 A 16:",
                "read failsafe_s",
                "It is steered again",
                "admin (127.0.0.1)",
            ):
                assert part in paper, (part, paper)
            look(shown, "paper-en")
            for language, words in (("fr", "Rapport de mise en service"), ("de", "Inbetriebnahmeprotokoll")):
                shown.open(f"{base}/{language}/report.htm?device=yard")
                assert words in shown.text()
                look(shown, f"paper-{language}")

            # The KEBA gives one value at a time, so that its test lasts long enough to be looked at.
            site.change(devices={"garage": {"plugged": True, "wants_a": 16}})
            eventually(lambda: max(box_of(admin, "garage")["current_a"]) > 10, 90)
            shown.open(f"{base}/en/devices.htm")
            shown.press("Test", '[data-device="garage"]')
            shown.until(lambda: shown.all("dialog[open]"))
            assert "Test Garage while a car is charging?" in shown.text("dialog")
            look(shown, "question")
            shown.press("Test", "dialog")
            shown.until(lambda: "It answers and is a" in shown.text("[data-test]"), 60)
            look(shown, "running")
            shown.press("Cancel the test")
            shown.until(lambda: shown.find("[data-test]").get_attribute("data-test") == "bad", 60)
            shown.press("Commissioning report")
            shown.drawn("report.htm")
            assert shown.find("[data-report]").get_attribute("data-verdict") == "cancelled"
            assert len(shown.all("select[name=report] option")) == 1
            eventually(lambda: max(box_of(admin, "garage")["current_a"]) > 10, 90)  # it charges as before
            shown.forgive("409")
            assert shown.complaints() == []

            path = "/api/v1/devices/garage/test"
            asking = threading.Thread(target=lambda: admin_of(port).call("POST", f"{path}?while_charging=1"))
            asking.start()
            eventually(lambda: len(admin.get(path)["steps"]) >= 1, 60)
            agent.stop()
            asking.join(30)
        eventually(lambda: sum(site.truth()["devices"]["garage"]["current_a"]) == 0, 120)  # told, or by its watchdog
