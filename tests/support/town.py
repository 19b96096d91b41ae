"""A cloud server with two sites, each with two charge points and people: for attacks, and for who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import define, frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.processes import Running, daemon, eventually

CLOUD_ADMIN = "the cloud's admin password"


@define
class Site:
    """One tenant. Whatever it alone knows has its ``canary`` in it."""

    name: str
    data: Path
    port: int
    here: Browser
    rosa_id: str = ""

    @property
    def canary(self) -> str:
        return f"canary-{self.name}"

    @property
    def password(self) -> str:
        return f"admin password of {self.name}"


@frozen
class Town:
    """A cloud server with two sites."""

    cloud: Running
    port: int
    a: Site
    b: Site

    def browser(self) -> Browser:
        return Browser(self.port, secure=True, timeout_s=30)

    def at(self, site: Site, secret: str, admin: bool) -> Browser:
        """A browser that has logged in at the cloud."""
        browser = self.browser()
        browser.post("/api/v1/cloud/login", {"cloud_id": site.name, "secret": secret, "admin": admin})
        return browser

    def admin_of(self, site: Site) -> Browser:
        return self.at(site, site.password, True)

    def rosa_of(self, site: Site) -> Browser:
        return self.at(site, site.rosa_id, False)

    def cloud_admin(self) -> Browser:
        browser = self.browser()
        browser.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
        return browser


def furnish(site: Site) -> None:
    """Two charge points, one of which is Rosa's."""
    here, name = site.here, site.name
    here.post("/api/v1/login", {"password": site.password})
    circuit = {"id": "main", "name": f"Main {site.canary}", "limit_a": [32, 32, 32]}
    here.put("/api/v1/site", {"name": f"Site {site.canary}", "circuits": [circuit]})
    for number in (1, 2):
        body = {"id": f"{name}-box{number}", "name": f"Box{number} {site.canary}", "driver": "keba-p30"}
        here.post("/api/v1/devices", {**body, "address": f"tcp://127.0.0.1:{number}?unit=255"})
    rosa = {"id": "rosa", "name": f"Rosa {site.canary}", "remote": True, "charge_points": [f"{name}-box1"]}
    site.rosa_id = here.post("/api/v1/users", rosa)["user_id"]
    here.post("/api/v1/users", {"id": "otto", "name": f"Otto {site.canary}", "remote": True})


def service(town_port: int, site: Site) -> dict[str, Any]:
    return {
        "enabled": True,
        "server": f"localhost:{town_port}",
        "cloud_id": site.name,
        "password": f"installation password of {site.name}",
    }


@contextmanager
def two_sites(folder: Path) -> Iterator[Town]:
    """Both connected."""
    with ExitStack() as stack:
        (folder / "cloud").mkdir(mode=0o700)
        AdminPassword(folder / "cloud/admin").write(CLOUD_ADMIN)
        cloud, port = stack.enter_context(daemon("cm-cloud", folder / "cloud", "--loglevel", "4"))
        cloud_admin = Browser(port, secure=True)
        cloud_admin.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
        sites = []
        for name in ("site-a", "site-b"):
            data = folder / name
            data.mkdir(mode=0o700)
            AdminPassword(data / "admin").write(f"admin password of {name}")
            _, agent_port = stack.enter_context(daemon("cm-agent", data, "--loglevel", "4"))
            sites.append(site := Site(name, data, agent_port, Browser(agent_port)))
            furnish(site)
            new = {"cloud_id": name, "password": f"installation password of {name}"}
            cloud_admin.post("/api/v1/cloud/admin/installations", new)
            site.here.put("/api/v1/config/cloud", service(port, site))
        for site in sites:
            eventually(lambda site=site: site.here.get("/api/v1/config/cloud")["state"] == "connected")  # type: ignore[misc]
        yield Town(cloud, port, *sites)
