"""What each part of a condition says of a fact, at its threshold, near it, and when nobody knows."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve, fields

from charging_manager.control.conditions import PROTECTING, in_window, parts_of
from charging_manager.control.facts import Fact, Facts, charging_w, gather, grid_meter
from charging_manager.control.rules import Rules
from charging_manager.model.outside import Outside, PriceLevel, Prices, PriceSlot
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Reading, Status
from charging_manager.model.rule import Condition, Unknown
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, StorageRole, check_site
from charging_manager.model.wish import Wish

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 5, 4, tzinfo=PARIS)
FACTS = Facts(
    now_at=MONDAY.replace(hour=12),
    price=0.30,
    level=PriceLevel.CHEAP,
    surplus_w=2000.0,
    grid_w=500.0,
    charging=(2, 2),
    inputs={"ripple": True, "quiet": False, "lost": None},
    soc_pct={"box": 50.0, "dim": None},
)


def says(condition: Condition, facts: Facts = FACTS, point: str = "box", held: bool = False) -> bool | None:
    """What the one part of this condition says."""
    [part] = parts_of("rule", 0, condition, None)
    return part.test(facts, point, held)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(price_below=0.31), True),
        (Condition(price_below=0.30), False),
        (Condition(price_above=0.29), True),
        (Condition(price_above=0.30), False),
        (Condition(levels={PriceLevel.CHEAP, PriceLevel.VERY_CHEAP}), True),
        (Condition(levels={PriceLevel.DEAR}), False),
        (Condition(surplus_above_w=1999.0), True),
        (Condition(surplus_above_w=2000.0), False),
        (Condition(surplus_below_w=2001.0), True),
        (Condition(surplus_below_w=2000.0), False),
        (Condition(soc_below_pct=51.0), True),
        (Condition(soc_below_pct=50.0), False),
        (Condition(soc_above_pct=49.0), True),
        (Condition(soc_above_pct=50.0), False),
        (Condition(charging_at_least=2), True),
        (Condition(charging_at_least=3), False),
        (Condition(charging_at_most=2), True),
        (Condition(charging_at_most=1), False),
        (Condition(input="ripple"), True),
        (Condition(input="quiet"), False),
        (Condition(input="ripple", input_set=False), False),
        (Condition(input="quiet", input_set=False), True),
        (Condition(import_above_w=499.0), True),
        (Condition(import_above_w=500.0), False),
        (Condition(export_above_w=0.0), False),
        (Condition(weekdays={0}), True),
        (Condition(weekdays={5, 6}), False),
        (Condition(time_from=time(12)), True),
        (Condition(time_to=time(12)), False),
    ],
)
def test_a_part_holds_beyond_its_threshold_and_not_at_it(condition: Condition, expected: bool) -> None:
    assert says(condition) is expected


def test_export_is_import_the_other_way_round() -> None:
    gives = evolve(FACTS, grid_w=-3000.0)
    assert says(Condition(export_above_w=2999.0), gives) is True
    assert says(Condition(export_above_w=3000.0), gives) is False
    assert says(Condition(import_above_w=0.0), gives) is False


UNKNOWN = [
    (Condition(time_from=time(6)), Fact.TIME, evolve(FACTS, now_at=None)),
    (Condition(weekdays={0}), Fact.TIME, evolve(FACTS, now_at=None)),
    (Condition(price_below=1.0), Fact.PRICE, evolve(FACTS, price=None)),
    (Condition(price_above=0.0), Fact.PRICE, evolve(FACTS, price=None)),
    (Condition(levels={PriceLevel.CHEAP}), Fact.LEVEL, evolve(FACTS, level=None)),
    (Condition(surplus_below_w=1e6), Fact.SURPLUS, evolve(FACTS, surplus_w=None)),
    (Condition(surplus_above_w=-1e6), Fact.SURPLUS, evolve(FACTS, surplus_w=None)),
    (Condition(soc_below_pct=99.0), Fact.SOC, evolve(FACTS, soc_pct={})),
    (Condition(soc_above_pct=1.0), Fact.SOC, evolve(FACTS, soc_pct={"box": None})),
    (Condition(charging_at_least=3), Fact.CHARGING, evolve(FACTS, charging=(2, 4))),
    (Condition(charging_at_most=3), Fact.CHARGING, evolve(FACTS, charging=(2, 4))),
    (Condition(input="lost"), Fact.INPUT, FACTS),
    (Condition(input="never heard of", input_set=False), Fact.INPUT, FACTS),
    (Condition(import_above_w=0.0), Fact.GRID, evolve(FACTS, grid_w=None)),
    (Condition(export_above_w=0.0), Fact.GRID, evolve(FACTS, grid_w=None)),
]


@pytest.mark.parametrize(("condition", "fact", "facts"), UNKNOWN, ids=lambda each: getattr(each, "value", ""))
def test_an_unknown_fact_says_neither_and_counts_by_what_it_is_for(
    condition: Condition, fact: Fact, facts: Facts
) -> None:
    assert says(condition, facts) is None
    [part] = parts_of("rule", 0, condition, None)
    assert part.fact is fact
    assert part.unknown is (fact in PROTECTING)
    assert parts_of("rule", 0, condition, Unknown.HOLDS)[0].unknown is True
    assert parts_of("rule", 0, condition, Unknown.FAILS)[0].unknown is False


def test_every_part_of_a_condition_is_judged() -> None:
    """A field that is added to Condition and forgotten here would be a rule that holds always."""
    whole = Condition(
        time_from=time(6),
        time_to=time(22),
        weekdays={0},
        price_below=1.0,
        price_above=0.0,
        levels={PriceLevel.CHEAP},
        surplus_below_w=1.0,
        surplus_above_w=0.0,
        soc_below_pct=90.0,
        soc_above_pct=10.0,
        charging_at_least=1,
        charging_at_most=3,
        input="ripple",
        import_above_w=1.0,
        export_above_w=1.0,
    )
    assert {one.name for one in fields(Condition) if getattr(whole, one.name) == one.default} == {"input_set"}
    judged = {part.key[2] for part in parts_of("rule", 0, whole, None)}
    assert judged == {one.name for one in fields(Condition)} - {"time_to", "weekdays", "input_set"}


def test_what_breathes_has_a_band_and_a_price_has_none() -> None:
    assert says(Condition(import_above_w=1000.0), evolve(FACTS, grid_w=950.0), held=True) is True
    assert says(Condition(import_above_w=1000.0), evolve(FACTS, grid_w=899.0), held=True) is False
    assert says(Condition(import_above_w=10_000.0), evolve(FACTS, grid_w=9_550.0), held=True) is True
    assert says(Condition(export_above_w=1000.0), evolve(FACTS, grid_w=-950.0), held=True) is True
    assert says(Condition(surplus_below_w=1000.0), evolve(FACTS, surplus_w=1050.0), held=True) is True
    assert says(Condition(soc_above_pct=80.0), evolve(FACTS, soc_pct={"box": 79.5}), held=True) is True
    assert says(Condition(soc_above_pct=80.0), evolve(FACTS, soc_pct={"box": 79.0}), held=True) is False
    assert says(Condition(price_below=0.30), held=True) is False


@pytest.mark.parametrize(
    ("begin", "end", "weekdays", "moment", "expected"),
    [
        (time(22), time(6), {0}, MONDAY.replace(hour=21, minute=59), False),
        (time(22), time(6), {0}, MONDAY.replace(hour=22), True),
        (time(22), time(6), {0}, MONDAY + timedelta(hours=29, minutes=59), True),  # Tuesday 05:59, of Monday's window
        (time(22), time(6), {0}, MONDAY + timedelta(hours=30), False),
        (time(22), time(6), {0}, MONDAY.replace(hour=5), False),  # of Sunday's window
        (time(22), time(6), {6}, MONDAY.replace(hour=5), True),
        (time(8), time(17), set(), MONDAY.replace(hour=8), True),
        (time(8), time(17), set(), MONDAY.replace(hour=17), False),
        (time(8), None, {0}, MONDAY.replace(hour=23, minute=59), True),
        (None, time(6), {0}, MONDAY.replace(hour=5), True),
        (None, time(6), {0}, MONDAY.replace(hour=6), False),
        (None, None, {0, 1}, MONDAY, True),
        (None, None, {5, 6}, MONDAY, False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_began(
    begin: time | None, end: time | None, weekdays: set[int], moment: datetime, expected: bool
) -> None:
    assert in_window(moment, begin, end, frozenset(weekdays)) is expected


SITE = check_site(
    Site(
        "house",
        "none",
        {"main": Circuit("main", "Main", None, (63.0, 63.0, 63.0), meter="grid")},
        {name: ChargePoint(name, name, "main") for name in ("one", "two", "three")},
        {"grid": Meter("grid", "Grid", "main", MeterRole.GRID)},
    )
)
EVERYTHING = frozenset(Fact)


def image(**readings: Reading) -> SiteImage:
    return SiteImage(100.0, 1, SITE, {name: (one,) for name, one in readings.items()}, {})


def test_facts_are_what_the_readings_say() -> None:
    now = image(
        grid=Reading("grid", 99.0, power_w=-1500.0),
        one=Reading("one", 99.0, power_w=4000.0, status=Status.CHARGING),
        two=Reading("two", 99.0, (10.0, None, 0.0), status=Status.CHARGING),
        three=Reading("three", 99.0, power_w=50.0, status=Status.PLUGGED),
    )
    known = gather(now, EVERYTHING, (), Rules())
    assert known.grid_w == -1500.0
    assert known.surplus_w == 1500.0 + 4000.0 + 2300.0
    assert known.charging == (2, 2)


@pytest.mark.parametrize(
    ("role", "storage_w", "expected"),
    [
        (StorageRole.HOUSE, -3000.0, 2500.0),  # 3 of the 4 kW of the car come from the battery
        (StorageRole.ALL, -3000.0, 2500.0),
        (StorageRole.HOUSE, 2000.0, 5500.0),  # it is filled before cars
        (StorageRole.ALL, 2000.0, 7500.0),
        (StorageRole.HOUSE, None, None),
    ],
)
def test_what_a_battery_gives_is_no_sun(role: StorageRole, storage_w: float | None, expected: float | None) -> None:
    battery = Meter("store", "Store", "main", MeterRole.STORAGE, storage=role)
    now = image(
        grid=Reading("grid", 99.0, power_w=-1500.0),
        store=Reading("store", 99.0, power_w=storage_w),
        one=Reading("one", 99.0, power_w=4000.0, status=Status.CHARGING),
    )
    now = evolve(now, site=evolve(SITE, meters={**SITE.meters, "store": battery}))
    assert gather(now, EVERYTHING, (), Rules()).surplus_w == expected


def test_a_silent_or_frozen_meter_tells_nothing_and_nonsense_neither() -> None:
    fresh = image(grid=Reading("grid", 99.0, power_w=100.0))
    assert gather(fresh, EVERYTHING, (), Rules()).grid_w == 100.0
    assert gather(fresh, EVERYTHING, ("grid",), Rules()).grid_w is None
    for reading in (
        Reading("grid", 94.0, power_w=100.0),
        Reading("grid", 99.0, power_w=None),
        Reading("grid", 99.0, power_w=float("nan")),
        Reading("grid", 99.0, power_w=float("inf")),
    ):
        known = gather(image(grid=reading), EVERYTHING, (), Rules())
        assert (known.grid_w, known.surplus_w) == (None, None)
    assert gather(image(), EVERYTHING, (), Rules()).grid_w is None


def test_a_box_that_says_nothing_may_be_charging() -> None:
    now = image(
        one=Reading("one", 99.0, status=Status.CHARGING),
        two=Reading("two", 80.0, status=Status.FREE),
        three=Reading("three", 99.0, status=Status.UNKNOWN),
    )
    assert gather(now, EVERYTHING, (), Rules()).charging == (1, 3)
    gone = evolve(SITE, charge_points={k: evolve(p, out_of_service=k != "one") for k, p in SITE.charge_points.items()})
    assert gather(evolve(now, site=gone), EVERYTHING, (), Rules()).charging == (1, 1)


def test_price_level_and_charge_come_from_outside() -> None:
    slots = tuple(
        PriceSlot(MONDAY + timedelta(hours=at), MONDAY + timedelta(hours=at + 1), 0.10 if at == 12 else 0.30)
        for at in range(24)
    )
    wishes = {"one": Wish(soc_pct=42.0), "two": Wish(soc_pct=float("nan")), "three": Wish(soc_pct=130.0)}
    now = evolve(
        image(), now_at=MONDAY.replace(hour=12, minute=30), outside=Outside(prices=Prices(slots)), wishes=wishes
    )
    known = gather(now, EVERYTHING, (), Rules())
    assert (known.price, known.level) == (0.10, PriceLevel.VERY_CHEAP)
    assert dict(known.soc_pct) == {"one": 42.0, "two": None, "three": None}
    later = gather(evolve(now, now_at=MONDAY + timedelta(days=2)), EVERYTHING, (), Rules())
    assert (later.price, later.level) == (None, None)


def test_what_nobody_asks_is_not_looked_up() -> None:
    now = image(grid=Reading("grid", 99.0, power_w=100.0), one=Reading("one", 99.0, status=Status.CHARGING))
    assert gather(now, frozenset(), (), Rules()) == Facts()


def test_the_grid_meter_is_the_one_that_sees_the_root() -> None:
    assert grid_meter(SITE) == "grid"
    assert grid_meter(evolve(SITE, circuits={"main": evolve(SITE.circuits["main"], meter=None)})) == "grid"
    load = evolve(SITE, meters={"grid": evolve(SITE.meters["grid"], role=MeterRole.LOAD)})
    assert grid_meter(load) is None
    assert grid_meter(Site("none", "none")) is None


def test_a_box_without_power_is_taken_by_its_currents() -> None:
    assert charging_w(Reading("one", 0.0, (10.0, 10.0, float("nan")))) == 4600.0
    assert charging_w(Reading("one", 0.0)) is None
