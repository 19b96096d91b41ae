"""What others deliver is taken as a whole or not at all, and the first bad row is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from charging_manager.errors import ConfigError
from charging_manager.model.outside import PriceSlot
from charging_manager.tariffs.book import from_json, gaps, laid_over, to_json
from charging_manager.tariffs.files import read_file
from charging_manager.tariffs.rows import price_slots, sun_slots
from charging_manager.tariffs.settings import Source, TariffSettings, Window
from charging_manager.tariffs.tables import made

PARIS = ZoneInfo("Europe/Paris")
EUR = TariffSettings()
HOUR = timedelta(hours=1)


def taken(text: str, settings: TariffSettings = EUR) -> tuple[PriceSlot, ...]:
    return price_slots(read_file(text.encode(), PARIS), settings, 1.0)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


GOOD = """start;end;price;co2_g
2026-05-06T00:00;2026-05-06T01:00;0,25;300
2026-05-06T01:00;2026-05-06T02:00;-0,01;
"""


def test_a_csv_with_semicolons_and_commas() -> None:
    one, two = taken(GOOD)
    assert (one.start_at, one.end_at, one.price, one.co2_g) == (
        utc("2026-05-05 22:00"),
        utc("2026-05-05 23:00"),
        0.25,
        300,
    )
    assert (two.price, two.co2_g) == (-0.01, None)


def test_a_csv_without_ends_lasts_until_the_next_row() -> None:
    slots = taken("start,price\n2026-05-06T00:00Z,0.1\n2026-05-06T00:15Z,0.2\n2026-05-06T01:15Z,0.3\n")
    assert [one.end_at - one.start_at for one in slots] == [HOUR / 4, HOUR, HOUR]


def test_json_with_factor_offset_and_vat() -> None:
    settings = TariffSettings(factor=1.03, offset=0.15, vat_pct=20.0)
    (one,) = taken('[{"start": "2026-05-06T00:00Z", "end": "2026-05-06T01:00Z", "price": 0.1}]', settings)
    assert one.price == pytest.approx((0.1 * 1.03 + 0.15) * 1.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no row in it"),
        ("start,price\n", "there is no row in it"),
        ("price\n0.1\n", "row 1: a row needs start and price"),
        ("start,price\n2026-05-06T00:00Z,0.1\n2026-05-06T00:00Z,0.2\n", "row 2: begins no later"),
        ("start,price\n2026-05-06T01:00Z,0.1\n2026-05-06T00:00Z,0.2\n", "row 2: begins no later"),
        (
            "start,end,price\n2026-05-06T00:00Z,2026-05-06T02:00Z,1\n2026-05-06T01:00Z,2026-05-06T03:00Z,1\n",
            "row 2: begins",
        ),
        ("start,end,price\n2026-05-06T01:00Z,2026-05-06T01:00Z,0.1\n", "row 1: ends before it begins"),
        ("start,price\n2026-05-06T01:00Z,0.1\n", "row 1: has no end"),
        ("start,end,price\n2026-05-06T00:00Z,2026-05-06T01:00Z,nan\n", "row 1: is no number"),
        ("start,end,price\n2026-05-06T00:00Z,2026-05-06T01:00Z,inf\n", "row 1: is no number"),
        ("start,end,price\n2026-05-06T00:00Z,2026-05-06T01:00Z,cheap\n", "row 1: is no number"),
        ("start,end,price\n2026-05-06T00:00Z,2026-05-06T01:00Z,85\n", "row 1: a kWh cannot cost 85"),
        ("start,end,price\nyesterday,2026-05-06T01:00Z,0.1\n", "row 1: 'yesterday' is no time"),
        (
            "start,end,price\n2026-03-29T02:30,2026-03-29T03:30,0.1\n",
            "row 1: the time 2026-03-29 02:30:00 does not exist",
        ),
        ('[{"start": "2026-05-06T00:00Z", "end": "2026-05-06T01:00Z", "price": true}]', "row 1: is no number"),
        ('{"rows": 5}', "holds no list of objects"),
        ("[1, 2", "is not JSON"),
        ("<a", "is not XML"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "declares entities"),
        ("<a><Period/></a>", "row 1: the market document has a period"),
        ("start,price\n" + "2026-05-06T00:00Z,0.1\n" * 3500, "more than 3000 rows"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_row_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(text)
    assert said in str(caught.value)


def test_a_file_that_is_too_large_or_no_text() -> None:
    for data, said in ((b"x" * 1_100_000, "larger than 1 MiB"), (b"\xff\xfe\x00", "not UTF-8")):
        with pytest.raises(ConfigError, match=said):
            read_file(data, PARIS)


def test_the_night_on_which_clocks_go_back_has_25_hours() -> None:
    hours = [0, 1, 2, 2, *range(3, 24)]
    text = "start,price\n" + "".join(f"2026-10-25T{hour:02}:00,0.{hour:02}\n" for hour in hours)
    slots = taken(text)
    assert len(slots) == 25
    assert {one.end_at - one.start_at for one in slots} == {HOUR}
    assert slots[-1].end_at == utc("2026-10-25 23:00")


ENTSOE = """<?xml version="1.0" encoding="UTF-8"?>
<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"><TimeSeries><Period>
<timeInterval><start>2026-05-05T22:00Z</start><end>2026-05-06T01:00Z</end></timeInterval><resolution>PT60M</resolution>
<Point><position>1</position><price.amount>90.5</price.amount></Point>
<Point><position>3</position><price.amount>-10</price.amount></Point>
</Period></TimeSeries></Publication_MarketDocument>"""


def test_a_market_document_repeats_what_it_leaves_out() -> None:
    rows = read_file(ENTSOE.encode(), PARIS)
    slots = price_slots(rows, EUR, 1.0)
    assert [one.price for one in slots] == [0.0905, 0.0905, -0.01]
    assert slots[0].start_at == utc("2026-05-05 22:00")


def test_the_sun_gives_nothing_negative() -> None:
    rows = read_file(b"start,end,power_w\n2026-05-06T10:00Z,2026-05-06T11:00Z,5000\n", PARIS)
    assert sun_slots(rows, 1.0)[0].power_w == 5000.0
    with pytest.raises(ConfigError, match="row 1: solar power"):
        sun_slots(read_file(b"start,end,power_w\n2026-05-06T10:00Z,2026-05-06T11:00Z,-5\n", PARIS), 1.0)


def test_one_price_for_all_time_has_no_hole_on_the_days_of_the_clocks() -> None:
    for day in (date(2026, 3, 28), date(2026, 10, 24)):
        slots = made(TariffSettings(Source.FIXED, price=0.25), day, 4, PARIS)
        assert all(a.end_at == b.start_at for a, b in pairwise(slots))
        assert {one.price for one in slots} == {0.25}
        assert slots[-1].end_at.astimezone(PARIS).date() == day + timedelta(days=4)


TABLE = TariffSettings(
    Source.TABLE,
    price=0.30,
    windows=(
        Window(0.10, time(22), time(6), days=(5, 6)),
        Window(0.15, time(22), time(6)),
        Window(0.40, time(17), time(19), season_from="11-01", season_to="02-28"),
    ),
)


@pytest.mark.parametrize(
    ("local", "price"),
    [
        ("2026-05-06 12:00", 0.30),
        ("2026-05-06 23:00", 0.15),
        ("2026-05-07 05:59", 0.15),
        ("2026-05-07 06:00", 0.30),
        ("2026-05-09 23:00", 0.10),  # Saturday
        ("2026-05-11 03:00", 0.10),  # the night that began on Sunday
        ("2026-05-11 23:00", 0.15),
        ("2026-05-06 18:00", 0.30),
        ("2026-12-24 18:00", 0.40),
        ("2026-02-28 18:00", 0.40),
        ("2026-03-01 18:00", 0.30),
        ("2026-03-29 03:30", 0.10),
    ],
)
def test_a_table_of_times_of_use(local: str, price: float) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=PARIS)
    slots = made(TABLE, at.date() - timedelta(days=1), 3, PARIS)
    assert [one.price for one in slots if one.start_at <= at < one.end_at] == [price]


def test_what_comes_is_laid_over_what_is_known_and_old_things_go() -> None:
    now_at = utc("2026-05-06 12:00")
    known = tuple(PriceSlot(now_at + n * HOUR, now_at + (n + 1) * HOUR, 0.1) for n in range(-120, 10))
    fresh = tuple(PriceSlot(now_at + n * HOUR, now_at + (n + 1) * HOUR, 0.2) for n in range(5, 30))
    slots = laid_over(known, fresh, now_at)
    assert all(a.end_at <= b.start_at for a, b in pairwise(slots))
    assert slots[0].end_at > now_at - timedelta(days=4)
    assert [one.price for one in slots if one.start_at == now_at + 6 * HOUR] == [0.2]
    assert gaps(slots, now_at) == []
    assert gaps((*known[:121], *fresh), now_at) == [(now_at + HOUR, now_at + 5 * HOUR)]
    with pytest.raises(ConfigError, match="ended at 2026-05-05 12:00Z and is left out"):
        laid_over((), known[:96], now_at)


def test_what_is_kept_comes_back_and_nonsense_does_not() -> None:
    slots = taken(GOOD)
    assert from_json(to_json(slots), PriceSlot) == slots
    for data in (b"", b"5", b'[{"start_at": "x"}]', to_json(slots[::-1])):
        with pytest.raises(ConfigError):
            from_json(data, PriceSlot)
