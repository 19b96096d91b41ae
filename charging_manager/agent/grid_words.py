"""Inputs and dimming as pages and alarms show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from charging_manager.agent.config import Configuration
from charging_manager.agent.dimming import REASON_SENTENCES, GridOperator
from charging_manager.agent.inputs import Inputs
from charging_manager.agent.picture import Sentence

Json = dict[str, Any]


def iso(at: datetime) -> str:
    """As all of the API says times."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def shown_inputs(config: Configuration, inputs: Inputs) -> dict[str, Json]:
    """By id: the name, and what is known now."""
    return {
        name: {"id": name, "name": config.inputs[name].name, "on": state.on, "known": state.raw is not None}
        for name, state in inputs.states().items()
    }


def shown_dimming(config: Configuration, grid: GridOperator) -> Json:
    """Whether an order holds, which, and since when."""
    held, limit_w = grid.held, grid.charging_limit_w
    return {
        "on": held is not None,
        "source": held.source if held else None,
        "limit_w": round(limit_w) if limit_w is not None else None,
        "since": iso(held.began_at) if held else None,
        "reason": reason_of(config, grid),
    }


def reason_of(config: Configuration, grid: GridOperator) -> Sentence | None:
    """Why charging is dimmed; None: it is not."""
    if grid.held is None:
        return None
    one = config.inputs.get(config.grid.input or "")
    return Sentence(grid.held.reason, REASON_SENTENCES[grid.held.reason], {"input": one.name if one else ""})


def grid_alarms(config: Configuration, grid: GridOperator) -> list[Sentence]:
    """What the overview says at its top."""
    alarms = []
    held, limit_w = grid.held, grid.charging_limit_w
    if held is not None and limit_w is not None:
        alarms.append(
            Sentence(
                f"dimmed-{held.reason}",
                _DIMMED_SENTENCES[held.reason],
                {"watts": round(limit_w), **(reason_of(config, grid) or Sentence("", "")).fields},
            )
        )
    evidence = grid.evidence
    if evidence.trouble is not None:
        alarms.append(
            Sentence(
                "grid-log-waiting",
                "The disk takes no entries of the grid operator's log now ({code}); {count} wait in memory.",
                {"code": evidence.trouble, "count": evidence.waiting},
            )
        )
    return alarms


_DIMMED_SENTENCES = {
    "input": "The grid operator limits charging to {watts} W: the input {input} is on.",
    "input-unknown": "Charging is limited to {watts} W: the grid operator's input {input} is unknown.",
    "modbus": "The grid operator limits charging to {watts} W: ordered over Modbus.",
    "modbus-silent": "Charging is limited to {watts} W: the grid operator's Modbus client is silent. See to it.",
    "api": "The grid operator limits charging to {watts} W: ordered over the API.",
    "test": "Charging is limited to {watts} W for a minute: somebody tests dimming.",
}
