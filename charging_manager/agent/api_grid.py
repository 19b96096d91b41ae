"""The grid operator over the API: what was agreed, the order that holds, and the log of what was drawn meanwhile."""

from __future__ import annotations

import csv
import io
import math
from collections import deque
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.api_inputs import allow_program, check_seconds
from charging_manager.agent.api_sessions import moment
from charging_manager.agent.api_shapes import LEFT_OUT
from charging_manager.agent.api_shapes_grid import DimmingBody, GridBody, TestBody
from charging_manager.agent.config import Configuration
from charging_manager.agent.dimming import API, TEST, TEST_S, counted_points
from charging_manager.agent.evidence import Minute, Order
from charging_manager.agent.grid_config import MOST_W
from charging_manager.agent.grid_words import iso, reason_of
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.model.grid import GridSettings

_QUERY = ("from", "to")
MINUTE = timedelta(minutes=1)
COLUMNS = (
    *("at", "event", "source", "reason", "limit_w", "asked_w", "minimum_w"),
    *("charging_w", "charging_most_w", "from_grid_w", "grid_w", "unread", "seconds"),
)


@frozen
class GridPages:
    """The routes of ``/grid-operator``."""

    site: RunningSite
    people: People
    token: str

    def routes(self) -> list[Route]:
        path = "/api/v1/grid-operator"
        said = "Orders of the grid operator and what was drawn meanwhile, minute by minute"
        return [
            Route("GET", path, Right.ADMIN, self.show, "What was agreed, and the order that holds now", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "What was agreed with the grid operator",
                body=GridBody,
                answer=dict,
                site_only=True,
            ),
            Route(
                "PUT",
                f"{path}/dimming",
                Right.ANYBODY,
                self.order,
                "Dim, or end that: as admin, or with the daemon's token",
                body=DimmingBody,
                answer=dict,
                site_only=True,
            ),
            Route(
                "POST",
                f"{path}/test",
                Right.ADMIN,
                self.test,
                "Dim for a minute, to see what happens",
                body=TestBody,
                answer=dict,
                site_only=True,
            ),
            Route("GET", f"{path}/evidence", Right.ADMIN, self.evidence, said, answer=dict, query=_QUERY),
            Route("GET", f"{path}/evidence.csv", Right.ADMIN, self.as_csv, f"{said}, as CSV", query=_QUERY),
        ]

    async def show(self, call: Call) -> Any:
        return self._shown(call.caller.language)

    async def change(self, call: Call) -> Any:
        body: GridBody = call.body

        def changed(config: Configuration) -> Configuration:
            return evolve(config, grid=_changed(config.grid, body))

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "grid-operator-changed", "", str(self.site.config.current.grid))
        return self._shown(call.caller.language)

    async def order(self, call: Call) -> Any:
        allow_program(call, self.token)
        body: DimmingBody = call.body
        if body.limit_w is not None and not 0.0 <= body.limit_w <= MOST_W:  # NaN is neither
            raise Problem(
                422,
                "bad-limit",
                "A limit is a number of watts from 0 to {most}, or left out: the minimum by law.",
                "limit_w",
                most=int(MOST_W),
            )
        self.site.grid.order(API, body.on, body.limit_w, check_seconds(body.for_s))
        self.site.grid.view()  # it holds from now on, and so the answer says
        self.people.note(call.caller, "dimming-ordered" if body.on else "dimming-ended", "api", f"{body.limit_w} W")
        return self._shown(call.caller.language)

    async def test(self, call: Call) -> Any:
        body: TestBody = call.body
        self.site.grid.order(TEST, body.on, None, TEST_S)
        self.site.grid.view()
        self.people.note(call.caller, "dimming-tested" if body.on else "dimming-test-ended", "")
        return self._shown(call.caller.language)

    async def evidence(self, call: Call) -> Any:
        orders, minutes = await self._chosen(call)
        return {"orders": [_order(one) for one in orders], "minutes": _minutes(orders, minutes)}

    async def as_csv(self, call: Call) -> Any:
        orders, minutes = await self._chosen(call)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for row in rows(orders, minutes):
            writer.writerow(["" if row.get(column) is None else row[column] for column in COLUMNS])
        body = out.getvalue().encode()
        return Answer(body, content_type="text/csv; charset=utf-8", filename="grid-operator.csv")

    async def _chosen(self, call: Call) -> tuple[list[Order], list[Minute]]:
        config = self.site.config.current
        since, until = moment(call.query, "from", False, config), moment(call.query, "to", True, config)
        return await self.site.grid.evidence.read(since, until)

    def _shown(self, language: str) -> dict[str, Any]:
        config, grid = self.site.config.current, self.site.grid
        settings, held, seen = config.grid, grid.held, grid.seen
        reason = reason_of(config, grid)
        asked = grid.asked(API)
        counted = counted_points(settings, config.site(""))
        return {
            "settings": {
                "input": settings.input,
                "charge_points": None if settings.charge_points is None else list(settings.charge_points),
                "other_devices": settings.other_devices,
                "others_w": settings.others_w,
                "heat_pumps_w": settings.heat_pumps_w,
                "cooling_w": settings.cooling_w,
                "agreed_w": settings.agreed_w,
                "below_minimum": settings.below_minimum,
                "own_power_on_top": settings.own_power_on_top,
                "heartbeat_s": settings.heartbeat_s,
                "silence_dims": settings.silence_dims,
            },
            "devices": len(counted) + settings.other_devices,
            "minimum_w": round(grid.minimum_w, 1),
            "dimming": {
                "on": held is not None,
                "source": held.source if held else None,
                "reason": reason.said(language) if reason else None,
                "since": iso(held.began_at) if held else None,
                "limit_w": round(held.limit_w, 1) if held else None,
                "charging_limit_w": _watts(grid.charging_limit_w),
                "own_power_w": round(seen.own_w) if settings.own_power_on_top else None,
                "by_api": asked is not None,
            },
            "measured": {
                "charging_w": _watts(seen.charging_w),
                "grid_w": _watts(seen.grid_w),
                "unread": seen.silent,
            },
            "heartbeat_age_s": math.floor(grid.heartbeat_age_s) if settings.heartbeat_s is not None else None,
        }


