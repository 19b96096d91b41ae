"""A real browser with both daemons as packages have them: pages bundled, packed, kept for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.test_cloud import CLOUD_ADMIN, SITE_ADMIN, SITE_PASSWORD
from tests.support.api import Browser as Api
from tests.support.browser import Browser, browser
from tests.support.bundles import with_bundled_pages
from tests.support.processes import daemon, eventually
from tests.support.sites import admin_of, set_password

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium", "chromedriver", "esbuild", "brotli")]
MOST_REQUESTS = 8
"""UX.md, U1."""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """An agent and the cloud server that it is connected to."""
    folder = tmp_path_factory.mktemp("bundled")
    env = with_bundled_pages(folder)
    set_password(folder / "site", SITE_ADMIN)
    set_password(folder / "cloud", CLOUD_ADMIN)
    with (
        daemon("cm-cloud", folder / "cloud", env=env) as (_, cloud),
        daemon("cm-agent", folder / "site", env=env) as (_, agent),
    ):
        at_cloud = Api(cloud, secure=True)
        at_cloud.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
        at_cloud.post("/api/v1/cloud/admin/installations", {"cloud_id": "Garage", "password": SITE_PASSWORD})
        admin = admin_of(agent, SITE_ADMIN)
        service = {"enabled": True, "server": f"localhost:{cloud}", "cloud_id": "garage", "password": SITE_PASSWORD}
        admin.put("/api/v1/config/cloud", service)
        eventually(lambda: admin.get("/api/v1/config/cloud")["state"] == "connected")
        yield agent, cloud


def look_at_overview(chromium: Browser) -> None:
    """It is drawn, all that it is made of came packed under hashed names, and it took few requests."""
    chromium.drawn("overview.htm")
    chromium.driver.refresh()
    chromium.drawn("overview.htm")
    [script] = chromium.js(
        "return [...document.scripts].map((one) => one.src).filter((one) => one.includes('overview'))"
    )
    asked = chromium.js("return performance.getEntriesByType('resource').map((one) => one.name)")
    files = [name.split("/ui/files/")[1] for name in asked if "/ui/files/" in name]
    assert files and all(name.startswith("bundle/") for name in files)
    assert "/bundle/agent-overview-" in script
    assert len(asked) + 1 <= MOST_REQUESTS, asked
    assert chromium.complaints() == []


def packed_and_for_ever(api: Api, chromium: Browser) -> None:
    """As a browser's fetch of the page's script is answered."""
    [path] = chromium.js(
        "return [...document.scripts].map((one) => new URL(one.src).pathname).filter((one) => one.includes('agent-'))"
    )
    reply = api.call("GET", path, **{"Accept-Encoding": "gzip, deflate, br"})
    assert (reply.status, reply.headers["content-encoding"]) == (200, "br")
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(reply.body) < 25_000


def test_login_and_overview_at_the_site(ports: tuple[int, int]) -> None:
    with browser() as chromium:
        chromium.open(f"http://127.0.0.1:{ports[0]}/ui/en/login.htm")
        chromium.fill("Admin password", SITE_ADMIN)
        chromium.press("Log in", "form")
        look_at_overview(chromium)
        packed_and_for_ever(Api(ports[0]), chromium)


def test_login_and_overview_through_the_cloud(ports: tuple[int, int]) -> None:
    with browser() as chromium:
        chromium.open(f"https://localhost:{ports[1]}/ui/en/login.htm")
        chromium.fill("Cloud ID", "Garage")
        chromium.fill("Cloud user ID", SITE_ADMIN)
        chromium.tick('Log in as "admin"')
        chromium.press("Log in", "form")
        look_at_overview(chromium)
        packed_and_for_ever(Api(ports[1], secure=True), chromium)
