#!/usr/bin/python3
"""Does with the installed packages what a person does, on this machine: the daemons must be running as packaged.

    site.py begin NOTES   passwords, a cloud server with an installation, a simulated box and meter, a charge that is
                          seen at the site, through the cloud and in the metrics, and kept
    site.py look NOTES    all of that is still there, and people still get in; after an upgrade, say

It needs Debian's Python alone. Exit status 1 and one sentence if something is not as it must be.
"""

import contextlib
import http.client
import http.cookies
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PYTHON = "/usr/lib/charging-manager/bin/python3"
SITE_ADMIN, CLOUD_ADMIN, TUNNEL = "correct horse battery", "staple horse correct", "battery staple battery"
CLOUD_ID = "garage-west"
PLAN = """
[house]
hold_a = [6, 6, 6]

[[device]]
id = "garage"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=1"

[[device]]
id = "grid"
driver = "sunspec-meter-203"
address = "tcp://127.0.0.1:0?unit=1"
sees = "grid"
"""


class Amiss(Exception):
    """Something is not as it must be."""


class Browser:
    """One cookie jar at one address."""

    def __init__(self, port, secure=False):
        self.port, self.secure, self.cookies = port, secure, {}

    def ask(self, method, path, body=None):
        """Status and body, JSON if it is that."""
        if self.secure:
            unchecked = ssl.create_default_context()
            unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # it signed its certificate itself
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=unchecked)
        else:
            connection = http.client.HTTPConnection("localhost", self.port, timeout=20)
        with contextlib.closing(connection):
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.cookies.update((name, one.value) for name, one in http.cookies.SimpleCookie(line).items())
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, json.loads(data) if is_json and data else data.decode()

    def __call__(self, method, path, body=None):
        status, said = self.ask(method, path, body)
        if not 200 <= status < 300:
            raise Amiss(f"{method} {path} on port {self.port}: {status} {str(said)[:300]}")
        return said


def until(what, condition, within_s=60):
    """The first true result."""
    pause, deadline, last = threading.Event(), time.monotonic() + within_s, None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, Amiss, http.client.HTTPException) as error:
            last = error
        pause.wait(0.1)
    raise Amiss(f"{what}: not within {within_s} s; last: {str(last)[:500]}")


def must(holds, sentence):
    if not holds:
        raise Amiss(sentence)


def set_password(password, *more):
    subprocess.run(["charging_manager", "passwd", *more], input=password + "\n", text=True, check=True)


def admin_of_site():
    browser = Browser(8080)
    until(
        "the agent's password counts", lambda: browser.ask("POST", "/api/v1/login", {"password": SITE_ADMIN})[0] == 200
    )
    return browser


def admin_of_cloud():
    browser, body = Browser(4443, secure=True), {"password": CLOUD_ADMIN}
    until("the cloud's password counts", lambda: browser.ask("POST", "/api/v1/cloud/admin/login", body)[0] == 200)
    return browser


def through_the_cloud(secret, admin):
    browser, body = Browser(4443, secure=True), {"cloud_id": CLOUD_ID, "secret": secret, "admin": admin}
    until("a login through the cloud", lambda: browser.ask("POST", "/api/v1/cloud/login", body)[0] == 200)
    me = browser("GET", "/api/v1/me")
    must(me["remote"] is True, f"whoever came through the cloud is not remote: {me}")
    page = browser("GET", "/ui/en/overview.htm")
    must("Overview" in page, "the cloud does not show the overview")
    return browser


