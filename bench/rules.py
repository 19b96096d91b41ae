"""What rules add to a decision: 50 of every kind over 500 charge points, against the same images without them."""

from __future__ import annotations

import gc
import statistics
import time
from datetime import datetime, timedelta
from datetime import time as day_time
from zoneinfo import ZoneInfo

from attrs import evolve

from bench.decide import Figure, Garage
from charging_manager.control.decide import Rules, decide
from charging_manager.model.outside import Outside, PriceLevel, Prices, PriceSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience
from charging_manager.model.rule import Condition, Match, Rule
from charging_manager.model.site import Site, check_site
from charging_manager.model.wish import Wish

START_AT = datetime(2026, 5, 4, 8, tzinfo=ZoneInfo("Europe/Paris"))
MOST_MS = 2.0


def fifty_rules(site: Site) -> tuple[Rule, ...]:
    """Five of each of ten kinds: for all, for some boxes, for some users; most of them hold."""
    names = tuple(site.charge_points)
    kinds: tuple[tuple[Condition, ...], ...] = (
        (),
        (Condition(time_from=day_time(6), time_to=day_time(22), weekdays=frozenset(range(5))),),
        (Condition(price_above=0.2), Condition(levels=frozenset({PriceLevel.NORMAL}))),
        (Condition(surplus_below_w=5000.0),),
        (Condition(soc_above_pct=60.0),),
        (Condition(soc_below_pct=90.0, time_from=day_time(6)),),
        (Condition(charging_at_least=200),),
        (Condition(input="ripple"), Condition(input="tenant")),
        (Condition(import_above_w=10_000.0),),
        (Condition(export_above_w=10_000.0),),
    )
    return tuple(
        Rule(
            f"r{number}",
            f"Rule {number}",
            kinds[number % 10],
            Match.ANY if number % 3 else Match.ALL,
            names[number::7] if number % 2 else (),
            (f"u{number % 20}",) if number % 5 == 1 else (),
            limit_a=20.0 + number % 12,
            keep_s=60.0 if number % 4 == 0 and kinds[number % 10] else 0.0,
        )
        for number in range(50)
    )


class Ruled(Garage):
    """The same garage, decided twice each second: without rules, and with them."""

    def __init__(self) -> None:
        super().__init__(500, 40)
        self.ruled_site = check_site(evolve(self.site, rules=fifty_rules(self.site)))
        self.plain_plan: Plan | None = None
        self.ruled_plan: Plan | None = None
        slots = (
            PriceSlot(START_AT + timedelta(hours=at), START_AT + timedelta(hours=at + 1), 0.2) for at in range(-72, 24)
        )
        self.outside = Outside(Prices(tuple(slots)), inputs={"ripple": False, "tenant": None})

    def both(self) -> tuple[float, float]:
        """Milliseconds of CPU without and with rules, for images that are the same in all else."""
        told = dict(self.told)
        self.cycle()
        image = SiteImage(
            self.now_s,
            self.number,
            self.site,
            dict(self.readings),
            {name: Obedience(32.0, amps, amps, 6.0, 60.0, True, 0.0) for name, amps in told.items()},
            wishes={
                name: Wish(f"u{at % 40}", soc_pct=float((at + self.number // 60) % 100)) for at, name in enumerate(told)
            },
            outside=self.outside,
            now_at=START_AT + timedelta(seconds=self.number),
        )
        self.plain_plan, plain_ms = timed(evolve(image, last_plan=self.plain_plan))
        self.ruled_plan, ruled_ms = timed(evolve(image, site=self.ruled_site, last_plan=self.ruled_plan))
        return plain_ms, ruled_ms


def timed(image: SiteImage) -> tuple[Plan, float]:
    """The decision and its milliseconds of CPU."""
    started = time.process_time()
    plan = decide(image, Rules())
    return plan, (time.process_time() - started) * 1000.0


def rules_time() -> list[Figure]:
    """The difference of medians."""
    garage = Ruled()
    for _ in range(8):
        garage.both()
    gc.collect()
    took = [garage.both() for _ in range(60)]
    added = statistics.median(with_rules for _, with_rules in took) - statistics.median(plain for plain, _ in took)
    return [("decide-50-rules-add", added, "ms", "<=", MOST_MS)]


FIGURES = {"rules": rules_time}
