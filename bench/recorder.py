"""What recording costs a cycle at 500 charge points: tracking, and in the minute of every fifteen that is in full."""

from __future__ import annotations

import statistics
import time
import zlib

from bench.decide import Garage
from charging_manager.control.decide import Rules
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Obedience
from charging_manager.twin.tape import FULL_EVERY_S, FULL_S, Tape

Figure = tuple[str, float, str, str, float]
POINTS, CIRCUITS, CYCLES = 500, 40, 120


def recorder_cost() -> list[Figure]:
    """Median milliseconds of CPU a cycle, and megabytes a day; every box jitters by 0.2 A, every meter by 2 A."""
    garage, tape = Garage(POINTS, CIRCUITS), Tape()
    took: list[float] = []
    lines: list[int] = []
    deflate = zlib.compressobj(6)
    for _ in range(CYCLES):
        before = garage.plan
        garage.cycle()
        assert garage.plan is not None
        obedience = {name: Obedience(32.0, amps, amps, 6.0, 60.0, True, 0.0) for name, amps in garage.told.items()}
        image = SiteImage(garage.now_s, garage.number, garage.site, dict(garage.readings), obedience, before)
        started = time.process_time()
        told = tape.cycle(image, garage.plan, Rules())
        took.append((time.process_time() - started) * 1000.0)
        lines.append(sum(len(deflate.compress(line + b"\n")) for line in told) + len(deflate.flush(zlib.Z_SYNC_FLUSH)))
    full, track = slice(5, int(FULL_S) - 5), slice(int(FULL_S) + 5, CYCLES)
    share = FULL_S / FULL_EVERY_S
    a_day = 86_400 * (share * statistics.mean(lines[full]) + (1.0 - share) * statistics.mean(lines[track]))
    return [
        ("recorder-full-cycle-500", statistics.median(took[full]), "ms", "<=", 20.0),
        ("recorder-track-cycle-500", statistics.median(took[track]), "ms", "<=", 3.0),
        ("recorder-day-500", a_day / 1e6, "MB", "<=", 100.0),
    ]


FIGURES = {"recorder": recorder_cost}
