"""The JSON of goals, as attrs classes; see ``api_shapes``."""

from __future__ import annotations

from attrs import frozen


@frozen
class GoalBody:
    """``energy_wh`` (since plug-in) or ``soc_pct``, by a time of the day (``07:00``) in the site's own time.

    On weekdays (0 is Monday; left out: every day) or once (``on``, a date). ``prefer`` is cheap or green.
    ``capacity_wh`` is that of the car's battery, for ``soc_pct`` where the car does not say it.
    """

    by: str
    energy_wh: float | None = None
    soc_pct: float | None = None
    days: list[int] | None = None
    on: str | None = None
    prefer: str = "cheap"
    capacity_wh: float | None = None