@contextlib.contextmanager
def simulated(folder):
    """Addresses of a box and a meter that speak Modbus, and the door to what they do."""
    plan = Path(folder, "plan.toml")
    plan.write_text(PLAN)
    command = [PYTHON, "-m", "charging_manager.sim", str(plan), "--control", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = {}
        for line in process.stdout:
            if line.startswith("simulators ready"):
                break
            key, _, value = line.strip().partition(": ")
            said[key] = value
        door = Browser(int(said.pop("control").rsplit(":", 1)[1].split("/")[0]))
        yield said, lambda **what: door("POST", "/state", {"devices": what})
    finally:
        process.terminate()
        process.wait()


def box(browser):
    return next(one for one in browser("GET", "/api/v1/state")["charge_points"] if one["id"] == "garage")


def charges(browser):
    seen = box(browser)
    return seen["status"] == "charging" and (seen["power_w"] or 0) > 1000 and seen


def begin():
    set_password(SITE_ADMIN)
    set_password(CLOUD_ADMIN, "--cloud")
    cloud, site = admin_of_cloud(), admin_of_site()
    cloud("POST", "/api/v1/cloud/admin/installations", {"cloud_id": CLOUD_ID, "password": TUNNEL})
    [main] = site("GET", "/api/v1/site")["circuits"]
    site("PUT", "/api/v1/site", {"name": "Garage", "circuits": [{**main, "limit_a": [32, 32, 32]}]})
    service = {"enabled": True, "server": "localhost:4443", "cloud_id": CLOUD_ID, "password": TUNNEL}
    site("PUT", "/api/v1/config/cloud", service)
    until("the tunnel", lambda: site("GET", "/api/v1/config/cloud")["state"] == "connected")
    with tempfile.TemporaryDirectory() as folder, simulated(folder) as (addresses, change):
        for name, driver, role in (("garage", "keba-p30", {}), ("grid", "sunspec-meter-203", {"role": "grid"})):
            device = {"id": name, "name": name.title(), "driver": driver, "address": addresses[name], **role}
            site("POST", "/api/v1/devices", device)
        rosa = site("POST", "/api/v1/users", {"name": "Rosa", "remote": True, "charge_points": ["garage"]})
        change(garage={"plugged": True, "wants_a": 16})
        seen = until("a charge", lambda: charges(site))
        must(seen["because"]["text"], "a charge without a reason")
        far = through_the_cloud(SITE_ADMIN, True)
        must(charges(far), "the charge is not seen through the cloud")
        must(charges(through_the_cloud(rosa["user_id"], False)), "Rosa does not see her charge through the cloud")
        metrics = site("GET", "/metrics")
        powers = [line for line in metrics.splitlines() if "garage" in line and not line.startswith("#")]
        must(any(float(line.rsplit(" ", 1)[1]) > 1000 for line in powers), f"no power in the metrics: {powers}")
        energy = until("energy", lambda: site("GET", "/api/v1/sessions")["sessions"][0]["energy_wh"])
        change(garage={"plugged": False})
        until("the end of the session", lambda: site("GET", "/api/v1/sessions")["sessions"][0]["ended_at"])
        far("POST", "/api/v1/logout", {})
        must(far.ask("GET", "/api/v1/state")[0] == 401, "a logout that does not end it")
    must(energy > 0, "a session without energy")
    return {"rosa": rosa["user_id"]}


def look(notes):
    site, cloud = admin_of_site(), admin_of_cloud()
    now = kept(site, cloud)
    for what, before in notes["kept"].items():
        must(now[what] == before, f"{what} were {before} and are {now[what]}")
    until("the tunnel", lambda: site("GET", "/api/v1/config/cloud")["state"] == "connected")
    must(box(through_the_cloud(SITE_ADMIN, True)), "the box is not seen through the cloud")
    must(box(through_the_cloud(notes["rosa"], False)), "Rosa does not see her box through the cloud")


def kept(site, cloud):
    """What must outlast an upgrade."""
    sessions = site("GET", "/api/v1/sessions")["sessions"]
    installations = cloud("GET", "/api/v1/cloud/admin/installations")["installations"]
    return {
        "circuits": site("GET", "/api/v1/site")["circuits"],
        "devices": [[one["id"], one["driver"], one["address"]] for one in site("GET", "/api/v1/devices")["devices"]],
        "users": [[one["id"], one["name"]] for one in site("GET", "/api/v1/users")["users"]],
        "sessions": [[one["id"], one["ended_at"], one["energy_wh"]] for one in sessions],
        "serial number": site("GET", "/api/v1/config/cloud")["serial"],
        "installations": [one["cloud_id"] for one in installations],
    }


def main():
    action, place = sys.argv[1], Path(sys.argv[2])
    try:
        if action == "begin":
            notes = begin()
            notes["kept"] = kept(admin_of_site(), admin_of_cloud())
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(notes, file)
        else:
            look(json.loads(place.read_text()))
    except Amiss as amiss:
        print(f"site.py {action}: {amiss}", file=sys.stderr)
        return 1
    print(f"site.py {action}: all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
