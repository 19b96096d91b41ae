"""Tariffs over the API: what is entered, what is known of prices and sun, and files of them."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.api_shapes_tariff import FeedBody, FileBody, MappingBody, SunBody, TariffBody, WindowBody
from charging_manager.agent.config import Configuration
from charging_manager.agent.feed import ValueFeed, meant
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.agent.sitedoubts import tariff_doubts
from charging_manager.control.prices import level_now, price_now
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.model.outside import PriceSlot, SunSlot
from charging_manager.tariffs.settings import (
    Feed,
    JsonMapping,
    Source,
    SunSettings,
    TariffSettings,
    TimeFormat,
    Window,
)


@frozen
class TariffPages:
    """The routes of tariffs, prices and the sun's forecast."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        api = "/api/v1"
        admin = Right.ADMIN
        return [
            Route(
                "GET",
                f"{api}/tariff",
                admin,
                self.show,
                "The tariff, the forecast of the sun, and providers",
                answer=dict,
            ),
            Route("PUT", f"{api}/tariff", admin, self.change, "Enter a tariff", body=TariffBody, answer=dict),
            Route("PUT", f"{api}/sun-forecast", admin, self.change_sun, "Enter a forecast", body=SunBody, answer=dict),
            Route(
                "POST",
                f"{api}/tariff/file",
                admin,
                self.upload,
                "Take prices or a forecast from a file; refused as a whole with the bad row named",
                body=FileBody,
                answer=dict,
            ),
            Route("GET", f"{api}/prices", Right.USER, self.prices, "Prices as far as they are known", answer=dict),
        ]

    async def show(self, call: Call) -> Any:
        return self._shown(call.caller.language)

    async def change(self, call: Call) -> Any:
        body: TariffBody = call.body

        def changed(config: Configuration) -> Configuration:
            tariff = _tariff(body, config.tariff)
            if tariff.source is Source.HTTP:
                self._check_plugin(tariff.feed, "tariff")
            return evolve(config, tariff=tariff)

        await field_problem(self.site.config.change(changed), _field_of)
        self.people.note(call.caller, "tariff-changed", "", body.source)
        return self._shown(call.caller.language)

    async def change_sun(self, call: Call) -> Any:
        body: SunBody = call.body

        def changed(config: Configuration) -> Configuration:
            sun = SunSettings(
                _source(body.source), _feed(body.feed, config.sun_forecast.feed), body.factor, body.house_w
            )
            if sun.source is Source.HTTP:
                self._check_plugin(sun.feed, "sun")
            return evolve(config, sun_forecast=sun)

        await field_problem(self.site.config.change(changed), _field_of)
        self.people.note(call.caller, "sun-forecast-changed", "", body.source)
        return self._shown(call.caller.language)

    async def upload(self, call: Call) -> Any:
        body: FileBody = call.body
        if body.kind not in ("prices", "sun"):
            raise Problem(422, "bad-kind", "A file is of kind prices or sun.", "kind")
        config = self.site.config.current
        source = config.tariff.source if body.kind == "prices" else config.sun_forecast.source
        if source is not Source.FILE:
            raise Problem(409, "other-source", "Choose the source file first: {source} is set.", source=source.value)
        try:
            rows = await self.site.tariff.uploaded(body.text.encode(), body.kind)
        except ConfigError as error:
            code = "bad-row" if "row" in error.fields else "bad-file"
            raise Problem(422, code, error.template, "text", **error.fields) from error
        self.people.note(call.caller, "file-uploaded", body.kind, f"{rows} rows")
        return {"rows": rows}

    async def prices(self, call: Call) -> Any:
        known, now_at = self.site.tariff.prices, self.site.now()
        level = level_now(known, now_at)
        return {
            "currency": known.currency,
            "price": price_now(known, now_at),
            "level": level.value if level else None,
            "slots": [_price(one) for one in known.slots],
        }

    def _check_plugin(self, feed: Feed, kind: str) -> None:
        """Raises: ConfigError for a provider that is not there, or whose fields are wrong."""
        where = "tariff.feed" if kind == "tariff" else "sun_forecast.feed"
        plugin = self.site.tariff.plugins.plugins.known.get(feed.plugin)
        if plugin is not None and plugin.kind != kind:
            raise ConfigError(f"{where}.plugin", "there is no provider {name}", name=repr(feed.plugin))
        try:
            if feed.plugin:
                meant(feed, self.site.tariff.plugins.plugins)
        except ConfigError as error:
            raise ConfigError(f"{where}.{error.where}", error.template, **error.fields) from error

    def _shown(self, language: str) -> dict[str, Any]:
        config, watch = self.site.config.current, self.site.tariff
        tariff, sun, found = config.tariff, config.sun_forecast, watch.plugins.plugins
        return {
            "warnings": [doubt.said(language) for doubt in tariff_doubts(tariff)],
            "tariff": {
                "source": tariff.source.value,
                "currency": tariff.currency,
                "price": tariff.price,
                "windows": [_window_shown(one) for one in tariff.windows],
                "feed": _feed_shown(tariff.feed),
                "factor": tariff.factor,
                "offset": tariff.offset,
                "vat_pct": tariff.vat_pct,
                "gap_alarm": tariff.gap_alarm,
            },
            "sun_forecast": {
                "source": sun.source.value,
                "feed": _feed_shown(sun.feed),
                "factor": sun.factor,
                "house_w": sun.house_w,
            },
            "prices": _state(watch.price_feed, language),
            "sun": {**_state(watch.sun_feed, language), "slots": [_sun(one) for one in watch.sun]},
            "alarms": [one.said(language) for one in watch.alarms(config)],
            "providers": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "title": one.title,
                    "source": one.source,
                    "needs_token": one.needs_token,
                    "notes": list(one.notes),
                    "fields": [
                        {"name": key, "title": each.title, "default": each.default} for key, each in one.fields.items()
                    ],
                }
                for one in sorted(found.known.values(), key=lambda one: one.title)
            ],
            "broken": [{"file": str(one.path), "reason": one.reason} for one in found.broken],
        }


