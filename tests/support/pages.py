"""What tests of pages share: the API behind the scenes, an agent without devices that answer, its admin's browser."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from charging_manager.words import say
from tests.support.browser import Browser, browser
from tests.support.processes import daemon

AGENT_PASSWORD = "agent-pass-of-this-test"
LANGUAGES = pytest.mark.parametrize("language", ["en", "fr", "de"])
SHOTS = os.environ.get("CM_SHOTS")
"""A folder for screenshots, to look at."""


def plain(language: str, sentence: str) -> str:
    """The sentence as a person reads it, with plain spaces."""
    return say(language, sentence).replace("\u00a0", " ")


class Client:
    """The API without a browser, to prepare and to look behind the scenes."""

    def __init__(self, base: str) -> None:
        self._base = base
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor()
        )

    def call(self, method: str, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._base}/api/v1{path}", data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with self._opener.open(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def set_password(data: Path, password: str = AGENT_PASSWORD) -> None:
    AdminPassword(data / "admin").write(password)


def circuit(name: str, meter: str | None = None) -> dict[str, Any]:
    return {
        "id": "main",
        "name": name,
        "parent": None,
        "limit_a": [32, 32, 32],
        "reserve_a": 1,
        "fallback_a": 6,
        "meter": meter,
    }


def box(name: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A charge point that does not answer."""
    address = f"tcp://127.0.0.1:1?unit={number}"
    return {"name": name, "driver": "abb-terra-ac", "address": address, "circuit": "main", **more}


@frozen
class Agent:
    """An agent that many modules share: each begins with ``furnish``."""

    base: str
    client: Client

    def furnish(self, boxes: Sequence[dict[str, Any]], users: Sequence[dict[str, Any]] = ()) -> None:
        """A main fuse and these, and nothing of what was there before."""
        call = self.client.call
        call("PUT", "/rules", {"rules": []})
        call("PUT", "/tariff", {"source": "none"})
        for user in call("GET", "/users")["users"]:
            call("DELETE", f"/users/{user['id']}")
        for device in call("GET", "/devices")["devices"]:
            call("DELETE", f"/devices/{device['id']}")
        bare = {"charging_limit_a": None, "limit_w": None, "charging_limit_w": None, "breaker": None}
        whole = {
            "name": "Test site",
            "first_come": False,
            "storage_lock": False,
            "unbalance_a": 20,
            "timezone": "Europe/Paris",
            "solar": SUN,
        }
        call("PUT", "/site", {**whole, "circuits": [{**circuit("Main fuse"), **bare}]})
        for one in boxes:
            call("POST", "/devices", one)
        for one in users:
            call("POST", "/users", one)


SUN = {"start_a": 6.5, "start_after_s": 60, "grace_s": 300, "import_w": 0, "three_after_s": 180, "phases": None}


@contextlib.contextmanager
def bare_agent(data: Path) -> Iterator[Agent]:
    """An agent with a password and nothing else."""
    set_password(data)
    with daemon("cm-agent", data) as (_agent, port):
        client = Client(f"https://127.0.0.1:{port}")
        client.call("POST", "/login", {"password": AGENT_PASSWORD})
        yield Agent(f"https://127.0.0.1:{port}", client)


@contextlib.contextmanager
def admins_browser(agent: Agent) -> Iterator[Browser]:
    """Chromium, logged in there as admin."""
    with browser() as shown:
        shown.open(f"{agent.base}/ui/en/login.htm")
        shown.fill("Admin password", AGENT_PASSWORD)
        shown.press("Log in", "form")
        shown.drawn("overview.htm")
        yield shown


def shoot(shown: Browser, name: str, width: int) -> None:
    """The whole page at that width, if somebody wants to look."""
    shown.size(width, 2400)
    assert shown.sideways() == 0, (name, width)
    if SHOTS:
        shown.driver.save_screenshot(str(Path(SHOTS) / f"{name}-{width}.png"))


def small_targets(shown: Browser) -> list[str]:
    """Buttons and fields that a thumb would miss."""
    return [
        str(text)
        for text in shown.js(
            "return [...document.querySelectorAll('main :is(button, select, input:not([type=checkbox]), a.button)')]"
            ".filter((one) => one.offsetParent && one.getBoundingClientRect().height < 43.5).map((one) => one.name)"
        )
    ]
