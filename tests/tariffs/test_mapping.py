"""A provider's JSON by a mapping: the shipped ones on answers of their shape, and every way to be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from attrs import evolve

from charging_manager.errors import ConfigError
from charging_manager.paths import shared
from charging_manager.tariffs.checks import check_address, check_mapping, check_tariff
from charging_manager.tariffs.mapping import fields_of, questions, read_rows
from charging_manager.tariffs.plugins import Plugin, PluginShelf, check_values, filled, parse_plugin
from charging_manager.tariffs.rows import price_slots, sun_slots
from charging_manager.tariffs.settings import UNITS, JsonMapping, Source, TariffSettings, TimeFormat, Window

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
SHIPPED = PluginShelf([shared("drivers")]).scan()
SIMPLE = JsonMapping("https://prices.example/{date}", "/at", "/p", minutes=60.0)


def shipped(name: str) -> Plugin:
    return SHIPPED.known[name]


def test_all_that_is_shipped_is_good() -> None:
    assert SHIPPED.broken == ()
    assert set(SHIPPED.known) == {"awattar", "energy-charts", "tibber", "forecast-solar"}
    assert all("token" not in str(one.request.url) for one in SHIPPED.known.values())


ANSWERS: dict[str, tuple[Any, list[float]]] = {
    "awattar": (
        {
            "object": "list",
            "data": [
                {
                    "start_timestamp": 1778018400000,
                    "end_timestamp": 1778022000000,
                    "marketprice": 92.1,
                    "unit": "Eur/MWh",
                },
                {
                    "start_timestamp": 1778022000000,
                    "end_timestamp": 1778025600000,
                    "marketprice": -3.5,
                    "unit": "Eur/MWh",
                },
            ],
        },
        [0.0921, -0.0035],
    ),
    "energy-charts": (
        {"license_info": "", "unix_seconds": [1778018400, 1778019300], "price": [92.1, 88], "unit": "EUR / MWh"},
        [0.0921, 0.088],
    ),
    "tibber": (
        {
            "data": {
                "viewer": {
                    "homes": [
                        {
                            "currentSubscription": {
                                "priceInfo": {
                                    "today": [{"total": 0.3012, "startsAt": "2026-05-06T00:00:00.000+02:00"}],
                                    "tomorrow": [{"total": 0.2811, "startsAt": "2026-05-06T01:00:00.000+02:00"}],
                                }
                            }
                        }
                    ]
                }
            }
        },
        [0.3012, 0.2811],
    ),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_shipped_provider_is_read(name: str) -> None:
    answer, prices = ANSWERS[name]
    request = shipped(name).request
    slots = price_slots(read_rows(request, orjson.dumps(answer)), TariffSettings(), UNITS[request.unit])
    assert [one.price for one in slots] == prices
    assert slots[0].start_at == datetime(2026, 5, 5, 22, tzinfo=UTC)
    assert slots[0].end_at == slots[1].start_at


def test_the_shipped_forecast_is_read() -> None:
    request = shipped("forecast-solar").request
    answer = {"result": {"2026-05-06 04:00:00": 0, "2026-05-06 05:00:00": 820, "2026-05-06 06:00:00": 1900}}
    slots = sun_slots(read_rows(request, orjson.dumps(answer)), UNITS[request.unit])
    assert [one.power_w for one in slots] == [0.0, 820.0, 1900.0]
    assert slots[1].start_at == datetime(2026, 5, 6, 5, tzinfo=UTC)


def test_addresses_are_filled_in() -> None:
    awattar = shipped("awattar")
    (only,) = questions(awattar.request, filled(awattar, {}), NOW, PARIS)
    assert only.url == "https://api.awattar.at/v1/marketdata?start=1778018400000&end=1778191200000"
    charts = shipped("energy-charts")
    (only,) = questions(charts.request, filled(charts, {"zone": "FR"}), NOW, PARIS)
    assert only.url == "https://api.energy-charts.info/price?bzn=FR&start=2026-05-06&end=2026-05-08"
    a_day = evolve(SIMPLE, url="https://prices.example/{date:%Y/%m-%d}_NO1.json")
    today, tomorrow = questions(a_day, {}, NOW, PARIS)
    assert today.url == "https://prices.example/2026/05-06_NO1.json"
    assert tomorrow.day is not None and today.day is not None
    assert tomorrow.day - today.day == timedelta(days=1)
    body = questions(evolve(SIMPLE, url="https://p.example/", body='{"since": "<from>"}'), {}, NOW, PARIS)[0].body
    assert body == b'{"since": "2026-05-05T22:00:00Z"}'


@pytest.mark.parametrize("template", ["{date.__class__}", "{0}", "{date!r}", "{from:%Y}", "{date:{x}}", "{", "{a[0]}"])
def test_a_template_reaches_nothing_but_names(template: str) -> None:
    with pytest.raises(ConfigError):
        fields_of(f"https://x.example/{template}")


@pytest.mark.parametrize(
    ("mapping", "answer", "said"),
    [
        (SIMPLE, b"<html>", "the answer is not JSON"),
        (SIMPLE, b'{"error": 1}', "row 1: has no '/at'"),
        (SIMPLE, b"7", "is no list"),
        (SIMPLE, b'[{"at": "2026-05-06T00:00Z"}]', "row 1: has no '/p'"),
        (SIMPLE, b'[{"at": "2026-05-06T00:00Z", "p": null}]', "row 1: is no number"),
        (SIMPLE, b'[{"at": "2026-05-06T00:00Z", "p": "NaN"}]', "row 1: is no number"),
        (SIMPLE, b'[{"at": "2026-05-06T00:00", "p": 1}]', "row 1: the time 2026-05-06 00:00:00 has no time zone"),
        (SIMPLE, b'[{"at": 5e300, "p": 1}]', "row 1: 5e+300 is no time"),
        (evolve(SIMPLE, time_format=TimeFormat.EPOCH_S), b'[{"at": 5e300, "p": 1}]', "row 1: 5e+300 is no time"),
        (evolve(SIMPLE, rows=("/data/x",)), b'{"data": []}', "the answer has no '/data/x'"),
        (evolve(SIMPLE, columns=True), b'{"at": [1, 2], "p": [1]}', "not lists of the same length"),
    ],
)
def test_an_answer_that_does_not_fit_is_named(mapping: JsonMapping, answer: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_rows(mapping, answer)
    assert said in str(caught.value)


def test_newest_first_is_turned_round_if_the_mapping_says_so() -> None:
    answer = b'[{"at": "2026-05-06T01:00Z", "p": 2}, {"at": "2026-05-06T00:00Z", "p": 1}]'
    assert [row.value for row in read_rows(evolve(SIMPLE, newest_first=True), answer)] == [1.0, 2.0]
    with pytest.raises(ConfigError, match="row 2: begins no later"):
        price_slots(read_rows(SIMPLE, answer), TariffSettings(), 0.01)


@pytest.mark.parametrize(
    "url",
    [
        "http://prices.example/x",
        "ftp://prices.example/x",
        "https://user:secret@prices.example/",
        "https:///x",
        "https://prices.example/a b",
        "file:///etc/passwd",
        "https://[::1",
        "http://8.8.8.8/",
    ],
)
def test_an_address_is_https_but_within_the_house(url: str) -> None:
    with pytest.raises(ConfigError):
        check_address("url", url)


def test_addresses_of_the_house_may_be_plain() -> None:
    for url in ("http://192.168.1.7:8080/p", "http://localhost/p", "http://[::1]/p", "https://prices.example/p"):
        check_address("url", url)


@pytest.mark.parametrize(
    ("tariff", "where"),
    [
        (TariffSettings(Source.FIXED), "tariff.price"),
        (TariffSettings(Source.FIXED, price=float("nan")), "tariff.price"),
        (TariffSettings(Source.TABLE, windows=(Window(0.1),)), "tariff.price"),
        (TariffSettings(Source.TABLE, price=0.1, windows=(Window(0.1, days=(7,)),)), "tariff.windows.0.days"),
        (
            TariffSettings(Source.TABLE, price=0.1, windows=(Window(0.1, season_from="13-01", season_to="01-01"),)),
            "season_from",
        ),
        (TariffSettings(Source.TABLE, price=0.1, windows=(Window(0.1, season_from="11-01"),)), "season_to"),
        (TariffSettings(Source.TABLE, price=0.1, windows=(Window(0.1, time(22), time(22)),)), "windows.0.time_to"),
        (TariffSettings(Source.HTTP), "tariff.feed.plugin"),
        (TariffSettings(currency="euro"), "tariff.currency"),
        (TariffSettings(vat_pct=float("nan")), "tariff.vat_pct"),
        (TariffSettings(factor=-1.0), "tariff.factor"),
    ],
)
def test_a_tariff_that_makes_no_sense_is_refused_at_its_key(tariff: TariffSettings, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_tariff(tariff)
    assert caught.value.where.endswith(where)


def test_a_mapping_that_makes_no_sense_is_refused_at_its_key() -> None:
    for key, value in {
        "url": "https://x.example/{area}",
        "start": "",
        "price": "",
        "rows": (),
        "unit": "EUR",
        "minutes": float("nan"),
        "timezone": "Mars/Olympus",
        "header": "X Y",
        "header_value": "a\r\nb",
    }.items():
        with pytest.raises(ConfigError) as caught:
            check_mapping("m", evolve(SIMPLE, **{key: value}), {})
        assert caught.value.where == f"m.{key}"


GOOD_TABLE = """
kind = "tariff"
title = "Ours"
source = "by hand"
[fields.area]
title = "Area"
pattern = "[A-Z]+"
[request]
url = "https://p.example/{area}/{date}"
start = "/s"
price = "/p"
"""


def test_a_table_of_ones_own_is_a_provider_and_a_broken_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "tariffs"
    folder.mkdir()
    (folder / "ours.toml").write_text(GOOD_TABLE)
    (folder / "bad.toml").write_text("kind = ")
    (folder / "Odd Name.toml").write_text(GOOD_TABLE)
    (folder / "worse.toml").write_text(GOOD_TABLE.replace("{date}", "{nothing}"))
    (folder / "driver.toml").write_text(GOOD_TABLE.replace('"tariff"', '"charger"'))
    (folder / "extra.toml").write_text(GOOD_TABLE + "colour = 1\n")
    (folder / "binary.toml").write_bytes(b"\xff\xff")
    shelf = PluginShelf([shared("drivers"), tmp_path])
    found = shelf.scan()
    assert "ours" in found.known and "awattar" in found.known
    assert {one.path.name for one in found.broken} == {
        "bad.toml",
        "Odd Name.toml",
        "worse.toml",
        "driver.toml",
        "extra.toml",
        "binary.toml",
    }
    assert any("nothing" in one.reason for one in found.broken)
    (folder / "ours.toml").unlink()
    (folder / "bad.toml").write_text(GOOD_TABLE)
    found = shelf.scan()
    assert "ours" not in found.known and "bad" in found.known


def test_what_a_person_says_for_a_field_must_fit() -> None:
    plugin = parse_plugin(GOOD_TABLE, "ours")
    check_values(plugin, {"area": "FR"}, "values")
    for values in ({}, {"area": "../x"}, {"area": "FR", "more": "1"}):
        with pytest.raises(ConfigError):
            check_values(plugin, values, "values")
