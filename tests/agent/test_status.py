"""One line for ``systemctl status``, and the sign of life that every decided cycle is."""

from __future__ import annotations

from typing import Any

import pytest

from charging_manager.agent.picture import Picture, Sentence
from charging_manager.agent.status import FAILING, NO_PASSWORD, status_line
from charging_manager.daemon.lifesign import LifeSign
from tests.agent.whole import WholeAgent


def picture(*boxes: str, used_a: list[float | None] | None = None, alarms: tuple[Sentence, ...] = ()) -> Picture:
    circuits: dict[str, dict[str, Any]] = {
        "main": {"parent": None, "limit_a": [35, 35, 35], "used_a": used_a or [None] * 3},
        "garage": {"parent": "main", "limit_a": [16, 16, 16], "used_a": [15, 15, 15]},
    }
    points = {str(number): {"status": status, "out_of_service": False} for number, status in enumerate(boxes)}
    return Picture(
        {
            "charge_points": {**points, "old": {"status": "offline", "out_of_service": True}},
            "circuits": circuits,
            "cloud": {"state": "connected"},
            "alarms": list(alarms),
        }
    )


ALARMS = (Sentence("a", "{name} cannot run: {reason}", {"name": "Yard", "reason": "no such line"}), Sentence("b", "b"))


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (picture(), "0 boxes; cloud connected"),
        (picture("free"), "1 box; cloud connected"),
        (
            picture("charging", "plugged", "charging", used_a=[20.0, 23.2, None]),
            "3 boxes, 2 charging, 24 of 35 A; cloud connected",
        ),
        (picture("offline", used_a=[24.04] * 3), "1 box, 1 offline, 24 of 35 A; cloud connected"),
        (picture(alarms=ALARMS[:1]), "0 boxes; cloud connected; Yard cannot run: no such line"),
        (picture(alarms=ALARMS), "0 boxes; cloud connected; Yard cannot run: no such line (and 1 more)"),
    ],
)
def test_a_site_in_one_line(shown: Picture, line: str) -> None:
    assert status_line(shown, True) == line
    assert status_line(shown, False) == f"{line}; {NO_PASSWORD}"


def test_each_decided_cycle_is_a_sign_of_life_and_a_failing_loop_gives_none(agent: WholeAgent) -> None:
    signs: list[bytes] = []
    agent.site.life = LifeSign(signs.append)
    agent.run(3)
    assert signs.count(b"WATCHDOG=1") == 3
    assert b"STATUS=0 boxes, 0 of 16 A; cloud off" in signs

    def broken(image: object) -> object:
        raise RuntimeError("a bug in control")

    agent.site.steering._decide = broken  # type: ignore[assignment]
    before = signs.count(b"WATCHDOG=1")
    agent.run(20)
    assert signs.count(b"WATCHDOG=1") == before
    assert signs[-1] == b"STATUS=" + FAILING.encode()
