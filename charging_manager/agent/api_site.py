"""The site over the API: its name, its circuits and their limits."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem, named
from charging_manager.agent.api_devices import site_only
from charging_manager.agent.api_shapes import LEFT_OUT, LEFT_OUT_BREAKER, CircuitBody, SiteChange
from charging_manager.agent.config import Configuration, id_from_name
from charging_manager.agent.people import People
from charging_manager.agent.places import brings_back_a_circuit, raises
from charging_manager.agent.running import RunningSite
from charging_manager.agent.sitedoubts import site_doubts
from charging_manager.agent.solar_config import changed_solar, shown_solar
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.model.site import MOST_A, Breaker, BreakerCurve, Circuit
from charging_manager.model.units import PhaseAmps, phase_amps

NONE_A = (None, None, None)


@frozen
class SitePages:
    """The routes of ``/site``."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        path = "/api/v1/site"
        return [
            Route("GET", path, Right.ADMIN, self.show, "Name, circuits and limits", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "Change name, circuits and limits; a higher limit and another parent or meter only at the site",
                body=SiteChange,
                answer=dict,
            ),
        ]

    async def show(self, call: Call) -> Any:
        return shown(self.site.config.current, self.site.serial, call.caller.language)

    async def change(self, call: Call) -> Any:
        body: SiteChange = call.body

        def changed(config: Configuration) -> Configuration:
            new = evolve(
                config,
                name=named(body.name, config.name),
                language=body.language if body.language is not None else config.language,
                timezone=body.timezone.strip() if body.timezone is not None else config.timezone,
                unbalance_a=body.unbalance_a if body.unbalance_a != LEFT_OUT else config.unbalance_a,
                unbalance_with_house=_said(body.unbalance_with_house, config.unbalance_with_house),
                first_come=_said(body.first_come, config.first_come),
                solar=config.solar if body.solar is None else changed_solar(config.solar, body.solar),
                storage_lock=_said(body.storage_lock, config.storage_lock),
                measure_cars=_said(body.measure_cars, config.measure_cars),
            )
            if body.circuits is not None:
                new = evolve(new, circuits=_circuits(body.circuits, config))
                _nothing_left_behind(new)
            if call.caller.remote and loosens(config, new):
                raise site_only()
            return new

        config = await field_problem(self.site.config.change(changed), lambda where: _field_of(where, body))
        self.people.note(call.caller, "site-changed", "", _limits(config))
        return shown(config, self.site.serial, call.caller.language)


def shown(config: Configuration, serial: str, language: str) -> dict[str, Any]:
    """The site as JSON, with what looks like a mistake in it; what comes back by PUT changes nothing."""
    return {
        "name": config.name,
        "serial": serial,
        "unbalance_a": config.unbalance_a,
        "unbalance_with_house": config.unbalance_with_house,
        "first_come": config.first_come,
        "language": config.language,
        "timezone": config.timezone,
        "warnings": [doubt.said(language) for doubt in site_doubts(config)],
        "solar": shown_solar(config.solar),
        "storage_lock": config.storage_lock,
        "measure_cars": config.measure_cars,
        "circuits": [
            {
                "id": circuit.id,
                "name": circuit.name,
                "parent": circuit.parent,
                "limit_a": list(circuit.limit_a),
                "reserve_a": circuit.reserve_a,
                "fallback_a": circuit.fallback_a,
                "meter": circuit.meter,
                "charging_limit_a": list(circuit.charging_limit_a) if circuit.charging_limit_a else None,
                "limit_w": circuit.limit_w,
                "charging_limit_w": circuit.charging_limit_w,
                "breaker": {"curve": circuit.breaker.curve.value, "rated_a": circuit.breaker.rated_a}
                if circuit.breaker
                else None,
            }
            for circuit in config.circuits.values()
        ],
    }


def _limits(config: Configuration) -> str:
    return ", ".join(
        f"{circuit.id} {'/'.join(f'{a:g}' for a in circuit.limit_a)} A" for circuit in config.circuits.values()
    )


def _circuits(bodies: list[CircuitBody], config: Configuration) -> dict[str, Circuit]:
    circuits: dict[str, Circuit] = {}
    named_ids = {body.id for body in bodies if body.id}
    for number, body in enumerate(bodies):
        name = body.id or id_from_name(body.name, named_ids | circuits.keys(), "circuit")
        where = f"circuits.{number}"
        if name in circuits:
            raise Problem(409, "duplicate", "There are two circuits with the ID {id}.", f"{where}.id", id=name)
        limit_a = _three(body.limit_a, f"{where}.limit_a")
        old = config.circuits.get(name)
        reserve_a = _kept(body.reserve_a, old.reserve_a if old else 0.0)
        fallback_a = _kept(body.fallback_a, old.fallback_a if old else 0.0)
        _check_amps(where, limit_a, reserve_a, fallback_a)
        circuits[name] = Circuit(
            id=name,
            name=body.name.strip(),
            parent=body.parent or None,
            limit_a=limit_a,
            reserve_a=reserve_a,
            fallback_a=fallback_a,
            meter=body.meter if body.meter != "" else (old.meter if old else None),
            charging_limit_a=_charging_limit_a(body, old, where),
            limit_w=_watts(body.limit_w, old.limit_w if old else None),
            charging_limit_w=_watts(body.charging_limit_w, old.charging_limit_w if old else None),
            breaker=_breaker(body, old, where),
        )
    return circuits


