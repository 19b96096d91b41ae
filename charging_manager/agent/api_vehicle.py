"""The vehicle that is plugged in, over the API: its state of charge and the size of its battery, as people say."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import charge_point_of, field_problem
from charging_manager.agent.api_shapes import VehicleBody
from charging_manager.agent.config import Configuration
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.model.vehicle import Vehicle


@frozen
class VehiclePages:
    """What is said of a vehicle holds until it is unplugged."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        return [
            Route(
                "PUT",
                "/api/v1/charge-points/{id}/vehicle",
                Right.USER,
                self.vehicle,
                "Say how full the battery of the vehicle is, and how large, until it is unplugged",
                body=VehicleBody,
                answer=dict,
            )
        ]

    async def vehicle(self, call: Call) -> Any:
        body: VehicleBody = call.body
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])
        session = self.site.book.running(box.id)
        said = Vehicle(body.soc_pct, body.capacity_wh, session.energy_wh if session else 0.0)
        forgets = said.soc_pct is None and said.capacity_wh is None
        if session is None and not forgets:
            raise Problem(409, "no-car", "No car is plugged in there.")

        def changed(config: Configuration) -> Configuration:
            charge_point_of(call.caller, config, box.id)
            vehicles = {key: value for key, value in config.vehicles.items() if key != box.id}
            if not forgets:
                vehicles[box.id] = said
            return evolve(config, vehicles=vehicles)

        await field_problem(self.site.config.change(changed), lambda where: where.rpartition(".")[2])
        self.people.note(call.caller, "vehicle", box.id, f"{said.soc_pct} %, {said.capacity_wh} Wh")
        return {"id": box.id, "soc_pct": said.soc_pct, "capacity_wh": said.capacity_wh}
