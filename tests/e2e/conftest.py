"""What the tests of pages share: starting an agent and a browser costs more than most of them take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.pages import Agent, admins_browser, bare_agent


@pytest.fixture(scope="session")
def shared_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent that modules furnish as they need it (``Agent.furnish``)."""
    with bare_agent(tmp_path_factory.mktemp("shared-agent")) as agent:
        yield agent


@pytest.fixture(scope="session")
def shared_admins_browser(shared_agent: Agent) -> Iterator[Browser]:
    """Its admin's browser."""
    with admins_browser(shared_agent) as shown:
        yield shown


@pytest.fixture(scope="module")
def admins_chromium(shared_admins_browser: Browser) -> Browser:
    """The same, of desktop width and without what it complained of in another module."""
    shared_admins_browser.size(1280)
    shared_admins_browser.forget()
    return shared_admins_browser