def _state(feed: ValueFeed[Any], language: str) -> dict[str, Any]:
    return {
        "trouble": feed.trouble.said(language) if feed.trouble else None,
        "fetched_at": _iso(feed.fetched_at),
        "known_until": _iso(feed.slots[-1].end_at) if feed.slots else None,
    }


def _field_of(where: str) -> str:
    """A key path of the configuration as the body's field."""
    return where.partition(".")[2] or where


def _source(text: str) -> Source:
    if text not in set(Source):
        raise Problem(422, "bad-source", "The source is one of these: {names}.", "source", names=", ".join(Source))
    return Source(text)


def _tariff(body: TariffBody, old: TariffSettings) -> TariffSettings:
    return TariffSettings(
        _source(body.source),
        body.currency,
        body.price,
        tuple(_window(number, one) for number, one in enumerate(body.windows)),
        _feed(body.feed, old.feed),
        body.factor,
        body.offset,
        body.vat_pct,
        body.gap_alarm,
    )


def _window(number: int, body: WindowBody) -> Window:
    where = f"windows.{number}"
    return Window(
        body.price,
        _time(body.time_from, f"{where}.time_from"),
        _time(body.time_to, f"{where}.time_to"),
        tuple(sorted(set(body.days))),
        body.season_from or None,
        body.season_to or None,
        body.co2_g,
    )


def _time(text: str | None, where: str) -> time | None:
    try:
        return time.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError as error:
        raise Problem(422, "bad-time", "A time of the day is written 07:00.", where) from error


def _feed(body: FeedBody, old: Feed) -> Feed:
    same = body.plugin == old.plugin
    token = body.token if body.token is not None else (old.token if same else "")
    return Feed(body.plugin, dict(body.values), _mapping(body.mapping) if body.mapping else None, token)


def _mapping(body: MappingBody) -> JsonMapping:
    if body.time_format not in set(TimeFormat):
        names = ", ".join(TimeFormat)
        raise Problem(422, "bad-format", "Times are one of these: {names}.", "feed.mapping.time_format", names=names)
    return JsonMapping(
        url=body.url,
        start=body.start,
        price=body.price,
        rows=tuple(body.rows),
        columns=body.columns,
        end=body.end,
        minutes=body.minutes,
        co2=body.co2,
        time_format=TimeFormat(body.time_format),
        timezone=body.timezone,
        unit=body.unit,
        newest_first=body.newest_first,
        header=body.header,
        header_value=body.header_value,
        body=body.body,
        published=_time(body.published, "feed.mapping.published") or time(13),
    )


def _feed_shown(feed: Feed) -> dict[str, Any]:
    one = feed.mapping
    return {
        "plugin": feed.plugin,
        "values": dict(feed.values),
        "has_token": bool(feed.token),
        "mapping": None
        if one is None
        else {
            "url": one.url,
            "start": one.start,
            "price": one.price,
            "rows": list(one.rows),
            "columns": one.columns,
            "end": one.end,
            "minutes": one.minutes,
            "co2": one.co2,
            "time_format": one.time_format.value,
            "timezone": one.timezone,
            "unit": one.unit,
            "newest_first": one.newest_first,
            "header": one.header,
            "header_value": one.header_value,
            "body": one.body,
            "published": f"{one.published:%H:%M}",
        },
    }


def _window_shown(one: Window) -> dict[str, Any]:
    return {
        "price": one.price,
        "time_from": f"{one.time_from:%H:%M}" if one.time_from else None,
        "time_to": f"{one.time_to:%H:%M}" if one.time_to else None,
        "days": list(one.days),
        "season_from": one.season_from,
        "season_to": one.season_to,
        "co2_g": one.co2_g,
    }


def _price(one: PriceSlot) -> dict[str, Any]:
    return {"start_at": _iso(one.start_at), "end_at": _iso(one.end_at), "price": one.price, "co2_g": one.co2_g}


def _sun(one: SunSlot) -> dict[str, Any]:
    return {
        "start_at": _iso(one.start_at),
        "end_at": _iso(one.end_at),
        "power_w": round(one.power_w),
        "spare_w": round(one.spare_w),
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at is not None else None
