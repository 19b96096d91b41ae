"""A circuit above its limit makes one line in the log when it begins and one when it is over."""

from __future__ import annotations

import math

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.agent.overload import OverloadLog
from charging_manager.model.plan import Budget
from charging_manager.model.site import Circuit, Site

MAIN = Circuit("main", "Main", None, (16.0, 16.0, 16.0))
SITE = Site("Home", "", {"main": MAIN})


class OverloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.watch = OverloadLog()
        self.now_s = 100.0
        self.lines: list[tuple[str, str]] = []
        self.patch(OverloadLog, "log", self)

    def warn(self, sentence: str, **fields: object) -> None:
        self.lines.append((LogLevel.warn.name, formatEvent({"log_format": sentence, **fields})))

    def use(self, *amps: float, seconds: int = 1, site: Site = SITE) -> None:
        """The newest reading of L2 for that many seconds; the other phases are calm."""
        for used in amps:
            for _ in range(seconds):
                budget = Budget("main", MAIN.limit_a, (3.0, used, 3.0), (0.0, 0.0, 0.0), math.isinf(used))
                self.watch.see(self.now_s, site, {"main": budget})
                self.now_s += 1.0

    def test_it_begins_and_ends_with_one_line_each(self) -> None:
        self.use(10.0, 16.0)
        self.assertEqual(self.lines, [])
        self.use(17.5, 19.25, 18.0)
        self.assertEqual(self.lines, [("warn", "circuit main: L2 draws 17.5 A, above its limit of 16 A")])
        self.use(15.0, seconds=10)
        self.assertEqual(
            [line for _, line in self.lines[1:]],
            [
                "circuit main: L2 is at 15.0 A, within its limit of 16 A again; "
                "it was above for 3 s, with 19.2 A at most"
            ],
        )

    def test_a_use_that_sways_about_the_limit_makes_no_flood(self) -> None:
        for _ in range(20):
            self.use(16.4, 15.9, 15.9)
        self.assertEqual(len(self.lines), 1)
        self.use(15.9, seconds=10)
        self.assertEqual(len(self.lines), 2)

    def test_a_silent_meter_neither_begins_nor_ends_it(self) -> None:
        self.use(math.inf, seconds=10)
        self.assertEqual(self.lines, [])
        self.use(18.0, math.inf, seconds=10)
        self.assertEqual(len(self.lines), 1)

    def test_a_circuit_that_is_removed_is_forgotten(self) -> None:
        self.use(18.0)
        self.use(18.0, site=Site("Home", ""))
        self.use(18.0)
        self.assertEqual(len(self.lines), 2)
