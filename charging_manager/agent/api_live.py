"""What is going on now over the API: state, events, and the two things that a user may change."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import audience, charge_point_of, field_problem, known_mode
from charging_manager.agent.api_goals import goal_of, in_short, needs_goal, shown
from charging_manager.agent.api_shapes import ModeBody, OverrideBody
from charging_manager.agent.config import Configuration, Override
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.model.site import Mode


@frozen
class LivePages:
    """The routes of state, events, mode and override."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        one = "/api/v1/charge-points/{id}"
        return [
            Route("GET", "/api/v1/state", Right.USER, self.state, "The whole picture now", answer=dict),
            Route("GET", "/api/v1/events", Right.USER, self.events, "A snapshot, then deltas, as an event stream"),
            Route(
                "PUT",
                f"{one}/mode",
                Right.USER,
                self.mode,
                "Choose how a charge point charges",
                body=ModeBody,
                answer=dict,
            ),
            Route(
                "PUT",
                f"{one}/override",
                Right.USER,
                self.override,
                "Hold a charge point to a current or a mode until its car is unplugged",
                body=OverrideBody,
                answer=dict,
            ),
        ]

    async def state(self, call: Call) -> Any:
        return Answer(self.site.hub.state(call.caller.language, audience(call.caller, self.site.config.current)))

    async def events(self, call: Call) -> Any:
        last = call.headers.get("last-event-id", "")
        seen = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        return self.site.hub.stream(call.caller, audience(call.caller, self.site.config.current), seen)

    async def mode(self, call: Call) -> Any:
        body: ModeBody = call.body
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])
        mode = known_mode(body.mode)
        goal = goal_of(body.goal, self.site, "goal.") if body.goal is not None else None

        def changed(config: Configuration) -> Configuration:
            device = charge_point_of(call.caller, config, box.id)
            if goal is not None:
                config = evolve(config, goals={**config.goals, box.id: goal})
            needs_goal(config, box.id, mode, self.site)
            overrides = dict(config.overrides)
            if (
                box.id in overrides and overrides[box.id].mode is not None
            ):  # a choice now is worth more than an older one
                overrides[box.id] = evolve(overrides[box.id], mode=None)
                if overrides[box.id].current_a is None:
                    del overrides[box.id]
            return evolve(config, devices={**config.devices, box.id: evolve(device, mode=mode)}, overrides=overrides)

        await field_problem(
            self.site.config.change(changed),
            lambda where: (
                f"goal.{where.rpartition('.')[2]}" if where.startswith("goals.") else where.rpartition(".")[2]
            ),
        )
        self.people.note(call.caller, "mode", box.id, f"{mode.value}{f', {in_short(goal)}' if goal else ''}")
        if mode is Mode.PLAN:
            return shown(self.site, box.id, call.caller.language)
        return {"id": box.id, "mode": mode.value}

    async def override(self, call: Call) -> Any:
        body: OverrideBody = call.body
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])
        if body.current_a is not None and not 0 <= body.current_a <= 80:
            raise Problem(422, "bad-current", "A current is a number of amperes from 0 to 80.", "current_a")
        wish = Override(known_mode(body.mode) if body.mode is not None else None, body.current_a)

        def changed(config: Configuration) -> Configuration:
            charge_point_of(call.caller, config, box.id)
            if wish.mode is not None:
                needs_goal(config, box.id, wish.mode, self.site)
            overrides = {key: value for key, value in config.overrides.items() if key != box.id}
            if wish != Override():
                overrides[box.id] = wish
            return evolve(config, overrides=overrides)

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "override", box.id, f"{wish.current_a} A, {wish.mode}")
        return {"id": box.id, "override_a": wish.current_a, "override_mode": wish.mode.value if wish.mode else None}
