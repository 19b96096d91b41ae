from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from charging_manager.agent.config import Configuration
from tests.agent.whole import Make, WholeAgent


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
