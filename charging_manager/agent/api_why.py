"""Why a charge point gets what it gets: now, at an instant of the last 24 h, or all that changed in a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from charging_manager.agent.api_common import audience, charge_point_of
from charging_manager.agent.api_sessions import moment
from charging_manager.agent.config import DeviceSettings
from charging_manager.agent.explanations import Explanations
from charging_manager.agent.journal import KEPT, Entry
from charging_manager.agent.picture import Audience, Json
from charging_manager.agent.running import RunningSite
from charging_manager.control.whatif import Outcome
from charging_manager.http.routes import Call, Problem, Right, Role, Route
from charging_manager.model.plan import Decision, Link
from charging_manager.words import say

STEP_SENTENCES = {
    "limit": "What the charge point can do",
    "demand": "What is asked for",
    "share": "What the circuits give",
    "rule": "Rules and orders",
    "setpoint": "What is sent",
}

OF_THE_HOUSE = frozenset({"line-house", "line-others", "line-left"})
"""Facts from which a user could read what the house draws."""


@frozen
class WhyPages:
    """The one route."""

    site: RunningSite

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/charge-points/{id}/why",
                Right.USER,
                self.why,
                "Why it gets what it gets: now, at an instant (at), or what changed in a while (from, to; last 24 h)",
                answer=dict,
                query=("at", "from", "to"),
            )
        ]

    async def why(self, call: Call) -> Any:
        config = self.site.config.current
        box = charge_point_of(call.caller, config, call.params["id"])
        at = moment(call.query, "at", False, config)
        since, until = moment(call.query, "from", False, config), moment(call.query, "to", True, config)
        if at is not None and (since is not None or until is not None):
            raise Problem(422, "bad-time", "Ask for one instant, or for a while; not for both.", "at")
        if since is not None and until is not None and until < since:
            raise Problem(422, "bad-time", "The end lies before the beginning.", "to")
        if at is not None:
            return await self._then(call, box, at)
        if since is not None or until is not None:
            return await self._changes(call, box, since, until)
        return await self._now(call, box)

    async def _now(self, call: Call, box: DeviceSettings) -> Json:
        explanations = self.site.explanations
        decision = explanations.now(box.id)
        if decision is None:
            raise Problem(503, "not-decided-yet", "Nothing was decided for it yet. Ask again in a second.")
        teller = _Teller(explanations, call.caller.language, audience(call.caller, self.site.config.current))
        outcomes = await explanations.what_if(box.id, admin=call.caller.role is Role.ADMIN)
        return {
            "charge_point": {"id": box.id, "name": box.name},
            "at": _iso(self.site.now()),
            **teller.decision(decision),
            "what_would_change_it": [teller.outcome(one) for one in outcomes],
        }

    async def _then(self, call: Call, box: DeviceSettings, at: datetime) -> Json:
        now = self.site.now()
        if not now - KEPT <= at <= now:
            raise Problem(404, "not-kept", "Decisions are kept for 24 hours.", "at")
        entries = await self.site.explanations.between(box.id, at, at + timedelta(milliseconds=1))
        if not entries:
            raise Problem(404, "not-kept", "Nothing is known of this charge point at that time.", "at")
        teller = _Teller(self.site.explanations, call.caller.language, audience(call.caller, self.site.config.current))
        return {
            "charge_point": {"id": box.id, "name": box.name},
            **teller.entry(entries[-1]),
            **teller.decision(entries[-1].decision),
        }

    async def _changes(self, call: Call, box: DeviceSettings, since: datetime | None, until: datetime | None) -> Json:
        now = self.site.now()
        since = max(since or now - KEPT, now - KEPT)
        entries = await self.site.explanations.between(box.id, since, until or now + timedelta(seconds=1))
        teller = _Teller(self.site.explanations, call.caller.language, audience(call.caller, self.site.config.current))
        return {
            "charge_point": {"id": box.id, "name": box.name},
            "from": _iso(since),
            "to": _iso(min(until or now, now)),
            "changes": [{**teller.entry(entry), **teller.head(entry.decision)} for entry in entries],
        }


@frozen
class _Teller:
    """Says it in the reader's language, to those who may know of these charge points alone."""

    explanations: Explanations
    language: str
    may_know: Audience

    def head(self, decision: Decision) -> Json:
        because = self.explanations.reason(decision.because).said(self.language, self.may_know)
        return {
            "setpoint_a": round(decision.setpoint_a, 2),
            "phases": decision.phases,
            "because": because,
            "sentence": say(
                self.language, "{amps} A: {reason}", amps=float(decision.setpoint_a), reason=because["text"]
            ),
        }

    def decision(self, decision: Decision) -> Json:
        return {
            "number": decision.number,
            **self.head(decision),
            "chain": [self._link(link) for link in decision.links],
        }

    def entry(self, entry: Entry) -> Json:
        return {
            "at": _iso(entry.at),
            "lowest_a": round(entry.lowest_a, 2),
            "highest_a": round(entry.highest_a, 2),
            "changes": entry.changes,
        }

    def outcome(self, outcome: Outcome) -> Json:
        return {
            **self.explanations.reason(outcome.because).said(self.language, self.may_know),
            "setpoint_a": outcome.setpoint_a,
            "then": self.explanations.reason(outcome.then).said(self.language, self.may_know) if outcome.then else None,
        }

    def _link(self, link: Link) -> Json:
        return {
            "step": link.step.value,
            "name": say(self.language, STEP_SENTENCES[link.step.value]),
            "allows_a": _amps(link.allows_a),
            "binds": link.binds,
            "facts": [
                {
                    **self.explanations.reason(fact.because).said(self.language, self.may_know),
                    "allows_a": _amps(fact.allows_a),
                }
                for fact in link.facts
                if self.may_know is None or fact.because.code not in OF_THE_HOUSE
            ],
        }


def _amps(value: float | None) -> float | None:
    return None if value is None or not abs(value) < 1e9 else round(value, 2)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