def _three(amps: list[float], where: str) -> PhaseAmps:
    try:
        return phase_amps(amps)
    except ValueError as error:
        raise Problem(
            422,
            "bad-limit",
            "A limit is three numbers of amperes, one for each of L1, L2 and L3, or one number for all of them.",
            where,
        ) from error


def _charging_limit_a(body: CircuitBody, old: Circuit | None, where: str) -> PhaseAmps | None:
    if body.charging_limit_a is None:
        return None
    if not body.charging_limit_a:
        return old.charging_limit_a if old else None
    return _three(body.charging_limit_a, f"{where}.charging_limit_a")


def _watts(new: float | None, old: float | None) -> float | None:
    return old if new == LEFT_OUT else new


def _breaker(body: CircuitBody, old: Circuit | None, where: str) -> Breaker | None:
    if body.breaker is None:
        return None
    if body.breaker == LEFT_OUT_BREAKER:
        return old.breaker if old else None
    if body.breaker.curve not in set(BreakerCurve):
        raise Problem(
            422, "bad-breaker", "The curve of a breaker is B or C; others have no model here.", f"{where}.breaker.curve"
        )
    return Breaker(BreakerCurve(body.breaker.curve), body.breaker.rated_a)


def _check_amps(where: str, limit_a: PhaseAmps, reserve_a: float, fallback_a: float) -> None:
    """Raises: Problem for the field with a number that no circuit can have."""
    for field, amps in (("limit_a", limit_a), ("reserve_a", (reserve_a,)), ("fallback_a", (fallback_a,))):
        if not all(0 <= each <= MOST_A for each in amps):
            raise Problem(422, "bad-limit", "limits are numbers of amperes from 0 to 100000", f"{where}.{field}")
    lowest_a = min((each for each in limit_a if each), default=0.0)  # a phase with limit 0 is none
    if reserve_a > lowest_a:
        raise Problem(
            422,
            "bad-limit",
            "The reserve is more than the limit of {amps} A, so that nothing could ever charge; make it smaller.",
            f"{where}.reserve_a",
            amps=lowest_a,
        )
    if fallback_a > lowest_a:
        raise Problem(
            422,
            "bad-limit",
            "While the meter is silent, no more may flow than the limit of {amps} A; make it smaller.",
            f"{where}.fallback_a",
            amps=lowest_a,
        )


def _nothing_left_behind(config: Configuration) -> None:
    """Raises: Problem if a device sits on a circuit that is to go."""
    for device in config.devices.values():
        if device.circuit not in config.circuits:
            raise Problem(
                422,
                "circuit-in-use",
                "{device} is on the circuit {circuit}, which cannot go before it has moved to another one.",
                "circuits",
                device=device.name,
                circuit=device.circuit,
            )


def _field_of(where: str, body: SiteChange) -> str:
    """``circuits.garage.parent``, as the configuration says it, is ``circuits.1.parent`` in the body."""
    first, _, rest = where.partition(".")
    if first == "solar":
        return where
    name, _, key = rest.partition(".")
    bodies = body.circuits or []
    ids: dict[str, int] = {}
    for number, each in enumerate(bodies):
        ids[each.id or id_from_name(each.name, {one.id for one in bodies if one.id} | ids.keys(), "circuit")] = number
    if first != "circuits" or name not in ids:
        return first
    return ".".join(filter(None, (first, str(ids[name]), key)))


def _said(new: bool | None, old: bool) -> bool:
    return old if new is None else new


def _kept(new: float | None, old: float) -> float:
    return new if new is not None else old


def loosens(old: Configuration, new: Configuration) -> bool:
    """Would this let more current flow, or count it elsewhere, than the old configuration does?"""
    if brings_back_a_circuit(old, new):
        return True
    if old.unbalance_a is not None and (new.unbalance_a is None or new.unbalance_a > old.unbalance_a):
        return True
    if old.unbalance_with_house and not new.unbalance_with_house and new.unbalance_a is not None:
        return True
    for circuit in old.circuits.values():
        after = new.circuits.get(circuit.id)
        if after is None:
            return True
        if (
            any(b > a for a, b in zip(circuit.limit_a, after.limit_a, strict=True))
            or after.reserve_a < circuit.reserve_a
            or after.fallback_a > circuit.fallback_a
            or after.parent != circuit.parent
            or after.meter != circuit.meter
            or _loosens_further(circuit, after)
        ):
            return True
    return False


def _loosens_further(before: Circuit, after: Circuit) -> bool:
    """Limits that may be absent, and what a breaker that was entered lets pass."""
    if any(
        raises(one, other)
        for one, other in zip(before.charging_limit_a or NONE_A, after.charging_limit_a or NONE_A, strict=True)
    ):
        return True
    if raises(before.limit_w, after.limit_w) or raises(before.charging_limit_w, after.charging_limit_w):
        return True
    if after.breaker is None or after.breaker == before.breaker:
        return False
    return (
        before.breaker is None
        or after.breaker.curve is not before.breaker.curve
        or after.breaker.rated_a > before.breaker.rated_a
    )
