from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from charging_manager.agent.config import Configuration
from charging_manager.http import passwords
from tests.agent.whole import Make, WholeAgent


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as cheap as it gets: what it costs is tested in http."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)
    monkeypatch.setattr(passwords, "_DUMMY", cheap.hash("nobody knows"))


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Make]:
    """Makes agents on the test's folder, and stops them."""
    made: list[WholeAgent] = []

    def make(config: Configuration | None = None, values: Mapping[str, dict[str, Any]] | None = None) -> WholeAgent:
        made.append(WholeAgent(tmp_path, config, values))
        return made[-1]

    yield make
    for agent in made:
        agent.close()


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    """An agent with nothing configured."""
    return agents()
