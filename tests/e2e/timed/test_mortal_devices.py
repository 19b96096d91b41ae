"""Devices that die in the middle of everything, again and again: nothing escapes, and no other device is delayed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import daemon, eventually, free_port, running
from tests.support.sites import admin_of, furnish, set_password, simulated_site
from tests.support.strategies import LONG

pytestmark = pytest.mark.e2e
LIVES = 200 if LONG else 30
OWN_PERIOD_S = 1.0
SHOWN_WITHIN_S = 1.0
BACK_S = {"keba": 8.0}
"""It gives one value a request, half a second apart; the others are fresh after 3 s."""
"""What the state shows may be a cycle old itself."""

MORTAL = {
    "cfos": ("cfos-power-brain", "tcp://127.0.0.1:{}?unit=1"),
    "keba": ("keba-p30", "tcp://127.0.0.1:{}?unit=255"),
    "yard": ("heidelberg-energy-control", "rtutcp://127.0.0.1:{}?unit=1"),
    "sun": ("sunspec-inverter-103", "tcp://127.0.0.1:{}?unit=1"),
}
LASTING = {
    "abb": ("abb-terra-ac", "tcp://127.0.0.1:0?unit=1"),
    "grid": ("eastron-sdm630", "rtutcp://127.0.0.1:0?unit=1"),
}


def _plan(devices: dict[str, tuple[str, str]]) -> str:
    parts = ["[house]\nhold_a = [5, 5, 5]\n"]
    for name, (driver, address) in devices.items():
        sees = {"grid": 'sees = "grid"', "sun": 'sees = "solar"'}.get(name, "plugged = true")
        parts.append(f'[[device]]\nid = "{name}"\ndriver = "{driver}"\naddress = "{address}"\n{sees}\n')
    return "\n".join(parts)


def test_devices_that_die_again_and_again_delay_nobody_and_nothing_escapes(tmp_path: Path) -> None:
    mortal = {name: (driver, address.format(free_port())) for name, (driver, address) in MORTAL.items()}
    plan = tmp_path / "mortal.toml"
    plan.write_text(_plan(mortal))
    set_password(tmp_path / "data")
    with (
        simulated_site(tmp_path, _plan(LASTING), "lasting") as lasting,
        daemon("cm-agent", tmp_path / "data") as (agent, port),
    ):
        admin = admin_of(port)
        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [63] * 3, "meter": "grid"}]
        at = lasting.addresses | {name: address for name, (_, address) in mortal.items()}
        roles: dict[str, dict[str, Any]] = {"grid": {"role": "grid"}, "sun": {"role": "solar"}}
        furnish(
            admin,
            circuits,
            [
                {
                    "id": name,
                    "name": name,
                    "driver": driver,
                    "circuit": "main",
                    "address": at[name],
                    **roles.get(name, {}),
                }
                for name, (driver, _) in {**MORTAL, **LASTING}.items()
            ],
        )

        def ages() -> dict[str, float]:
            state = admin.get("/api/v1/state")
            found = {one["id"]: one["age_s"] for one in (*state["charge_points"], *state["meters"])}
            return {name: float("inf") if age is None else age for name, age in found.items()}

        def lasting_ages() -> list[float]:
            return [age for name, age in ages().items() if name in LASTING]

        eventually(lambda: max(lasting_ages()) <= OWN_PERIOD_S, 60)
        seen: list[float] = []
        cycles = admin.get("/api/v1/state")["cycle"]["number"]
        with running(sys.executable, "-m", "tests.e2e.mortal_site", plan, str(LIVES), "7") as site:

            def over() -> bool:
                seen.append(max(lasting_ages()))
                return "stays" in site.lines

            eventually(over, 8.0 * LIVES + 60, 0.1)
            lived = [line for line in site.lines if line.startswith("lives")][-1]
            assert int(lived.split()[2]) > LIVES // 2, lived
            assert max(seen) <= OWN_PERIOD_S + SHOWN_WITHIN_S
            assert len(seen) > LIVES
            eventually(lambda: _all_fresh(ages()), 120)  # and everybody is back
            assert admin.get("/api/v1/state")["cycle"]["number"] > cycles + len(seen) * 0.05
        for word in ("Traceback", "Unhandled", "failed; the loop goes on", "broke an invariant"):
            assert word not in agent.output, agent.output[-4000:]


def _all_fresh(ages: dict[str, float]) -> bool:
    assert all(age <= BACK_S.get(name, 3.0) for name, age in ages.items()), ages
    return True
