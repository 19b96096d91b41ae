"""Every reason has a sentence, and every field of a sentence is there."""

from __future__ import annotations

import string
from pathlib import Path

from charging_manager.control.because import SENTENCES, sentence
from charging_manager.model.plan import Because, Plan, SiteImage
from tests.control.adventure import live, set_out
from tests.control.test_planted import garage
from tests.control.world import World

CONTROL = Path(__file__).parents[2] / "charging_manager" / "control"


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_reason_that_control_gives_makes_a_sentence() -> None:
    given: dict[str, Because] = {}

    def note(world: World, image: SiteImage, plan: Plan) -> None:
        for setpoint in plan.setpoints.values():
            given.setdefault(setpoint.because.code, setpoint.because)

    for seed in range(16):
        world = set_out(garage(), seed, sunny=seed % 2 == 1)
        world.judges.append(note)
        live(world, 25)
    assert {"circuit-limit", "waiting-turn", "meter-silent", "silent", "pause", "no-car"} <= set(given)
    assert {"sun-wait", "sun-minimum"} <= set(given)
    for because in given.values():
        assert fields_of(SENTENCES[because.code]) <= set(because.fields), because
        assert "{" not in sentence(because)


def test_no_sentence_is_left_over() -> None:
    sources = "".join(
        path.read_text() for path in CONTROL.glob("*.py") if path.name not in ("because.py", "chain.py", "whatif.py")
    )
    assert [code for code in SENTENCES if f'"{code}"' not in sources] == []


def test_a_reason_speaks_in_numbers_and_names() -> None:
    because = Because("circuit-limit", {"circuit": "Garage", "phase": "L2", "limit": 32.0, "cars": 3})
    assert sentence(because) == (
        "The circuit Garage is full on L2: what its 32 A leave beside reserve and other loads is"
        " shared fairly (cars: 3)."
    )
