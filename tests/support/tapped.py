"""A real cloud and a real agent that reaches it through a wiretap, and who looks at both."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.support.api import Browser
from tests.support.processes import Running, daemon, eventually
from tests.support.sites import PASSWORD, set_password
from tests.support.wiretap import Wiretap


@frozen
class Tapped:
    """``site`` is the admin at the agent, ``keeper`` the cloud's."""

    cloud: Running
    cloud_port: int
    agent: Running
    tap: Wiretap
    site: Browser
    keeper: Browser


@contextlib.contextmanager
def tapped(folder: Path, *words: str, password: str = PASSWORD) -> Iterator[Tapped]:
    """Both connected. ``words`` are for either command line, ``password`` is the agent's admin's."""
    set_password(folder / "cloud")
    set_password(folder / "site", password)
    with contextlib.ExitStack() as stack:
        cloud, cloud_port = stack.enter_context(daemon("cm-cloud", folder / "cloud", *words))
        agent, agent_port = stack.enter_context(daemon("cm-agent", folder / "site", *words))
        tap = Wiretap(cloud_port, folder)
        stack.callback(tap.close)
        keeper = Browser(cloud_port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        secret = secrets.token_urlsafe(15)
        keeper.post("/api/v1/cloud/admin/installations", {"cloud_id": "garage", "password": secret})
        site = Browser(agent_port, secure=True)
        site.post("/api/v1/login", {"password": password})
        service = {"enabled": True, "server": f"localhost:{tap.port}", "cloud_id": "garage", "password": secret}
        site.put("/api/v1/config/cloud", service)
        eventually(lambda: site.get("/api/v1/config/cloud")["state"] == "connected")
        yield Tapped(cloud, cloud_port, agent, tap, site, keeper)