def _changed(old: GridSettings, body: GridBody) -> GridSettings:
    def kept(value: Any, before: Any) -> Any:
        return before if value is None else value

    return GridSettings(
        input=old.input if body.input == "" else body.input,
        charge_points=old.charge_points
        if body.charge_points == [""]
        else (None if body.charge_points is None else tuple(dict.fromkeys(body.charge_points))),
        other_devices=kept(body.other_devices, old.other_devices),
        others_w=kept(body.others_w, old.others_w),
        heat_pumps_w=kept(body.heat_pumps_w, old.heat_pumps_w),
        cooling_w=kept(body.cooling_w, old.cooling_w),
        agreed_w=old.agreed_w if body.agreed_w == LEFT_OUT else body.agreed_w,
        below_minimum=kept(body.below_minimum, old.below_minimum),
        own_power_on_top=kept(body.own_power_on_top, old.own_power_on_top),
        heartbeat_s=old.heartbeat_s if body.heartbeat_s == LEFT_OUT else body.heartbeat_s,
        silence_dims=kept(body.silence_dims, old.silence_dims),
    )


def rows(orders: list[Order], minutes: list[Minute]) -> list[dict[str, Any]]:
    """Begins, ends and minutes in one table, by time; a minute in which an order held says whose it was."""
    found: list[tuple[datetime, int, dict[str, Any]]] = []
    for one in orders:
        said = {
            "source": one.source,
            "reason": one.reason,
            "limit_w": round(one.limit_w, 1),
            "asked_w": one.asked_w,
            "minimum_w": round(one.minimum_w, 1),
        }
        found.append((one.began_at, 0, {"at": iso(one.began_at), "event": "begin", **said}))
        if one.ended_at is not None:
            event = "end" if one.end == "over" else "restart"
            found.append((one.ended_at, 2, {"at": iso(one.ended_at), "event": event, **said}))
    for minute, shown in zip(minutes, _minutes(orders, minutes), strict=True):
        found.append((minute.at, 1, {**shown, "event": "minute"}))
    return [row for _, _, row in sorted(found, key=lambda each: each[:2])]


def _order(one: Order) -> dict[str, Any]:
    return {
        "began_at": iso(one.began_at),
        "ended_at": iso(one.ended_at) if one.ended_at else None,
        "end": one.end,
        "source": one.source,
        "reason": one.reason,
        "limit_w": round(one.limit_w, 1),
        "asked_w": one.asked_w,
        "minimum_w": round(one.minimum_w, 1),
    }


def _minutes(orders: list[Order], minutes: list[Minute]) -> list[dict[str, Any]]:
    """Each with the order that held in it; of several the one whose limit was the lowest."""
    shown = []
    later = deque(sorted(orders, key=lambda one: one.began_at))
    held: list[Order] = []
    for minute in minutes:
        over_at = minute.at + MINUTE
        while later and later[0].began_at < over_at:
            held.append(later.popleft())
        held = [one for one in held if one.ended_at is None or one.ended_at >= minute.at]
        lowest = min(held, key=lambda one: one.limit_w, default=None) if minute.limit_w is not None else None
        shown.append(_minute(minute, lowest))
    return shown


def _minute(one: Minute, order: Order | None) -> dict[str, Any]:
    return {
        "source": order.source if order else None,
        "reason": order.reason if order else None,
        "asked_w": order.asked_w if order else None,
        "minimum_w": round(order.minimum_w, 1) if order else None,
        "at": iso(one.at),
        "charging_w": _watts(one.charging_w),
        "charging_most_w": _watts(one.charging_most_w),
        "from_grid_w": _watts(one.from_grid_w),
        "grid_w": _watts(one.grid_w),
        "limit_w": _watts(one.limit_w),
        "unread": one.silent,
        "seconds": one.seconds,
    }


def _watts(value: float | None) -> int | None:
    return round(value) if value is not None and math.isfinite(value) else None
