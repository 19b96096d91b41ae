"""The whole site in one line of plain English, for ``systemctl status``."""

from __future__ import annotations

import math
from typing import Any

from charging_manager.agent.picture import Picture, Sentence

NO_PASSWORD = "no admin password yet, so only this machine is served: charging_manager passwd"  # noqa: S105 - a sentence

FAILING = "deciding fails, so every charge point is held to its fallback; see the log"


def status_line(picture: Picture, password_set: bool) -> str:
    """As in ``3 boxes, 2 charging, 24 of 35 A; cloud connected``; what is amiss follows."""
    parts = picture.parts
    boxes = [box for box in parts["charge_points"].values() if not box["out_of_service"]]
    charging = sum(box["status"] == "charging" for box in boxes)
    offline = sum(box["status"] == "offline" for box in boxes)
    words = [f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'}"]
    if charging:
        words.append(f"{charging} charging")
    if offline:
        words.append(f"{offline} offline")
    words += [text for circuit in parts["circuits"].values() if circuit["parent"] is None and (text := _load(circuit))]
    line = f"{', '.join(words)}; cloud {parts['cloud']['state']}"
    alarms: list[Sentence] = parts["alarms"]
    if alarms:
        line += f"; {alarms[0].said('en')['text']}" + (f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else "")
    return line if password_set else f"{line}; {NO_PASSWORD}"


def _load(circuit: dict[str, Any]) -> str:
    """The busiest phase; loads round up."""
    known = [
        (used, limit) for used, limit in zip(circuit["used_a"], circuit["limit_a"], strict=True) if used is not None
    ]
    if not known:
        return ""
    used, limit = max(known)
    return f"{math.ceil(used - 0.05)} of {limit:g} A"
